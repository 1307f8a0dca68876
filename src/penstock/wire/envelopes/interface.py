"""What an envelope is: it dresses one request for a cloud, and undresses what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

#: Header fields in the order they came, names in lower case.
Headers = tuple[tuple[bytes, bytes], ...]

#: What proves who is asking, by any of the clouds; replaced where the upstream has a secret of its own.
CREDENTIALS = frozenset(
    {
        b"authorization",
        b"x-api-key",
        b"api-key",
        b"x-amz-date",
        b"x-amz-security-token",
        b"x-amz-content-sha256",
    }
)
#: What belongs to the first-party host and the body as it was.
_NOT_SENT = frozenset({b"host", b"content-length"})

_THINGS = {
    "count_tokens": "token counting",
    "batches": "message batches",
    "batch_results": "message batches",
    "models": "list of models",
    "files": "files",
}


class Unsupported(ValueError):
    """The cloud does not have what the request is for. The message is a sentence that names both."""


class Unusable(ValueError):
    """An upstream's config or secret makes no envelope. The message is a sentence, and never quotes the secret."""


class Corrupt(ValueError):
    """An answer's bytes are not what its cloud sends: a checksum that is wrong, a frame that cannot be read."""


class Dressed(msgspec.Struct, frozen=True):
    """What goes on the wire. `path` is the whole one, the upstream URL's own included; `query` has no `?`."""

    path: str
    query: str
    headers: Headers
    body: bytes

    def __repr__(self) -> str:
        """Without header fields and body, which hold credentials and prompts."""
        return f"Dressed({self.path}, {len(self.body)} bytes)"


class Opener(Protocol):
    """Decodes the body of one answer as it comes. `headers` are its fields as the API itself would have sent them."""

    @property
    def headers(self) -> Headers: ...

    def feed(self, chunk: bytes) -> bytes:
        """What the chunk completes; may be empty. Raises Corrupt, once all that came before the fault is given."""
        ...

    def end(self) -> bytes:
        """What is left at the end of the body. Raises Corrupt."""
        ...


class Envelope(Protocol):
    """One way to reach Claude. Holds no secret and no state, and may be shared."""

    def check(self, secret: str) -> None:
        """Whether `dress` can do with a secret, for asking at the start. Raises Unusable."""
        ...

    def dress(
        self, method: str, path: str, query: str, headers: Headers, body: bytes, *, secret: str | None, now_s: float
    ) -> Dressed:
        """A first-party request as the cloud takes it.

        `headers` are those to be sent on, without the fields of one hop. Without a secret the caller's own credential
        goes on as it came. `now_s` is Unix time, for signatures. Raises Unsupported, Unusable, and messages.Malformed
        where the body is no JSON object or its `model` cannot be one.
        """
        ...

    def undress(self, status: int, headers: Headers) -> Opener | None:
        """What decodes the answer that begins so; None where fields and body pass as they are."""
        ...


class Place(msgspec.Struct, frozen=True):
    """Where an upstream is. `host` is the value of the Host field, as the upstream ports write it."""

    host: str
    prefix: str


def place(url: str, prefix: str) -> Place:
    """The place an upstream's URL names; `prefix` begins its paths where the URL has none. Raises Unusable."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname or "", parts.port
    except ValueError:
        name, port, parts = "", None, urlsplit("")
    if not name or parts.scheme not in ("http", "https"):
        raise Unusable("The upstream's URL is not of the form https://host.")
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    if ":" in name:
        name = f"[{name}]"
    usual = 443 if parts.scheme == "https" else 80
    host = name if port in (None, usual) else f"{name}:{port}"
    return Place(host, parts.path.rstrip("/") or prefix)


def kept(headers: Headers, *, has_secret: bool, dropped: frozenset[bytes] = frozenset()) -> list[tuple[bytes, bytes]]:
    """The fields that go on, without `dropped`; the caller's credential among them where there is no other."""
    dropped = dropped | _NOT_SENT | CREDENTIALS if has_secret else dropped | _NOT_SENT
    return [field for field in headers if field[0] not in dropped]


def bearer(secret: str) -> tuple[bytes, bytes]:
    return (b"authorization", b"Bearer " + secret.encode())


def thing(endpoint: str) -> str:
    """What the API offers at an endpoint, for saying that a cloud has none."""
    return _THINGS.get(endpoint, "such endpoint")


def cloud_model(model: str, models: Mapping[str, str], undated: str) -> str | None:
    """What the config calls a model, by the name asked for or by that without its date; None where it says nothing."""
    return models.get(model) or models.get(undated)
