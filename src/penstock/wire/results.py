"""Reads what tells the cost of a batch: the answer that names it, and its results."""

from __future__ import annotations

import msgspec

from .answers import WireMessage, note_message
from .messages import Answer, Usage


class _Named(msgspec.Struct, frozen=True):
    id: str | None = None


class _Result(msgspec.Struct, frozen=True):
    message: WireMessage | None = None


class _Line(msgspec.Struct, frozen=True):
    result: _Result | None = None


_NAMED = msgspec.json.Decoder(_Named)
_LINE = msgspec.json.Decoder(_Line)


class NamedReading:
    """A `Reading` of a batch object: nothing but its id is looked for, and whatever else comes is whole."""

    __slots__ = ("_chunks", "answer")

    def __init__(self) -> None:
        self.answer = Answer(is_whole=True)
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def finish(self) -> None:
        try:
            self.answer.id = _NAMED.decode(b"".join(self._chunks)).id
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        finally:
            self._chunks.clear()

    def closing(self, error_body: bytes) -> bytes:
        return b""

    def estimated_usage(self) -> Usage | None:
        return None


class ResultsReading:
    """A `Reading` of a batch's results, line by line: each answer that is billed, as it comes.

    Refusals are billed like all others; what errored, expired or was cancelled is not.
    """

    __slots__ = ("_rest", "answer")

    def __init__(self) -> None:
        self.answer = Answer(is_whole=True, items=[])
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._take(line)

    def finish(self) -> None:
        self._take(self._rest)
        self._rest = b""

    def _take(self, line: bytes) -> None:
        if not line.strip() or self.answer.items is None:
            return
        try:
            found = _LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.answer.items = None  # a sum without it would be wrong
            return
        if found.result is None or found.result.message is None:
            return
        item = Answer()
        note_message(item, found.result.message)
        self.answer.items.append(item)

    def closing(self, error_body: bytes) -> bytes:
        return b""

    def estimated_usage(self) -> Usage | None:
        return None
