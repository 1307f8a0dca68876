"""Claude in Microsoft Foundry: the Messages API itself, below `/anthropic` of a resource."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..messages import endpoint
from . import names
from .body import Body
from .interface import Dressed, Headers, Opener, Unsupported, bearer, cloud_model, kept, place, thing
from .openers import opener

_EDITED = ("messages", "count_tokens")
_ABSENT = ("batches", "batch_results", "models")


class Foundry:
    """Models go by the names of their deployments, which are the API's unless someone chose others."""

    __slots__ = ("_models", "_prefix")

    def __init__(self, url: str, models: Mapping[str, str]) -> None:
        self._prefix = place(url, "/anthropic").prefix
        self._models = models

    def check(self, secret: str) -> None:
        """Keys and tokens of every form may be good."""

    def dress(
        self, method: str, path: str, query: str, headers: Headers, body: bytes, *, secret: str | None, now_s: float
    ) -> Dressed:
        asked_for = endpoint(method, path)
        if asked_for.name in _ABSENT or asked_for.scope == "admin":
            raise Unsupported(f"Microsoft Foundry has no {thing(asked_for.name)} for Claude.")
        if asked_for.name in _EDITED:
            given = Body(body)
            asked = given.text("model") or ""
            model = cloud_model(asked, self._models, names.undated(asked))
            if model is not None and model != asked:
                body = given.edited(put={"model": msgspec.json.encode(model)})
        fields = kept(headers, has_secret=secret is not None)
        if secret is not None:
            fields += _credential(secret)
        return Dressed(self._prefix + path, query, tuple(fields), body)

    def undress(self, status: int, headers: Headers) -> Opener | None:
        return opener(status, headers)


def _credential(secret: str) -> list[tuple[bytes, bytes]]:
    """An Entra token, which is a JWT, is a bearer; a key goes into both fields that keys have gone into."""
    if secret.startswith("eyJ") and secret.count(".") == 2:
        return [bearer(secret)]
    return [(b"x-api-key", secret.encode()), (b"api-key", secret.encode())]
