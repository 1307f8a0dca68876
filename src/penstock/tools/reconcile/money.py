"""Why the invoice has other dollars than the ledger, once tokens are accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ...wire.reports import KINDS, CostRow, UsageRow
from .books import model_id
from .findings import UNEXPLAINED, Finding, dollars
from .sums import DAY_US, ZERO, Charge, Counts, Rates, Sum, plus

_PICO_PER_CENT = 10_000_000_000


class Invoice(msgspec.Struct):
    """What one line of the table is charged, of our keys: pico-dollars by kind, and how many lines of the report it is
    of, in `lines`. `other` are charges for what is no message."""

    pico: dict[str, int] = msgspec.field(default_factory=dict)
    lines: int = 0

    @property
    def total(self) -> int:
        return sum(self.pico.values())


class _Cell(msgspec.Struct):
    """Usage under one line of the cost report: all of it, and that of our keys."""

    all: Counts = ZERO
    ours: Counts = ZERO


_Line = tuple[int, str | None, str, str, str, str | None]


def shares(
    costs: Sequence[CostRow], usage: Sequence[UsageRow], keys: frozenset[str] | None
) -> dict[tuple[int, Charge], Invoice]:
    """What our keys are charged by day and charge. `keys` None: they are all ours.

    The cost report does not tell keys apart. A line that others share in is shared out by tokens, fast ones counted
    twice, for they cost that.
    """
    cells: dict[_Line, _Cell] = {}
    for row in usage:
        weight = 2 if row.speed == "fast" else 1
        counts = tuple(count * weight for count in row.counts[:-1]) + row.counts[-1:]
        cell = cells.setdefault(_line(row), _Cell())
        cell.all = plus(cell.all, counts)
        if keys is None or row.api_key_id in keys:
            cell.ours = plus(cell.ours, counts)
    found: dict[tuple[int, Charge], Invoice] = {}
    for cost in (part for whole in costs for part in _placed(whole, cells)):
        pico = cost.pico
        cell = cells.get(_line(cost), _Cell())
        if keys is not None:
            at = KINDS.index(cost.kind) if cost.kind in KINDS else None
            pico = pico * cell.ours[at] // cell.all[at] if at is not None and cell.all[at] else 0
            if not pico:
                continue
        invoice = found.setdefault((cost.at_us // DAY_US, _charge(cost)), Invoice())
        invoice.pico[cost.kind] = invoice.pico.get(cost.kind, 0) + pico
        invoice.lines += 1
    return found


def _placed(cost: CostRow, cells: Mapping[_Line, _Cell]) -> Iterator[CostRow]:
    """A line for searches may name no model: it is shared out by where the searches were made."""
    if cost.model is not None or cost.kind != KINDS[-1]:
        yield cost
        return
    where = [(line, cell.all[-1]) for line, cell in cells.items() if line[:2] == _line(cost)[:2] and cell.all[-1]]
    pico, left = cost.pico, sum(count for _, count in where)
    for line, count in where:
        part = pico * count // left
        pico, left = pico - part, left - count
        _, _, model, tier, geo, window = line
        replace = msgspec.structs.replace
        yield replace(cost, model=model, service_tier=tier, inference_geo=geo, context_window=window, pico=part)
    if not where:
        yield cost


def _charge(row: UsageRow | CostRow) -> Charge:
    return Charge(model_id(row.model), row.service_tier or "standard", row.inference_geo or "not_available")


def _line(row: UsageRow | CostRow) -> _Line:
    return (row.at_us // DAY_US, row.workspace_id, *_charge(row), row.context_window)


class Accounts(msgspec.Struct):
    """Both sides of one day and charge. `tokens` is what differences in tokens come to, in pico-dollars."""

    invoice: Invoice = msgspec.field(default_factory=Invoice)
    ledger: Sum = msgspec.field(default_factory=Sum)
    counted: Counts = ZERO
    tokens: int = 0


def rest(
    accounts: Mapping[tuple[int, Charge], Accounts], rates: Rates, now_us: int, decimals: int
) -> Iterator[Finding]:
    """What remains of each day and charge when tokens are accounted for, put down to a cause.

    `decimals` are those that the report gives its cents in, at most.
    """
    billed = {day for (day, _), own in accounts.items() if own.invoice.lines}
    for (day, charge), own in accounts.items():
        yield from _others(day, charge, own)
        others = sum(pico for kind, pico in own.invoice.pico.items() if kind not in KINDS)
        pico = own.invoice.total - others - own.ledger.nano * 1000 - own.tokens
        if not pico:
            continue
        finding = _cause(day, charge, own, pico, now_us, is_billed=day in billed)
        if finding is None and abs(pico) <= own.invoice.lines * _PICO_PER_CENT // 10**decimals // 2:
            told = f"The invoice is rounded to {decimals} decimals of a cent a line."
            finding = Finding(cause="rounding", day=day, model=charge.model, told=told, pico=pico)
        yield finding or _prices(day, charge, own, pico, rates)


def _others(day: int, charge: Charge, own: Accounts) -> Iterator[Finding]:
    for kind, pico in own.invoice.pico.items():
        if kind not in KINDS and pico:
            told = (
                f"The invoice has {dollars(pico)} dollars for {kind.replace('_', ' ')}, which no call has a price for."
            )
            yield Finding(cause="other_charges", day=day, model=charge.model, told=told, pico=pico)


def _cause(day: int, charge: Charge, own: Accounts, pico: int, now_us: int, *, is_billed: bool) -> Finding | None:
    """Why dollars differ where it is not their price."""
    what = {"day": day, "model": charge.model, "pico": pico}
    if charge.tier.startswith("priority") and not own.invoice.lines:
        return Finding(cause="priority", told="Cost reports leave Priority Tier out.", **what)  # type: ignore[arg-type]
    if (day + 1) * DAY_US > now_us:
        told = "Costs are reported by whole days, and this one is not over."
        return Finding(cause="incomplete", told=told, **what)  # type: ignore[arg-type]
    if not is_billed and (day + 2) * DAY_US > now_us:
        told = "The cost report has nothing of this day yet."
        return Finding(cause="incomplete", told=told, **what)  # type: ignore[arg-type]
    if own.ledger.unpriced and not own.ledger.nano and pico > 0:
        told = f"{own.ledger.unpriced:,} calls have no price in the ledger; give {charge.model} one under [prices]."
        return Finding(cause="unpriced", told=told, calls=own.ledger.unpriced, **what)  # type: ignore[arg-type]
    return None


def _prices(day: int, charge: Charge, own: Accounts, pico: int, rates: Rates) -> Finding:
    """Tokens agree, or are accounted for; dollars do not. By how much, of each kind that is not at our price."""
    table = rates(charge, day * DAY_US)
    said, expected = [], 0
    for kind, count, rate in zip(KINDS, own.counted, table, strict=True):
        charged = own.invoice.pico.get(kind, 0)
        if not count and charged:
            told = f"The invoice has {dollars(charged)} dollars for {kind}, of which the usage report counts none."
            return Finding(cause=UNEXPLAINED, day=day, model=charge.model, told=told, pico=pico)
        expected += count * (rate or 0)
        if count and charged != count * (rate or 0):
            said.append(f"{kind} at {_per_million(charged, count)} for {_per_million(count * (rate or 0), count)}")
    if not own.invoice.total:
        told = "The usage report has these tokens, and the cost report has nothing for them."
    elif said:
        ratio = own.invoice.total / expected if expected else 0
        rates_told = f"{', '.join(said)} dollars a million"
        told = f"Tokens agree, but the invoice is at {ratio:.4g} times the prices here: {rates_told}."
    else:
        told = "Tokens agree and the invoice is at the prices of today, but the ledger was written at others."
    return Finding(cause="prices", day=day, model=charge.model, told=told, pico=pico)


def _per_million(pico: int, count: int) -> str:
    return f"{pico / count / 1_000_000:.6g}"
