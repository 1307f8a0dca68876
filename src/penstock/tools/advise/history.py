"""Shorter histories: what sessions would cost if old turns were left out.

A session's first prompt is what always stays; of the rest, what its last turns brought. Where the prompt gets shorter
the application has cut it itself, and counting begins anew. Leaving out turns changes what stands before the others, so
of a prompt that was cached only the first part is still read, and all after it is written again.
"""

from __future__ import annotations

from collections import deque

import msgspec

from .change import Key, Tally, Words, counted
from .rows import Row
from .survey import TOKENS_MAX, TURNS_MAX


class _Session(msgspec.Struct):
    """The tokens of a session's first prompt, and of its last ones."""

    first: int
    sizes: deque[int]


class History:
    """No more than 10 turns or 100,000 tokens, for the sessions that have more."""

    kind = "history"

    def __init__(self, sessions: frozenset[str]) -> None:
        self._long = sessions
        self._sessions: dict[str, _Session] = {}
        self._most: dict[str | None, int] = {}

    def of(self, row: Row) -> tuple[str, Row] | None:
        if row.session is None or row.session not in self._long or row.is_unpaid or row.usage.web_searches:
            return None
        tokens = row.prompt_tokens
        own = self._sessions.get(row.session)
        if own is None or tokens < own.sizes[-1]:
            self._sessions[row.session] = _Session(tokens, deque([tokens], TURNS_MAX + 1))
            return None
        own.sizes.append(tokens)
        kept = tokens
        if len(own.sizes) > TURNS_MAX:
            kept = own.first + tokens - own.sizes[0]
        kept = min(kept, max(TOKENS_MAX, own.first))
        if kept >= tokens:
            return None
        self._most[row.feature] = max(self._most.get(row.feature, 0), tokens)
        return "", _cut(row, own.first, kept)

    def words(self, key: Key, tally: Tally) -> Words:
        return Words(
            "low",
            "Always low: whether answers need what is left out is not in the ledger.",
            f"{counted(tally.calls, 'call')} of sessions with more than {TURNS_MAX} turns or {TOKENS_MAX:,} tokens, "
            f"the longest with {self._most.get(key.feature, 0):,}; what their caches lose by it is counted.",
            "The model forgets what is left out. Cutting at every turn breaks cached prefixes; cut seldom and by much.",
            f"Send the last {TURNS_MAX} turns, and a summary of what came before.",
        )


def _cut(row: Row, first: int, kept: int) -> Row:
    """The call with `kept` tokens of its prompt, the `first` of them unchanged."""
    usage, cached = row.usage, row.cached_tokens
    if cached <= first:  # nothing, or what always stays
        return msgspec.structs.replace(row, usage=msgspec.structs.replace(usage, input_tokens=kept - cached))
    read = min(usage.cache_read_tokens, first)
    new = min(usage.input_tokens, kept - read)
    written = kept - read - new
    is_long = usage.cache_write_1h_tokens > usage.cache_write_5m_tokens
    after = msgspec.structs.replace(
        usage,
        input_tokens=new,
        cache_read_tokens=read,
        cache_write_5m_tokens=0 if is_long else written,
        cache_write_1h_tokens=written if is_long else 0,
    )
    return msgspec.structs.replace(row, usage=after)
