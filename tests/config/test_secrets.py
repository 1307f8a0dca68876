"""References followed to real backends: files, a keyring, and the secret managers' own clients."""

from __future__ import annotations

import importlib
import json
import logging
import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from penstock.config.secrets import Secrets
from penstock.errors import ConfigError

KEY = "sk-ant-" + "api03-" + "Qv8" * 10


def secrets(folder: Path = Path(), **environ: str) -> Secrets:
    return Secrets(environ, folder)


def refused(held: Secrets, reference: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        held.resolve(reference)
    assert "Qv8" not in str(caught.value)
    assert caught.value.fix
    return caught.value


def test_a_variable_is_resolved_to_a_secret_that_does_not_show() -> None:
    held = secrets(A=f" {KEY}\n")
    secret = held.resolve("env:A")
    assert secret.reveal() == KEY
    assert "Qv8Qv8Qv8" not in f"{secret} {secret!r} {held} {held!r}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "The environment variable A is not set."),
        ({"A": ""}, "The environment variable A is not set."),
        ({"A": "  "}, "env:A is empty."),
        ({"A": KEY + " " + KEY}, "env:A holds spaces, line ends or signs that no key has."),
        ({"A": KEY + "\r\nx-injected: 1"}, "env:A holds spaces, line ends or signs that no key has."),
        ({"A": KEY + "é"}, "env:A holds spaces, line ends or signs that no key has."),
    ],
)
def test_a_variable_without_a_key_in_it_is_named(environ: dict[str, str], said: str) -> None:
    assert str(refused(Secrets(environ, Path()), "env:A")).startswith(said)


def test_a_reference_that_is_none_is_refused_unseen() -> None:
    assert refused(secrets(), KEY).code == "bad_reference"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
class TestFile:
    def test_it_is_read_beside_the_config_and_trimmed(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(KEY + "\n")
        (tmp_path / "key").chmod(0o600)
        assert secrets(tmp_path).resolve("file:key").reveal() == KEY
        assert secrets(Path("/elsewhere")).resolve(f"file:{tmp_path / 'key'}").reveal() == KEY

    @pytest.mark.parametrize(("mode", "is_fine"), [(0o400, True), (0o440, True), (0o644, False), (0o620, False)])
    def test_others_may_neither_read_nor_change_it(self, tmp_path: Path, mode: int, is_fine: bool) -> None:
        (tmp_path / "key").write_text(KEY)
        (tmp_path / "key").chmod(mode)
        if is_fine:
            assert secrets(tmp_path).resolve("file:key").reveal() == KEY
        else:
            error = refused(secrets(tmp_path), "file:key")
            assert error.code == "secret_exposed"
            assert error.fix == f"Run `chmod 600 {tmp_path / 'key'}`."

    def test_what_is_not_there_empty_or_too_large_is_named(self, tmp_path: Path) -> None:
        assert "cannot be read: No such file or directory." in str(refused(secrets(tmp_path), "file:none"))
        assert "cannot be read: Is a directory." in str(refused(secrets(tmp_path), "file:."))
        for content, said in (
            (b"\n", "is empty"),
            (b"\xff\xfe", "signs that no key has"),
            (b"x" * 70_000, "is larger"),
        ):
            (tmp_path / "key").write_bytes(content)
            (tmp_path / "key").chmod(0o600)
            assert said in str(refused(secrets(tmp_path), "file:key"))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.import_module

    def none_of_them(name: str, package: str | None = None) -> Any:
        if name in ("keyring", "boto3", "google.cloud.secretmanager", "hvac"):
            raise ImportError(name)
        return found(name, package)

    monkeypatch.setattr(importlib, "import_module", none_of_them)
    held = secrets(VAULT_ADDR="http://127.0.0.1:1", VAULT_TOKEN="t")
    for scheme, rest in (("keyring", "s/n"), ("aws", "s"), ("google", "projects/p/secrets/s"), ("vault", "m/p#f")):
        error = refused(held, f"{scheme}:{rest}")
        assert error.code == "extra_missing"
        assert error.fix == f"Run `pip install 'penstock[{scheme}]'`."


class TestKeyring:
    @pytest.fixture(autouse=True)
    def _ring(self) -> Iterator[None]:
        keyring = pytest.importorskip("keyring", reason="the extra `keyring` is not installed")
        backend = importlib.import_module("keyring.backend")

        class InMemory(backend.KeyringBackend):  # type: ignore[misc, name-defined]
            priority = -1  # never chosen by itself
            held: ClassVar = {("penstock", "prod/key"): KEY}

            def get_password(self, service: str, username: str) -> str | None:
                if service == "broken":
                    raise RuntimeError(f"locked, and here is what it holds: {KEY}")
                return self.held.get((service, username))

            def set_password(self, service: str, username: str, password: str) -> None:
                self.held[service, username] = password

        before = keyring.get_keyring()
        keyring.set_keyring(InMemory())
        yield
        keyring.set_keyring(before)

    def test_it_is_asked_by_service_and_name(self) -> None:
        assert secrets().resolve("keyring:penstock/prod/key").reveal() == KEY

    def test_what_it_does_not_hold_is_named_with_the_command(self) -> None:
        assert refused(secrets(), "keyring:penstock/dev").fix == "Run `keyring set penstock dev`."

    def test_its_own_errors_are_told_by_kind_alone(self) -> None:
        error = refused(secrets(), "keyring:broken/x")
        assert str(error).startswith("keyring:broken/x could not be read: RuntimeError.")
        assert error.__cause__ is None and error.__suppress_context__


class TestAws:
    @pytest.fixture(autouse=True)
    def _manager(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        pytest.importorskip("boto3", reason="the extra `aws` is not installed")
        moto = pytest.importorskip("moto", reason="moto, which plays AWS, is not installed")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        with moto.mock_aws():
            client = importlib.import_module("boto3").client("secretsmanager")
            client.create_secret(Name="plain", SecretString=KEY)
            client.create_secret(Name="app/keys", SecretString=json.dumps({"anthropic": KEY, "n": 5}))
            client.create_secret(Name="binary", SecretBinary=KEY.encode())
            yield

    @pytest.mark.parametrize("reference", ["aws:plain", "aws:app/keys#anthropic", "aws:binary"])
    def test_a_secret_or_its_field_is_read(self, reference: str) -> None:
        assert secrets().resolve(reference).reveal() == KEY

    def test_what_is_not_there_is_named(self) -> None:
        assert "could not be read: ResourceNotFoundException." in str(refused(secrets(), "aws:none"))
        for reference in ("aws:app/keys#other", "aws:app/keys#n", "aws:plain#field"):
            assert "has no text field of that name." in str(refused(secrets(), reference))


class TestVault:
    @pytest.fixture(autouse=True)
    def _extra(self) -> None:
        pytest.importorskip("hvac", reason="the extra `vault` is not installed")

    @pytest.fixture
    def url(self) -> Iterator[str]:
        """KV version 2 as Vault serves it, over HTTP."""

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.headers["X-Vault-Token"] != "token":
                    status, body = 403, {"errors": ["permission denied"]}
                elif self.path.partition("?")[0] == "/v1/secret/data/app/claude":
                    status, body = 200, {"data": {"data": {"key": KEY}, "metadata": {"version": 1}}}  # type: ignore[dict-item]
                else:
                    status, body = 404, {"errors": []}
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
        server.server_close()

    def test_a_field_is_read(self, url: str) -> None:
        held = secrets(VAULT_ADDR=url, VAULT_TOKEN="token")
        assert held.resolve("vault:secret/app/claude#key").reveal() == KEY

    def test_what_is_missing_is_named(self, url: str) -> None:
        held = secrets(VAULT_ADDR=url, VAULT_TOKEN="token")
        assert "has no text field of that name" in str(refused(held, "vault:secret/app/claude#other"))
        assert "could not be read: InvalidPath." in str(refused(held, "vault:secret/app/none#key"))
        wrong = secrets(VAULT_ADDR=url, VAULT_TOKEN="other")
        assert "could not be read: Forbidden." in str(refused(wrong, "vault:secret/app/claude#key"))
        assert "VAULT_TOKEN is not set" in str(refused(secrets(VAULT_ADDR=url), "vault:secret/app/claude#key"))
        assert "needs VAULT_ADDR" in str(refused(secrets(), "vault:secret/app/claude#key"))


class TestGoogle:
    @pytest.fixture(autouse=True)
    def _manager(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """The real client, over gRPC, to a server of our own."""
        manager = pytest.importorskip("google.cloud.secretmanager", reason="the extra `google` is not installed")
        grpc = importlib.import_module("grpc")
        transports = importlib.import_module("google.cloud.secretmanager_v1.services.secret_manager_service.transports")
        with _google_server(grpc, manager) as address, grpc.insecure_channel(address) as channel:
            client = manager.SecretManagerServiceClient(
                transport=transports.SecretManagerServiceGrpcTransport(channel=channel)
            )
            monkeypatch.setattr(manager, "SecretManagerServiceClient", lambda: client)
            yield

    @pytest.mark.parametrize("version", ["", "/versions/latest"])
    def test_a_version_is_read_the_latest_by_default(self, version: str) -> None:
        assert secrets().resolve(f"google:projects/p/secrets/claude{version}").reveal() == KEY

    def test_what_is_not_there_is_named(self) -> None:
        error = refused(secrets(), "google:projects/p/secrets/none")
        assert "projects/p/secrets/none could not be read: NotFound." in str(error)


@contextmanager
def _google_server(grpc: Any, manager: Any) -> Iterator[str]:
    def access(request: Any, context: Any) -> Any:
        if request.name != "projects/p/secrets/claude/versions/latest":
            context.abort(grpc.StatusCode.NOT_FOUND, "none of that name")
        return manager.AccessSecretVersionResponse(name=request.name, payload={"data": KEY.encode()})

    handler = grpc.unary_unary_rpc_method_handler(
        access,
        request_deserializer=manager.AccessSecretVersionRequest.deserialize,
        response_serializer=manager.AccessSecretVersionResponse.serialize,
    )
    service = "google.cloud.secretmanager.v1.SecretManagerService"
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"AccessSecretVersion": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


def test_resolving_writes_nothing_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        secrets(A=KEY).resolve("env:A")
    assert not caplog.records
