"""Preserved thinking: which thoughts are still good where the beginning of a conversation has changed.

Newer models bind a thought to all that came before it, byte for byte but for cache marks (`claude-api.md` §2.6): where
that is not what it was, the API refuses the call. So of the calls whose beginning was changed here, what was sent is
remembered, as digests; a thought stays where what now stands before it was sent so for the same conversation, and goes
where it was not: also one of the answer that is being gone on with, as a block may be removed, but not be misplaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from ..wire.messages import Request
from ..wire.models import shipped
from .editing import Kept
from .turns import blocks_of, is_thought

#: Calls whose beginning is remembered, in this process. What is forgotten costs thoughts, and no error.
_CALLS_MAX = 50_000
#: What the API says of a thought that is not where it was (§2.6).
_OUT_OF_PLACE = "bound to a different conversation"


def is_bound(model: str, body: bytes) -> bool:
    """Whether a model binds thoughts to what came before them. Of one that is not known: yes, but with a budget."""
    known = shipped().find(model)
    return known.capabilities.preserves_thinking if known is not None else b'"budget_tokens"' not in body


def is_misplaced(error_message: str | None) -> bool:
    """Whether the API refused a call for a thought that is not where it was."""
    return error_message is not None and _OUT_OF_PLACE in error_message


class Sent:
    """The beginnings that were sent. Two threads may use it at once."""

    def __init__(self) -> None:
        self._calls: dict[bytes, None] = {}
        self._adrift: dict[bytes, None] = {}

    def unbound(self, frame: Iterable[bytes], came: list[dict[str, Any]], turns: list[Kept], first: int) -> list[int]:
        """The places in `turns` whose thoughts have to go, and remember that what is left is sent for what `came`.

        `frame` is all that stands before the turns, and whose it is; from place `first` on, turns are not as the
        caller sent them, or have others before them. The same may be said twice in a conversation, and be sent with
        the same turns before it: so what came counts too.
        """
        given, sent = _Digest(frame), _Digest(())
        lost, at = [], 0
        for place, one in enumerate(turns):
            turn = one.turn
            while at < one.at:
                given.add(came[at])
                at += 1
            if place >= first and _thinks(turn) and given.value + sent.value not in self._calls:
                lost.append(place)
                turn = {**turn, "content": [block for block in blocks_of(turn) if not is_thought(block)]}
            sent.add(turn)
        for turn in came[at:]:
            given.add(turn)
        _remember(self._calls, given.value + sent.value)
        return lost

    def went_adrift(self, request: Request) -> None:
        """The API refused the thoughts of this conversation: it had another beginning before, or is from elsewhere."""
        _remember(self._adrift, _opening(request))

    def is_adrift(self, request: Request) -> bool:
        """Whether only thoughts that are known to be good can be trusted: it begins as one that went adrift."""
        return bool(self._adrift) and _opening(request) in self._adrift


class _Digest:
    """A digest of turns, one after the other."""

    def __init__(self, frame: Iterable[bytes]) -> None:
        self._state = blake2b(digest_size=16)
        for part in frame:
            self._state.update(b"%d:" % len(part) + part)

    def add(self, turn: dict[str, Any]) -> None:
        self._state.update(compared(turn))

    @property
    def value(self) -> bytes:
        return self._state.digest()


def plain(raw: bytes | msgspec.Raw) -> bytes:
    """A part of a request as it is compared: without cache marks and blanks."""
    return _encoded(msgspec.json.decode(raw)) if raw else b""


def _opening(request: Request) -> bytes:
    return blake2b(f"{request.model}".encode() + plain(request.first_message()), digest_size=16).digest()


def _thinks(turn: dict[str, Any]) -> bool:
    return turn["role"] == "assistant" and any(is_thought(block) for block in blocks_of(turn))


def compared(turn: dict[str, Any]) -> bytes:
    """A turn as it is compared. A text alone is a block; a turn of which nothing is left is none."""
    content = turn.get("content")
    if isinstance(content, str):
        return _encoded({**turn, "content": [{"type": "text", "text": content}]})
    return _encoded(turn) if content or turn["role"] != "assistant" else b""


def _encoded(value: Any) -> bytes:
    written = msgspec.json.encode(value, order="deterministic")
    if b'"cache_control"' in written:
        written = msgspec.json.encode(_unmarked(value), order="deterministic")
    return b"\0" + written


def _unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unmarked(inner) for name, inner in value.items() if name != "cache_control"}
    return [_unmarked(one) for one in value] if isinstance(value, list) else value


def _remember(known: dict[bytes, None], digest: bytes) -> None:
    if len(known) >= _CALLS_MAX:
        known.clear()
    known[digest] = None
