"""Caching conversations: each turn reads what the one before it sent, and writes what is new.

Replayed session by session: where a prompt is longer than the last one of its session, and that one's entry lives, the
last one's tokens are read and the rest is written; otherwise all of it is written, as it is of sessions that have one
turn only. That prompts of a session begin alike is taken from their growing; the ledger does not keep them.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec

from .caching import LIFETIMES_US
from .change import Confidence, Key, Tally, Words, counted, percent
from .rows import Row
from .survey import Prompt, least_cacheable

#: From which share of later turns that are longer than prompt and answer before them it is medium, in percent.
KNOWN_PERCENT = 90
_FIRST_SWEEP = 4096


class _Turn(msgspec.Struct, frozen=True):
    """The last turn of a session: its prompt and answer in tokens, and from when until when its entry can be read."""

    prompt_tokens: int
    output_tokens: int
    from_us: int
    until_us: int


class _Seen(msgspec.Struct):
    later: int = 0
    appended: int = 0
    reads: int = 0


class Turns:
    """Whole conversations cached for one lifetime, `5m` or `1h`. The label is the model and the lifetime."""

    kind = "caching"

    def __init__(self, lifetime: str) -> None:
        self._lifetime, self._life_us = lifetime, LIFETIMES_US[lifetime]
        self._last: dict[tuple[str, Prompt], _Turn] = {}
        self._seen: dict[tuple[str | None, str], _Seen] = defaultdict(_Seen)
        self._sweep_at = _FIRST_SWEEP

    def of(self, row: Row) -> tuple[str, Row] | None:
        usage = row.usage
        least = least_cacheable(row.model)
        if row.session is None or row.is_unpaid or row.cached_tokens or usage.web_searches:
            return None
        if least is None or usage.input_tokens < least:
            return None
        tokens = usage.input_tokens
        place = (row.session, Prompt(row.prompt_hash, row.model, row.upstream, usage.speed))
        label = f"{row.origin}, turns, {self._lifetime}"
        last, seen = self._last.get(place), self._seen[row.feature, label]
        self._last[place] = _Turn(tokens, usage.output_tokens, row.begun_us, row.at_us + self._life_us)
        if len(self._last) >= self._sweep_at:
            self._sweep(row.at_us)
        read = 0
        if last is not None and row.at_us < last.until_us:
            seen.later += 1
            seen.appended += tokens >= last.prompt_tokens + last.output_tokens
            is_read = tokens > last.prompt_tokens and row.at_us >= last.from_us
            read = last.prompt_tokens if is_read else 0
        seen.reads += read > 0
        written = {f"cache_write_{self._lifetime}_tokens": tokens - read}
        after = msgspec.structs.replace(usage, input_tokens=0, cache_read_tokens=read, **written)
        return label, msgspec.structs.replace(row, usage=after)

    def _sweep(self, now_us: int) -> None:
        """Forget turns whose entries are gone."""
        self._last = {place: turn for place, turn in self._last.items() if turn.until_us > now_us}
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._last))

    def words(self, key: Key, tally: Tally) -> Words:
        seen = self._seen[key.feature, key.label]
        is_known = seen.appended * 100 >= seen.later * KNOWN_PERCENT
        confidence: Confidence = "medium" if is_known else "low"
        ttl = ', "ttl": "1h"' if self._lifetime == "1h" else ""
        return Words(
            confidence,
            f"{percent(seen.appended, seen.later)} of later turns are longer than prompt and answer before them, as "
            f"conversations that only grow; from {KNOWN_PERCENT} % on it is medium, below low, never high.",
            f"{counted(tally.calls, 'turn')} without caching; {seen.reads:,} would have read the last one from cache.",
            "Where earlier turns are edited, or more than 20 blocks come at once, all is written again and costs more.",
            f'Put "cache_control": {{"type": "ephemeral"{ttl}}} at the top of the request, beside `messages`.',
        )
