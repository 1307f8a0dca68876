"""Identity: who is asking, and may they ask for this.

Through the gateway a caller holds a virtual key; in process the caller is the program itself. Either way the tags say
what the call is for: headers first, then what the body or the client tells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from ...call import FEATURE, Call, Caller, Fact, Tags
from ...config.schema import IdentityConfig
from ...errors import Refused, StoreFailed, Unavailable
from ...layer import Next
from ...ports import Key, Ports
from ...record import Record
from ...reply import Reply

TAG_CHARACTERS_MAX = 256
_TAG_HEADERS = {
    b"x-penstock-feature": "feature",
    b"x-penstock-user": "user",
    b"x-penstock-session": "session",
    b"x-penstock-segment": "segment",
    b"x-penstock-prompt": "prompt",
}
_QUERY_KEYS = ("api_key=", "api-key=", "x-api-key=", "key=", "token=", "access_token=")


class Identified(Fact, frozen=True):
    """Who asked, and what for."""

    environment: str
    key_id: str | None = None
    tier: str | None = None
    feature: str | None = None
    user: str | None = None
    session: str | None = None
    segment: str | None = None
    prompt: str | None = None

    def mark(self, record: Record) -> None:
        record.environment, record.key_id, record.tier = self.environment, self.key_id, self.tier
        record.feature, record.user = self.feature, self.user
        record.session, record.segment, record.prompt = self.session, self.segment, self.prompt

    def told(self) -> str:
        who = f"key {self.key_id}" if self.key_id else "the program itself"
        tags = [f"{name} {value!r}" for name in Tags.__struct_fields__ if (value := getattr(self, name))]
        said = f"Asked by {who} in {self.environment}"
        return f"{said}, for {', '.join(tags)}." if tags else f"{said}, without tags."


class Identity:
    """Establishes the caller and the tags; refuses what the key may not do."""

    def __init__(self, config: IdentityConfig, environment: str, ports: Ports) -> None:
        self._config, self._environment, self._ports = config, environment, ports

    async def __call__(self, call: Call, onward: Next) -> Reply:
        if call.caller is not None:  # a copy that a layer above has made: nobody asked, and its tags are complete
            return await onward(call)
        _check_path(call)
        tags = self._tags(call)
        caller = Caller(self._environment)
        key = None
        if call.face == "gateway":
            key = await self._key(call)
            if key is not None:
                caller = Caller(
                    self._environment, key.id, key.tier, key.limit_nano, key.period, key.lineage, key.models
                )
        call.trail.append(
            Identified(
                *(caller.environment, caller.key_id, caller.tier),
                *(tags.feature, tags.user, tags.session, tags.segment, tags.prompt),
            )
        )
        if key is not None:
            self._check_key(key, call, tags)
        return await onward(msgspec.structs.replace(call, caller=caller, tags=tags))

    async def _key(self, call: Call) -> Key | None:
        credentials = presented(call.fields)
        if not self._config.keys_required:
            if credentials and credentials[0].startswith(b"pk_"):
                raise _refusal(
                    401,
                    "keys_not_taken",
                    "This gateway sends callers' own keys on, and no upstream knows a Penstock key.",
                    "Send the upstream's key, or set `keys_required` under [identity].",
                )
            return None
        if not credentials:
            raise _refusal(
                401,
                "no_key",
                "x-api-key header is required.",
                "Send a Penstock key as `x-api-key: pk_…` or `Authorization: Bearer pk_…`; "
                "`penstock keys create NAME` makes one.",
            )
        digests = [hashlib.sha256(value).digest() for value in credentials]
        credentials.clear()  # crash reporters write down the variables of the frames an error passed
        try:
            for digest in digests:
                key = await self._ports.keys.find(digest)
                if key is not None:
                    return key
        except StoreFailed as error:
            raise Unavailable(
                "Keys cannot be checked now: the store does not answer.",
                layer="identity",
                code="keys_unavailable",
                fix="Retry shortly; the operator should look at the data folder.",
                retry_after_s=1,
            ) from error
        raise _refusal(
            401,
            "unknown_key",
            "invalid x-api-key.",
            "Use a key made by `penstock keys create`; the gateway holds the upstream's own key itself.",
        )

    def _check_key(self, key: Key, call: Call, tags: Tags) -> None:
        now_us = self._ports.clock.wall_us()
        model = call.request.model if call.request is not None else None
        if key.revoked_at_us is not None:
            raise _refusal(401, "key_revoked", f"Key {key.id} is revoked.", "Ask for a new key.")
        if key.expires_at_us is not None and key.expires_at_us <= now_us:
            raise _refusal(401, "key_expired", f"Key {key.id} has expired.", "Ask for a new key.")
        if key.environment != self._environment:
            raise _refusal(
                403,
                "wrong_environment",
                f"Key {key.id} is for {key.environment}; this gateway serves {self._environment}.",
                f"Use a key of {self._environment}.",
            )
        if call.endpoint.scope not in key.scopes:
            raise _refusal(
                403,
                "missing_scope",
                f"Key {key.id} lacks the scope {call.endpoint.scope!r} that {call.method} {call.path} needs.",
                f"Create a key with `--scopes {','.join(sorted({*key.scopes, call.endpoint.scope}))}`.",
            )
        is_named = model is not None and model.startswith(FEATURE)  # routing knows which model that is, and asks again
        if key.models is not None and model is not None and not is_named and model not in key.models:
            raise _refusal(
                403,
                "model_not_allowed",
                f"Key {key.id} may not use model {model!r}.",
                f"Use one of: {', '.join(sorted(key.models))}.",
            )
        if key.features is not None and tags.feature not in key.features:
            raise _refusal(
                403,
                "feature_not_allowed",
                f"Key {key.id} may not be used for feature {tags.feature!r}.",
                f"Send `x-penstock-feature` with one of: {', '.join(sorted(key.features))}.",
            )

    def _tags(self, call: Call) -> Tags:
        tags = call.tags
        names = _TAG_HEADERS.keys() & call.fields.keys()
        said = {_TAG_HEADERS[name]: _tag(name.decode(), call.fields[name]) for name in names}
        session = tags.session
        if session is None and b"x-claude-code-session-id" in call.fields:
            session = call.fields[b"x-claude-code-session-id"].decode("utf-8", "replace")[:TAG_CHARACTERS_MAX]
        user = tags.user
        if user is None and self._config.user_from_metadata and call.request is not None:
            user = _short(call.request.user_id)
        feature = tags.feature
        if call.request is not None and call.request.model is not None and call.request.model.startswith(FEATURE):
            feature = _tag("model", call.request.model.removeprefix(FEATURE).encode())
        if not said and user is tags.user and session is tags.session and feature is tags.feature:
            return tags
        return Tags(
            feature=said.get("feature", feature),
            user=said.get("user", user),
            session=said.get("session", session),
            segment=said.get("segment", tags.segment),
            prompt=said.get("prompt", tags.prompt),
        )


def presented(fields: Mapping[bytes, bytes]) -> list[bytes]:
    """The credentials among header fields, Penstock's own first: some clients send two, or another key besides."""
    direct, bearer = fields.get(b"x-api-key", b"").strip(), fields.get(b"authorization", b"")
    found = [direct] if direct else []
    if bearer[:7].lower() == b"bearer " and (token := bearer[7:].strip()) and token != direct:
        found.insert(0 if token.startswith(b"pk_") else len(found), token)
    return found


def _tag(name: str, value: bytes) -> str:
    text = value.decode("utf-8", "replace").strip()
    if not text or len(text) > TAG_CHARACTERS_MAX or not text.isprintable():
        raise _refusal(
            400,
            "bad_tag",
            f"Header {name} has {len(text)} characters or unprintable ones.",
            f"Send 1 to {TAG_CHARACTERS_MAX} printable characters.",
        )
    return text


def _short(user_id: str | None) -> str | None:
    """`metadata.user_id` as a tag; the API sets no limit we know, so a longer one is kept as its hash."""
    if user_id is None or len(user_id) <= TAG_CHARACTERS_MAX:
        return user_id or None
    return "sha256:" + hashlib.sha256(user_id.encode()).hexdigest()


def _check_path(call: Call) -> None:
    """A scope is decided by the path, so the path must be what it seems to every server behind us."""
    path = call.path.lower()
    if ".." in path or "//" in path or "\\" in path or "%2e" in path or "%2f" in path or "%5c" in path:
        raise _refusal(400, "bad_path", "The path holds `..`, `//` or an encoded slash.", "Send the plain path.")
    if call.query and call.face == "gateway":
        query = call.query.lower()
        if any(part.startswith(_QUERY_KEYS) for part in query.split("&")):
            raise _refusal(
                400,
                "key_in_query",
                "A credential stands in the query string, where logs and proxies keep it.",
                "Send it as `x-api-key` or `Authorization: Bearer`, and replace the key that was sent.",
            )


_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}


def _refusal(status: int, code: str, message: str, fix: str) -> Refused:
    return Refused(message, layer="identity", code=code, fix=fix, status=status, type=_TYPES[status])
