"""Caching what prompts begin with: system and tools, where they come again while an entry lives.

Replayed call by call: the first writes its prefix, those that begin after that answer has begun and before the entry's
lifetime is over read it and renew it, others write again. The ledger does not know how long system and tools are, only
that they are the same; the shortest prompt they came in is the most they can be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from .change import Confidence, Key, Tally, Words, counted, percent
from .rows import Row
from .survey import Prompt

LIFETIMES_US: Mapping[str, int] = {"5m": 300_000_000, "1h": 3_600_000_000}
#: From which share of the input the prefix is taken for known, in percent.
KNOWN_PERCENT = 80


class _Entry(msgspec.Struct):
    """A cached prefix: readable from when the answer that wrote it began, until its life ends."""

    from_us: int
    until_us: int


class _Seen(msgspec.Struct):
    prompts: set[str | None] = msgspec.field(default_factory=set)
    reads: int = 0
    prefix_tokens: int = 0
    input_tokens: int = 0
    longest: int = 0


class Caching:
    """Prefixes cached for one lifetime, `5m` or `1h`. The label is the model and the lifetime."""

    kind = "caching"

    def __init__(self, lifetime: str, prefixes: Mapping[Prompt, int]) -> None:
        self._lifetime, self._prefixes = lifetime, prefixes
        self._life_us = LIFETIMES_US[lifetime]
        self._entries: dict[Prompt, _Entry] = {}
        self._seen: dict[tuple[str | None, str], _Seen] = defaultdict(_Seen)

    def of(self, row: Row) -> tuple[str, Row] | None:
        usage = row.usage
        prompt = Prompt(row.prompt_hash, row.model, row.upstream, usage.speed)
        prefix = self._prefixes.get(prompt)
        if prefix is None or row.is_unpaid or row.cached_tokens or usage.web_searches or usage.input_tokens < prefix:
            return None
        label = f"{row.origin}, {self._lifetime}"
        read = self._is_read(prompt, row)
        seen = self._seen[row.feature, label]
        seen.prompts.add(row.prompt_hash)
        seen.reads += read
        seen.prefix_tokens += prefix
        seen.input_tokens += usage.input_tokens
        seen.longest = max(seen.longest, prefix)
        kind = "cache_read_tokens" if read else f"cache_write_{self._lifetime}_tokens"
        after = msgspec.structs.replace(usage, input_tokens=usage.input_tokens - prefix, **{kind: prefix})
        return label, msgspec.structs.replace(row, usage=after)

    def _is_read(self, prompt: Prompt, row: Row) -> bool:
        entry = self._entries.get(prompt)
        ends_us = row.at_us + self._life_us
        if entry is None or row.at_us >= entry.until_us:
            self._entries[prompt] = _Entry(row.begun_us, ends_us)
            return False
        if row.at_us < entry.from_us:  # written beside the first, whose answer has not begun
            entry.from_us = min(entry.from_us, row.begun_us)
            entry.until_us = max(entry.until_us, ends_us)
            return False
        entry.until_us = ends_us
        return True

    def words(self, key: Key, tally: Tally) -> Words:
        seen = self._seen[key.feature, key.label]
        is_known = seen.prefix_tokens * 100 >= seen.input_tokens * KNOWN_PERCENT
        share = percent(seen.prefix_tokens, seen.input_tokens)
        confidence: Confidence = "medium" if is_known else "low"
        ttl = ', "ttl": "1h"' if self._lifetime == "1h" else ""
        return Words(
            confidence,
            f"System and tools are at most {share} of this input; from {KNOWN_PERCENT} % on it is medium, below low, "
            "and never high, for their own length is not recorded. The saving is the most it can be.",
            f"{counted(tally.calls, 'call')} of {counted(len(seen.prompts), 'prompt')} without caching; "
            f"{seen.reads:,} of them would have read up to {seen.longest:,} tokens from cache, the others written them "
            f"for {self._lifetime}.",
            "A prefix that changes with each call, in system or tools, is written and never read: it then costs more.",
            f'Put "cache_control": {{"type": "ephemeral"{ttl}}} on the last block of `system` (or the last tool).',
        )
