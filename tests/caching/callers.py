"""Scripts of calls: when each is made, in seconds, and its body."""

from __future__ import annotations

from random import Random
from typing import Any

from caching.shop import MODEL

Script = list[tuple[float, dict[str, Any]]]
_WORDS = ("alpha", "river", "stone", "light", "cloud", "grand", "under", "seven")


def words(count: int, seed: object) -> str:
    """As many tokens as words, on models up to 4.6."""
    random = Random(str(seed))
    return " ".join(random.choice(_WORDS) for _ in range(count))


SYSTEM = words(3000, "system")


def body(*turns: Any, system: Any = SYSTEM, model: str = MODEL, **more: Any) -> dict[str, Any]:
    """A body of turns by user and assistant, each a text or a list of blocks."""
    messages = [{"role": ("user", "assistant")[at % 2], "content": turn} for at, turn in enumerate(turns)]
    return {"model": model, "max_tokens": 20, "messages": messages, **({"system": system} if system else {}), **more}


def questions(count: int, gap_s: float, **more: Any) -> Script:
    """Different questions to the same system prompt."""
    return [(at * gap_s, body(words(100, f"q{at}"), **more)) for at in range(count)]


def talk(
    turns: int, gap_s: float, *, name: str = "a", first: int = 200, each: int = 150, start_s: float = 0.0
) -> Script:
    """One conversation that grows by an answer and a question each time."""
    said, script = [words(first, name)], []
    for turn in range(turns):
        script.append((start_s + turn * gap_s, body(*said)))
        said += [words(each, f"{name} {turn} answer"), words(each, f"{name} {turn}")]
    return script


def loop(steps: int, gap_s: float, *, calls: int = 1) -> Script:
    """A loop of tools: each step adds so many calls and their results."""
    tools = [{"name": "look", "description": words(1200, "tool"), "input_schema": {"type": "object"}}]
    turns: list[Any] = [[{"type": "text", "text": words(300, "task")}]]
    script = []
    for step in range(steps):
        script.append((step * gap_s, body(*turns, tools=tools)))
        ids = [f"toolu_{step:02}{number:03}" for number in range(calls)]
        turns.append([{"type": "tool_use", "id": one, "name": "look", "input": {"at": one}} for one in ids])
        turns.append([{"type": "tool_result", "tool_use_id": one, "content": words(40, one)} for one in ids])
    return script


def together(*scripts: Script) -> Script:
    return sorted((call for script in scripts for call in script), key=lambda call: call[0])
