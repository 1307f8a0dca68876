"""A conversation read into what must stay whole: exchanges, and the images and documents in them.

An exchange is a user's words and all that follows, up to the next words: answers, calls of tools and their results.
Nothing is ever taken out of the middle of one but attachments and thinking. Turns of the role `system` hold from where
they stand on, so they are of no exchange, and stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_ATTACHED = frozenset({"image", "document"})


class Unreadable(ValueError):
    """The messages are not of the shape the API takes. It will say so itself."""


class Moment(NamedTuple):
    """What a call may have been made with: the turns before `end`, the last of them of exchange number `exchange`.

    `is_first`: it is the first call of that exchange, the others go on with tools.
    """

    end: int
    exchange: int
    is_first: bool


@dataclass(slots=True)
class Attachment:
    """An image or document: in which turn, the places that lead to it there, and the block.

    `uses` are the turns that have it, its own the first, and those that name its title.
    """

    turn: int
    places: tuple[int, ...]
    block: dict[str, Any]
    exchange: int
    uses: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Conversation:
    """Turns as they came (`raws`) and decoded, and what they make up. `of` is the exchange of each turn.

    `begins` are the first turns of the exchanges.
    """

    raws: list[bytes]
    turns: list[dict[str, Any]]
    begins: list[int] = field(default_factory=list)
    of: list[int] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)

    def members(self, exchange: int) -> list[int]:
        """The turns of an exchange, without those of the system."""
        ends = [*self.begins[1:], len(self.turns)]
        places = range(self.begins[exchange], ends[exchange])
        return [at for at in places if self.turns[at]["role"] != "system"]


def read(messages: bytes | msgspec.Raw) -> Conversation:
    """The turns of a request. Raises Unreadable."""
    try:
        raws = [bytes(raw) for raw in _RAWS.decode(messages)]
        turns = msgspec.json.decode(messages)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable("its messages are no list of turns") from error
    for turn in turns:
        if not isinstance(turn, dict) or turn.get("role") not in ("user", "assistant", "system"):
            raise Unreadable("it has a turn of an unknown role")
        content = turn.get("content")
        if not isinstance(content, str | list) or not all(isinstance(block, dict) for block in blocks_of(turn)):
            raise Unreadable("it has a turn whose content is neither text nor blocks")
    found = Conversation(raws, turns)
    if turns:
        _divide(found)
        _attach(found)
    return found


def blocks_of(turn: dict[str, Any]) -> list[dict[str, Any]]:
    """The blocks of a turn; none where it is a bare text."""
    content = turn.get("content")
    return content if isinstance(content, list) else []


def words_of(turn: dict[str, Any]) -> str:
    """What is said in a turn, without thoughts, calls and results."""
    content = turn.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in blocks_of(turn) if block.get("type") == "text")


def is_thought(block: dict[str, Any]) -> bool:
    return block.get("type") in _THOUGHTS


def is_tool_result(block: dict[str, Any]) -> bool:
    return str(block.get("type")).endswith("tool_result")


def _divide(found: Conversation) -> None:
    """Into exchanges and moments."""
    turns, sealed = found.turns, _sealed(found.turns)
    begins, speaker, has_spoken = [], "", False
    for at, turn in enumerate(turns):
        role = turn["role"]
        if role == "system":
            continue
        if role == "user" and speaker != "user" and at not in sealed:
            begins.append(at)
        has_spoken, speaker = has_spoken or not begins, role
    # What comes before the first words of a user is an exchange of its own, but for turns of the system.
    found.begins = [0, *begins] if has_spoken or not begins else [0, *begins[1:]]
    exchange = 0
    for at in range(len(turns)):
        exchange += exchange + 1 < len(found.begins) and at >= found.begins[exchange + 1]
        found.of.append(exchange)
    ends = [at for at, turn in enumerate(turns) if at and turn["role"] == "assistant"]
    last = -1
    for end in [*ends, len(turns)]:
        exchange = found.of[end - 1]
        found.moments.append(Moment(end, exchange, exchange != last))
        last = exchange


def _sealed(turns: list[dict[str, Any]]) -> set[int]:
    """Turns before which nothing may be cut: a call before them has its result in or behind them.

    So a turn of nothing but results begins nothing.
    """
    called: dict[str, int] = {}
    sealed: set[int] = set()
    for at, turn in enumerate(turns):
        for block in blocks_of(turn):
            if is_tool_result(block):
                begun = called.get(str(block.get("tool_use_id")))
                if begun is not None:
                    sealed.update(range(begun + 1, at + 1))
            elif str(block.get("type")).endswith("tool_use"):
                called[str(block.get("id"))] = at
    return sealed


def _attach(found: Conversation) -> None:
    """Find the images and documents, and where each is of use."""
    for at, turn in enumerate(found.turns):
        if turn["role"] != "user":
            continue
        for place, block in enumerate(blocks_of(turn)):
            for places, inner in [((place,), block), *_within(place, block)]:
                if inner.get("type") in _ATTACHED:
                    exchange = found.of[at]
                    found.attachments.append(Attachment(at, places, inner, exchange))
    same: dict[bytes, list[int]] = {}
    for attached in found.attachments:
        same.setdefault(msgspec.json.encode(attached.block.get("source")), []).append(attached.turn)
    for attached in found.attachments:
        again = same[msgspec.json.encode(attached.block.get("source"))]
        attached.uses = sorted({at for at in again if at >= attached.turn} | _naming(found, attached))


def _within(place: int, block: dict[str, Any]) -> list[tuple[tuple[int, ...], dict[str, Any]]]:
    """The blocks of a tool's result, with their places."""
    inner = block.get("content") if block.get("type") == "tool_result" else None
    found = enumerate(inner) if isinstance(inner, list) else ()
    return [((place, at), one) for at, one in found if isinstance(one, dict)]


def _naming(found: Conversation, attached: Attachment) -> set[int]:
    """The turns whose words have the attachment's title; none where it has no title."""
    title = attached.block.get("title")
    if not isinstance(title, str) or len(title) < 3:
        return set()
    later = range(attached.turn + 1, len(found.turns))
    return {at for at in later if title in words_of(found.turns[at]) or _cites(found.turns[at], title)}


def _cites(turn: dict[str, Any], title: str) -> bool:
    cited = [one for block in blocks_of(turn) for one in block.get("citations") or () if isinstance(one, dict)]
    return any(one.get("document_title") == title for one in cited)
