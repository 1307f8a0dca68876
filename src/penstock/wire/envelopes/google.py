"""Claude on Google Cloud: rawPredict, streamRawPredict and count-tokens of a publisher's models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from ..messages import Malformed, endpoint
from . import names
from .body import Body
from .interface import Dressed, Headers, Opener, Unsupported, Unusable, bearer, cloud_model, kept, place, thing
from .openers import opener

#: What Google calls the API of version 2023-06-01.
_FIRST_VERSION = "vertex-2023-10-16"
_MOVED = frozenset({b"anthropic-version"})
#: Ids of projects, the old ones with a domain and a colon before, and locations.
_NAME = re.compile(r"[a-z0-9][a-z0-9.:-]*")
#: What may stand in a segment of a path (RFC 3986), without the `;` at which some servers cut it off.
_IN_SEGMENT = "!$&'()*+,=:@"


class Google:
    """The model in the path, the version in the body; betas stay in their field."""

    __slots__ = ("_models", "_parent")

    def __init__(self, url: str, region: str | None, project: str | None, models: Mapping[str, str]) -> None:
        for word, name in (("project", project), ("region", region)):
            if name is None or not _NAME.fullmatch(name):
                raise Unusable(f"Google Cloud needs a {word}, in lower-case letters, digits and dashes.")
        there = place(url, "/v1")
        self._parent = f"{there.prefix}/projects/{project}/locations/{region}/publishers/anthropic/models"
        self._models = models

    def check(self, secret: str) -> None:
        if secret.startswith(("{", "AIza", "sk-ant-")):
            raise Unusable("Google Cloud needs an OAuth access token, and this is a key.")

    def dress(
        self, method: str, path: str, query: str, headers: Headers, body: bytes, *, secret: str | None, now_s: float
    ) -> Dressed:
        asked_for = endpoint(method, path).name
        if asked_for not in ("messages", "count_tokens"):
            raise Unsupported(f"Google Cloud has no {thing(asked_for)} for Claude.")
        given = Body(body)
        asked = given.text("model") or ""
        model = cloud_model(asked, self._models, names.undated(asked)) or names.google_model(asked)
        put: dict[str, bytes] = {}
        if "anthropic_version" not in given:
            version = dict(headers).get(b"anthropic-version", b"2023-06-01").decode("latin-1")
            put["anthropic_version"] = msgspec.json.encode(_FIRST_VERSION if version == "2023-06-01" else version)
        if asked_for == "count_tokens":
            if model != asked:
                put["model"] = msgspec.json.encode(model)
            where, body = f"{self._parent}/count-tokens:rawPredict", given.edited(put=put)
        else:
            if not model:
                raise Malformed("its `model` names none")
            action = "streamRawPredict" if given.raw("stream") == b"true" else "rawPredict"
            where = f"{self._parent}/{quote(model, safe=_IN_SEGMENT)}:{action}"
            body = given.edited(dropped=("model",), put=put)
        fields = kept(headers, has_secret=secret is not None, dropped=_MOVED)
        if secret is not None:
            fields.append(bearer(secret))
        return Dressed(where, "", tuple(fields), body)

    def undress(self, status: int, headers: Headers) -> Opener | None:
        return opener(status, headers)
