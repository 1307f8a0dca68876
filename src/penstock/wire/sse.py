"""Follows a Messages event stream by a scan of its bytes, decoding only the few events that carry counts.

Server-sent events as the WHATWG describes them: LF, CR and CRLF, a byte order mark, comments, data over several lines,
the last `event` field of an event winning. Events without a name are passed over, as the official SDKs do.
"""

from __future__ import annotations

import msgspec

from . import lenient
from .answers import WireError, WireMessage, WireUsage, merged, note_error, note_message
from .messages import Answer, Unreadable, Usage
from .models import bytes_per_token

_DELTA = b"event: content_block_delta\ndata: "
_NEXT_DELTA = b"\n\n" + _DELTA

#: Bytes of a text delta that are not text: the two field names, the JSON around the text, the mean padding of
#: 7.5 and the blank line.
DELTA_OVERHEAD_BYTES = 123

#: A delta longer than this is looked at, because it may be one that is no output.
_DELTA_BYTES_MAX = 320

#: An event larger than this is none of the API's, whose whole answers are smaller; to gather it would fill the memory.
EVENT_BYTES_MAX = 33_554_432

#: Deltas that are no output tokens: signatures, and the text of citations, which is not charged.
_NO_OUTPUT = (b'"signature_delta"', b'"citations_delta"')


class _Start(msgspec.Struct, frozen=True):
    message: WireMessage = WireMessage()


class _Stop(msgspec.Struct, frozen=True):
    stop_reason: str | None = None


class _Delta(msgspec.Struct, frozen=True):
    delta: _Stop = _Stop()
    usage: WireUsage | None = None


class _Error(msgspec.Struct, frozen=True):
    error: WireError = WireError()


class _Model(msgspec.Struct, frozen=True):
    model: str | None = None


class _Fallback(msgspec.Struct, frozen=True):
    type: str = ""
    to: _Model = _Model()


class _BlockStart(msgspec.Struct, frozen=True):
    content_block: _Fallback = _Fallback()


_START = msgspec.json.Decoder(_Start)
_MESSAGE_DELTA = msgspec.json.Decoder(_Delta)
_ERROR = msgspec.json.Decoder(_Error)
_BLOCK_START = msgspec.json.Decoder(_BlockStart)


class StreamReading:
    """A `Reading` of an event stream. `answer.is_whole` from `message_stop` on.

    No estimate of its output is above `output_most`, the most that was asked for.
    """

    __slots__ = (
        "_carry",
        "_deltas",
        "_has_begun",
        "_has_cr",
        "_is_after_cr",
        "_is_plain",
        "_output_bytes",
        "_output_most",
        "_seen_final",
        "answer",
    )

    def __init__(self, output_most: int | None = None) -> None:
        self.answer = Answer(is_stream=True)
        self._output_most = output_most
        self._carry = bytearray()  # what came since the last blank line: an event still open
        self._is_plain = (
            False  # content has begun, no event is open, lines end in LF: whole deltas need only be counted
        )
        self._has_begun = False
        self._has_cr = False
        self._is_after_cr = False
        self._seen_final = False
        self._deltas = 0
        self._output_bytes = 0

    def feed(self, chunk: bytes) -> None:
        if self._is_plain and chunk.startswith(_DELTA) and chunk.endswith(b"\n\n"):
            lines, size = chunk.count(b"\n"), len(chunk)
            if lines == 3 and size < _DELTA_BYTES_MAX:  # one event, with one name and one line of data
                self._deltas += 1
                self._output_bytes += size
                return
            deltas = 1 + chunk.count(_NEXT_DELTA)
            if lines == 3 * deltas and not _is_unpaid(chunk):
                self._deltas += deltas
                self._output_bytes += size
                return
        self._feed(chunk)

    def finish(self) -> None:
        """The end of the stream. An event still open is not one, but `message_stop`: nothing could have followed."""
        left = bytes(self._carry)
        if left.startswith(b"event: message_stop\n") and left.rstrip().endswith(b"}"):
            self._carry.clear()
            self._read(left.rstrip())

    def closing(self, error_body: bytes) -> bytes:
        """An `error` event to append, after whatever turns a half event before it into a `ping`.

        The last `event` field of an event names it, and clients pass over the data of a `ping`. Empty where the client
        knows already: after `message_stop`, or after an error of the API's own.
        """
        if self.answer.is_whole or self.answer.error_type is not None:
            return b""
        event = b"event: error\ndata: " + error_body + b"\n\n"
        if not self._carry:
            return event
        line = b"" if self._carry.endswith(b"\n") else _character_rest(bytes(self._carry[-3:])) + b"\n"
        return line + b"event: ping\n\n" + event

    def estimated_output_tokens(self) -> int:
        """Output tokens so far, estimated from the bytes of the content deltas.

        (bytes - 123 for each delta) / bytes per token, where 123 is what an empty text delta takes with its mean
        padding, and a token is 3.4 bytes for Claude up to 4.6 and 2.5 after (official characters per token).
        Signatures and citations are no output and not counted. Never below the count the API has given, nor above
        what was asked for.
        """
        answer = self.answer
        given = answer.usage.output_tokens if answer.usage is not None else 0
        content = max(0, self._output_bytes - DELTA_OVERHEAD_BYTES * self._deltas)
        guess = round(content / bytes_per_token(answer.model or ""))
        return max(given, guess if self._output_most is None else min(guess, self._output_most))

    def estimated_usage(self) -> Usage | None:
        usage = self.answer.usage
        if usage is None or self._seen_final:
            return usage
        return msgspec.structs.replace(usage, output_tokens=self.estimated_output_tokens())

    def _feed(self, chunk: bytes) -> None:
        if self._has_cr or b"\r" in chunk:
            self._has_cr = True
            chunk = self._with_lf(chunk)
        carry = self._carry
        if carry:
            if len(carry) + len(chunk) > EVENT_BYTES_MAX:
                raise Unreadable(f"One event of the answer is larger than {EVENT_BYTES_MAX:,} bytes.")
            scanned = max(0, len(carry) - 1)
            carry += chunk
            end = carry.rfind(b"\n\n", scanned)
            if end < 0:
                return
            events, rest = bytes(carry[:end]), bytes(carry[end + 2 :])
        else:
            end = chunk.rfind(b"\n\n")
            events, rest = (chunk[:end], chunk[end + 2 :]) if end >= 0 else (b"", chunk)
        self._carry = bytearray(rest.lstrip(b"\n") if end >= 0 else rest)
        self._read_all(events)
        self._is_plain = self.answer.has_content and not self._carry and not self._has_cr

    def _read_all(self, events: bytes) -> None:
        """Whole events. Of a burst, the run from the second delta to the last is counted and not read one by one."""
        first = events.find(_NEXT_DELTA)
        if first >= 0:
            end = events.find(b"\n\n", events.rfind(_NEXT_DELTA) + 2)
            run = events[first:] if end < 0 else events[first:end]
            deltas = run.count(_NEXT_DELTA)
            if run.count(b"\n") == 3 * deltas and not _is_unpaid(run):
                self._read_each(events[:first])
                self.answer.has_content = True
                self._deltas += deltas
                self._output_bytes += len(run)
                events = b"" if end < 0 else events[end:]
        self._read_each(events)

    def _read_each(self, events: bytes) -> None:
        for event in events.split(b"\n\n"):
            if event:
                self._read(event)

    def _with_lf(self, chunk: bytes) -> bytes:
        if self._is_after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._is_after_cr = False
        if chunk:
            self._is_after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _read(self, event: bytes) -> None:
        """One whole event, without its blank line."""
        if not self._has_begun:
            self._has_begun = True
            event = event.removeprefix(b"\xef\xbb\xbf")
        name, data = fields(event)
        if name == b"content_block_delta":
            self.answer.has_content = True
            if not _is_unpaid(data):
                self._deltas += 1
                self._output_bytes += len(event) + 2
        elif name in _HANDLED:
            try:
                self._take(name, data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return  # not ours to judge: the client gets the bytes as they are

    def _take(self, name: bytes, data: bytes) -> None:
        answer = self.answer
        if name == b"content_block_start":
            block = lenient.decode(_BLOCK_START, data).content_block if b'"fallback"' in data else None
            if block is None or block.type != "fallback":
                answer.has_content = True
            elif block.to.model is not None:
                answer.model = block.to.model
        elif name == b"message_start":
            note_message(answer, lenient.decode(_START, data).message)
        elif name == b"message_delta":
            change = lenient.decode(_MESSAGE_DELTA, data)
            if change.delta.stop_reason is not None:
                answer.stop_reason = change.delta.stop_reason
                self._seen_final = change.usage is not None
            if change.usage is not None:
                answer.usage = merged(answer.usage, change.usage)
        elif name == b"message_stop":
            answer.is_whole = True
        else:
            answer.error_type = "api_error"  # an `error` event is one even where its data cannot be read
            note_error(answer, lenient.decode(_ERROR, data).error)


_HANDLED = frozenset((b"content_block_start", b"message_start", b"message_delta", b"message_stop", b"error"))


def _is_unpaid(data: bytes) -> bool:
    return any(kind in data for kind in _NO_OUTPUT)


def fields(event: bytes) -> tuple[bytes, bytes]:
    """An event's name and data, empty where it has none."""
    name = data = b""
    has_data = False
    for line in event.split(b"\n"):
        if line.startswith(b"data:"):
            value = line[6:] if line.startswith(b"data: ") else line[5:]
            data, has_data = (data + b"\n" + value if has_data else value), True
        elif line.startswith(b"event:"):
            name = line[7:] if line.startswith(b"event: ") else line[6:]
    return name, data


def _character_rest(tail: bytes) -> bytes:
    """Bytes that complete a UTF-8 character cut at the end of `tail` (its last three bytes), so that it decodes."""
    for back in range(1, len(tail) + 1):
        lead = tail[-back]
        if lead & 0xC0 == 0x80:
            continue
        length = 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2 if lead >= 0xC0 else 1
        missing = length - back
        if missing <= 0:
            return b""
        if back == 1 and lead in (0xE0, 0xF0):  # 0x80 would make these an overlong form
            return (b"\xa0" if lead == 0xE0 else b"\x90") + b"\x80" * (missing - 1)
        return b"\x80" * missing
    return b""
