"""The ledger summed up: cost, tokens, latency and errors, in all and by group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..wire.prices import usd
from .reading import Group, Label, Latency, LedgerReader

#: The columns of a group after its labels, in the order of the JSON, the CSV and the table.
COLUMNS = (
    "calls",
    "errors",
    "cost_usd",
    "unpriced",
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)
DURATIONS = ("latency_ms", "upstream_ms", "first_token_ms")


def report(
    data: Path, by: Sequence[str], *, since_us: int | None = None, until_us: int | None = None
) -> dict[str, Any]:
    """`{"totals": {...}, "groups": [...]}`: costs are decimal strings in dollars, durations are in milliseconds.

    `unpriced` counts calls whose cost is not known; it is not part of `cost_usd`. `held_usd` is what budgets held for
    calls that cost `held_cost_usd`, of which `over_held` cost more, by `over_held_usd` together. Raises StoreFailed,
    and ConfigError for a label that does not exist.
    """
    with LedgerReader(data) as ledger:
        groups = ledger.grouped(by, since_us=since_us, until_us=until_us) if by else []
        totals = ledger.grouped((), since_us=since_us, until_us=until_us)[0]
    ranked = sorted(groups, key=lambda group: -group.cost_nano) if "day" not in by and "hour" not in by else groups
    return {"totals": _row(totals), "groups": [{**group.labels, **_row(group)} for group in ranked]}


def flattened(rows: Iterable[dict[str, Any]]) -> list[dict[str, Label | float]]:
    """Rows for a CSV: each percentile a column of its own."""
    flat = []
    for row in rows:
        plain = {name: value for name, value in row.items() if name not in DURATIONS}
        for name in DURATIONS:
            percentiles = row[name] or {}
            plain.update({f"{name}_{p}": percentiles.get(p) for p in ("p50", "p95", "p99")})
        flat.append(plain)
    return flat


def _row(group: Group) -> dict[str, Any]:
    return {
        "calls": group.calls,
        "errors": group.errors,
        "cost_usd": usd(group.cost_nano),
        "unpriced": group.unpriced,
        "input_tokens": group.input_tokens,
        "cache_creation_input_tokens": group.cache_write_tokens,
        "cache_read_input_tokens": group.cache_read_tokens,
        "output_tokens": group.output_tokens,
        "capped": group.capped,
        "held_usd": usd(group.held_nano),
        "held_cost_usd": usd(group.held_cost_nano),
        "over_held": group.over_held,
        "over_held_usd": usd(group.over_held_nano),
        "latency_ms": _ms(group.total),
        "upstream_ms": _ms(group.upstream),
        "first_token_ms": _ms(group.first_token),
    }


def _ms(latency: Latency | None) -> dict[str, float] | None:
    if latency is None:
        return None
    return {"p50": latency.p50_us / 1000, "p95": latency.p95_us / 1000, "p99": latency.p99_us / 1000}
