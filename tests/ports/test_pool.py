"""What is the loop pool's own: who waits, what is dropped, what one loop's end leaves behind."""

from __future__ import annotations

import asyncio
import threading

from backends import hear
from raw_server import Peer, RawServer

from penstock.ports.origin import PoolLimits
from penstock.ports.pool import LoopPool


def test_one_stale_connection_condemns_the_idle_ones() -> None:
    are_both_here = threading.Barrier(2, timeout=5)

    def handler(peer: Peer) -> None:
        body = peer.request()
        if peer.number <= 2:
            are_both_here.wait()
        peer.answer(body)
        if peer.number > 2:
            peer.request()
        peer.head()

    async def scenario() -> None:
        pool = LoopPool(PoolLimits(connections_max=2))
        await asyncio.gather(hear(pool, server.url), hear(pool, server.url))
        assert (await hear(pool, server.url, body=b"three")).body == b"three"
        assert await asyncio.to_thread(server.left.acquire, timeout=2)
        assert await asyncio.to_thread(server.left.acquire, timeout=2)
        await pool.aclose()

    with RawServer(handler) as server:
        asyncio.run(scenario())
        assert (server.connections, len(server.heads)) == (3, 4)


def test_idle_connections_beyond_the_limit_are_closed() -> None:
    are_all_here = threading.Barrier(3, timeout=5)

    def handler(peer: Peer) -> None:
        body = peer.request()
        are_all_here.wait()
        peer.answer(body)
        peer.drain()

    async def scenario() -> int:
        pool = LoopPool(PoolLimits(idle_max=1))
        await asyncio.gather(*(hear(pool, server.url) for _ in range(3)))
        closed = [await asyncio.to_thread(server.left.acquire, timeout=1) for _ in range(2)]
        one_more = server.left.acquire(timeout=0.05)
        await pool.aclose()
        return sum(closed) + one_more

    with RawServer(handler) as server:
        assert asyncio.run(scenario()) >= 2
