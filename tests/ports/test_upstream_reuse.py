"""Which connections serve again, and what happens to those that should not, over every backend."""

from __future__ import annotations

import asyncio
import gc
import os
import threading

import pytest
from backends import Backend, Heard, hear, outgoing
from raw_server import OK, Peer, RawServer, echo

from penstock import drive
from penstock.errors import UpstreamFailed
from penstock.ports import Upstream
from penstock.ports.origin import PoolLimits


def twice(url: str) -> object:
    async def scenario(pool: Upstream) -> tuple[Heard, Heard]:
        return await hear(pool, url, body=b"one"), await hear(pool, url, body=b"two")

    return scenario


def test_calls_one_after_the_other_share_a_connection(backend: Backend) -> None:
    async def scenario(pool: Upstream) -> list[bytes]:
        return [(await hear(pool, server.url, body=b"%d" % n)).body for n in range(20)]

    with RawServer(echo) as server:
        assert backend.play(scenario) == [b"%d" % n for n in range(20)]
        assert server.connections == 1


def test_chunked_answers_leave_the_connection_usable(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        while True:
            peer.request()
            peer.say(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")

    with RawServer(handler) as server:
        first, second = backend.play(twice(server.url))
        assert (first.body, second.body, server.connections) == (b"hi", b"hi", 1)


def test_trailers_do_not_leak_into_the_next_answer(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        while True:
            peer.request()
            peer.say(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n")

    with RawServer(handler) as server:
        first, second = backend.play(twice(server.url))
    assert (first.body, second.body) == (b"hi", b"hi")
    assert second.headers == ((b"transfer-encoding", b"chunked"),)


@pytest.mark.parametrize(
    "said",
    [
        OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        OK + b"Content-Length: 2\r\n\r\nhi" + OK + b"Content-Length: 5\r\n\r\nevil!",
        OK + b"Content-Length: 2\r\n\r\nhi" + b"HTTP/1.1 2",
        OK + b"Content-Length: 2\r\n\r\nhiGARBAGE",
        b"HTTP/1.1 204 None\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nevil!",
    ],
    ids=["close", "old version", "unasked answer", "half an unasked answer", "garbage behind", "body behind 204"],
)
def test_unfit_connection_is_not_used_again(backend: Backend, said: bytes) -> None:
    def handler(peer: Peer) -> None:
        while True:
            peer.request()
            if peer.number == 1:
                peer.say(said)
            else:
                peer.answer(b"clean")

    if backend.name == "aio" and said.endswith(b"HTTP/1.1 2"):
        pytest.skip("aiohttp does not show that its parser has begun another answer")
    with RawServer(handler) as server:
        _, second = backend.play(twice(server.url))
        assert (second.body, server.connections) == (b"clean", 2)


def test_connection_closed_while_idle_is_sent_again_once(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.answer(peer.request())
        if peer.number == 1:
            peer.request()  # the second request arrives, and the connection dies without a word
        else:
            peer.drain()

    with RawServer(handler) as server:
        first, second = backend.play(twice(server.url))
        assert (first.body, second.body, second.error) == (b"one", b"two", None)
        assert (server.connections, len(server.heads)) == (2, 3)


def test_connection_seen_to_close_while_idle_costs_no_second_try(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.answer(peer.request())

    async def scenario(pool: Upstream) -> bytes:
        await hear(pool, server.url)
        assert await backend.until(server.left)
        await backend.sleep(0.05)
        return (await hear(pool, server.url, body=b"two")).body

    with RawServer(handler) as server:
        assert backend.play(scenario) == b"two"
        assert (server.connections, len(server.heads)) == (2, 2)


def test_stale_connections_are_not_tried_one_after_the_other(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        if peer.number == 1:
            peer.answer(peer.request())
        peer.request()

    with RawServer(handler) as server:
        _, second = backend.play(twice(server.url))
        assert second.code == "reset"
        assert len(server.heads) == 3, "one request, one repeat, no third"


def test_request_that_may_have_been_served_is_not_sent_again(backend: Backend) -> None:
    def late(peer: Peer) -> None:
        peer.answer(peer.request())
        peer.request()

    def begun(peer: Peer) -> None:
        peer.answer(peer.request())
        peer.request()
        peer.say(b"HTTP/1.1 200")

    cases = [(late, PoolLimits(stale_s=-1.0)), (begun, PoolLimits())]
    for handler, limits in cases[:1] if backend.name == "aio" else cases:  # aiohttp does not show half a head
        with RawServer(handler) as server:
            _, second = backend.play(twice(server.url), limits)
            assert second.code in ("reset", "bad_answer")
            assert len(server.heads) == 2


def test_idle_connection_expires(backend: Backend) -> None:
    async def scenario(pool: Upstream) -> bytes:
        await hear(pool, server.url)
        await backend.sleep(0.3)
        return (await hear(pool, server.url, body=b"two")).body

    with RawServer(echo) as server:
        assert backend.play(scenario, PoolLimits(keep_s=0.1)) == b"two"
        assert server.connections == 2


def test_closing_the_pool_closes_idle_connections(backend: Backend) -> None:
    with RawServer(echo) as server:
        backend.hear(server.url)
        assert server.left.acquire(timeout=5)


def test_closed_pool_takes_no_calls_and_closes_twice(backend: Backend) -> None:
    async def scenario(pool: Upstream) -> Heard:
        await hear(pool, server.url)
        await pool.aclose()
        await pool.aclose()
        return await hear(pool, server.url)

    with RawServer(echo) as server:
        assert backend.play(scenario).code == "closed"
        assert len(server.heads) == 1


def test_connections_max_holds_and_everyone_is_served(loop_backend: Backend) -> None:
    async def scenario(pool: Upstream) -> list[bytes]:
        heard = await asyncio.gather(*(hear(pool, server.url, body=b"%d" % n) for n in range(20)))
        return [each.body for each in heard]

    with RawServer(echo) as server:
        assert loop_backend.play(scenario, PoolLimits(connections_max=2)) == [b"%d" % n for n in range(20)]
        assert server.connections <= 2


def test_waiter_that_gives_up_does_not_lose_the_place(loop_backend: Backend) -> None:
    async def scenario(pool: Upstream) -> bytes:
        held = await pool.send(outgoing(server.url, body=b"held"))
        waiting = [asyncio.ensure_future(hear(pool, server.url, body=b"%d" % n)) for n in range(3)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()
        with pytest.raises(StopAsyncIteration):
            while await held.source.__anext__():
                pass
        if loop_backend.name != "aio":  # aiohttp forgets the others where one that was just woken gives up
            waiting[1].cancel()
        last = await waiting[2]
        assert last.error is None
        return last.body

    def handler(peer: Peer) -> None:
        while True:
            body = peer.request()
            peer.say(OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body))
            threading.Event().wait(0.2)
            peer.say(b"0\r\n\r\n")

    with RawServer(handler) as server:
        assert loop_backend.play(scenario, PoolLimits(connections_max=1)) == b"2"


def test_connections_max_holds_across_threads() -> None:
    from penstock.ports.sockets import SocketPool

    pool, bodies = SocketPool(PoolLimits(connections_max=2)), []

    def work(n: int) -> None:
        bodies.append(drive.run(hear(pool, server.url, body=b"%d" % n)).body)

    with RawServer(echo) as server:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        drive.run(pool.aclose())
        assert sorted(bodies) == sorted(b"%d" % n for n in range(20))
        assert server.connections <= 2


def test_pool_serves_a_second_loop_after_the_first_is_gone(loop_backend: Backend) -> None:
    pool = loop_backend.make(None, None)
    with RawServer(echo) as server:
        bodies = [loop_backend.run(hear(pool, server.url, body=b"%d" % n)).body for n in range(3)]
        assert bodies == [b"0", b"1", b"2"]
        gc.collect()
        assert all(server.left.acquire(timeout=5) for _ in range(2)), "a dead loop's sockets must not stay open"
        loop_backend.run(pool.aclose())


def test_pool_serves_two_loops_side_by_side(loop_backend: Backend) -> None:
    pool, bodies = loop_backend.make(None, None), []

    async def many() -> None:
        for n in range(10):
            bodies.append((await hear(pool, server.url, body=b"%d" % n)).body)

    with RawServer(echo) as server:
        threads = [threading.Thread(target=loop_backend.run, args=(many(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert sorted(bodies) == sorted(b"%d" % n for n in range(10) for _ in range(2))
        assert server.connections == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_child_leaves_the_parents_connections_alone(backend: Backend) -> None:
    async def scenario(pool: Upstream) -> list[bytes]:
        bodies = [(await hear(pool, server.url, body=b"parent")).body]
        child = os.fork()
        if child == 0:
            code = 1
            try:
                heard = backend.run(hear(pool, server.url, body=b"child"))
                code = 0 if heard.body == b"child" else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0  # noqa: ASYNC222
        bodies.append((await hear(pool, server.url, body=b"parent again")).body)
        return bodies

    with RawServer(echo) as server:
        assert backend.play(scenario) == [b"parent", b"parent again"]
        assert server.connections == 2, "the parent's connection is still its own"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_parents_hang_up_is_seen_while_a_child_lives(backend: Backend) -> None:
    if backend.name == "aio":
        pytest.skip("aiohttp's sockets cannot be let go in a child without disturbing the parent")

    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(OK + b"Content-Length: 10\r\n\r\nhello")
        peer.drain()

    async def scenario(pool: Upstream) -> None:
        incoming = await pool.send(outgoing(server.url))
        is_over, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(tell)
            os.read(is_over, 1)
            os._exit(0)
        await incoming.source.aclose()
        is_seen = await backend.until(server.left)
        os.close(tell)
        os.close(is_over)
        os.waitpid(child, 0)  # noqa: ASYNC222
        assert is_seen

    with RawServer(handler) as server:
        backend.play(scenario)


def test_answer_that_comes_unasked_while_idle_is_nobodys(backend: Backend) -> None:
    if backend.name == "aio":
        pytest.skip("aiohttp keeps what comes while idle, and takes it for the next answer")
    is_idle = threading.Event()

    def handler(peer: Peer) -> None:
        peer.answer(peer.request())
        if peer.number == 1:
            assert is_idle.wait(5)
            peer.answer(b"evil")
            peer.server.left.release()
        echo(peer)

    async def scenario(pool: Upstream) -> bytes:
        await hear(pool, server.url)
        is_idle.set()
        assert await backend.until(server.left)
        await backend.sleep(0.05)
        return (await hear(pool, server.url, body=b"two")).body

    with RawServer(handler) as server:
        assert backend.play(scenario) == b"two"
        assert server.connections == 2


def test_pool_closed_under_a_live_body_fails_it(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(OK + b"Content-Length: 10\r\n\r\nhello")
        peer.drain()

    async def scenario(pool: Upstream) -> str:
        incoming = await pool.send(outgoing(server.url))
        assert await incoming.source.__anext__() == b"hello"
        await pool.aclose()
        with pytest.raises(UpstreamFailed) as failed:
            await incoming.source.__anext__()
        return failed.value.code

    with RawServer(handler) as server:
        assert backend.play(scenario) == "closed"
