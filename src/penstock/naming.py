"""What kept answers are called: by who asked, and what."""

from __future__ import annotations

import hashlib

from .call import Call

#: Header fields that change what a request means.
_MEANING = (b"anthropic-version", b"anthropic-beta")
_CREDENTIALS = (b"authorization", b"x-api-key")


def digest(call: Call) -> bytes:
    """32 bytes that are equal for requests that ask the same: method, path, query, meaning fields and body."""
    said = hashlib.sha256()
    fields = [call.fields.get(name, b"") for name in _MEANING]
    for part in (call.method.encode(), call.path.encode(), call.query.encode(), *fields, call.body):
        said.update(b"%d:" % len(part) + part)
    return said.digest()


def scope(call: Call) -> str:
    """Who asked, as far as answers may be shared: environment, segment, feature, and key or credential.

    The feature, because what one may have the guards of another withhold.
    """
    caller, segment = call.caller, f"{call.tags.segment or ''}/{call.tags.feature or ''}"
    environment = caller.environment if caller is not None else ""
    if caller is not None and caller.key_id is not None:
        return f"{environment}/{segment}/{caller.key_id}"
    held = hashlib.sha256()
    for name in _CREDENTIALS:
        value = call.fields.get(name, b"")
        held.update(b"%d:" % len(value) + value)
    return f"{environment}/{segment}/{held.hexdigest()[:32]}"


def answer_name(call: Call) -> str:
    """The name under which the answer to a request is kept for the same request by the same caller."""
    return f"same:{scope(call)}:{digest(call).hex()}"


def idempotency_name(call: Call, key: str) -> str:
    """The name under which the answer to an idempotency key is kept."""
    return f"key:{scope(call)}:{hashlib.sha256(key.encode()).hexdigest()}"


def flight_name(call: Call) -> str:
    """The name of a request under way, for the same request by the same caller."""
    return f"flight:{scope(call)}:{digest(call).hex()}"
