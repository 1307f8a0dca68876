"""The caller's side of one kept connection: sends a call, and says when what of its answer came."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_FIRST_TOKEN = b'"content_block_delta"'
_END = b"0\r\n\r\n"


class Exchange(asyncio.Protocol):
    """One connection, one call at a time. `ended` is called with True for a whole answer with status 200."""

    transport: asyncio.Transport

    def __init__(self, ended: Callable[[Exchange, bool], None]) -> None:
        self._ended = ended
        self._is_open = False
        self._head = b""
        self._left = 0
        self._is_chunked = False
        self._tail = b""
        #: Monotonic seconds.
        self.due_s = 0.0
        self.first_token_s: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, due_s: float) -> None:
        """Send a call that was due at a moment; how late it leaves counts as part of its latency."""
        self.due_s, self.first_token_s = due_s, None
        self._head, self._is_open = b"", True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            return
        if self._head is not None and not self._head.endswith(b"\r\n\r\n"):
            data = self._head + data
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                self._head = data
                return
            self._head, data = data[:end], data[end:]
            if not self._head.startswith(b"HTTP/1.1 200"):
                self._end(False)
                return
            self._is_chunked = _CHUNKED.search(self._head) is not None
            length = _LENGTH.search(self._head)
            self._left, self._tail = int(length[1]) if length else 0, b""
        if self._is_chunked:
            self.saw(data)
        else:
            self._left -= len(data)
            if self._left <= 0:
                self._end(True)

    def saw(self, data: bytes) -> None:
        """Bytes of a streamed body."""
        if self.first_token_s is None and _FIRST_TOKEN in data:
            self.first_token_s = time.monotonic()
        self._tail = (self._tail + data)[-32:] if len(data) < 32 else data[-32:]
        if self._tail.endswith(_END):
            self._end(self.first_token_s is not None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_open:
            self._end(False)

    def _end(self, is_whole: bool) -> None:
        self._is_open = False
        self._ended(self, is_whole)
