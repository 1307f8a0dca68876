"""The arms of a feature side by side: what they cost, how long they took, how often they failed, and how sure that is.

Arms of a split are compared with its control, or else with its first arm, as groups of calls. Copies are compared with
the very calls they are of, pair by pair.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..config.routes import CONTROL
from ..stores.reading import Latency, latency
from ..wire.prices import usd
from .intervals import Interval, Moments, of_means, of_pairs, of_shares
from .ledger import chunks, opened

SHADOW = "shadow:"
#: Endings that the model or the way to it is to blame for. What Penstock refused says nothing of either.
_FAILURES = ("failed", "truncated", "killed")

_QUERY = """SELECT call_id, arm, coalesce(model_served, model_asked, '?'), ending, coalesce(status, 0), stop_reason,
    outcome, cost_nano, input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens,
    output_tokens, total_us, first_token_us, CASE WHEN arm LIKE 'shadow:%' THEN trail END
    FROM calls WHERE endpoint = 'messages' AND feature IS ?"""


class _Copy(msgspec.Struct, tag="CopyOf"):
    call_id: str


_TRAIL = msgspec.json.Decoder(list[msgspec.Raw])
_FIRST = msgspec.json.Decoder(_Copy)


class Arm(msgspec.Struct):
    """What the calls of one arm came to. `label` is None for calls in none. Money in nano-dollars, times in µs.

    `refused` calls never reached the model, and are in no other count. `cost` is of the calls whose cost is known.
    """

    label: str | None
    calls: int = 0
    refused: int = 0
    failures: int = 0
    declined: int = 0
    capped: int = 0
    cost_nano: int = 0
    cost: Moments = msgspec.field(default_factory=Moments)
    input_tokens: int = 0
    output_tokens: int = 0
    models: Counter[str] = msgspec.field(default_factory=Counter)
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    totals_us: array[int] = msgspec.field(default_factory=lambda: array("q"))
    firsts_us: array[int] = msgspec.field(default_factory=lambda: array("q"))

    def told(self) -> dict[str, Any]:
        """As JSON: costs as decimal strings in dollars, durations in milliseconds."""
        return {
            "arm": self.label,
            "models": dict(self.models.most_common()),
            "calls": self.calls,
            "refused": self.refused,
            "failures": self.failures,
            "declined": self.declined,
            "capped": self.capped,
            "outcomes": dict(sorted(self.outcomes.items())),
            "cost_usd": usd(self.cost_nano),
            "cost_per_call_usd": usd(round(self.cost.mean)),
            "unpriced": self.calls - self.cost.count,
            "input_tokens_per_call": _each(self.input_tokens, self.calls),
            "output_tokens_per_call": _each(self.output_tokens, self.calls),
            "latency_ms": _ms(latency(self.totals_us)),
            "first_token_ms": _ms(latency(self.firsts_us)),
        }


class Difference(msgspec.Struct, frozen=True):
    """How an arm differs from another: `cost` in nano-dollars for each call. `pairs` is None where there are none."""

    arm: str
    against: str | None
    cost: Interval
    failures: Interval
    pairs: int | None = None

    def told(self) -> dict[str, Any]:
        """As JSON: dollars as decimal strings, failures as shares."""
        cost = {
            name: None if nano is None else usd(round(nano)) for name, nano in msgspec.structs.asdict(self.cost).items()
        }
        return {
            "arm": self.arm,
            "against": self.against,
            "pairs": self.pairs,
            "cost_per_call_usd": {**cost, "is_sure": self.cost.is_sure},
            "failures": {**msgspec.structs.asdict(self.failures), "is_sure": self.failures.is_sure},
        }


class Compared(msgspec.Struct, frozen=True):
    """The arms of a feature, by label, and how they differ."""

    feature: str | None
    arms: tuple[Arm, ...]
    differences: tuple[Difference, ...]


def compare(data: Path, feature: str | None, *, since_us: int | None = None, until_us: int | None = None) -> Compared:
    """The arms of a feature's calls between two moments, in Unix microseconds. Raises StoreFailed."""
    query, values = _QUERY, [feature]
    for term, value in (("began_at_us >= ?", since_us), ("began_at_us < ?", until_us)):
        if value is not None:
            query += f" AND {term}"
            values.append(value)  # type: ignore[arg-type]
    arms: dict[str | None, Arm] = {}
    copies: list[tuple[str, str, int | None, bool]] = []
    with opened(data) as connection:
        for rows in chunks(connection, query, values):
            for row in rows:
                arm = arms.setdefault(row[1], Arm(row[1]))
                has_failed = _add(arm, row)
                if row[12] is not None and has_failed is not None:
                    copies.append((row[1], _FIRST.decode(_TRAIL.decode(row[12])[0]).call_id, row[7], has_failed))
        known = dict(_originals(connection, [of for _, of, _, _ in copies]))
    ranked = tuple(sorted(arms.values(), key=lambda arm: (arm.label is not None, arm.label or "")))
    return Compared(feature, ranked, (*_of_splits(arms), *_of_copies(copies, known)))


def _add(arm: Arm, row: tuple[Any, ...]) -> bool | None:
    """Whether the call failed; None where it was refused, and says nothing."""
    _, _, model, ending, status, stop_reason, outcome, cost_nano, input_tokens, output_tokens, total, first, _ = row
    if ending == "refused":
        arm.refused += 1
        return None
    has_failed = ending in _FAILURES or (status >= 400 and ending != "abandoned")
    arm.calls += 1
    arm.models[model] += 1
    arm.failures += has_failed
    arm.declined += stop_reason == "refusal"
    arm.capped += stop_reason == "max_tokens"
    if outcome is not None:
        arm.outcomes[outcome] += 1
    if cost_nano is not None:
        arm.cost_nano += cost_nano
        arm.cost.add(cost_nano)
    arm.input_tokens += input_tokens
    arm.output_tokens += output_tokens
    if not has_failed:
        arm.totals_us.append(total)
        if first is not None:
            arm.firsts_us.append(first)
    return has_failed


def _of_splits(arms: dict[str | None, Arm]) -> Iterator[Difference]:
    splits: dict[str, list[Arm]] = {}
    for label in sorted(label for label in arms if label is not None and not label.startswith(SHADOW)):
        splits.setdefault(label.rpartition("/")[0], []).append(arms[label])
    for name, own in splits.items():
        control = arms.get(f"{name}/{CONTROL}") or own[0]
        for arm in own:
            if arm is not control:
                cost = of_means(arm.cost, control.cost)
                failures = of_shares(arm.failures, arm.calls, control.failures, control.calls)
                yield Difference(arm.label or "", control.label, cost, failures)


def _originals(connection: Any, ids: list[str]) -> Iterator[tuple[str, tuple[int | None, bool]]]:
    """What the calls that copies are of did cost, and whether they failed, by id."""
    for first in range(0, len(ids), 500):
        some = ids[first : first + 500]
        query = f"SELECT call_id, cost_nano, ending FROM calls WHERE call_id IN ({', '.join('?' * len(some))})"
        for call_id, cost_nano, ending in connection.execute(query, some):
            yield call_id, (cost_nano, ending in _FAILURES)


def _of_copies(
    copies: list[tuple[str, str, int | None, bool]], known: dict[str, tuple[int | None, bool]]
) -> Iterator[Difference]:
    """Failures as of groups, which is careful: pairs would be surer."""
    for label in sorted({label for label, _, _, _ in copies}):
        costs, pairs, failures, other_failures = Moments(), 0, 0, 0
        for name, of, cost_nano, has_failed in copies:
            if name != label or of not in known:
                continue
            other_nano, other_failed = known[of]
            pairs, failures, other_failures = pairs + 1, failures + has_failed, other_failures + other_failed
            if cost_nano is not None and other_nano is not None:
                costs.add(cost_nano - other_nano)
        yield Difference(label, None, of_pairs(costs), of_shares(failures, pairs, other_failures, pairs), pairs)


def _each(tokens: int, calls: int) -> float:
    return round(tokens / calls, 1) if calls else 0.0


def _ms(found: Latency | None) -> dict[str, float] | None:
    return None if found is None else {"p50": found.p50_us / 1000, "p95": found.p95_us / 1000}
