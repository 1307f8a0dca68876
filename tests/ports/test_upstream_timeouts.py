"""Each phase's deadline, over every backend."""

from __future__ import annotations

import pytest
from backends import Backend, hear, outgoing
from raw_server import OK, Peer, RawServer, echo

from penstock.call import Timeouts
from penstock.errors import UpstreamFailed
from penstock.ports import Upstream
from penstock.ports.origin import PoolLimits

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def silent(peer: Peer) -> None:
    peer.drain()


def test_handshake_that_never_comes_is_a_connect_timeout(backend: Backend) -> None:
    with RawServer(silent) as server:
        url = server.url.replace("http://", "https://")
        heard = backend.hear(url, timeouts=Timeouts(connect_s=0.2))
    assert heard.code == "connect_timeout"
    assert "0.2 s" in str(heard.error) and url in str(heard.error)


def test_silence_before_the_head_is_a_first_byte_timeout(backend: Backend) -> None:
    with RawServer(silent) as server:
        heard = backend.hear(server.url, timeouts=Timeouts(first_byte_s=0.2))
        assert server.left.acquire(timeout=5), "the upstream must see the hang-up"
    assert heard.code == "first_byte_timeout"


def test_half_a_head_does_not_stop_the_first_byte_clock(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"X-A: 1\r\n")
        peer.drain()

    with RawServer(handler) as server:
        heard = backend.hear(server.url, timeouts=Timeouts(first_byte_s=0.2))
    assert heard.code == "first_byte_timeout"


def test_upstream_that_never_reads_a_big_request_is_a_first_byte_timeout(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.head()
        peer.server.left.acquire(timeout=5)

    with RawServer(handler) as server:
        heard = backend.hear(server.url, body=bytes(30_000_000), timeouts=Timeouts(first_byte_s=0.3))
        server.left.release()
    assert heard.code == "first_byte_timeout"


def test_silence_within_the_body_is_an_idle_timeout_after_what_came(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(CHUNKED + b"2\r\nhi\r\n")
        peer.drain()

    with RawServer(handler) as server:
        heard = backend.hear(server.url, timeouts=Timeouts(idle_s=0.2))
        assert server.left.acquire(timeout=5)
    assert (heard.status, heard.body, heard.code) == (200, b"hi", "idle_timeout")


def test_steady_trickle_outlives_idle_but_not_total(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(CHUNKED)
        while not peer.server.left.acquire(timeout=0.05):
            peer.say(b"1\r\n.\r\n")

    with RawServer(handler) as server:
        heard = backend.hear(server.url, timeouts=Timeouts(idle_s=0.4, total_s=0.8))
        server.left.release()
    assert heard.code == "total_timeout"
    assert len(heard.body) > 5


def test_total_covers_the_wait_for_the_head(backend: Backend) -> None:
    with RawServer(silent) as server:
        heard = backend.hear(server.url, timeouts=Timeouts(total_s=0.2))
    assert heard.code == "total_timeout"


def test_timeouts_of_one_request_do_not_outlive_it(backend: Backend) -> None:
    async def scenario(pool: Upstream) -> list[str | None]:
        hasty = await hear(pool, server.url, timeouts=Timeouts(first_byte_s=0.1, idle_s=0.1, total_s=0.2))
        incoming = await pool.send(outgoing(server.url, body=b"again"))
        await backend.sleep(0.3)
        return [hasty.code, (await incoming.source.__anext__()).decode()]

    with RawServer(echo) as server:
        assert backend.play(scenario) == [None, "again"]
        assert server.connections == 1


def test_shorter_timeouts_count_on_a_reused_connection(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.answer(peer.request())
        peer.request()
        if not peer.server.left.acquire(timeout=1.5):
            peer.answer(b"too late")

    async def scenario(pool: Upstream) -> str | None:
        await hear(pool, server.url, timeouts=Timeouts())
        heard = await hear(pool, server.url, timeouts=Timeouts(first_byte_s=0.2))
        server.left.release()
        return heard.code

    with RawServer(handler) as server:
        assert backend.play(scenario) == "first_byte_timeout"
        assert server.connections == 1


def test_full_pool_is_a_first_byte_timeout_that_says_so(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(CHUNKED + b"2\r\nhi\r\n")
        peer.drain()

    async def scenario(pool: Upstream) -> str:
        held = await pool.send(outgoing(server.url))
        with pytest.raises(UpstreamFailed) as failed:
            await pool.send(outgoing(server.url, timeouts=Timeouts(connect_s=0.1, first_byte_s=0.2)))
        await held.source.aclose()
        return failed.value.code

    with RawServer(handler) as server:
        assert backend.play(scenario, PoolLimits(connections_max=1)) == "first_byte_timeout"
        assert server.connections == 1
