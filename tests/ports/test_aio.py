"""What only the aiohttp backend does: proxies from the environment."""

from __future__ import annotations

import pytest
from backends import BACKENDS
from raw_server import RawServer, echo

AIO = next(each for each in BACKENDS if each.name == "aio")


def test_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(echo) as server:
        monkeypatch.setenv("http_proxy", server.url)
        heard = AIO.hear("http://upstream.example", path="/v1/messages?a=%2F", body=b"by proxy")
        assert heard.body == b"by proxy"
        assert server.heads[0].startswith(b"POST http://upstream.example/v1/messages?a=%2F HTTP/1.1\r\n")


def test_exceptions_from_the_proxy_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(echo) as server, RawServer(echo) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert AIO.hear(server.url, body=b"direct").body == b"direct"
        assert proxy.heads == []


def test_no_credential_is_added_from_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    netrc = tmp_path / "netrc"  # type: ignore[operator]
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with RawServer(echo) as server:
        AIO.hear(server.url)
        assert b"authorization" not in server.heads[0].lower()
