"""The texts of a conversation that came from outside, where each stands, and how one is changed in place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ..wire.adapting.splice import Spliced
from .finding import Span

#: Names and numbers that lead from the list of turns to a value.
Path = tuple[str | int, ...]

USER, RESULTS, DOCUMENTS = "user", "tool_results", "documents"

_SEALED = frozenset(
    {"thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use", "image", "compaction"}
)
#: One character of a JSON string, as it may be written.
_WRITTEN = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL
)


class Part(NamedTuple):
    """One text. `source` is user, tool_results or documents. What `is_fixed` came from the API, and goes back as is."""

    path: Path
    source: str
    text: str
    is_fixed: bool

    @property
    def turn(self) -> Path:
        """The way to the turn it stands in."""
        return self.path[: self.path.index("content")]


def parts(turns: object, at: Path = ()) -> Iterator[Part]:
    """The texts of users' turns and the results of the API's own tools; none of what the model wrote or thought.

    `at` is the way to the turns. What is not of the shape the API takes is passed over: it will be refused there.
    """
    for place, turn in enumerate(turns if isinstance(turns, list) else ()):
        if isinstance(turn, dict) and turn.get("role") in ("user", "assistant"):
            is_fixed = turn["role"] == "assistant"
            yield from _content(turn.get("content"), (*at, place, "content"), USER, is_fixed)


def parts_of_items(items: object) -> Iterator[Part]:
    """The same of all the requests of a batch, which are calls of their own."""
    for place, item in enumerate(items if isinstance(items, list) else ()):
        params = item.get("params") if isinstance(item, dict) else None
        if isinstance(params, dict):
            yield from parts(params.get("messages"), (place, "params", "messages"))


def _content(content: object, path: Path, source: str, is_fixed: bool) -> Iterator[Part]:
    if isinstance(content, str):
        if not (is_fixed and source == USER):
            yield Part(path, source, content, is_fixed)
    elif isinstance(content, list):
        for place, block in enumerate(content):
            if isinstance(block, dict):
                yield from _block(block, (*path, place), source, is_fixed)
    elif isinstance(content, dict):
        yield from _block(content, path, source, is_fixed)


def _block(block: dict[str, Any], path: Path, source: str, is_fixed: bool) -> Iterator[Part]:
    kind = str(block.get("type"))
    if kind in _SEALED:
        return
    if kind.endswith("tool_result"):
        source = RESULTS
    elif kind in ("document", "search_result") and source == USER:
        source = DOCUMENTS
    for name in ("text", "title", "context"):
        text = block.get(name)
        if isinstance(text, str):
            yield from _content(text, (*path, name), source, is_fixed)
    yield from _content(block.get("content"), (*path, "content"), source, is_fixed)
    origin = block.get("source")
    if isinstance(origin, dict):
        held = {"text": "data", "content": "content"}.get(str(origin.get("type")))
        if held is not None:
            yield from _content(origin.get(held), (*path, "source", held), source, is_fixed)


def edited(value: bytes, edits: Mapping[Path, Sequence[Span]]) -> bytes:
    """A JSON value with what was found in its texts replaced, all else byte for byte.

    Raises ValueError or msgspec.DecodeError where an object on the way names a value twice.
    """
    if () in edits:
        return rewritten(value, edits[()])
    below: dict[str | int, dict[Path, Sequence[Span]]] = {}
    for path, spans in edits.items():
        below.setdefault(path[0], {})[path[1:]] = spans
    level = Spliced(value)
    for name, inner in below.items():
        level.put(name, edited(level[name], inner))
    return level.text


def written(inner: str) -> Sequence[str]:
    """What stands between the quotes of a JSON string, a piece for each character that it says."""
    return inner if "\\" not in inner else _WRITTEN.findall(inner)


def rewritten(literal: bytes, spans: Sequence[Span]) -> bytes:
    """A JSON string, as it was written, with these spans of what it says replaced by the names of their kinds."""
    pieces, out, at = written(literal[1:-1].decode()), ['"'], 0
    for span in spans:
        out += ["".join(pieces[at : span.start]), replaced(span)]
        at = span.end
    return "".join([*out, *pieces[at:], '"']).encode()


def replaced(span: Span) -> str:
    """What stands for something found."""
    return f"[{span.kind.upper()}]"


def read_turns(messages: bytes | msgspec.Raw) -> object:
    """The turns, or the requests of a batch, decoded. Raises msgspec.DecodeError."""
    try:
        return msgspec.json.decode(messages) if messages else []
    except (RecursionError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError("the messages cannot be read") from error
