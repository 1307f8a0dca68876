"""Claude on Amazon Bedrock: InvokeModel, and the endpoint that speaks the Messages API itself, called Mantle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from ..messages import Malformed, endpoint
from . import names
from .body import Body
from .interface import (
    Dressed,
    Headers,
    Opener,
    Place,
    Unsupported,
    Unusable,
    bearer,
    cloud_model,
    kept,
    place,
    thing,
)
from .openers import StreamOpener, opener
from .sigv4 import AwsKeys, Scope, read_keys, signature

#: What Bedrock calls the API of version 2023-06-01.
_FIRST_VERSION = "bedrock-2023-05-31"
_MOVED = frozenset({b"anthropic-version", b"anthropic-beta"})
_PROFILE_ID = b"anthropic-user-profile-id"
_REGION_IN = re.compile(r"(?:^|\.)bedrock-(?:runtime|mantle)(?:-fips)?\.([a-z0-9-]+)\.")


class Account:
    """How requests to one AWS endpoint are paid for: a Bedrock API key as a bearer, or a signature."""

    __slots__ = ("_host", "_service", "region")

    def __init__(self, host: str, region: str | None, service: str) -> None:
        found = _REGION_IN.search(host)
        self.region = region or (found[1] if found is not None else None)
        self._host, self._service = host, service

    def check(self, secret: str) -> None:
        self._keys(secret)

    def fields(
        self, method: str, path: str, query: str, headers: Headers, body: bytes, *, secret: str, now_s: float
    ) -> Headers:
        """The fields that prove who pays. Raises Unusable."""
        keys = self._keys(secret)
        if keys is None:
            return (bearer(secret),)
        # Fields that a proxy on the way may change are left unsigned; AWS asks for these.
        chosen = tuple(field for field in headers if _is_signed(field[0]))
        scope = Scope(self._host, self.region or "", self._service)
        return signature(method, path, query, chosen, body, scope=scope, keys=keys, now_s=now_s)

    def _keys(self, secret: str) -> AwsKeys | None:
        keys = read_keys(secret)
        if keys is not None and self.region is None:
            raise Unusable("A request is signed for a region, and neither config nor URL names one.")
        return keys


def _is_signed(name: bytes) -> bool:
    return name == b"content-type" or (name.startswith(b"x-amz") and name != b"x-amzn-trace-id")


class Bedrock:
    """InvokeModel and InvokeModelWithResponseStream: the model in the path, versions and betas in the body."""

    __slots__ = ("_account", "_models", "_prefix")

    def __init__(self, url: str, region: str | None, models: Mapping[str, str]) -> None:
        there = place(url, "")
        self._prefix, self._models = there.prefix, models
        self._account = Account(there.host, region, "bedrock")

    def check(self, secret: str) -> None:
        self._account.check(secret)

    def dress(
        self, method: str, path: str, query: str, headers: Headers, body: bytes, *, secret: str | None, now_s: float
    ) -> Dressed:
        asked_for = endpoint(method, path).name
        if asked_for != "messages":
            raise Unsupported(f"Amazon Bedrock's InvokeModel has no {thing(asked_for)}.")
        given = Body(body)
        asked = given.text("model") or ""
        model = cloud_model(asked, self._models, names.undated(asked))
        model = model or names.bedrock_model(asked, self._account.region)
        if model.partition(";")[0] in ("", ".", ".."):
            raise Malformed("its `model` names none")
        action = "invoke-with-response-stream" if given.raw("stream") == b"true" else "invoke"
        where = f"{self._prefix}/model/{quote(model, safe=':;')}/{action}"
        put: dict[str, bytes] = {}
        if "anthropic_version" not in given:
            is_first = names.is_before_4_7(model) or names.is_before_4_7(asked)
            put["anthropic_version"] = msgspec.json.encode(_version(headers, is_first=is_first))
        betas = _betas(headers)
        if betas and "anthropic_beta" not in given:
            put["anthropic_beta"] = msgspec.json.encode(betas)
        body = given.edited(dropped=("model", "stream"), put=put)
        fields = tuple(kept(headers, has_secret=secret is not None, dropped=_MOVED))
        if secret is not None:
            fields += self._account.fields(method, where, "", fields, body, secret=secret, now_s=now_s)
        return Dressed(where, "", fields, body)

    def undress(self, status: int, headers: Headers) -> Opener | None:
        kind = dict(headers).get(b"content-type", b"").lower()
        if status < 300 and kind.startswith(b"application/vnd.amazon.eventstream"):
            return StreamOpener(headers)
        return opener(status, headers)


def _version(headers: Headers, *, is_first: bool) -> str:
    """The caller's version as Bedrock has it.

    Models before 4.7 know the first one alone. It takes all that later ones do, which only forbid.
    """
    asked = dict(headers).get(b"anthropic-version", b"2023-06-01").decode("latin-1")
    return _FIRST_VERSION if is_first or asked == "2023-06-01" else asked


def _betas(headers: Headers) -> list[str]:
    values = [value.decode("latin-1") for name, value in headers if name == b"anthropic-beta"]
    return [beta for value in values for beta in map(str.strip, value.split(",")) if beta]


class Mantle:
    """Claude in Amazon Bedrock: the Messages API itself below `/anthropic`, at bedrock-mantle or bedrock-runtime."""

    __slots__ = ("_account", "_models", "_place")

    def __init__(self, url: str, region: str | None, models: Mapping[str, str]) -> None:
        self._place: Place = place(url, "/anthropic")
        self._models = models
        is_runtime = "bedrock-runtime" in self._place.host
        self._account = Account(self._place.host, region, "bedrock" if is_runtime else "bedrock-mantle")

    def check(self, secret: str) -> None:
        self._account.check(secret)

    def dress(
        self, method: str, path: str, query: str, headers: Headers, body: bytes, *, secret: str | None, now_s: float
    ) -> Dressed:
        asked_for = endpoint(method, path).name
        if asked_for not in ("messages", "count_tokens"):
            raise Unsupported(f"Claude in Amazon Bedrock has no {thing(asked_for)}.")
        given = Body(body)
        asked = given.text("model")
        put: dict[str, bytes] = {}
        if asked is not None:
            model = cloud_model(asked, self._models, names.undated(asked)) or names.mantle_model(asked)
            put = {"model": msgspec.json.encode(model)} if model != asked else {}
        profile = dict(headers).get(_PROFILE_ID)
        if profile is not None and "user_profile_id" not in given:
            put["user_profile_id"] = msgspec.json.encode(profile.decode("latin-1"))
        if put:
            body = given.edited(put=put)
        where = self._place.prefix + path
        fields = tuple(kept(headers, has_secret=secret is not None, dropped=frozenset({_PROFILE_ID})))
        if secret is not None:
            fields += self._account.fields(method, where, query, fields, body, secret=secret, now_s=now_s)
        return Dressed(where, query, fields, body)

    def undress(self, status: int, headers: Headers) -> Opener | None:
        return opener(status, headers)
