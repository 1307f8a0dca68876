"""The prompt cache: exact prefixes, a look back of 20 positions, 5 minutes or an hour.

By `claude-api.md` §8. Where it is silent: an entry is gone at the very second its lifetime ends; every breakpoint looks
for itself, and each entry so found counts as read; a breakpoint on the best hit leaves that entry its own lifetime;
nothing is evicted before its time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .accounts import Caller
from .catalogue import Model
from .diagnostics import Fingerprints, Pending
from .prefix import HOUR_S, Place, Prompt, has_marks, laid_out, pieces_of, rounded
from .stream import Prompted

LOOKBACK = 20
_FIRST_SWEEP = 4096


@dataclass(frozen=True, slots=True, order=True)
class _Entry:
    """When a cached prefix ends, in Unix seconds, and how long each read makes it live. The later of two counts."""

    ends_at_s: float
    lifetime_s: int


@dataclass(slots=True)
class Planned:
    """One request's part in the cache. Nothing is changed before it is `admitted`, nothing written before it begins.

    `diagnostics` is the answer's field of that name where `is_diagnosed`, by what the request asked.
    """

    prompted: Prompted
    _cache: PromptCache
    _read: dict[bytes, _Entry] = field(default_factory=dict)
    _written: dict[bytes, _Entry] = field(default_factory=dict)
    _pending: Pending | None = None

    @property
    def is_diagnosed(self) -> bool:
        return self._pending is not None

    @property
    def diagnostics(self) -> dict[str, Any] | None:
        return None if self._pending is None else self._pending.found

    def admitted(self, message_id: str) -> None:
        """The request goes on and will be answered under this id: what it reads is renewed from its start."""
        self._cache.put(self._read)
        if self._pending is not None:
            self._pending.keep(message_id)

    def begin(self) -> None:
        """Its answer begins: what it writes can be read from here on, and lives from the request's start."""
        self._cache.put(self._written)


class PromptCache:
    """What all workspaces of one simulator have cached: hashes of prefixes, for as long as they live."""

    def __init__(self) -> None:
        self._entries: dict[bytes, _Entry] = {}
        self._sweep_at = _FIRST_SWEEP
        self._fingerprints = Fingerprints()

    def plan(self, request: dict[str, Any], model: Model, caller: Caller, now_s: float, betas: str = "") -> Planned:
        """What a valid request starting now finds cached, and what it will write."""
        asked = request.get("diagnostics")
        if not has_marks(request) and not isinstance(asked, dict):
            return Planned(Prompted(count_prompt(request, model)), self)
        prompt = laid_out(request, model, caller.cache_scope)
        planned = self._planned(prompt, model, now_s)
        if isinstance(asked, dict):
            planned._pending = self._fingerprints.compare(request, prompt, caller.cache_scope, betas, now_s)
        return planned

    def put(self, entries: dict[bytes, _Entry]) -> None:
        """Keep these entries, or the ones held under the same prefixes where those live longer."""
        for prefix, entry in entries.items():
            held = self._entries.get(prefix)
            self._entries[prefix] = entry if held is None else max(held, entry)
        if entries and len(self._entries) >= self._sweep_at:
            self._sweep(max(entry.ends_at_s - entry.lifetime_s for entry in entries.values()))

    def _planned(self, prompt: Prompt, model: Model, now_s: float) -> Planned:
        places = prompt.places
        marks = [at for at, place in enumerate(places) if place.lifetime_s and place.tokens >= model.cacheable_tokens]
        if not marks:
            return Planned(Prompted(prompt.tokens), self)
        hits = {at for mark in marks for at in self._found(places, mark, now_s)}
        best = max(hits, default=-1)
        beyond = [places[at] for at in marks if at > best]
        read = places[best].tokens if hits else 0
        hour = max((place.tokens for place in beyond if place.lifetime_s == HOUR_S), default=read)
        last = places[marks[-1]].tokens
        planned = Planned(Prompted(prompt.tokens - last, read, last - hour, hour - read), self)
        for at in hits:
            lifetime_s = self._entries[places[at].prefix].lifetime_s
            planned._read[places[at].prefix] = _Entry(now_s + lifetime_s, lifetime_s)
        for place in beyond:
            planned._written[place.prefix] = _Entry(now_s + place.lifetime_s, place.lifetime_s)
        return planned

    def _found(self, places: list[Place], mark: int, now_s: float) -> list[int]:
        """The place nearest to a breakpoint, itself included, whose prefix is cached; none past the look back."""
        for at in range(mark, max(-1, mark - LOOKBACK), -1):
            held = self._entries.get(places[at].prefix)
            if held is not None and held.ends_at_s > now_s:
                return [at]
        return []

    def _sweep(self, now_s: float) -> None:
        """Forget what has ended, and come back when twice as much is held."""
        self._entries = {prefix: entry for prefix, entry in self._entries.items() if entry.ends_at_s > now_s}
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._entries))


def count_prompt(request: dict[str, Any], model: Model) -> int:
    """Input tokens of a request, cached or not: what count_tokens answers."""
    pieces, rest = pieces_of(request, model)
    return max(1, rounded(sum((piece.tokens for piece in pieces), 0.0) + rest))
