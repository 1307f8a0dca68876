"""Chooses how a response body is read, from its endpoint, status and header fields."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import msgspec

from .answers import take_message
from .messages import Answer, Endpoint, Reading, Usage
from .results import NamedReading, ResultsReading
from .sse import StreamReading

#: Of an error body no more than this is looked at.
_ERROR_BYTES_MAX = 1 << 20


def reading(
    endpoint: Endpoint, status: int, headers: Iterable[tuple[bytes, bytes]], output_most: int | None = None
) -> Reading:
    """A fresh `Reading` for a body. `headers` have lower-case names, as received.

    `output_most` is the most output tokens that were asked for, where that is known.
    """
    kind = coding = b""
    for name, value in headers:
        if name == b"content-type":
            kind = value.lower()
        elif name == b"content-encoding":
            coding = value.strip().lower()
    chosen: Reading
    if status >= 300:
        chosen = ErrorReading()
    elif endpoint.name == "batches":
        chosen = NamedReading()
    elif endpoint.name == "batch_results":
        chosen = ResultsReading()
    elif endpoint.name not in ("messages", "count_tokens"):
        return Opaque()
    elif kind.startswith(b"text/event-stream"):
        chosen = StreamReading(output_most)
    elif kind.startswith(b"application/vnd.amazon.eventstream"):
        return Opaque(is_stream=True)  # Bedrock's binary frames
    else:
        chosen = JsonReading()
    if coding in (b"", b"identity"):
        return chosen
    if coding in (b"gzip", b"x-gzip", b"deflate"):
        return Inflated(chosen)
    return Opaque(is_stream=chosen.answer.is_stream)


class JsonReading:
    """A `Reading` of a JSON answer, decoded at its end. `answer.is_whole` where it was a JSON object."""

    __slots__ = ("_chunks", "answer")

    def __init__(self) -> None:
        self.answer = Answer()
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def finish(self) -> None:
        try:
            take_message(self.answer, b"".join(self._chunks))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        finally:
            self._chunks.clear()
        self.answer.is_whole = True

    def closing(self, error_body: bytes) -> bytes:
        return b""

    def estimated_usage(self) -> Usage | None:
        return self.answer.usage


class ErrorReading:
    """A `Reading` of an error answer: whole whatever it holds, for JSON, HTML, text and nothing all occur."""

    __slots__ = ("_body", "answer")

    def __init__(self) -> None:
        self.answer = Answer(is_whole=True)
        self._body = b""

    def feed(self, chunk: bytes) -> None:
        if len(self._body) < _ERROR_BYTES_MAX:
            self._body += chunk

    def finish(self) -> None:
        try:
            take_message(self.answer, self._body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return

    def closing(self, error_body: bytes) -> bytes:
        return b""

    def estimated_usage(self) -> Usage | None:
        return None


class Opaque:
    """A `Reading` of a body that says nothing about tokens: files, models, lists, results. Keeps nothing."""

    __slots__ = ("answer",)

    def __init__(self, *, is_stream: bool = False) -> None:
        self.answer = Answer(is_whole=True, is_stream=is_stream)

    def feed(self, chunk: bytes) -> None:
        return

    def finish(self) -> None:
        return

    def closing(self, error_body: bytes) -> bytes:
        return b""

    def estimated_usage(self) -> Usage | None:
        return None


class Inflated:
    """A `Reading` of a gzip or deflate body: decoded aside for the reading within, passed on as it is.

    Nothing can be appended to a compressed body, so `closing` is empty.
    """

    __slots__ = ("_inflate", "_inner", "_is_first", "_is_lost", "answer")

    def __init__(self, inner: Reading) -> None:
        self.answer = inner.answer
        self._inner = inner
        self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, by its header
        self._is_first = True
        self._is_lost = False

    def feed(self, chunk: bytes) -> None:
        if self._is_lost or not chunk:
            return
        try:
            plain = self._inflated(chunk)
        except zlib.error:
            self._is_lost = True
            return
        if plain:
            self._inner.feed(plain)

    def _inflated(self, chunk: bytes) -> bytes:
        is_first, self._is_first = self._is_first, False
        try:
            return self._inflate.decompress(chunk)
        except zlib.error:
            if not is_first:
                raise
        self._inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)  # `deflate` as some servers mean it: without header
        return self._inflate.decompress(chunk)

    def finish(self) -> None:
        self._inner.finish()

    def closing(self, error_body: bytes) -> bytes:
        return b""

    def estimated_usage(self) -> Usage | None:
        return self._inner.estimated_usage()
