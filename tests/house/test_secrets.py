"""Twelve kinds of secrets are planted wherever one can be put, and looked for wherever Penstock writes.

They go into headers, bodies, queries, tool results, the environment and the config, through answers, refusals and
failures, at log level debug. None may be found: not in a log, the journal, the database, an answer of Penstock's own, a
report, or an error and the variables of its frames; not raw, in base64, percent-encoded or with JSON's escapes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from gateways import Process, command, gateway
from penstock import drive
from penstock.call import Candidate, Plan, Target
from penstock.config.load import open_config
from penstock.config.schema import IdentityConfig
from penstock.errors import PenstockError, UpstreamFailed
from penstock.layers.per_attempt.transport import Transport
from penstock.layers.per_call.identity import Identity
from penstock.ports.sockets import SocketPool
from penstock.secret import Secret
from penstock.simulator import running
from script import HELLO, a_call, play

_FILL = "Zq7" * 32
CANARIES = {
    "api key": "sk-ant-" + "api03-" + _FILL[:93] + "AA",
    "admin key": "sk-ant-" + "admin01-" + _FILL[1:94] + "AA",
    "access token": "sk-ant-" + "oat01-" + _FILL[2:60],
    "refresh token": "sk-ant-" + "ort01-" + _FILL[3:61],
    "virtual key": "pk_" + "dev_" + _FILL[4:47],
    "aws": "AKIA" + "IOSFODNN7CANARY1" + "/" + _FILL[5:45],
    "github": "ghp_" + _FILL[6:42],
    "jwt": "eyJhbGciOiJIUzI1NiJ9." + _FILL[7:40] + "." + _FILL[8:50],
    "pem": "-----BEGIN PRIVATE KEY----- " + _FILL[:80] + " -----END PRIVATE KEY-----",
    "cookie": "session=" + _FILL[9:60],
    "dsn": "postgresql://user:" + _FILL[10:40] + "@db.example/prod",
    "webhook": "https://hooks.example/services/T000/B000/" + _FILL[11:35],
}


def shapes(secret: str) -> Iterator[bytes]:
    """A secret as it may have been written: its telling middle, so that a cut-off one is found too."""
    middle = secret[len(secret) // 3 : len(secret) // 3 + 24]
    yield middle.encode()
    yield quote(middle, safe="").encode()
    yield json.dumps(middle)[1:-1].encode()
    for shift in range(3):  # base64 depends on where in three bytes a text begins
        encoded = base64.b64encode(b"x" * shift + middle.encode()).rstrip(b"=")
        yield encoded[4 if shift else 0 : -4]


def found_in(data: bytes) -> list[str]:
    return [kind for kind, secret in CANARIES.items() if any(shape in data for shape in shapes(secret))]


def test_the_search_would_find_them() -> None:
    for kind, secret in CANARIES.items():
        for text in (
            secret,
            quote(secret, safe=""),
            json.dumps({"x": secret}),
            base64.b64encode(secret.encode()).decode(),
        ):
            assert kind in found_in(text.encode()), (kind, text)


def plant(process: Process) -> list[httpx2.Response]:
    """Every canary in every place of a request, through answers, refusals, failures and streams."""
    answers = []
    for secret in CANARIES.values():
        body = {
            **HELLO,
            "system": f"The password is {secret}.",
            "messages": [
                {"role": "user", "content": secret},
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "toolu_1", "name": "t", "input": {"k": secret}}],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": secret}]},
            ],
        }
        good = {"x-api-key": process.key, "anthropic-version": "2023-06-01", "x-note": secret, "cookie": secret}
        for headers in (
            good,
            {**good, "x-api-key": secret},
            {**good, "x-api-key": "", "authorization": f"Bearer {secret}"},
        ):
            for more in ({}, {"stream": True}, {"model": 5}):
                answers.append(
                    httpx2.post(process.url + "/v1/messages", json={**body, **more}, headers=headers, timeout=20)
                )
        broken = secret.encode() + b'{"model": '
        answers.append(httpx2.post(process.url + "/v1/messages", content=broken, headers=good))
        for fault in ("reset", "cut", "error_500"):
            headers = {**good, "x-simulator-fault": fault}
            answers.append(httpx2.post(process.url + "/v1/messages", json=body, headers=headers, timeout=20))
        for query in (f"?api_key={quote(secret, safe='')}", f"?note={quote(secret, safe='')}"):
            answers.append(httpx2.post(process.url + "/v1/messages" + query, json=body, headers=good))
    return answers


@pytest.mark.weighty
def test_no_secret_is_ever_written(tmp_path: Path) -> None:
    config = '[log]\nlevel = "debug"\n\n[upstreams.anthropic]\nurl = "URL"\nkeys = ["env:UPSTREAM_CANARY"]\n'
    data = tmp_path / "data"
    with running(seed=1, accept_any=True, allow_fault_headers=True) as simulator:
        env = {"UPSTREAM_CANARY": CANARIES["api key"], "OTHER_SECRET": CANARIES["dsn"]}
        with gateway(data=data, config=config.replace("URL", simulator.url), **env) as process:
            answers = plant(process)
            assert not kept_in(data), "in the data folder of a gateway that runs, its journal among it"
            calls = [answer.headers.get("x-penstock-call-id") for answer in answers]
            told = [
                httpx2.get(f"{process.url}/penstock/api/calls/{call_id}", headers={"x-api-key": process.key}).content
                for call_id in calls[::7]
            ]
            process.records(len(answers))
            own = [
                a.content for a in answers if a.status_code in (401, 413) or ("request-id" in a.headers and a.is_error)
            ]
            listed = process.log.read_bytes()
        rows = [calls[0], calls[1], calls[4], calls[-3]]
    said = [command("explain", str(one), "--data", str(data)).stdout.encode() for one in rows]
    said += [
        command(*words, "--data", str(data)).stdout.encode()
        for words in (
            ("report", "--by", "user,model,error"),
            ("report", "--json"),
            ("keys", "list"),
            ("config", "show"),
        )
    ]
    files = {path.name: path.read_bytes() for path in data.rglob("*") if path.is_file() and path.name != "first.key"}
    assert len(answers) > 100
    assert "penstock.db" in files
    assert not [name for name, content in files.items() if process.key.encode() in content], "of a key only its hash"
    assert not found_in(listed), "in the log"
    assert not [name for name, content in files.items() if found_in(content)], "in the data folder"
    assert not [text for text in told + said if found_in(text)], "in what is told of calls"
    assert not [body for body in own if b'"layer":' in body and found_in(body)], "in our own errors"


def test_a_key_in_a_path_is_not_kept(tmp_path: Path) -> None:
    data, config = tmp_path / "data", '[log]\nlevel = "debug"\n'
    with gateway(data=data, config=config) as process:
        for secret in CANARIES.values():
            for head in ({"x-api-key": process.key}, {}):
                for part in (quote(secret, safe=""), quote(secret.replace("/", "_"), safe="=:")):
                    httpx2.get(f"{process.url}/v1/files/{part}", headers=head, timeout=20)
        records = process.records(4 * len(CANARIES))
        assert not kept_in(data), "the journal among it"
        assert not found_in(process.log.read_bytes()), "in the log"
    assert {record.path for record in records} == {"/v1/files/…"}
    assert not kept_in(data)


@contextlib.contextmanager
def echoing(shape: Callable[[bytes], bytes]) -> Iterator[str]:
    """An upstream that answers each request with what `shape` makes of its body, then closes."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                length = 0
                while (line := file.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                connection.sendall(shape(file.read(length)))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def as_json(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


ECHOES: dict[str, Callable[[bytes], bytes]] = {
    "what is not HTTP": lambda body: body,
    "a header that is none": lambda body: b"HTTP/1.1 200 OK\r\n" + body + b"\x00\r\n\r\n",
    "a chunk size that is none": lambda body: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body,
    "an answer cut short": lambda body: as_json(b"200", body)[:-9],
    "an error that quotes": lambda body: as_json(
        b"500", json.dumps({"type": "error", "error": {"type": "api_error", "message": body.decode()}}).encode()
    ),
}


@pytest.mark.parametrize("kind", ECHOES)
def test_an_upstream_that_sends_secrets_back_brings_them_nowhere_but_to_the_caller(tmp_path: Path, kind: str) -> None:
    data, config = tmp_path / "data", '[log]\nlevel = "debug"\n'
    with echoing(ECHOES[kind]) as url:
        with gateway(url, data=data, config=config, ANTHROPIC_API_KEY=CANARIES["api key"]) as process:
            head = {"x-api-key": process.key}
            answers = [
                httpx2.post(process.url + "/v1/messages", json={**HELLO, "system": secret}, headers=head, timeout=20)
                for secret in CANARIES.values()
            ]
            process.records(len(answers))
            log = process.log.read_bytes()
    assert not [a.text for a in answers if b'"layer":' in a.content and found_in(a.content)], "in our own errors"
    assert not found_in(log), "in the log"
    assert not kept_in(data)


def test_a_request_that_is_no_call_is_nowhere_quoted(tmp_path: Path) -> None:
    data, config = tmp_path / "data", '[log]\nlevel = "debug"\n'
    with gateway(data=data, config=config) as process:
        head, answers = {"x-api-key": process.key}, list[httpx2.Response]()
        for secret in CANARIES.values():
            part = quote(secret, safe="")
            for method, path in (
                ("GET", f"/{part}"),
                ("GET", f"/penstock/api/{part}"),
                ("GET", f"/penstock/api/calls/{part}"),
                ("GET", f"/penstock/api/report?by={part}"),
                ("GET", f"/penstock/api/report?since_us={part}"),
                ("POST", f"/readyz?{part}"),
                ("TRACE", f"/v1/messages?note={part}"),
            ):
                answers.append(httpx2.request(method, process.url + path, headers=head, timeout=20))
            answers.append(raw(process, f"GET /v1/models HTTP/1.1\r\nhost: x\r\n{secret}\x00: {secret}\r\n\r\n"))
            answers.append(raw(process, f"{secret}\r\n\r\n"))
        log = process.log.read_bytes()
    assert all(answer.is_error for answer in answers)
    assert not [(a.url, a.text) for a in answers if found_in(a.content)], "in our own errors"
    assert not found_in(log), "in the log"
    assert not kept_in(data)


def raw(process: Process, request: str) -> httpx2.Response:
    """What bytes that are no request are answered."""
    with socket.create_connection(("127.0.0.1", int(process.url.rpartition(":")[2])), timeout=20) as caller:
        caller.sendall(request.encode())
        caller.shutdown(socket.SHUT_WR)
        got = b""
        while piece := caller.recv(65536):
            got += piece
    return httpx2.Response(int(got.split(b" ", 2)[1]), content=got, request=httpx2.Request("GET", process.url))


def kept_in(data: Path) -> list[str]:
    """The files of a data folder that hold a canary."""
    files = (path for path in data.rglob("*") if path.is_file() and path.name != "first.key")
    return [path.name for path in files if found_in(path.read_bytes())]


def test_the_end_user_named_in_metadata_is_kept_only_where_the_config_says_so(tmp_path: Path) -> None:
    """What a caller calls its user is a tag, its own to choose; where that must not be kept, it can be turned off."""
    data, config = tmp_path / "data", "[identity]\nuser_from_metadata = false\n"
    with gateway(data=data, config=config) as process:
        head = {"x-api-key": process.key, "anthropic-version": "2023-06-01"}
        for secret in CANARIES.values():
            body = {**HELLO, "metadata": {"user_id": secret}}
            httpx2.post(process.url + "/v1/messages", json=body, headers=head, timeout=20).raise_for_status()
        process.records(len(CANARIES))
    assert not kept_in(data)


@pytest.mark.parametrize("kind", CANARIES)
def test_errors_and_their_frames_hold_no_credential(kind: str) -> None:
    """A crash reporter writes the variables of every frame: those of a refusal may not hold what was refused."""
    from script import KeyRing, ports

    secret = CANARIES[kind]
    layer = Identity(IdentityConfig(), "dev", ports(keys=KeyRing()))
    played = play(drive.run, layer, a_call(headers=((b"x-api-key", secret.encode()),)))
    assert isinstance(played.error, PenstockError)
    assert not found_in("".join(traceback.format_exception(played.error)).encode())
    assert not found_in(variables(played.error))


@pytest.mark.parametrize("kind", CANARIES)
def test_a_failed_upstream_leaves_no_credential_in_frames(kind: str) -> None:
    from script import LedgerBook, ports

    secret = CANARIES[kind]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    call = a_call(
        {**HELLO, "system": secret},
        headers=((b"x-note", secret.encode()),),
        plan=Plan((Candidate(Target("closed", url, Secret(secret))),)),
    )
    with pytest.raises(UpstreamFailed) as caught:
        drive.run(Transport(ports(upstream=SocketPool(), ledger=LedgerBook()))(call))
    assert not found_in("".join(traceback.format_exception(caught.value)).encode())
    assert not found_in(variables(caught.value))


def variables(error: BaseException | None) -> bytes:
    """The variables of all our frames an error passed, and of those that caused it, as a crash reporter shows them."""
    shown = []
    while error is not None:
        shown.append(repr(vars(error)))
        trace = error.__traceback__
        while trace is not None:
            if f"{os.sep}penstock{os.sep}" in trace.tb_frame.f_code.co_filename:
                shown += [repr(value) for value in trace.tb_frame.f_locals.values()]
            trace = trace.tb_next
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join(shown).encode()


def test_a_config_with_secrets_is_shown_by_reference(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text('[upstreams.anthropic]\nkeys = ["env:CANARY"]\n')
    loaded = open_config(file, environ={"CANARY": CANARIES["api key"]})
    secret = loaded.secrets.resolve("env:CANARY")
    assert secret.reveal() == CANARIES["api key"]
    assert not found_in(repr((loaded, secret, [secret])).encode())
