"""Why the API counted other tokens than the ledger did: each run of minutes that differ, put down to a cause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from ...wire.models import shipped
from ...wire.prices import usd
from .books import Row
from .findings import UNEXPLAINED, Finding, ids, minute_name
from .minutes import Match, Run, matched
from .sums import DAY_US, MINUTE_US, OUTPUT, ZERO, Counts, Place, Rates, plus, sign, times

#: Within this time usage is in the reports, the API says.
FRESH_US = 300_000_000

_MINUTES_A_DAY = DAY_US // MINUTE_US
_KILLED_MINUTES = 60  # how long a call may have gone on that was killed, for nobody saw its end


class Known(msgspec.Struct):
    """What is known beside the runs.

    `ends` is the first minute after all that the API reports of any key or model, None where it reports nothing.
    `unknown` are the calls of unknown cost, and `left` what each may still account for, in pico-dollars.
    """

    now_us: int
    ends: int | None
    unknown: Sequence[Row]
    rates: Rates
    left: dict[str, int] = msgspec.field(default_factory=dict)


def explained(runs: Sequence[Run], known: Known) -> Iterator[tuple[Place, Finding]]:
    """What each run is put down to; where calls moved over midnight, a finding for either day."""
    for run in sorted(runs, key=lambda run: run.first):
        for finding in _causes(run, known):
            yield run.place, finding


def _causes(run: Run, known: Known) -> Iterator[Finding]:
    direction = sign(run.delta)
    if direction == 0:
        yield from _moved(run, known)
        return
    found = _estimated(run, known) or _unknown(run, known)
    if found is None and direction == -1:
        found = _absent(run, known)
    elif found is None and direction == 1:
        found = _surplus(run, known)
    if found is not None:
        yield found
    else:
        yield from _mixed(run, known)


def priced(run: Run, counts: Counts, known: Known) -> int:
    """What those cost at the place of the run, in pico-dollars; nothing where there is no price."""
    rates = known.rates(run.place, run.first * MINUTE_US)
    return sum(count * (rate or 0) for count, rate in zip(counts, rates, strict=True))


def _finding(run: Run, known: Known, cause: str, told: str, **more: object) -> Finding:
    given = {
        "day": run.first // _MINUTES_A_DAY,
        "model": run.place.model,
        "key": run.place.key,
        "counts": run.delta,
        "from_us": run.first * MINUTE_US,
        "until_us": (run.last + 1) * MINUTE_US,
    }
    if "pico" not in more:
        given["pico"] = priced(run, run.delta, known)
    return Finding(cause=cause, told=told, **{**given, **more})  # type: ignore[arg-type]


def _moved(run: Run, known: Known) -> Iterator[Finding]:
    """A run that comes to nothing matters where it lies on both sides of midnight."""
    days: dict[int, Counts] = {}
    for minute, delta in run.by_minute.items():
        day = minute // _MINUTES_A_DAY
        days[day] = plus(days.get(day, ZERO), delta)
    for day, delta in days.items():
        if any(delta):
            told = "The API counts calls from around midnight to another day than they began on."
            yield _finding(run, known, "midnight", told, day=day, counts=delta, pico=priced(run, delta, known))


def _estimated(run: Run, known: Known) -> Finding | None:
    """Only output differs, and calls are among them whose output is an estimate, and can be as far off as that."""
    broken = [row for row in run.rows if row.basis == "estimated"]
    if not broken or any(count for at, count in enumerate(run.delta) if at != OUTPUT):
        return None
    model = shipped().find(run.place.model)
    most = len(broken) * (model.output_tokens_max if model is not None else 0)
    if not -sum(row.counts[OUTPUT] for row in broken) <= run.delta[OUTPUT] <= most:
        return None
    told = (
        f"{_number(len(broken))} broke off, and the ledger estimates their output; the API counted "
        f"{run.delta[OUTPUT]:+,} tokens against that."
    )
    return _finding(run, known, "estimated", told, calls=len(broken), call_ids=ids([row.call_id for row in broken]))


def _unknown(run: Run, known: Known) -> Finding | None:
    """More than the ledger has, while calls of unknown cost went on that may have cost as much.

    Output may be less by as much as others that broke off were estimated at.
    """
    near = [row for row in known.unknown if _is_near(row, run)]
    estimated = sum(row.counts[OUTPUT] for row in run.rows if row.basis == "estimated")
    least = [-estimated if at == OUTPUT else 0 for at in range(len(run.delta))]
    if not near or any(count < low for count, low in zip(run.delta, least, strict=True)):
        return None
    bounds: dict[str, int] = {}
    for row in near:
        bounds[row.call_id] = known.left.setdefault(row.call_id, _most(row, known))
    pico = max(0, priced(run, run.delta, known))
    if pico > sum(bounds.values()):
        return None
    for name, bound in bounds.items():
        known.left[name] = bound - min(bound, pico)
        pico -= min(bound, pico)
    held = [row.held_nano for row in near if row.held_nano is not None]
    much = f"budgets held {usd(sum(held))} dollars for them" if held else "no budget held anything for them"
    several = "One attempt was" if len(near) == 1 else f"{len(near):,} attempts were"
    told = f"{several} made whose cost is not known; {much}."
    return _finding(run, known, "unknown", told, calls=len(near), call_ids=ids([row.call_id for row in near]))


def _is_near(row: Row, run: Run) -> bool:
    begins = row.began_us // MINUTE_US - 1
    ends = (row.ends_minute if row.took_us else begins + _KILLED_MINUTES) + 1
    is_same = (row.place.key, row.place.model) == (run.place.key, run.place.model)
    return is_same and begins <= run.last and run.first <= ends


def _most(row: Row, known: Known) -> int:
    """What a call can have cost: what was held, or else all of its bytes as tokens and the longest answer."""
    if row.held_nano is not None:
        return row.held_nano * 1000
    model = shipped().find(row.place.model)
    rates = [rate or 0 for rate in known.rates(row.place, row.began_us)]
    output = model.output_tokens_max if model is not None else 0
    return row.request_bytes * max(rates[:OUTPUT]) + output * rates[OUTPUT]


def _absent(run: Run, known: Known) -> Finding | None:
    """Less than the ledger has, by whole calls: not there yet, or not there."""
    everything = all(a == -b for a, b in zip(run.delta, run.counts, strict=True))
    if everything:
        number, what = run.calls, _of_all(run, -1)
    else:
        match = _match(run, -1, 0)
        if match.taken is None:
            return None
        rows = [run.rows[place] for place in match.taken]
        number, what = len(rows), _of_rows(rows, -1, is_sure=match.is_sure)
    if (run.last + 1) * MINUTE_US > known.now_us - FRESH_US:
        told = f"{_number(number)} of the last five minutes {_are(number)} not in the report yet."
        return _finding(run, known, "incomplete", told, **what)
    few = _number(number).lower()
    if known.ends is None:
        told = "The report has nothing at all. Is the admin key of the organization that pays for these calls?"
        return _finding(run, known, "missing", told, **what)
    if run.first >= known.ends:
        told = f"The report has nothing from {minute_name(known.ends)} on, and the ledger has {few}."
        return _finding(run, known, "late", told, **what)
    told = f"{_number(number)} of the ledger {_are(number)} not in the report."
    return _finding(run, known, "missing", told, **what)


def _surplus(run: Run, known: Known) -> Finding | None:
    """More than the ledger has: the same once more, or something else."""
    if run.calls and run.counts == run.delta:
        told = f"The API counted {_number(run.calls).lower()} of the ledger twice."
        return _finding(run, known, "doubled", told, **_of_all(run, 1))
    match = _match(run, 0, 1)
    if match.taken and match.is_sure:
        rows = [run.rows[place] for place in match.taken]
        told = f"The API counted {_number(len(rows)).lower()} of the ledger twice."
        return _finding(run, known, "doubled", told, **_of_rows(rows, 1))
    if not run.calls:
        told = "The API counted usage when the ledger has no such call: it did not go through Penstock."
        return _finding(run, known, "elsewhere", told)
    if match.taken is None and match.is_sure and _match(run, -1, 1).taken is None:
        told = "The API counted more than the ledger has, and not its calls twice: it did not go through Penstock."
        return _finding(run, known, "elsewhere", told)
    return None


def _mixed(run: Run, known: Known) -> Iterator[Finding]:
    """Calls missing and calls doubled in the same minutes, or nothing that can be told."""
    match = _match(run, -1, 1)
    if not match.taken or not match.is_sure:
        more = {1: "more tokens than the ledger has", -1: "fewer tokens than the ledger has"}
        less = more.get(sign(run.delta) or 0, "more tokens of some kinds and fewer of others")
        told = f"The API counted {less}, and the {run.calls:,} calls of those minutes do not tell why."
        yield _finding(run, known, UNEXPLAINED, told)
        return
    for cause, direction in (("missing", -1), ("doubled", 1)):
        rows = [run.rows[place] for place, number in match.taken.items() if number == direction]
        if rows:
            counts = ZERO
            for row in rows:
                counts = plus(counts, times(row.counts, direction))
            said = f"{_are(len(rows))} not in the report" if direction < 0 else f"{_are(len(rows))} in it twice"
            told = f"{_number(len(rows))} of the ledger {said}."
            what = {"pico": priced(run, counts, known), **_of_rows(rows, direction)}
            yield _finding(run, known, cause, told, counts=counts, **what)


def _match(run: Run, low: int, high: int) -> Match:
    return matched(run.rows, run.delta, low, high) if run.is_whole else Match(None, False)


def _of_all(run: Run, direction: int) -> dict[str, object]:
    """What a finding says of all calls of a run."""
    names = ids([row.call_id for row in run.rows])
    return {"calls": run.calls, "call_ids": names, "pico": direction * 1000 * run.nano}


def _of_rows(rows: Sequence[Row], direction: int, *, is_sure: bool = True) -> dict[str, object]:
    """What a finding says of calls; their names only where it is sure that it is these."""
    what: dict[str, object] = {"calls": len(rows)}
    if is_sure:
        what["call_ids"] = ids([row.call_id for row in rows])
        if all(row.nano is not None for row in rows):
            what["pico"] = direction * 1000 * sum(row.nano or 0 for row in rows)
    return what


def _number(calls: int) -> str:
    return "One call" if calls == 1 else f"{calls:,} calls"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
