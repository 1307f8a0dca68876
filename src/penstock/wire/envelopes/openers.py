"""What opens answers: header fields renamed, error bodies shaped, Bedrock's binary stream turned into events."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from .errors import error_body, error_type, shaped
from .eventstream import Frame, Frames
from .interface import Corrupt, Headers, Opener

#: Where the clouds say which request it was, where they do not say it as the API does.
_REQUEST_IDS = (b"x-amzn-requestid", b"apim-request-id", b"x-ms-request-id")
#: No error is longer; a body that is one is passed on as it comes.
_ERROR_BYTES_MAX = 1 << 20

_EVENT_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class _Chunk(msgspec.Struct, frozen=True, rename={"event": "bytes"}):
    event: bytes | None = None  # in base64; beside it stands a padding `p`


class _Event(msgspec.Struct, frozen=True):
    type: str | None = None


class _Said(msgspec.Struct, frozen=True, rename={"capital": "Message"}):
    message: str | None = None
    capital: str | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_EVENT = msgspec.json.Decoder(_Event)
_SAID = msgspec.json.Decoder(_Said)


def opener(status: int, headers: Headers) -> Opener | None:
    """For answers whose body is the API's own unless it is an error; None where not even a field has to change."""
    fields = dict(headers)
    kind, coding = fields.get(b"content-type", b"json").lower(), fields.get(b"content-encoding", b"identity")
    if status >= 400 and b"json" in kind and coding == b"identity":
        return ErrorOpener(status, headers)
    relabelled = _relabelled(headers)
    return None if relabelled == headers else PlainOpener(relabelled)


def _relabelled(headers: Headers, dropped: Collection[bytes] = (), *added: tuple[bytes, bytes]) -> Headers:
    """The fields with a `request-id`, where the cloud has one by another name, without `dropped` and with `added`."""
    fields = [field for field in headers if field[0] not in dropped]
    names = dict(fields)
    if b"request-id" not in names:
        named = next((names[name] for name in _REQUEST_IDS if name in names), None)
        if named is not None:
            fields.append((b"request-id", named))
    return (*fields, *added)


def _request_id(headers: Headers) -> str | None:
    for name, value in headers:
        if name == b"request-id":
            return value.decode("latin-1")
    return None


class PlainOpener:
    """The body passes; only fields are the API's."""

    __slots__ = ("headers",)

    def __init__(self, headers: Headers) -> None:
        self.headers = headers

    def feed(self, chunk: bytes) -> bytes:
        return chunk

    def end(self) -> bytes:
        return b""


class ErrorOpener:
    """An error answer, held back to its end and given in the API's shape."""

    __slots__ = ("_body", "_is_passed", "_said", "_status", "headers")

    def __init__(self, status: int, headers: Headers) -> None:
        dropped = (b"content-length", b"content-type")
        self.headers = _relabelled(headers, dropped, (b"content-type", b"application/json"))
        self._status, self._said = status, headers
        self._body = bytearray()
        self._is_passed = False

    def feed(self, chunk: bytes) -> bytes:
        if self._is_passed:
            return chunk
        self._body += chunk
        if len(self._body) <= _ERROR_BYTES_MAX:
            return b""
        self._is_passed = True
        return bytes(self._body)

    def end(self) -> bytes:
        if self._is_passed:
            return b""
        return shaped(self._status, self._said, bytes(self._body), _request_id(self.headers))


class StreamOpener:
    """InvokeModelWithResponseStream's binary frames as the events of the API's own stream.

    What each frame holds is given byte for byte under the event's name. An exception becomes an `error` event. A frame
    that is cut short is left out: a stream that ends without `message_stop` is seen by whoever reads it.
    """

    __slots__ = ("_fault", "_frames", "headers")

    def __init__(self, headers: Headers) -> None:
        dropped = (b"content-length", b"content-type")
        self.headers = _relabelled(headers, dropped, (b"content-type", b"text/event-stream; charset=utf-8"))
        self._frames = Frames()
        self._fault: Corrupt | None = None

    def feed(self, chunk: bytes) -> bytes:
        self.end()
        self._frames.add(chunk)
        events: list[bytes] = []
        try:
            while (frame := self._frames.take()) is not None:
                events.append(self._event(frame))
        except Corrupt as fault:
            self._fault = fault
            if not any(events):
                raise
        return b"".join(events)

    def end(self) -> bytes:
        if self._fault is not None:
            raise self._fault
        return b""

    def _event(self, frame: Frame) -> bytes:
        if frame.headers.get(":message-type") in ("exception", "error"):
            return self._error(frame)
        if frame.headers.get(":event-type") != "chunk":
            return b""
        try:
            data = _CHUNK.decode(frame.payload).event
            name = _EVENT.decode(data).type if data is not None else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Corrupt("A frame holds no event.") from error
        if data is None or name is None:  # no event of the API's; the official SDKs pass over it too
            return b""
        if not _EVENT_NAME.fullmatch(name):
            raise Corrupt("A frame's event has a name that none can have.")
        # Line ends stand only between the tokens of JSON, and there a space is as good.
        data = data.replace(b"\r", b" ").replace(b"\n", b" ")
        return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"

    def _error(self, frame: Frame) -> bytes:
        word = frame.headers.get(":exception-type") or frame.headers.get(":error-code")
        message = frame.headers.get(":error-message")
        try:
            said = _SAID.decode(frame.payload)
            message = said.message or said.capital or message
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # an exception without a body is one all the same
        text = message or word or "The stream broke off."
        body = error_body(error_type(word, 500), text, word, _request_id(self.headers))
        return b"event: error\ndata: " + body + b"\n\n"
