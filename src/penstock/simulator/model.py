"""The small deterministic model behind the simulated API: a request in, content blocks out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from .catalogue import Model
from .citations import cited
from .dice import Dice
from .instance import Maker
from .prose import cut_to, prose
from .script import Given, Script
from .servertools import searches, served
from .tokens import answer_tokens, estimate

_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.S)
_WORDS_WANTED = re.compile(r"\b(\d{1,5})[ -]words?\b", re.I)
_ASKS = re.compile(r"\b(?:use|call|invoke|run)\b[^.?!\n]{0,40}\b(?:tool|function)s?\b", re.I)
_SALIENT = 2000
"""Characters at either end of a prompt that are searched for hints."""
_GENERIC = {"tool", "fetch", "retrieve", "lookup", "search", "query", "execute", "perform", "create", "local"}


@dataclass(slots=True)
class Spoken:
    """What the model says. `blocks` are complete; `thinking_tokens` are part of `output_tokens`."""

    blocks: list[dict[str, Any]] = field(default_factory=list)
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    output_tokens: int = 0
    thinking_tokens: int = 0
    stop_details: dict[str, Any] | None = None
    web_searches: int = 0
    web_fetches: int = 0
    delay_s: float = 0.0


def speak(request: dict[str, Any], model: Model, seed: object, ids: Dice, script: Script | None = None) -> Spoken:
    """Answer a valid request. The words depend on the seed and the prompt alone, ids on the request's own dice."""
    spoken = Spoken()
    limit = request["max_tokens"]
    if limit == 0:
        spoken.stop_reason = "max_tokens"
        return spoken
    prompt = last_prompt(request)
    words = Dice(seed, model.id, prompt, len(request["messages"]))
    think(request, model, spoken, words)
    if (
        spoken.thinking_tokens >= limit
    ):  # what was asked for did not leave room for more than a beginning of the thought
        spoken.stop_reason = "max_tokens"
        spoken.output_tokens = spoken.thinking_tokens = limit
        return spoken
    line = script.given(request, prompt) if script is not None else Given()
    given, spoken.delay_s = line.said, line.delay_s
    if line.words is not None:
        given = prose(words.random, line.words)
    if len(prompt) > 2 * _SALIENT:
        prompt = prompt[:_SALIENT] + "\n" + prompt[-_SALIENT:]
    tools = [] if given is not None else chosen_tools(request, prompt)
    made: list[dict[str, Any]] | None = given if isinstance(given, list) else None
    if given is None and not tools:
        made = served(request, prompt, words, ids) or (None if output_schema(request) else cited(request, words))
    if made is not None:
        _add_blocks(made, spoken, model, ids)
    elif tools:
        for tool in tools:
            _use(tool, prompt, spoken, model, ids)
    else:
        text = given if isinstance(given, str) else _text(request, prompt, words)
        _say(text, request, spoken, model, limit)
    return spoken


def last_prompt(request: dict[str, Any]) -> str:
    """The text of the last user turn, without what a client's harness put around it."""
    for message in reversed(request["messages"]):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, list):
                texts = [str(block.get("text", "")) for block in content if block.get("type") == "text"]
                content = "\n".join(texts)
            text = str(content)
            return (_REMINDER.sub("", text) if "<system-reminder>" in text else text).strip()
    return ""


def tool_results(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The tool results of the last message; not empty where a tool loop comes back."""
    content = request["messages"][-1].get("content")
    if not isinstance(content, list):
        return []
    return [block for block in content if block.get("type") == "tool_result"]


def chosen_tools(request: dict[str, Any], prompt: str) -> list[dict[str, Any]]:
    """The tools the model uses now: the forced one, or those the prompt is about, several at once if they may be."""
    given: list[dict[str, Any]] = request.get("tools") or []
    tools = [tool for tool in given if isinstance(tool.get("input_schema"), dict)]
    choice: dict[str, Any] = request.get("tool_choice") or {}
    if not tools or choice.get("type") == "none":
        return []
    if choice.get("type") == "tool":
        return [next((tool for tool in tools if tool["name"] == choice.get("name")), tools[0])]
    if choice.get("type") != "any" and tool_results(request):
        return []
    named = [tool for tool in tools if _is_about(prompt, tool["name"])]
    if not named and (choice.get("type") == "any" or _ASKS.search(prompt)):
        named = tools[:1]
    return named[:1] if choice.get("disable_parallel_tool_use") else named


def _is_about(prompt: str, name: str) -> bool:
    """Whether a prompt speaks of a tool: names it, or, where the name is several words, says a telling one."""
    if not prompt:
        return False
    parts = [part.lower() for part in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]
    said = prompt.lower()
    if len(parts) == 1:
        return re.search(rf"\b(?:use|call|with) (?:the )?{re.escape(name.lower())}\b", said) is not None
    if name.lower() in said or " ".join(parts) in said:
        return True
    telling = [part for part in parts if len(part) >= 5 and part not in _GENERIC]
    return any(re.search(rf"\b{re.escape(part)}", said) for part in telling)


def think(request: dict[str, Any], model: Model, spoken: Spoken, words: Dice) -> None:
    """Add a thinking block where the request asks for one, or says nothing of it to a model that thinks unasked.

    Newer models show their thinking only on demand. Those that can be told not to think leave it out now and then.
    """
    asked = request.get("thinking")
    if asked is None and model.facts.capabilities.thinks_unasked:
        may_skip = "disabled" in model.facts.capabilities.thinking_types
        asked = {"type": "adaptive"} if not may_skip or words.random.random() < 0.5 else None
    if not isinstance(asked, dict) or asked.get("type") not in ("enabled", "adaptive", "between_tools"):
        return
    thought = "The question is clear. " + prose(words.random, 12 + words.random.randrange(20))
    is_hidden = asked["type"] != "enabled" and model.version >= (4, 7)
    display = asked.get("display") or ("omitted" if is_hidden else "summarized")
    signature = words.base64(4 * (90 + words.random.randrange(108)))
    spoken.thinking_tokens = answer_tokens(thought, model.weights)
    spoken.output_tokens += spoken.thinking_tokens
    shown = "" if display == "omitted" else thought
    spoken.blocks.append({"type": "thinking", "thinking": shown, "signature": signature})


def _add_blocks(blocks: list[dict[str, Any]], spoken: Spoken, model: Model, ids: Dice) -> None:
    for block in blocks:
        if block.get("type") == "tool_use":
            shaped = {"type": "tool_use", "id": ids.id("toolu"), "caller": {"type": "direct"}, "input": {}, **block}
            spoken.blocks.append(_ordered(shaped))
            spoken.stop_reason = "tool_use"
        else:
            spoken.blocks.append(block)
        if not block["type"].endswith("_tool_result"):  # those are not the model's words
            said = block.get("text") or json.dumps(block.get("input", {}))
            spoken.output_tokens += answer_tokens(str(said), model.weights)
    spoken.web_searches, spoken.web_fetches = searches(blocks), searches(blocks, "web_fetch")


def _use(tool: dict[str, Any], prompt: str, spoken: Spoken, model: Model, ids: Dice) -> None:
    made = Maker(tool["input_schema"], prompt).make()
    given = made if isinstance(made, dict) else {}
    block = {"type": "tool_use", "id": ids.id("toolu"), "name": tool["name"], "input": given}
    spoken.blocks.append(_ordered({**block, "caller": {"type": "direct"}}))
    spoken.stop_reason = "tool_use"
    spoken.output_tokens += 30 + round(estimate(tool["name"] + json.dumps(given), model.weights))


def _ordered(block: dict[str, Any]) -> dict[str, Any]:
    return {name: block[name] for name in ("type", "id", "name", "input", "caller") if name in block}


def _text(request: dict[str, Any], prompt: str, words: Dice) -> str:
    if (schema := output_schema(request)) is not None:
        return json.dumps(Maker(schema, prompt).make(), ensure_ascii=False)
    if results := tool_results(request):
        content = results[-1].get("content", "")
        if isinstance(content, list):
            content = " ".join(str(block.get("text", "")) for block in content)
        verb = "failed" if results[-1].get("is_error") else "answered"
        return f"The tool {verb}: {str(content)[:400]}"
    wanted = _WORDS_WANTED.search(prompt)
    return prose(words.random, max(1, int(wanted.group(1))) if wanted else 20 + words.random.randrange(40))


def output_schema(request: dict[str, Any]) -> dict[str, Any] | None:
    """The schema a structured answer must satisfy: `output_config.format`, or `output_format` of older clients."""
    config = request.get("output_config")
    asked = config.get("format") if isinstance(config, dict) else None
    asked = asked or request.get("output_format")
    schema = asked.get("schema") if isinstance(asked, dict) else None
    return schema if isinstance(schema, dict) else None


def _say(text: str, request: dict[str, Any], spoken: Spoken, model: Model, limit: int) -> None:
    stops = [(text.find(stop), stop) for stop in request.get("stop_sequences") or () if stop and stop in text]
    if stops:
        at, stop = min(stops)
        text, spoken.stop_reason, spoken.stop_sequence = text[:at], "stop_sequence", stop
    allowed = max(1, limit - spoken.output_tokens)
    cost = answer_tokens(text, model.weights)
    if cost > allowed:
        text, cost = cut_to(text, allowed, model.weights), allowed
        spoken.stop_reason, spoken.stop_sequence = "max_tokens", None
    spoken.output_tokens += cost
    if text:
        spoken.blocks.append({"type": "text", "text": text})
