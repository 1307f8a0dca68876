"""The guards of an answer that comes as a stream of events: what is looked for in its texts, cut however they come.

Each block's text goes through a matcher of its own, and comes out in deltas of the same index. The input of a tool call
is held until its block ends. All other events pass at once and as they came: pings, thinking, signatures, citations.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ..errors import PenstockError
from ..reply import Ending, Gate
from ..wire import lenient
from ..wire.adapting.splice import Spliced
from ..wire.sse import fields
from .output import Sifting
from .stream import Matcher

#: The end of an event: two ends of lines, of whatever kind.
_BLANK = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_LINE_END = re.compile(rb"\r\n|\r")
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}\n\n'
_PARTS = frozenset({"content_block_start", "content_block_delta", "content_block_stop"})


class _Typed(msgspec.Struct, frozen=True):
    type: str = ""


class _Delta(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""
    partial_json: str = ""


class _Block(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""
    input: msgspec.Raw = msgspec.Raw(b"")


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    index: int = 0
    delta: _Delta = _Delta()
    content_block: _Block = _Block()


_EVENT = msgspec.json.Decoder(_Event)
_TYPE = msgspec.json.Decoder(_Typed)


class EventGate(Gate):
    """The gate of one stream. `refusal` makes the error it is shut with; `told` hears once that the stream is over."""

    def __init__(
        self, sifting: Sifting, refusal: Callable[[], PenstockError], told: Callable[[EventGate], None]
    ) -> None:
        self._sifting, self._refusal, self._told = sifting, refusal, told
        self.shut: PenstockError | None = None
        #: The most characters of text that were held back when something had passed.
        self.held_most = 0
        self._carry = bytearray()  # an event that is still open
        self._has_begun = self._is_after_cr = False
        self._texts: dict[int, Matcher] = {}
        #: Of each input under way, its events as they came, and what they say.
        self._inputs: dict[int, list[tuple[bytes, str]]] = {}

    def passed(self, chunk: bytes) -> bytes:
        out, at = [], 0
        if self._is_after_cr and chunk:
            self._is_after_cr = False
            if chunk.startswith(b"\n"):  # the other half of a line's end
                out, chunk = [b"\n"], chunk[1:]
        scanned = max(0, len(self._carry) - 3)
        self._carry += chunk
        blank = _BLANK.search(self._carry, scanned)
        while blank is not None and self.shut is None:
            out.append(self._event(bytes(self._carry[at : blank.end()])))
            at = blank.end()
            self._is_after_cr = at == len(self._carry) and blank[0].endswith(b"\r")
            blank = _BLANK.search(self._carry, at)
        del self._carry[:at]
        for matcher in self._texts.values():
            self.held_most = max(self.held_most, matcher.held)
        return b"".join(out)

    def flushed(self, ending: Ending) -> bytes:
        out = b""
        if ending.kind != "refused" and self.shut is None:
            # Half an event at a proper end has only lost its blank line; of one that broke off, nobody can use it.
            half = self._event(bytes(self._carry)) if ending.kind == "complete" and self._carry else b""
            out = half + self._rest()
        self._told(self)
        return out if self.shut is None else b""

    def _event(self, raw: bytes) -> bytes:
        """What the caller gets for one event; nothing where it is held back."""
        name, data = fields(self._plain(raw))
        if not data:
            return raw
        try:
            kind = lenient.decode(_TYPE, data).type or name.decode("utf-8", "replace")
            event = lenient.decode(_EVENT, data) if kind in _PARTS else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            if name.decode("utf-8", "replace") not in _PARTS:
                return raw
            return self._shut()
        if event is None:
            return self._rest() + raw if kind in ("message_delta", "message_stop", "error") else raw
        if kind == "content_block_delta":
            return self._delta(event, raw)
        if kind == "content_block_stop":
            return self._ended(event.index) + raw
        return self._started(event, raw, data)

    def _plain(self, raw: bytes) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        return _LINE_END.sub(b"\n", raw) if b"\r" in raw else raw

    def _delta(self, event: _Event, raw: bytes) -> bytes:
        if event.delta.type == "text_delta":
            return self._fed(event.index, event.delta.text)
        if event.delta.type == "input_json_delta" and self._sifting.guards_inputs:
            self._inputs.setdefault(event.index, []).append((raw, event.delta.partial_json))
            return b""
        return raw

    def _started(self, event: _Event, raw: bytes, data: bytes) -> bytes:
        """The beginning of a block. The API has nothing in it yet; where others have, that is looked at too."""
        block, given = event.content_block, bytes(event.content_block.input)
        has_text, has_input = block.type == "text" and block.text, given not in (b"", b"{}")
        if not has_text and not (has_input and self._sifting.guards_inputs):
            return raw
        try:
            whole = Spliced(data)
            inner = Spliced(whole["content_block"])
            if has_text:
                inner.put("text", b'""')
            else:
                inner.put("input", self._sifting.inputs(given))
        except (ValueError, KeyError):
            return self._shut()
        whole.put("content_block", inner.text)
        begun = b"event: content_block_start\ndata: %b\n\n" % whole.text.replace(b"\n", b" ")
        return self._or_shut(begun + (self._fed(event.index, block.text) if has_text else b""))

    def _fed(self, index: int, text: str) -> bytes:
        matcher = self._texts.get(index)
        if matcher is None:
            matcher = self._texts[index] = self._sifting.matcher()
        return self._or_shut(_text(index, matcher.feed(self._sifting.noted(text))))

    def _ended(self, index: int) -> bytes:
        """What was held back of a block."""
        matcher, held = self._texts.pop(index, None), self._inputs.pop(index, None)
        out = _text(index, matcher.end()) if matcher is not None else b""
        if held is not None:
            said = "".join(part for _, part in held).encode()
            kept = self._sifting.inputs(said)
            out += b"".join(raw for raw, _ in held) if kept == said else _input(index, kept)
        return self._or_shut(out)

    def _rest(self) -> bytes:
        return b"".join(self._ended(index) for index in sorted({*self._texts, *self._inputs}))

    def _or_shut(self, out: bytes) -> bytes:
        return self._shut() if self._sifting.is_blocked else out

    def _shut(self) -> bytes:
        self.shut = self._refusal()
        return b""


def _text(index: int, text: str) -> bytes:
    if not text:
        return b""
    return _DELTA % (index, b'{"type":"text_delta","text":%b}' % msgspec.json.encode(text))


def _input(index: int, json: bytes) -> bytes:
    said = msgspec.json.encode(json.decode())
    return _DELTA % (index, b'{"type":"input_json_delta","partial_json":%b}' % said)
