"""The ledger against the provider's usage and cost reports, by day, model, tier, region, speed and key.

Reports name no request, so what differs is found in sums: first by day, then, where tokens differ, by the minute, until
what is left is a few calls, or none of ours. Each difference is put down to a cause that follows from the data, or is
said to be unexplained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from ...call import Target
from ...drive import run
from ...errors import ConfigError
from ...ports import Clock, Upstream
from ...wire.prices import PriceBook
from ...wire.reports import CostRow, UsageRow
from ..ledger import opened
from . import batches
from .books import Books, Row, place
from .findings import UNEXPLAINED, Finding, merged
from .minutes import Run, differing
from .money import Accounts, Invoice, rest, shares
from .pull import Admin, Told
from .result import Compared, Reconciled, Side
from .sums import DAY_US, MINUTE_US, ZERO, Charge, Counts, Place, Rates, Sum, charge, day_name, minus, plus, rates_of
from .tokens import Known, explained

#: What rows can be told apart by. The invoice knows neither keys nor speeds.
LABELS = ("day", "model", "tier", "geo", "speed", "key", "workspace")
_NOT_INVOICED = frozenset({"speed", "key", "workspace"})

__all__ = ["LABELS", "Asked", "Finding", "Reconciled", "reconcile"]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to reconcile: whole days, UTC, from `since_day` up to but not including `until_day`.

    `targets` are the names that the ledger has for the upstream's keys, in their order, and `api_key_ids` the API's ids
    of them; without ids all keys of the organization are compared together.
    """

    upstream: str
    targets: tuple[str, ...]
    api_key_ids: tuple[str, ...] = ()
    since_day: int
    until_day: int
    by: tuple[str, ...] = ("day", "model")


def reconcile(
    data: Path,
    admin: Target,
    asked: Asked,
    *,
    upstream: Upstream,
    clock: Clock,
    prices: PriceBook,
    told: Told = lambda _, __: None,
) -> Reconciled:
    """Pull the reports and compare. `admin` is the upstream's address with its Admin API key.

    `told` hears how far it is. Blocks. Raises ConfigError for labels or ids that do not fit and for a key that is
    refused, UpstreamFailed, StoreFailed.
    """
    _check(asked)
    api = Admin(admin, upstream, clock, told)
    span = asked.since_day * DAY_US, asked.until_day * DAY_US
    usage = run(api.usage(*span, "1d"))
    costs = run(api.cost(*span))
    ids = dict(zip(asked.targets, asked.api_key_ids, strict=True)) if asked.api_key_ids else {}
    with opened(data) as connection:
        books = Books(connection, {name: ids.get(name) for name in asked.targets}, prices)
        work = _Work(asked, books, rates_of(prices), clock.wall_us())
        work.take(usage, costs)
        different = work.different_days()
        minutes: list[UsageRow] = []
        for day in different:
            minutes += run(api.usage(day * DAY_US, (day + 1) * DAY_US, "1m"))
        work.explain_tokens(different, minutes)
        return work.result()


def _check(asked: Asked) -> None:
    unknown = [name for name in asked.by if name not in LABELS]
    if unknown:
        raise ConfigError(
            f"A reconciliation cannot be told apart by {unknown[0]!r}.",
            code="bad_label",
            fix=f"Choose from {', '.join(LABELS)}.",
        )
    if asked.api_key_ids and len(asked.api_key_ids) != len(asked.targets):
        raise ConfigError(
            f"Upstream {asked.upstream} has {len(asked.targets)} keys, and {len(asked.api_key_ids)} ids are given.",
            code="bad_option",
            fix="Give the id of each key (apikey_…, shown in the Console), in the order of `keys`.",
        )
    if len(set(asked.api_key_ids)) < len(asked.api_key_ids):
        raise ConfigError("An API key's id is given twice.", code="bad_option", fix="Give each key's own.")


class _Work:
    """Both sides of one reconciliation, and what was found."""

    def __init__(self, asked: Asked, books: Books, rates: Rates, now_us: int) -> None:
        self._asked, self._books, self._rates, self._now_us = asked, books, rates, now_us
        self._keys = frozenset(asked.api_key_ids) or None
        self._ours: dict[tuple[int, Place], Sum] = {}
        self._api: dict[tuple[int, Place], Counts] = {}
        self._invoices: dict[tuple[int, Charge], Invoice] = {}
        self._workspaces: dict[str | None, str | None] = {}
        self._found: list[tuple[Place, Finding]] = []
        self._usage: Sequence[UsageRow] = ()
        self._decimals = 0
        self._batches: list[Row] = []

    def take(self, usage: Sequence[UsageRow], costs: Sequence[CostRow]) -> None:
        """The reports by day, and the ledger's sums of the same days."""
        begins_us, ends_us = self._asked.since_day * DAY_US, self._asked.until_day * DAY_US
        self._api = _summed(usage, self._keys, DAY_US)
        self._batches = self._books.batches(begins_us - DAY_US, ends_us)
        self._ours = self._books.days(begins_us, ends_us)
        cells = {where: counts for where, counts in self._api.items() if where[1].tier == batches.TIER}
        bills = [row for row in self._batches if row.nano is not None]
        billed = batches.placed(bills, cells, self._rates)
        self._ours |= {where: own for where, own in billed.items() if where[0] >= self._asked.since_day}
        made, unread = (
            Counter(map(_day, self._batches)),
            Counter(_day(row) for row in self._batches if row.nano is None),
        )
        self._found += batches.explained(cells, self._ours, made, unread, self._rates, self._asked.until_day)
        self._invoices = shares(costs, usage, self._keys)
        self._usage = usage
        self._decimals = max((row.decimals for row in costs), default=0)
        self._workspaces = {row.api_key_id: row.workspace_id for row in usage}

    def different_days(self) -> list[int]:
        """Days on which tokens differ."""
        both = self._api.keys() | self._ours.keys()
        return sorted({day for day, at in both if at.tier != batches.TIER and any(self._delta(day, at))})

    def _delta(self, day: int, at: Place) -> Counts:
        own = self._ours.get((day, at))
        return minus(self._api.get((day, at), ZERO), ZERO if own is None else own.counts)

    def explain_tokens(self, days: Sequence[int], minutes: Sequence[UsageRow]) -> None:
        """Put the differences of those days down to causes, by their minutes."""
        if not days:
            return
        both = self._api.keys() | self._ours.keys()
        places = {at for day, at in both if at.tier != batches.TIER and any(self._delta(day, at))}
        ours = self._books.minutes(days, {at.model for at in places})
        counted: dict[Place, dict[int, Counts]] = {}
        for (minute, at), counts in _summed(minutes, self._keys, MINUTE_US).items():
            counted.setdefault(at, {})[minute] = counts
        runs: list[Run] = []
        for at in sorted(places):
            runs += differing(at, counted.get(at, {}), ours.get(at, {}))
        begins, ends = days[0] * DAY_US - DAY_US, (days[-1] + 1) * DAY_US
        known = Known(
            now_us=self._now_us,
            ends=self._report_ends(minutes),
            unknown=self._books.unknown(begins, ends),
            rates=self._rates,
        )
        self._found += explained(runs, known)
        self._found += self._unaccounted(days, places)

    def _report_ends(self, minutes: Sequence[UsageRow]) -> int | None:
        """The first minute after all usage that is reported, of whatever key; None where there is none."""
        days = max((row.at_us // DAY_US for row in self._usage), default=None)
        fine = max((row.at_us // MINUTE_US for row in minutes if any(row.counts)), default=None)
        if days is None:
            return None
        is_fine = fine is not None and fine * MINUTE_US // DAY_US == days
        return fine + 1 if is_fine and fine is not None else (days + 1) * (DAY_US // MINUTE_US)

    def _unaccounted(self, days: Iterable[int], places: Iterable[Place]) -> Iterable[tuple[Place, Finding]]:
        """What the report by the day has and that by the minute has not."""
        sums: dict[tuple[int, Place], Counts] = {}
        for at, finding in self._found:
            sums[finding.day, at] = plus(sums.get((finding.day, at), ZERO), finding.counts)
        for at in places:
            for day in days:
                left = minus(self._delta(day, at), sums.get((day, at), ZERO))
                if any(left):
                    rates = self._rates(at, day * DAY_US)
                    yield (
                        at,
                        Finding(
                            cause=UNEXPLAINED,
                            day=day,
                            model=at.model,
                            key=at.key,
                            counts=left,
                            pico=sum(count * (rate or 0) for count, rate in zip(left, rates, strict=True)),
                            told="The reports by day and by minute do not agree with one another.",
                        ),
                    )

    def _accounts(self) -> dict[tuple[int, Charge], Accounts]:
        """Both sides by day and charge."""
        found: dict[tuple[int, Charge], Accounts] = {}

        def at(day: int, where: Charge) -> Accounts:
            return found.setdefault((day, where), Accounts())

        for (day, where), own in self._ours.items():
            ledger = at(day, charge(where)).ledger
            ledger.counts, ledger.calls = plus(ledger.counts, own.counts), ledger.calls + own.calls
            ledger.nano, ledger.unpriced = ledger.nano + own.nano, ledger.unpriced + own.unpriced
        for (day, where), counts in self._api.items():
            accounts = at(day, charge(where))
            accounts.counted = plus(accounts.counted, counts)
        for (day, billed), invoice in self._invoices.items():
            at(day, billed).invoice = invoice
        for where, finding in self._found:
            at(finding.day, charge(where)).tokens += finding.pico
        return found

    def result(self) -> Reconciled:
        findings = [finding for _, finding in self._found]
        findings += rest(self._accounts(), self._rates, self._now_us, self._decimals)
        invoiced = sum(invoice.total for invoice in self._invoices.values())
        return Reconciled(
            upstream=self._asked.upstream,
            since_day=self._asked.since_day,
            until_day=self._asked.until_day,
            rows=tuple(self._rows()),
            findings=tuple(merged(findings)),
            notes=tuple(self._notes()),
            ledger_nano=sum(own.nano for own in self._ours.values()),
            invoice_nano=(invoiced + 500) // 1000,
        )

    def _rows(self) -> list[Compared]:
        by = self._asked.by
        found: dict[tuple[str, ...], Compared] = {}
        tell: Mapping[str, Callable[[int, Place], str | None]] = {
            "day": lambda day, _: day_name(day),
            "model": lambda _, at: at.model,
            "tier": lambda _, at: at.tier,
            "geo": lambda _, at: at.geo,
            "speed": lambda _, at: at.speed,
            "key": lambda _, at: at.key,
            "workspace": lambda _, at: self._workspaces.get(at.key),
        }

        def row(day: int, at: Place) -> Compared:
            labels = {name: tell[name](day, at) for name in by}
            return found.setdefault(tuple(value or "" for value in labels.values()), Compared(labels))

        for (day, at), own in self._ours.items():
            one = row(day, at)
            one.calls += own.calls
            one.ledger.counts = plus(one.ledger.counts, own.counts)
            one.ledger.pico = (one.ledger.pico or 0) + own.nano * 1000
        for (day, at), counts in self._api.items():
            one = row(day, at)
            one.api.counts = plus(one.api.counts, counts)
        if _NOT_INVOICED & set(by):
            for one in found.values():
                one.api = Side(one.api.counts, None)
        else:
            for (day, billed), invoice in self._invoices.items():
                one = row(day, Place(None, *billed, "standard"))
                one.api.pico = (one.api.pico or 0) + invoice.total
        return [found[labels] for labels in sorted(found)]

    def _notes(self) -> Iterable[str]:
        if self._keys is None:
            seen = {row.api_key_id for row in self._usage}
            yield (
                f"The API's ids of the keys are not given: the ledger is compared with all keys of the organization, "
                f"{len(seen)} in these reports."
            )
        else:
            others = {row.api_key_id or "no key" for row in self._usage} - self._keys
            if others:
                yield f"{len(others)} other keys are in the reports and left out: {', '.join(sorted(others)[:5])}."
            for key in sorted(self._keys - {row.api_key_id for row in self._usage}):
                yield f"Key {key} is in no report of these days."
            if others:
                yield "The invoice does not tell keys apart: a line that others share in is shared out by tokens."
        begins_us = self._books.begins_us()
        if begins_us is not None and begins_us >= (self._asked.since_day + 1) * DAY_US:
            yield f"The ledger has nothing of this upstream before {day_name(begins_us // DAY_US)}."
        unread = sum(1 for row in self._batches if row.nano is None)
        if unread:
            yield f"{unread} of {len(self._batches)} batches have no cost in the ledger: their results were not had."


def _day(row: Row) -> int:
    return row.began_us // DAY_US


def _summed(rows: Iterable[UsageRow], keys: frozenset[str] | None, width_us: int) -> dict[tuple[int, Place], Counts]:
    """Counts by bucket and place, of those keys."""
    found: dict[tuple[int, Place], Counts] = {}
    for row in rows:
        if keys is not None and row.api_key_id not in keys:
            continue
        key = None if keys is None else row.api_key_id
        at = place(key, row.model or "", row.service_tier, row.inference_geo, row.speed)
        where = row.at_us // width_us, at
        found[where] = plus(found.get(where, ZERO), row.counts)
    return found
