"""The lean mode: answers made once by the full simulator and served again as bytes, for load that must not wait.

It knows `POST /v1/messages`, JSON and streamed, by model; every other request is answered in full. It takes any
credential, checks nothing, keeps no books, and its answers repeat: same id, same words. Requests must have a
content-length and may not be pipelined, as all known clients have it.
"""

from __future__ import annotations

import asyncio
import re
from typing import cast

import msgspec

from .api import Served
from .app import Simulator

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ASKED = re.compile(rb'"(?:model":\s*"([^"]{1,100})"|stream":\s*(true))')
_MESSAGES = re.compile(rb"POST /v1/messages(?:\?[^ ]*)? ")
#: Model and `stream` are looked for in this much of a body's beginning and end: the SDKs put them in either.
_SEARCHED_BYTES = 4_096
_DELTA = b"event: content_block_delta"


class Lean:
    """What all connections share: the simulator behind them and the answers it has made.

    `deltas` is the number of text deltas of a stream.
    """

    def __init__(self, simulator: Simulator, *, deltas: int = 100) -> None:
        self._simulator, self._deltas = simulator, deltas
        self._made: dict[tuple[bytes, bool], bytes] = {}
        self.connections: set[LeanProtocol] = set()

    def abort(self) -> None:
        """Break all connections off."""
        for connection in list(self.connections):
            connection.transport.abort()

    def protocol(self) -> LeanProtocol:
        return LeanProtocol(self)

    def answer(self, request: bytes, head_end: int) -> bytes:
        """The whole answer to a whole request, framing included."""
        if _MESSAGES.match(request) is None:
            return self._in_full(request, head_end)
        model, is_stream = b"claude-sonnet-4-6", False
        for part in (request[head_end : head_end + _SEARCHED_BYTES], request[-_SEARCHED_BYTES:]):
            for named, streams in _ASKED.findall(part):
                model, is_stream = named or model, is_stream or bool(streams)
        known = self._made.get((model, is_stream))
        if known is None:
            known = self._made[(model, is_stream)] = self._made_once(model, is_stream)
        return known

    def _made_once(self, model: bytes, is_stream: bool) -> bytes:
        """A stream comes out in some 2.5 words a delta, so lengths around that are tried until the count is right."""
        made = self._asked(model, is_stream, self._deltas)
        for extra in range(200):
            if not is_stream or made.count(_DELTA) == self._deltas:
                break
            made = self._asked(model, is_stream, self._deltas * 5 // 2 + (extra // 2) * (-1) ** extra)
        return made

    def _asked(self, model: bytes, is_stream: bool, words: int) -> bytes:
        body = {
            "model": model.decode("utf-8", "replace"),
            "max_tokens": 8_192,
            "messages": [{"role": "user", "content": f"Tell me of the river in {words} words."}],
            "stream": is_stream,
        }
        return self._framed("POST", "/v1/messages", msgspec.json.encode(body))

    def _in_full(self, request: bytes, head_end: int) -> bytes:
        method, _, rest = request[:head_end].partition(b" ")
        path = rest.partition(b" ")[0].decode("latin-1")
        return self._framed(method.decode("latin-1"), path, request[head_end:])

    def _framed(self, method: str, path: str, body: bytes) -> bytes:
        headers = {"x-api-key": self._simulator.key, "anthropic-version": "2023-06-01"}
        answer, steps = self._simulator.exchange(Served(method, path, headers, body))
        for _ in steps:
            pass  # taken at once: nothing waits here
        lines = [b"HTTP/1.1 %d \r\n" % answer.status, *(b"%b: %b\r\n" % field for field in answer.headers)]
        whole = b"".join(answer.parts)
        if not answer.is_stream:
            return b"".join([*lines, b"content-length: %d\r\n\r\n" % len(whole), whole])
        chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in answer.parts]
        return b"".join([*lines, b"transfer-encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n"])


class LeanProtocol(asyncio.Protocol):
    """One connection: reads a request to its last byte, then writes the answer in one piece."""

    __slots__ = ("_data", "_head_end", "_lean", "_length", "transport")

    transport: asyncio.Transport

    def __init__(self, lean: Lean) -> None:
        self._lean = lean
        self._data: list[bytes] = []
        self._length = self._head_end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._lean.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lean.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._data:
            self._data.append(data)
            if self._length == 0:
                self._data = [b"".join(self._data)]
                data = self._data[0]
        if self._length == 0:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                self._data = [data]
                return
            match = _LENGTH.search(data, 0, end)
            self._head_end, self._length = end, end + (int(match[1]) if match else 0)
            self._data = [data]
        if sum(map(len, self._data)) < self._length:
            return
        request = b"".join(self._data)
        self._data, self._length = [], 0
        self.reply(request, self._head_end)

    def reply(self, request: bytes, head_end: int) -> None:
        """Answer a whole request."""
        self.transport.write(self._lean.answer(request, head_end))
