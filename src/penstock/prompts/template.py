"""Templates: Markdown with `{{variable}}` and `{{> part}}`, and no logic at all.

A template is parsed before any value is known, and values are never parsed: what a value holds cannot become a
variable, a part or a turn. `\\{{` is a literal `{{`. A line `+++ user` or `+++ assistant` begins a turn; what stands
before the first is the system prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import ConfigError

#: What prompts, parts and variables may be called.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
#: So many parts, inner ones and repetitions too, may make one turn.
PARTS_MAX = 200
SYSTEM, USER, ASSISTANT = "system", "user", "assistant"

_TAG = re.compile(r"\\\{\{|\{\{(>?)[ \t]*([^{}\n]*?)[ \t]*\}\}|\{\{")
_TURN = re.compile(r"\+\+\+[ \t]+(\S+)[ \t]*")


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that render as they are."""

    text: str


@dataclass(frozen=True, slots=True)
class Slot:
    """`{{name}}`: where a variable's value goes. `place` is `file:line`."""

    name: str
    place: str


@dataclass(frozen=True, slots=True)
class Include:
    """`{{> name}}`: where a part goes. `place` is `file:line`."""

    name: str
    place: str


Node = Text | Slot | Include


@dataclass(frozen=True, slots=True)
class Turn:
    """The system prompt, or one message: its role and what it is made of."""

    role: str
    nodes: tuple[Node, ...]


def parsed_turns(text: str, file: str, line: int = 1) -> tuple[Turn, ...]:
    """The system prompt, empty or not, and the turns of a template whose first line is `line` of its file.

    Raises ConfigError, code `bad_prompt`.
    """
    turns: list[Turn] = []
    role, begun, kept = SYSTEM, line, list[str]()
    for number, one in enumerate(text.split("\n"), line):
        found = _TURN.fullmatch(one)
        if found is None:
            kept.append(one)
            continue
        turns.append(Turn(role, _nodes("\n".join(kept), file, begun)))
        role, begun, kept = found[1], number + 1, []
        if role not in (USER, ASSISTANT):
            fix = "Write `+++ user` or `+++ assistant`; the system prompt stands before the first turn."
            raise _fault(f"{role!r} is no turn.", fix, f"{file}:{number}")
        if role == ASSISTANT and len(turns) == 1:
            raise _fault("The first turn is the assistant's.", "Begin with `+++ user`.", f"{file}:{number}")
    turns.append(Turn(role, _nodes("\n".join(kept), file, begun)))
    return tuple(turns)


def parsed_part(text: str, file: str) -> tuple[Node, ...]:
    """What a part is made of. Raises ConfigError, code `bad_prompt`."""
    for number, one in enumerate(text.split("\n"), 1):
        if _TURN.fullmatch(one) or one.rstrip() == "+++":
            fix = "Keep turns and variables in the prompts that include it."
            raise _fault("A part has no turns and no front matter.", fix, f"{file}:{number}")
    return _nodes(text, file, 1)


def expanded(nodes: tuple[Node, ...], parts: Mapping[str, tuple[Node, ...]]) -> tuple[tuple[Node, ...], list[str]]:
    """The same with all parts put in, and the names of those, inner ones too, in order of first use.

    Raises ConfigError, code `bad_prompt`, where a part is missing or includes itself, or there are too many.
    """
    used: dict[str, int] = {}
    return tuple(_joined(_put_in(nodes, parts, (), used))), list(used)


def slots(nodes: tuple[Node, ...]) -> list[Slot]:
    return [node for node in nodes if isinstance(node, Slot)]


def source(nodes: tuple[Node, ...]) -> str:
    """A template that parses to these nodes."""
    said = []
    for node in nodes:
        if isinstance(node, Text):
            said.append(node.text.replace("{{", "\\{{"))
        else:
            said.append(f"{{{{{'> ' if isinstance(node, Include) else ''}{node.name}}}}}")
    return "".join(said)


def _nodes(text: str, file: str, line: int) -> tuple[Node, ...]:
    """A text without the empty lines around it, taken apart. `line` is that of its first character."""
    text = text.rstrip()
    inner = text.lstrip("\n")
    line += len(text) - len(inner)
    nodes: list[Node] = []
    at = 0
    for found in _TAG.finditer(inner):
        nodes.append(Text(inner[at : found.start()]))
        at = found.end()
        place = f"{file}:{line + inner.count(chr(10), 0, found.start())}"
        if found[0] == "\\{{":
            nodes.append(Text("{{"))
        elif found[2] is not None and NAME.fullmatch(found[2]):
            nodes.append((Include if found[1] else Slot)(found[2], place))
        else:
            fix = "Write `{{variable}}`, `{{> part}}`, or `\\{{` for the two characters."
            raise _fault("This `{{` begins neither a variable nor a part.", fix, place)
    nodes.append(Text(inner[at:]))
    return tuple(_joined(nodes))


def _joined(nodes: Iterator[Node] | list[Node]) -> Iterator[Node]:
    """The same with neighbouring texts made one, and empty ones left out."""
    kept = ""
    for node in nodes:
        if isinstance(node, Text):
            kept += node.text
            continue
        if kept:
            yield Text(kept)
        kept = ""
        yield node
    if kept:
        yield Text(kept)


def _put_in(
    nodes: tuple[Node, ...], parts: Mapping[str, tuple[Node, ...]], around: tuple[str, ...], used: dict[str, int]
) -> Iterator[Node]:
    for node in nodes:
        if not isinstance(node, Include):
            yield node
        elif node.name in around:
            circle = " > ".join((*around[around.index(node.name) :], node.name))
            raise _fault(f"The part {node.name} includes itself: {circle}.", "Break the circle.", node.place)
        elif node.name not in parts:
            known = ", ".join(sorted(parts)) or "none"
            fix = f"Write parts/{node.name}.md, or include one there is: {known}."
            raise _fault(f"There is no part {node.name}.", fix, node.place)
        elif sum(used.values()) == PARTS_MAX:
            raise _fault(f"There are more than {PARTS_MAX} parts in one turn.", "Include fewer.", node.place)
        else:
            used[node.name] = used.get(node.name, 0) + 1
            yield from _put_in(parts[node.name], parts, (*around, node.name), used)


def _fault(message: str, fix: str, place: str) -> ConfigError:
    return ConfigError(message, code="bad_prompt", fix=fix, place=place)
