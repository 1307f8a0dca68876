"""The calls that the doctor looks at, as the ledger has them: oldest first, a few at a time."""

from __future__ import annotations

import sqlite3
from binascii import Error as NoBase64
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from ...caching.fingerprint import Fingerprinted
from ...layers.per_call.ledger import Diagnosed
from ...wire.messages import Usage
from ...wire.models import shipped
from ..advise.rows import MODEL_SQL, Span
from ..ledger import chunks
from .prompts import Prompt, prompt_of

#: What a prefix must have to be cached by a model that is not known.
CACHEABLE_USUALLY = 1024

_COLUMNS = f"""call_id, began_at_us, feature, prompt, session, upstream, {MODEL_SQL},
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens,
    service_tier, inference_geo, speed, first_token_us, upstream_us, total_us,
    CASE WHEN instr(trail, '"Fingerprinted"') OR instr(trail, '"TooShort"') THEN trail END"""
_TRAIL = msgspec.json.Decoder(list[msgspec.Raw])
_FINGERPRINT = msgspec.json.Decoder(Fingerprinted)
_IS_MARKED = b'{"type":"TooShort"'
_SAID = msgspec.json.Decoder(Diagnosed)


class Group(msgspec.Struct, frozen=True, order=True):
    """Calls that are counted together; empty where a call did not say."""

    feature: str
    prompt: str
    model: str


class Scope(msgspec.Struct, frozen=True):
    """Within what a prefix is found again: the upstream, the credential it was asked with, the model."""

    upstream: str
    credential: str
    model: str


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One call that was answered. It left at `at_us` and its answer had begun by `begun_us`, Unix microseconds.

    `prompt` is None where there is no fingerprint: it was too short to be cached, and then perhaps `is_marked`, or an
    older Penstock made the call. `said` is the API's own word on what was missed.
    """

    call_id: str
    group: Group
    session: str | None
    scope: Scope
    at_us: int
    begun_us: int
    usage: Usage
    least_tokens: int
    prompt: Prompt | None
    said: Diagnosed | None
    is_marked: bool = False

    @property
    def read_tokens(self) -> int:
        return self.usage.cache_read_tokens

    @property
    def written_tokens(self) -> int:
        return self.usage.cache_write_5m_tokens + self.usage.cache_write_1h_tokens

    @property
    def prompt_tokens(self) -> int:
        return self.usage.input_tokens + self.read_tokens + self.written_tokens

    def tokens_to(self, place: int) -> int:
        """The tokens up to and with a block: the estimate, in proportion to what the API has counted, of all and up to
        the last mark."""
        prompt = self.prompt
        assert prompt is not None
        at = prompt.index(place)
        if at < 0:
            return 0
        here, whole, cached = prompt.tokens[at], self.prompt_tokens, self.read_tokens + self.written_tokens
        marked = prompt.tokens[prompt.index(prompt.last_mark)] if cached and prompt.marks else 0
        if here <= marked:
            return round(here * cached / max(1, marked))
        left = cached if marked else 0
        return left + round((here - marked) * (whole - left) / max(1, prompt.tokens[-1] - marked))


def calls(connection: sqlite3.Connection, span: Span) -> Iterator[Seen]:
    """The messages of a span that were answered, oldest first."""
    terms = "endpoint = 'messages' AND status = 200 AND began_at_us >= ? AND began_at_us < ?"
    values: list[Any] = [span.since_us, span.until_us]
    if span.feature is not None:
        terms += " AND feature = ?"
        values.append(span.feature)
    query = f"SELECT {_COLUMNS} FROM calls WHERE {terms} ORDER BY began_at_us"
    for rows in chunks(connection, query, values):
        for row in rows:
            made = _seen(row)
            if made is not None:
                yield made


def _seen(row: tuple[Any, ...]) -> Seen | None:
    call_id, began_us, feature, name, session, upstream, model = row[:7]
    new, read, short, long, out, tier, geo, speed, first_us, upstream_us, total_us, trail = row[7:]
    if not new + read + short + long:
        return None
    model, least = _model(model)
    fact, said = (None, None) if trail is None else _facts(trail, upstream)
    at_us = began_us + (total_us - upstream_us if upstream_us is not None else 0)
    return Seen(
        call_id=call_id,
        group=Group(feature or "", name or "", model),
        session=session,
        scope=Scope(upstream or "", fact.credential if fact is not None else "", model),
        at_us=at_us,
        begun_us=began_us + (total_us if first_us is None else first_us),
        usage=Usage(new, read, short, long, out, service_tier=tier, inference_geo=geo, speed=speed),
        least_tokens=least,
        prompt=fact,
        said=said,
        is_marked=trail is not None and _IS_MARKED in trail,
    )


@lru_cache(256)
def _model(name: str) -> tuple[str, int]:
    """A model's id, and the tokens from which on it caches."""
    known = shipped().find(name)
    if known is None:
        return name, CACHEABLE_USUALLY
    return known.id, known.cacheable_tokens_min or CACHEABLE_USUALLY


def _facts(trail: bytes, upstream: str | None) -> tuple[Prompt | None, Diagnosed | None]:
    """The fingerprint of the attempt that was answered, and what the API said."""
    made: Fingerprinted | None = None
    said: Diagnosed | None = None
    try:
        for fact in _TRAIL.decode(trail):
            raw = bytes(fact)
            if raw.startswith(b'{"type":"Fingerprinted"'):
                one = _FINGERPRINT.decode(raw)
                made = one if made is None or one.upstream == upstream else made
            elif raw.startswith(b'{"type":"Diagnosed"'):
                said = _SAID.decode(raw)
        return (None if made is None else prompt_of(made)), said
    except (msgspec.DecodeError, NoBase64):  # written by a newer Penstock: the call is counted and not judged
        return None, said
