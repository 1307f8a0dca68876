"""What is true in every simulated world: callers hanging up, resets, cuts, 529s, store failures.

`make test` runs 1,000 seeds; `PENSTOCK_SEEDS=100000 make test` more. A failure names its seed, and
`run_world(seed)` is that world again.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from laws.book import LAWS
from laws.worlds import run_world

SEEDS = int(os.environ.get("PENSTOCK_SEEDS", "1000"))
SHARDS = 10


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_laws_hold_in_every_world(shard: int) -> None:
    for seed in range(shard, SEEDS, SHARDS):
        outcome = run_world(seed)
        for law in LAWS:
            try:
                law(outcome)
            except AssertionError as broken:
                raise AssertionError(f"seed {seed} breaks `{law.__name__}`: {broken}") from broken


def test_the_same_seed_is_the_same_world() -> None:
    first, second = run_world(7), run_world(7)
    assert [repr(r) for r in first.ledger.records] == [repr(r) for r in second.ledger.records]
    assert [v.got for v in first.visits] == [v.got for v in second.visits]


def test_worlds_hold_what_the_laws_are_about() -> None:
    """The laws would hold in an empty world too; so the worlds are counted."""
    endings: Counter[str] = Counter()
    statuses: Counter[int | None] = Counter()
    lost = 0
    for seed in range(100):
        outcome = run_world(seed)
        endings.update(row.ending for row in outcome.ledger.records)
        statuses.update(row.status for row in outcome.ledger.records)
        lost += len(outcome.ledger.lost)
    assert min(endings[e] for e in ("complete", "refused", "failed", "truncated", "abandoned")) > 20
    assert min(statuses[s] for s in (200, 400, 401, 502, 503, 504, 529)) > 5
    assert lost > 20
