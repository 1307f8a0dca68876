"""An upstream that costs next to nothing: fixed answers, bursts of deltas, and paced streams with a time stamp.

`python -m bench.stub` serves bursts from a process of its own and prints its port. The paced one runs in the process
that reads the streams, so that both read one clock.
"""

from __future__ import annotations

import asyncio
import gc
import re
import time
from typing import cast

import uvloop

from . import traffic

#: One delta every so often on each paced stream.
PACE_MS = 20

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = b'"stream":true'
#: A large body is not searched for the word `stream`; none of the benches streams one.
_SEARCHED_BYTES = 16_384


class Stub(asyncio.Protocol):
    """Answers a request once its last byte is here. No pipelining, no chunked requests: no subject sends those."""

    answer = traffic.answer()
    burst = traffic.burst()
    transport: asyncio.Transport

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._is_stream = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._left -= len(data)
        else:
            data = self._head + data
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                self._head = data
                return
            self._head = b""
            match = _LENGTH.search(data, 0, end)
            self._left = (int(match[1]) if match else 0) + end - len(data)
            self._is_stream = False
        if len(data) < _SEARCHED_BYTES and _STREAM in data:
            self._is_stream = True
        if self._left <= 0:
            self._left = 0
            self.reply(self._is_stream)

    def reply(self, is_stream: bool) -> None:
        self.transport.write(self.burst if is_stream else self.answer)


class Wheel:
    """Writes one delta to every paced stream each 20 ms, a twentieth of them each millisecond.

    A stream joins at the millisecond its request came, as it would at the API: streams are not in step.
    """

    def __init__(self) -> None:
        self._slots: list[dict[PacedStub, int]] = [{} for _ in range(PACE_MS)]
        self._began_s = time.monotonic()
        self._turned = 0
        self.late_ms_max = 0.0
        before, after = traffic.delta("\0" * 19).split(b"\\u0000" * 19)
        size, _, before = before.partition(b"\r\n")
        self._before = b"%x\r\n%b" % (int(size, 16) - 5 * 19, before)
        self._after = after
        self._end = traffic.stream_end()

    def join(self, stream: PacedStub) -> None:
        self._slots[self._now_ms() % PACE_MS][stream] = traffic.DELTAS

    def leave(self, stream: PacedStub) -> None:
        for slot in self._slots:
            slot.pop(stream, None)

    async def run(self) -> None:
        """Turn until cancelled."""
        self._turned = self._now_ms()
        while True:
            await asyncio.sleep(0.001)
            now = self._now_ms()
            self.late_ms_max = max(self.late_ms_max, now - self._turned - 1.0)
            for tick in range(max(self._turned, now - PACE_MS) + 1, now + 1):
                self._write(self._slots[tick % PACE_MS])
            self._turned = now

    def _write(self, slot: dict[PacedStub, int]) -> None:
        ended = []
        for stream, left in slot.items():
            if left:
                stream.transport.write(b"%b%019d%b" % (self._before, time.monotonic_ns(), self._after))
                slot[stream] = left - 1
            else:
                stream.transport.write(self._end)
                ended.append(stream)
        for stream in ended:
            del slot[stream]

    def _now_ms(self) -> int:
        return int((time.monotonic() - self._began_s) * 1000)


class PacedStub(Stub):
    start = traffic.stream_head() + traffic.stream_start()

    def __init__(self, wheel: Wheel) -> None:
        super().__init__()
        self._wheel = wheel

    def reply(self, is_stream: bool) -> None:
        self.transport.write(self.start)
        self._wheel.join(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wheel.leave(self)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    gc.disable()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
