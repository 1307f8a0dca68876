"""Giving a call up reaches the upstream; a slow reader holds it back: over every backend."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from backends import Backend, hear, outgoing
from raw_server import OK, Peer, RawServer, echo

from penstock.ports import Upstream

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def streaming(peer: Peer) -> None:
    peer.request()
    peer.say(CHUNKED + b"5\r\nhello\r\n")
    peer.drain()


def test_closing_an_unfinished_body_hangs_up_at_once(backend: Backend) -> None:
    async def scenario(pool: Upstream) -> None:
        incoming = await pool.send(outgoing(server.url))
        assert await incoming.source.__anext__() == b"hello"
        await incoming.source.aclose()
        await incoming.source.aclose()
        assert await backend.until(server.left)
        with pytest.raises(StopAsyncIteration):
            await incoming.source.__anext__()

    with RawServer(streaming) as server:
        backend.play(scenario)


def test_closing_a_body_read_to_its_end_keeps_the_connection(backend: Backend) -> None:
    async def scenario(pool: Upstream) -> None:
        for _ in range(3):
            incoming = await pool.send(outgoing(server.url))
            with pytest.raises(StopAsyncIteration):
                while await incoming.source.__anext__():
                    pass
            await incoming.source.aclose()

    with RawServer(echo) as server:
        backend.play(scenario)
        assert server.connections == 1


def test_pool_goes_on_after_a_hang_up(backend: Backend) -> None:
    async def scenario(pool: Upstream) -> bytes:
        incoming = await pool.send(outgoing(server.url))
        await incoming.source.aclose()
        return (await hear(pool, server.url, body=b"next")).body

    def handler(peer: Peer) -> None:
        if peer.number == 1:
            streaming(peer)
        echo(peer)

    with RawServer(handler) as server:
        assert backend.play(scenario) == b"next"


def test_cancelling_the_wait_for_the_head_hangs_up(loop_backend: Backend) -> None:
    async def scenario(pool: Upstream) -> None:
        call = asyncio.ensure_future(pool.send(outgoing(server.url)))
        assert await loop_backend.until(server.asked)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await loop_backend.until(server.left)

    def handler(peer: Peer) -> None:
        peer.request()
        peer.drain()

    with RawServer(handler) as server:
        loop_backend.play(scenario)


def test_cancelling_the_wait_for_a_chunk_hangs_up(loop_backend: Backend) -> None:
    async def scenario(pool: Upstream) -> None:
        incoming = await pool.send(outgoing(server.url))
        assert await incoming.source.__anext__() == b"hello"
        reading = asyncio.ensure_future(incoming.source.__anext__())
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await loop_backend.until(server.left)

    with RawServer(streaming) as server:
        loop_backend.play(scenario)


def test_cancelling_an_upload_hangs_up(loop_backend: Backend) -> None:
    async def scenario(pool: Upstream) -> None:
        call = asyncio.ensure_future(pool.send(outgoing(server.url, body=bytes(30_000_000))))
        assert await loop_backend.until(server.asked)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await loop_backend.until(server.left)

    def handler(peer: Peer) -> None:
        peer.head()
        threading.Event().wait(0.1)
        peer.drain()

    with RawServer(handler) as server:
        loop_backend.play(scenario)


def test_closing_wakes_a_task_that_waits_for_a_chunk(loop_backend: Backend) -> None:
    async def scenario(pool: Upstream) -> None:
        incoming = await pool.send(outgoing(server.url))
        assert await incoming.source.__anext__() == b"hello"
        reading = asyncio.ensure_future(hear_rest(incoming.source))
        await asyncio.sleep(0.05)
        await incoming.source.aclose()
        await asyncio.wait_for(reading, 5)

    async def hear_rest(source: object) -> None:
        try:
            await source.__anext__()  # type: ignore[attr-defined]
        except Exception:
            return

    with RawServer(streaming) as server:
        loop_backend.play(scenario)


def test_slow_reader_holds_the_upstream_back_and_loses_nothing(backend: Backend) -> None:
    block, blocks = b"x" * 65_536, 512  # 32 MiB
    is_stalled = threading.Event()
    sent_when_stalled: list[int] = []

    def handler(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        peer.request()
        peer.say(OK + b"Content-Length: %d\r\n\r\n" % (len(block) * blocks))
        peer.sock.settimeout(0.4)
        left, sent = memoryview(block * blocks), 0
        while left:
            try:
                count = peer.sock.send(left[:65_536])
            except TimeoutError:
                sent_when_stalled.append(sent)
                is_stalled.set()
                continue
            left, sent = left[count:], sent + count
        is_stalled.set()

    async def scenario(pool: Upstream) -> int:
        incoming = await pool.send(outgoing(server.url))
        assert await backend.until(is_stalled)
        total = 0
        while True:
            try:
                total += len(await incoming.source.__anext__())
            except StopAsyncIteration:
                return total

    with RawServer(handler) as server:
        assert backend.play(scenario) == len(block) * blocks
    assert sent_when_stalled, "the server must have been held back"
    assert sent_when_stalled[0] < 16_000_000
