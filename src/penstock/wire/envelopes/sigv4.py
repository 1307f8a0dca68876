"""AWS Signature Version 4, for requests whose whole body is at hand. docs.aws.amazon.com, IAM, create a signature."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, unquote

import msgspec

from .interface import Headers, Unusable

_ALGORITHM = "AWS4-HMAC-SHA256"


class AwsKeys(msgspec.Struct, frozen=True):
    """An access key: its id, the secret, and the session's token where it is a temporary one."""

    id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        """Without the secret and the token."""
        return f"AwsKeys({self.id})"


class Scope(msgspec.Struct, frozen=True):
    """What a signature is good for: a host, a region and a service."""

    host: str
    region: str
    service: str


def read_keys(secret: str) -> AwsKeys | None:
    """ACCESS_KEY_ID:SECRET or ACCESS_KEY_ID:SECRET:SESSION_TOKEN; None for a Bedrock API key, which has no colon.

    Raises Unusable where one of them is empty.
    """
    parts = secret.split(":")
    if len(parts) == 1:
        return None
    if len(parts) > 3 or not all(parts):
        raise Unusable("AWS credentials are written ACCESS_KEY_ID:SECRET or ACCESS_KEY_ID:SECRET:SESSION_TOKEN.")
    return AwsKeys(*parts)


def signature(
    method: str, path: str, query: str, headers: Headers, body: bytes, *, scope: Scope, keys: AwsKeys, now_s: float
) -> Headers:
    """The fields to add to a request: its time, the session's token, and the authorization.

    `headers` are those to be signed, host and the new ones aside; `path` and `query` are as they go on the wire.
    `now_s` is Unix time.
    """
    moment = datetime.fromtimestamp(int(now_s), UTC).strftime("%Y%m%dT%H%M%SZ")
    added = [(b"x-amz-date", moment.encode())]
    if keys.token is not None:
        added.append((b"x-amz-security-token", keys.token.encode()))
    fields = _canonical_fields((*headers, *added, (b"host", scope.host.encode())))
    names = ";".join(fields)
    lines = "".join(f"{name}:{value}\n" for name, value in fields.items())
    # Every service but S3 encodes the path once more than it is sent.
    request = "\n".join(
        (method, quote(path, safe="/~"), _canonical_query(query), lines, names, sha256(body).hexdigest())
    )
    day = moment[:8]
    place = f"{day}/{scope.region}/{scope.service}/aws4_request"
    signed = "\n".join((_ALGORITHM, moment, place, sha256(request.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for part in (day, scope.region, scope.service, "aws4_request", signed):
        key = hmac.digest(key, part.encode(), sha256)
    stamp = f"{_ALGORITHM} Credential={keys.id}/{place}, SignedHeaders={names}, Signature={key.hex()}"
    return (*added, (b"authorization", stamp.encode()))


def _canonical_fields(headers: Headers) -> dict[str, str]:
    """Fields by name, sorted; those of one name joined, runs of space as one."""
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        fields.setdefault(name.decode("latin-1"), []).append(" ".join(value.decode("latin-1").split()))
    return {name: ",".join(fields[name]) for name in sorted(fields)}


def _canonical_query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return "&".join(
        f"{name}={value}"
        for name, value in sorted((_encoded(unquote(name)), _encoded(unquote(value))) for name, _, value in pairs)
    )


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
