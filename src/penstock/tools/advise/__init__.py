"""What would have been saved, from the ledger's own rows: each change alone, and all of them together.

First every change sees every call as it was: what it would have saved alone. Then each call goes through all changes
that save something, one after the other in the order of `ORDER`, so that no dollar is saved twice; those that get in
the way of the ones before them are left out. Prices are those of the call's own time.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ...config.features import FeatureConfig
from ...wire.prices import PriceBook
from ..ledger import opened
from .answers import Cap
from .batch import Batch
from .caching import LIFETIMES_US, Caching
from .change import Change, Key, Tally
from .history import History
from .lost import Lost
from .models import Smaller, Successor
from .notes import mix, notes
from .result import DAY_US, Advice, Advised
from .rows import Row, Rows, Span
from .survey import Survey, survey
from .turns import Turns

#: The order in which changes are applied for the total.
ORDER = ("lost", "caching", "history", "max_tokens", "successor", "smaller_model", "batch")
_EXAMPLES = 3

__all__ = ["ORDER", "Advice", "Advised", "Span", "advise"]


def advise(
    data: Path, span: Span, *, features: Mapping[str, FeatureConfig], prices: PriceBook, least_nano: int = 1
) -> Advised:
    """Look at the calls of a span. Advice that would have saved less than `least_nano` is only counted.

    Blocks. Raises StoreFailed.
    """
    with opened(data) as connection:
        found = survey(connection, span)
        work = _Work(found, Rows(connection, span, prices), features)
        alone = work.alone()
        wanted = frozenset(alone)
        sure = frozenset(key for key, one in alone.items() if one.confidence != "low")
        shares, sure_shares = work.together(wanted, sure)
        said = notes(found, mix(found.mix), work.rows)
    advice = [msgspec.structs.replace(one, share_nano=shares.get(key, 0)) for key, one in alone.items()]
    shown = [one for one in advice if one.saved_nano >= least_nano]
    began_us = span.since_us if found.first_us is None else max(span.since_us, found.first_us)
    return Advised(
        since_us=span.since_us,
        until_us=span.until_us,
        covered_us=max(DAY_US, span.until_us - began_us),
        calls=found.calls,
        cost_nano=found.cost_nano,
        advice=tuple(sorted(shown, key=lambda one: (-one.saved_nano, one.kind, one.feature or "", one.label))),
        hidden=len(advice) - len(shown),
        order=ORDER,
        total_nano=sum(shares.values()),
        sure_nano=sum(sure_shares.values()),
        mix=mix(found.mix),
        notes=said,
    )


class _Work:
    """The two readings of the ledger."""

    def __init__(self, found: Survey, rows: Rows, features: Mapping[str, FeatureConfig]) -> None:
        self._found, self.rows, self._features = found, rows, features
        self._usual = features.get("default") or FeatureConfig()
        self._places: set[int] = set()

    def alone(self) -> dict[Key, Advice]:
        """Each piece of advice that saves something, by itself; of ways to cache the same only the best."""
        changes = self._changes()
        tallies: dict[tuple[int, Key], Tally] = defaultdict(Tally)
        for row in self.rows:
            for place, change in enumerate(changes):
                made = change.of(row)
                if made is None:
                    continue
                nano = self.rows.nano(made[1])
                if nano is not None:
                    key = Key(change.kind, row.feature, made[0])
                    _count(tallies[place, key], row, row.cost_nano - nano)
        saving = {at: tally for at, tally in tallies.items() if tally.saved_nano > 0}
        best = _best_caching({key: tally.saved_nano for (_, key), tally in saving.items()})
        chosen = {at: tally for at, tally in saving.items() if at[1].kind != "caching" or at[1] in best}
        self._places = {place for place, _ in chosen}
        return {key: _advice(changes[place], key, tally) for (place, key), tally in chosen.items()}

    def together(self, *wanted: frozenset[Key]) -> list[dict[Key, int]]:
        """For each set of `wanted`, what each of them saves when they are applied in order, in nano-dollars.

        Those that cost more after the ones before them are not applied, and are not in the answer. To be called after
        `alone`, which has found what saves anything.
        """
        while True:
            chains = [_Chain(self.rows, self._saving_changes(), own) for own in wanted]
            for row in self.rows if self._places else ():
                for chain in chains:
                    chain.take(row)
            kept = tuple(frozenset(key for key, nano in chain.shares.items() if nano >= 0) for chain in chains)
            if kept == wanted:
                return [chain.shares for chain in chains]
            wanted = kept

    def _saving_changes(self) -> list[Change]:
        return [change for place, change in enumerate(self._changes()) if place in self._places]

    def _changes(self) -> list[Change]:
        """Fresh ones, having seen nothing, in the order of ORDER."""
        found = self._found
        feature: Callable[[str | None], FeatureConfig] = self._feature
        return [
            Lost(attempts=True),
            Lost(attempts=False),
            *[Turns(lifetime) for lifetime in LIFETIMES_US],
            *[Caching(lifetime, found.prefixes) for lifetime in LIFETIMES_US],
            History(found.sessions),
            Cap(found.answers, feature),
            Successor(),
            Smaller(),
            Batch(feature),
        ]

    def _feature(self, name: str | None) -> FeatureConfig:
        return (self._features.get(name) if name is not None else None) or self._usual


class _Chain:
    """Changes applied one after the other. `shares` is what each of the `wanted` has saved so far."""

    def __init__(self, rows: Rows, changes: list[Change], wanted: frozenset[Key]) -> None:
        self._rows, self._changes = rows, changes
        self.shares = dict.fromkeys(wanted, 0)

    def take(self, row: Row) -> None:
        now, cost_nano = row, row.cost_nano
        for change in self._changes:
            made = change.of(now)
            if made is None:
                continue
            key = Key(change.kind, row.feature, made[0])
            nano = self._rows.nano(made[1]) if key in self.shares else None
            if nano is not None:
                self.shares[key] += cost_nano - nano
                now, cost_nano = made[1], nano


def _best_caching(saved: Mapping[Key, int]) -> set[Key]:
    """Of each feature and model, the way to cache that saves most, of equals the one first tried."""
    best: dict[tuple[str | None, str], Key] = {}
    for key in sorted(saved, key=saved.__getitem__, reverse=True):
        if key.kind == "caching":
            best.setdefault((key.feature, key.label.partition(", ")[0]), key)
    return set(best.values())


def _count(tally: Tally, row: Row, saved_nano: int) -> None:
    tally.calls += 1
    tally.cost_nano += row.cost_nano
    tally.saved_nano += saved_nano
    if saved_nano > 0 and (len(tally.examples) < _EXAMPLES or saved_nano > tally.examples[0][0]):
        heapq.heappush(tally.examples, (saved_nano, row.call_id))
        if len(tally.examples) > _EXAMPLES:
            heapq.heappop(tally.examples)


def _advice(change: Change, key: Key, tally: Tally) -> Advice:
    words = change.words(key, tally)
    return Advice(
        kind=key.kind,
        feature=key.feature,
        label=key.label,
        saved_nano=tally.saved_nano,
        share_nano=0,
        calls=tally.calls,
        cost_nano=tally.cost_nano,
        confidence=words.confidence,
        why=words.why,
        evidence=words.evidence,
        risk=words.risk,
        change=words.change,
        call_ids=tuple(call_id for _, call_id in sorted(tally.examples, reverse=True)),
    )
