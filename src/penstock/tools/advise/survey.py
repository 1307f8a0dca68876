"""What has to be known of all calls before the first is looked at: sums and counts, made by SQLite."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import msgspec

from ...wire.models import shipped
from .rows import MODEL_SQL, Span

#: Calls of one session, and tokens of one prompt, that a history is cut to: the guides' rule of thumb.
TURNS_MAX = 10
TOKENS_MAX = 100_000

_PROMPT_SQL = "input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens"
_UNCACHED_SQL = "prompt_hash IS NOT NULL AND web_searches = 0 AND input_tokens > 0 AND input_tokens = " + _PROMPT_SQL


class Prompt(NamedTuple):
    """What a cache tells prompts apart by; the hash is of system and tools."""

    hash: str | None
    model: str
    upstream: str | None
    speed: str | None


class Answers(msgspec.Struct, frozen=True):
    """The lengths of a feature's answers in tokens, each percentile one that occurred; `capped` were cut off."""

    calls: int
    p50: int
    p95: int
    p99: int
    most: int
    capped: int


class Mixed(msgspec.Struct, frozen=True):
    """The calls of one model, and their cost in nano-dollars."""

    model: str
    calls: int
    cost_nano: int


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """`prefixes` has the most that can be static of prompts sent more than once without caching, in tokens, where the
    model would cache that much. `sessions` are those that are long in turns or tokens."""

    first_us: int | None
    calls: int
    cost_nano: int
    prefixes: Mapping[Prompt, int]
    sessions: frozenset[str]
    answers: Mapping[str | None, Answers]
    mix: tuple[Mixed, ...]


def survey(connection: sqlite3.Connection, span: Span) -> Survey:
    """Survey the calls of a span."""
    condition, values = span.condition()
    totals = f"SELECT min(began_at_us), count(*), coalesce(sum(cost_nano), 0) FROM calls WHERE {condition}"
    first_us, calls, cost_nano = connection.execute(totals, values).fetchone()
    mix = f"SELECT {MODEL_SQL}, count(*), sum(cost_nano) FROM calls WHERE {condition} GROUP BY 1 ORDER BY 3 DESC"
    long = f"""SELECT session FROM calls WHERE {condition} AND session IS NOT NULL
        GROUP BY session HAVING count(*) > {TURNS_MAX} OR max({_PROMPT_SQL}) > {TOKENS_MAX}"""
    return Survey(
        first_us=first_us,
        calls=calls,
        cost_nano=cost_nano,
        prefixes=_prefixes(connection, span),
        sessions=frozenset(row[0] for row in connection.execute(long, values)),
        answers=_answers(connection, span),
        mix=tuple(Mixed(*row) for row in connection.execute(mix, values)),
    )


@cache
def least_cacheable(model: str) -> int | None:
    """The shortest prefix that a model caches, in tokens; None where it caches none, or is unknown."""
    found = shipped().find(model)
    return None if found is None else found.cacheable_tokens_min


def _prefixes(connection: sqlite3.Connection, span: Span) -> dict[Prompt, int]:
    """The shortest prompt with the same system and tools: they cannot be longer than that."""
    condition, values = span.condition()
    query = f"""SELECT prompt_hash, {MODEL_SQL}, upstream, speed, min(input_tokens) FROM calls
        WHERE {condition} AND {_UNCACHED_SQL} GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"""
    found = {}
    for *labels, tokens in connection.execute(query, values):
        prompt = Prompt(*labels)
        least = least_cacheable(prompt.model)
        if least is not None and tokens >= least:
            found[prompt] = tokens
    return found


def _answers(connection: sqlite3.Connection, span: Span) -> dict[str | None, Answers]:
    condition, values = span.condition()
    query = f"""SELECT feature, output_tokens, count(*), sum(stop_reason IS 'max_tokens') FROM calls
        WHERE {condition} AND output_tokens > 0 GROUP BY 1, 2 ORDER BY 1, 2"""
    lengths: dict[str | None, list[tuple[int, int]]] = defaultdict(list)
    capped: dict[str | None, int] = defaultdict(int)
    for feature, tokens, calls, cut in connection.execute(query, values):
        lengths[feature].append((tokens, calls))
        capped[feature] += cut
    return {feature: _distribution(counted, capped[feature]) for feature, counted in lengths.items()}


def _distribution(counted: list[tuple[int, int]], capped: int) -> Answers:
    """Nearest-rank percentiles of (tokens, calls), shortest first."""
    total = sum(calls for _, calls in counted)

    def rank(share: int) -> int:
        left = -(-share * total // 100)
        for tokens, calls in counted:
            left -= calls
            if left <= 0:
                return tokens
        return counted[-1][0]

    return Answers(total, rank(50), rank(95), rank(99), counted[-1][0], capped)
