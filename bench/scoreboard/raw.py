"""An upstream that plays bytes, for what no honest server would send."""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from .upstream import Upstream

Play = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nrequest-id: req_011Raw\r\n"
    b"cache-control: no-cache\r\n"
)


def event(name: str, **data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps({"type": name, **data}).encode())


_TEXT = {"type": "text", "text": ""}
BEGIN = event(
    "message_start",
    message={
        "id": "msg_01Raw",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 1},
    },
)
BLOCK = event("content_block_start", index=0, content_block=_TEXT)
WORD = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "water "})
END = (
    event("content_block_stop", index=0)
    + event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 9})
    + event("message_stop")
)


async def chunked(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
    """A whole answer in chunks."""
    writer.write(_HEAD + b"transfer-encoding: chunked\r\n\r\n")
    for piece in pieces:
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(b"0\r\n\r\n")


async def close_delimited(writer: asyncio.StreamWriter, body: bytes) -> None:
    """An early end that nothing in the framing tells from a good one."""
    del body
    writer.write(_HEAD + b"connection: close\r\n\r\n" + BEGIN + BLOCK + WORD * 6)
    await writer.drain()
    writer.close()


async def doubled_index(writer: asyncio.StreamWriter, body: bytes) -> None:
    del body
    await chunked(writer, [BEGIN, BLOCK, WORD, WORD, BLOCK, WORD, END])


async def oversized(writer: asyncio.StreamWriter, body: bytes) -> None:
    """One event of 48 MB."""
    del body
    filler = [b"x" * 1_000_000] * 48
    await chunked(writer, [BEGIN, BLOCK, b'event: content_block_delta\ndata: {"x":"', *filler, b'"}\n\n', END])


def replayed(streams: list[bytes], seed: int) -> Play:
    """Given streams by their number in the request, cut anywhere."""
    dice = random.Random(seed)

    async def play(writer: asyncio.StreamWriter, body: bytes) -> None:
        number = re.search(rb"stream (\d+)", body)
        assert number is not None
        stream = streams[int(number[1])]
        cuts = sorted(dice.sample(range(1, len(stream)), k=min(40, len(stream) - 1)))
        await chunked(writer, [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)])

    return play


@contextmanager
def raw(play: Play) -> Iterator[Upstream]:
    """The server, in a thread of its own."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    port = 0

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                await play(writer, body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def serve() -> None:
        nonlocal port
        server = await asyncio.start_server(met, "127.0.0.1", 0, limit=2**20)
        port = server.sockets[0].getsockname()[1]
        ready.set()
        await server.serve_forever()

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(serve())
        except asyncio.CancelledError:
            pass
        finally:
            loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield Upstream(f"http://127.0.0.1:{port}", "raw")
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join(5)
