"""Recorded answers, served again exactly as they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from .answer import Answer

_FRAMING = (b"content-length", b"transfer-encoding", b"connection", b"keep-alive")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An answer to serve: its bytes, its headers, and the lengths of the pieces it came in.

    Framing headers are dropped and made anew, all others are sent as given. `chunks` are lengths in bytes; what
    they leave over is one last piece. With `request` set, the answer is kept for the request whose JSON body is
    equal to it; without, it goes to the next request.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    chunks: tuple[int, ...] = ()
    request: bytes | None = None

    def pieces(self) -> list[bytes]:
        made, at = [], 0
        for length in self.chunks:
            made.append(self.body[at : at + length])
            at += length
        return [piece for piece in (*made, self.body[at:]) if piece]

    def answer(self) -> Answer:
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
        kept = [header for header in headers if header[0] not in _FRAMING]
        had_length = any(name == b"content-length" for name, _ in headers)
        return Answer(self.status, kept, self.pieces(), has_length=had_length and not self.chunks, is_verbatim=True)


class Replay:
    """Recorded answers not yet served."""

    def __init__(self, recorded: Iterable[Recorded]) -> None:
        self._in_order: list[Recorded] = []
        self._by_request: list[tuple[Any, Recorded]] = []
        for one in recorded:
            if one.request is None:
                self._in_order.append(one)
            else:
                self._by_request.append((_read(one.request), one))
        self._in_order.reverse()

    def next(self, body: bytes) -> Answer | None:
        """The answer for a request with this body, or None where none is left for it."""
        if self._by_request:
            asked = _read(body)
            for at, (request, recorded) in enumerate(self._by_request):
                if request == asked:
                    del self._by_request[at]
                    return recorded.answer()
        return self._in_order.pop().answer() if self._in_order else None


def _read(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body
