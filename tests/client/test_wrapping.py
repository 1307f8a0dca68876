"""What `penstock.wrap` gives, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import anthropic
import httpx2
import pytest
from sdk_session import ASK

import penstock
from penstock.config.schema import Config, ResilienceConfig, TransportConfig
from penstock.simulator import Running


def test_the_copy_is_of_the_same_class_and_the_original_stays_as_it_was(bare: Any, client: Any) -> None:
    assert type(client) is type(bare) and client is not bare
    assert (client.max_retries, bare.max_retries) == (0, 0)
    assert client.api_key == bare.api_key and client.base_url == bare.base_url and client.timeout == bare.timeout
    assert "x-penstock-call-id" not in bare.messages.with_raw_response.create(**ASK).headers


def test_an_answer_names_its_call_and_its_cost(client: Any, rows: Any) -> None:
    headers = client.messages.with_raw_response.create(**ASK).headers
    (row,) = rows()
    assert headers["x-penstock-call-id"] == row["call_id"]
    assert round(float(headers["x-penstock-cost-usd"]) * 1e9) == row["cost_nano"] > 0


def test_wrapping_twice_records_once_with_the_newer_tags(client: Any, config: Config, rows: Any) -> None:
    again = penstock.wrap(client, config=config, feature="second")
    again.messages.create(**ASK)
    assert [row["feature"] for row in rows()] == ["second"]


def test_copies_of_the_copy_stay_wrapped(client: Any, rows: Any) -> None:
    client.with_options(timeout=3).copy(default_headers={"x-a": "b"}).messages.create(**ASK)
    assert len(rows()) == 1


def test_closing_closes_as_the_sdk_does(sim: Running, config: Config) -> None:
    bare = anthropic.Anthropic(base_url=sim.url, api_key=sim.key)
    with penstock.wrap(bare, config=config) as client:
        client.messages.create(**ASK)
    assert client.is_closed() and bare.is_closed()
    with pytest.raises(anthropic.APIConnectionError):
        client.messages.create(**ASK)


def test_a_path_prefix_of_the_base_url_is_kept(config: Config, rows: Any) -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(200, json={"input_tokens": 3})

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    bare = anthropic.Anthropic(base_url="https://gate.example/team/a", api_key="k", http_client=http_client)
    client = penstock.wrap(bare, config=config)
    assert client.messages.count_tokens(model="m", messages=ASK["messages"]).input_tokens == 3
    assert asked == ["https://gate.example/team/a/v1/messages/count_tokens"]
    assert [(row["path"], row["endpoint"]) for row in rows()] == [("/v1/messages/count_tokens", "count_tokens")]


def test_the_users_own_http_client_still_sends_every_request(sim: Running, config: Config, rows: Any) -> None:
    hooked: list[str] = []
    http_client = httpx2.Client(
        headers={"x-team": "a"}, event_hooks={"request": [lambda request: hooked.append(request.headers["x-team"])]}
    )
    client = penstock.wrap(
        anthropic.Anthropic(base_url=sim.url, api_key=sim.key, http_client=http_client), config=config
    )
    client.messages.create(**ASK)
    with client.messages.stream(**ASK) as stream:
        assert stream.get_final_text()
    assert hooked == ["a", "a"]
    assert [row["ending"] for row in rows()] == ["complete"] * 2


@pytest.mark.parametrize(
    ("raised", "expected", "code"),
    [
        (httpx2.ConnectTimeout("x"), anthropic.APITimeoutError, "connect_timeout"),
        (httpx2.ReadTimeout("x"), anthropic.APITimeoutError, "first_byte_timeout"),
        (httpx2.ProxyError("x"), anthropic.APIConnectionError, "connect_failed"),
        (httpx2.RemoteProtocolError("x"), anthropic.APIConnectionError, "reset"),
    ],
)
def test_failures_of_the_users_http_client_keep_their_kind(
    config: Config, rows: Any, raised: Exception, expected: type[Exception], code: str
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise raised

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = penstock.wrap(anthropic.Anthropic(api_key="k", http_client=http_client), config=config)
    with pytest.raises(expected):
        client.messages.create(**ASK)
    assert [row["error_code"] for row in rows()] == [code]


def test_a_stream_of_pings_over_the_users_http_client_ends_in_time(sim: Running, config: Config, rows: Any) -> None:
    config = replace(config, transport=TransportConfig(total_s=0.5), resilience=ResilienceConfig(hold_s=0.1))
    sim.trigger("ping_only:0.05")
    client = penstock.wrap(
        anthropic.Anthropic(base_url=sim.url, api_key=sim.key, http_client=httpx2.Client()), config=config
    )
    with (
        pytest.raises(anthropic.APIStatusError, match=r"was not done within 0\.5 s"),
        client.messages.stream(**ASK) as stream,
    ):
        stream.until_done()
    assert [(row["ending"], row["error_code"]) for row in rows()] == [("failed", "total_timeout")]


def test_proxies_of_the_environment_keep_the_sdks_own_leg(monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.faces.client.leg import has_own_leg

    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_own_leg(anthropic.Anthropic(api_key="k")._client)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert has_own_leg(anthropic.Anthropic(api_key="k")._client)


class _Moved(BaseHTTPRequestHandler):
    """A server that sends one model on to another."""

    def do_GET(self) -> None:
        is_old = self.path.endswith("/old")
        body = b"" if is_old else b'{"id": "new", "type": "model"}'
        self.send_response(307 if is_old else 200)
        if is_old:
            self.send_header("location", "/v1/models/new")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    "fields", [{}, {"X-Own": "é"}, {"Host": "other"}, {"content-length": "2"}, {"A": "1", "a": "2"}]
)
@pytest.mark.parametrize("content", [b"{}", b""])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages?beta=true"])
def test_a_request_is_built_as_the_http_library_builds_it(
    client: Any, fields: dict[str, str], content: bytes, path: str
) -> None:
    headers = httpx2.Headers({"Content-Type": "application/json", **fields}, encoding="utf-8")
    url = httpx2.URL("http://one.invalid:81").join(path)
    asked: dict[str, Any] = {"headers": headers, "content": content, "timeout": httpx2.Timeout(7)}
    made = client._client.build_request("POST", url, **asked)
    usual = httpx2.Request(
        "POST", url, headers=headers, content=content, extensions={"timeout": asked["timeout"].as_dict()}
    )
    assert (made.method, made.url, made.extensions, made.content) == ("POST", url, usual.extensions, usual.content)
    assert made.headers.raw == usual.headers.raw and type(made.stream) is type(usual.stream)
    assert vars(made).keys() == vars(usual).keys()
    made.headers["x-later"] = "ü"  # as a hook may
    assert made.headers["x-later"] == "ü"


def test_a_redirect_is_followed_as_before(config: Config, rows: Any) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Moved) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        client = penstock.wrap(anthropic.Anthropic(base_url=url, api_key="k"), config=config)
        assert client.models.retrieve("old").id == "new"
        server.shutdown()
    assert "/v1/models/new" in {row["path"] for row in rows()}


def test_uploads_go_out_whole(config: Config, sim: Running) -> None:
    client = penstock.wrap(anthropic.Anthropic(base_url=sim.url, api_key=sim.key), config=config)
    made = client.beta.files.upload(file=("a.txt", b"water " * 1000, "text/plain"))
    assert made.size_bytes == 6000


def test_what_is_no_client_is_refused_with_the_fix() -> None:
    with pytest.raises(penstock.ConfigError, match=r"penstock\.wrap\(anthropic\.Anthropic\(\)\)"):
        penstock.wrap(object())


def test_importing_penstock_imports_neither_the_sdk_nor_an_http_library() -> None:
    code = (
        "import sys, penstock; penstock.tags, penstock.wrap, penstock.Call, penstock.Config;"
        "print([m for m in ('anthropic', 'httpx', 'httpx2', 'aiohttp', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_they_are_few() -> None:
    assert len(penstock.__all__) <= 25
    assert set(penstock._HOMES) == set(penstock.__all__)
    for name in penstock.__all__:
        assert getattr(penstock, name) is not None
    assert callable(penstock.tags)
