"""Requests and answers as they may be kept: without personal data, credentials, and what only machines read."""

from __future__ import annotations

from typing import Any

import msgspec

from ..config.guards import PII_KINDS
from ..guards.parts import replaced
from ..guards.screen import personal
from ..wire.assembling import assembled

#: More of one body is not kept.
CHARACTERS_MAX = 200_000

_FINDER = personal(PII_KINDS)
#: Long values of these names are no words: images and files, signatures, what the API has encrypted.
_SEALED = frozenset({"data", "signature", "encrypted_content", "encrypted_index", "encrypted_stdout"})
_SEALED_CHARACTERS = 64


def scrubbed(body: bytes, *, is_stream: bool = False) -> str:
    """A body as JSON text; a stream as the message it told. What is no JSON is kept as text."""
    try:
        value = assembled(body) if is_stream else msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _words(body.decode("utf-8", "replace")[:CHARACTERS_MAX])
    text = msgspec.json.encode(_clean(value)).decode()
    return text if len(text) <= CHARACTERS_MAX else f"{text[:CHARACTERS_MAX]}…"


def _clean(value: Any, name: str = "") -> Any:
    if isinstance(value, str):
        is_sealed = name in _SEALED and len(value) > _SEALED_CHARACTERS
        return f"[{len(value):,} characters]" if is_sealed else _words(value)
    if isinstance(value, list):
        return [_clean(one, name) for one in value]
    if isinstance(value, dict):
        return {_words(key): _clean(one, key) for key, one in value.items()}
    return value


def _words(text: str) -> str:
    out, at = [], 0
    for span in _FINDER.spans(text):
        out += [text[at : span.start], replaced(span)]
        at = span.end
    return "".join([*out, text[at:]]) if out else text
