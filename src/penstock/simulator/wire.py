"""Takes an answer's steps over a socket, through ASGI."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

from .delivery import Head, Pause, Piece, Step, Stop


class Deflater(Protocol):
    """A zlib compressor."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int, /) -> bytes: ...


Message = dict[str, Any]
EXTENSION = "penstock.socket"
_NEVER = struct.pack("ii", 1, 0)
_LONG_S = 0.25
"""From this pause on, a caller that goes is noticed during it; before, at its end."""


def deflater() -> Deflater:
    """A gzip stream."""
    return zlib.compressobj(wbits=31)


@dataclass(slots=True)
class Wire:
    """One request's end of the connection."""

    scope: Message
    receive: Callable[[], Awaitable[Message]]
    send: Callable[[Message], Awaitable[None]]
    deflater: Deflater | None = None

    async def read_body(self) -> bytes | None:
        """The request's body, or None where the caller went before its end."""
        message = await self.receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            message = await self.receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
        return None if message["type"] == "http.disconnect" else body

    async def play(self, steps: Iterator[Step]) -> bool:
        """Take the steps one by one; False where the caller went before the last."""
        for step in steps:
            if type(step) is Piece:
                if self._is_gone():
                    return False
                await self._write(step.data, is_last=step.is_last)
            elif type(step) is Pause:
                if not await self._paused(step.seconds):
                    return False
            elif type(step) is Head:
                await self._start(step)
            elif step is Stop.END:
                await self._write(b"", is_last=True)
            elif step is Stop.SILENCE:
                await self._until_gone()
                return False
            else:
                await self._break(is_reset=step is Stop.RESET)
        return True

    async def _start(self, head: Head) -> None:
        headers = head.headers
        if head.length is not None:
            headers = [*headers, (b"content-length", b"%d" % head.length)]
        elif self.deflater is not None:
            headers = [*headers, (b"content-encoding", b"gzip")]
        await self.send({"type": "http.response.start", "status": head.status, "headers": headers})

    async def _write(self, piece: bytes, *, is_last: bool = False) -> None:
        if self.deflater is not None:
            flush = zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH
            piece = self.deflater.compress(piece) + self.deflater.flush(flush)
        await self.send({"type": "http.response.body", "body": piece, "more_body": not is_last})

    async def _break(self, *, is_reset: bool) -> None:
        """End the connection where it is, the framing unfinished: what was sent arrives, then a reset or an end."""
        for _ in range(3):
            await asyncio.sleep(0)  # the loop hands its buffers to the system at the end of a turn
        transport = self._transport
        if transport is None:
            return
        if is_reset:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NEVER)
            transport.abort()
        else:
            transport.close()
        await self._until_gone()

    @property
    def _transport(self) -> asyncio.Transport | None:
        return cast("asyncio.Transport | None", self.scope.get("extensions", {}).get(EXTENSION, {}).get("transport"))

    def _is_gone(self) -> bool:
        transport = self._transport
        return transport is not None and transport.is_closing()

    async def _paused(self, seconds: float) -> bool:
        """Whether the caller is still there after a pause."""
        if seconds < _LONG_S:
            await asyncio.sleep(seconds)
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._until_gone()
        except TimeoutError:
            return True
        return False

    async def _until_gone(self) -> None:
        await self.receive()
