"""Puts an answer on the wire, at a pace, or fails to in a chosen way."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from .answer import Answer
from .dice import Dice
from .faults import Fault
from .stream import PING, event, grouped


class Deflater(Protocol):
    """A zlib compressor."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int, /) -> bytes: ...


Message = dict[str, Any]
EXTENSION = "penstock.socket"
_NEVER = struct.pack("ii", 1, 0)
_OVERLOADED = b'{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}%b}'
_RID = b',"request_id":"%b"'


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the model is: time to the first byte, and tokens per second after it. 0 is at once."""

    first_token_ms: float = 0.0
    tokens_per_s: float = 0.0


@dataclass(slots=True)
class Wire:
    """One request's end of the connection."""

    scope: Message
    receive: Callable[[], Awaitable[Message]]
    send: Callable[[Message], Awaitable[None]]
    deflater: Deflater | None = None

    @property
    def transport(self) -> asyncio.Transport | None:
        return cast("asyncio.Transport | None", self.scope.get("extensions", {}).get(EXTENSION, {}).get("transport"))

    def is_gone(self) -> bool:
        transport = self.transport
        return transport is not None and transport.is_closing()

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

    async def until_gone(self, wait_s: float | None = None) -> bool:
        """Wait for the caller to go, at most `wait_s` seconds; whether it went."""
        try:
            async with asyncio.timeout(wait_s):
                await self.receive()
        except TimeoutError:
            return False
        return True

    async def start(self, answer: Answer, length: int | None = None) -> None:
        headers = answer.headers
        if length is not None:
            headers = [*headers, (b"content-length", b"%d" % length)]
        elif self.deflater is not None:
            headers = [*headers, (b"content-encoding", b"gzip")]
        await self.send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def write(self, piece: bytes, *, is_last: bool = False) -> None:
        if self.deflater is not None:
            flush = zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH
            piece = self.deflater.compress(piece) + self.deflater.flush(flush)
        await self.send({"type": "http.response.body", "body": piece, "more_body": not is_last})

    async def reset(self) -> None:
        """Break the connection off: what was sent arrives, then a reset."""
        await self._flush()
        transport = self.transport
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NEVER)
            transport.abort()
            await self.until_gone()

    async def close(self) -> None:
        """Close the connection where it is, the framing unfinished."""
        await self._flush()
        transport = self.transport
        if transport is not None:
            transport.close()
            await self.until_gone()

    async def _flush(self) -> None:
        """Let the loop hand its buffers to the system: it writes at the end of a turn."""
        for _ in range(3):
            await asyncio.sleep(0)


def deflater() -> Deflater:
    """A gzip stream."""
    return zlib.compressobj(wbits=31)


async def deliver(wire: Wire, answer: Answer, pace: Pace, dice: Dice) -> bool:
    """Send a whole answer; False where the caller went before its end."""
    if pace.first_token_ms:
        await asyncio.sleep(pace.first_token_ms / 1000)
    await wire.start(answer, sum(map(len, answer.parts)) if answer.has_length else None)
    pieces = grouped(answer.parts, dice) if answer.is_stream else answer.parts
    wait_s = 0.0
    if pace.tokens_per_s and answer.output_tokens:
        wait_s = answer.output_tokens / pace.tokens_per_s / max(1, len(pieces))
    last = len(pieces) - 1
    for at, piece in enumerate(pieces):
        if wait_s and (at or not answer.is_stream):
            await asyncio.sleep(wait_s)
        if wire.is_gone():
            return False
        await wire.write(piece, is_last=at == last)
    if not pieces:
        await wire.write(b"", is_last=True)
    return True


async def fail(wire: Wire, answer: Answer, fault: Fault, request_id: str, dice: Dice) -> bool:
    """Send an answer that goes wrong on the way, as `fault` says; False where the caller went before that."""
    if fault.name == "hang":
        await wire.until_gone()
        return False
    if fault.name == "reset":
        await wire.reset()
        return True
    await wire.start(answer)
    if fault.name == "empty_200":
        await wire.write(b"", is_last=True)
    elif fault.name == "error_first":
        await wire.write(event("error", _OVERLOADED % b"", dice), is_last=True)
    elif fault.name == "ping_only":
        while not await wire.until_gone(max(0.001, fault.number(1.0))):
            await wire.write(PING)
        return False
    elif fault.name == "slow":
        return await _pause(wire, answer, fault.number(5.0), dice)
    else:
        await _break(wire, answer, fault, request_id, dice)
    return True


async def _pause(wire: Wire, answer: Answer, wait_s: float, dice: Dice) -> bool:
    parts = _parts(answer)
    head = 4 if answer.is_stream else 1
    await wire.write(b"".join(parts[:head]))
    if await wire.until_gone(wait_s):
        return False
    for piece in grouped(parts[head:], dice):
        await wire.write(piece)
    await wire.write(b"", is_last=True)
    return True


async def _break(wire: Wire, answer: Answer, fault: Fault, request_id: str, dice: Dice) -> None:
    parts = _parts(answer)
    kept = min(int(fault.number(len(parts) // 2)), len(parts) - 1)
    for piece in grouped(parts[:kept], dice):
        await wire.write(piece)
    if fault.name == "reset_mid":
        await wire.reset()
    elif fault.name == "cut":
        await wire.close()
    elif fault.name == "truncate":
        await wire.write(b"", is_last=True)
    elif fault.name == "truncate_half":
        await wire.write(parts[kept][: len(parts[kept]) // 2], is_last=True)
    else:
        data = _OVERLOADED % (_RID % request_id.encode())
        await wire.write(event("error", data, dice) if answer.is_stream else data, is_last=True)


def _parts(answer: Answer) -> list[bytes]:
    """What can be sent in part: a stream's events, or a JSON body in two halves."""
    if answer.is_stream or len(answer.parts) > 1:
        return answer.parts
    whole = b"".join(answer.parts)
    return [whole[: len(whole) // 2], whole[len(whole) // 2 :]]
