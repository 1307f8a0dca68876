"""TLS over every backend, with an authority made for the test."""

from __future__ import annotations

import ssl

import pytest
import trustme
from backends import Backend, Heard, hear, outgoing
from raw_server import OK, Peer, RawServer, echo

from penstock.ports import Upstream

AUTHORITY = trustme.CA()


def serving(name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    AUTHORITY.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    AUTHORITY.configure_trust(context)
    return context


def test_trusted_certificate_is_talked_to_and_connection_reused(backend: Backend, trusting: ssl.SSLContext) -> None:
    async def scenario(pool: Upstream) -> list[bytes]:
        return [(await hear(pool, server.url, body=b"%d" % n)).body for n in range(3)]

    with RawServer(echo, serving("localhost")) as server:
        assert backend.play(scenario, tls=trusting) == [b"0", b"1", b"2"]
        assert server.connections == 1


def test_server_name_and_protocol_are_announced(backend: Backend, trusting: ssl.SSLContext) -> None:
    names: list[str | None] = []
    tls = serving("localhost")
    tls.sni_callback = lambda sock, name, context: names.append(name)
    protocols: list[str | None] = []

    def handler(peer: Peer) -> None:
        assert isinstance(peer.sock, ssl.SSLSocket)
        protocols.append(peer.sock.selected_alpn_protocol())
        echo(peer)

    with RawServer(handler, tls) as server:
        backend.hear(server.url, tls=trusting)
    assert (names, protocols) == (["localhost"], ["http/1.1"])


def test_big_bodies_pass_both_ways(backend: Backend, trusting: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 16_384  # 4 MiB
    with RawServer(echo, serving("localhost")) as server:
        heard = backend.hear(server.url, body=body, tls=trusting)
    assert heard.body == body


def test_wrong_host_name_is_refused(backend: Backend, trusting: ssl.SSLContext) -> None:
    heard = talk(backend, "elsewhere.example", trusting)
    assert heard.code == "connect_failed"
    assert "localhost" in str(heard.error)


def test_untrusted_authority_is_refused(backend: Backend) -> None:
    assert talk(backend, "localhost", None).code == "connect_failed"


def test_plain_server_behind_https_is_refused(backend: Backend, trusting: ssl.SSLContext) -> None:
    def handler(peer: Peer) -> None:
        peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with RawServer(handler) as server:
        url = server.url.replace("http://127.0.0.1", "https://localhost")
        assert backend.hear(url, tls=trusting).code == "connect_failed"


def test_body_cut_under_tls_is_cut(backend: Backend, trusting: ssl.SSLContext) -> None:
    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(OK + b"Content-Length: 10\r\n\r\nhello")

    with RawServer(handler, serving("localhost")) as server:
        heard = backend.hear(server.url, tls=trusting)
    assert (heard.body, heard.code) == (b"hello", "cut")


def test_closing_an_unfinished_body_hangs_up_under_tls(backend: Backend, trusting: ssl.SSLContext) -> None:
    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(OK + b"Content-Length: 10\r\n\r\nhello")
        peer.drain()

    async def scenario(pool: Upstream) -> None:
        incoming = await pool.send(outgoing(server.url))
        assert await incoming.source.__anext__() == b"hello"
        await incoming.source.aclose()
        assert await backend.until(server.left)

    with RawServer(handler, serving("localhost")) as server:
        backend.play(scenario, tls=trusting)


def talk(backend: Backend, name: str, tls: ssl.SSLContext | None) -> Heard:
    """A call to a server whose certificate is for `name`; it must not see the request."""
    with RawServer(echo, serving(name)) as server:
        heard = backend.hear(server.url, tls=tls)
        assert server.heads == []
    return heard
