"""What the API's prompt cache does: how much is read from it, what that saves, and why not more."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import PenstockError
from ..faces.compose import price_book
from ..stores.sums import DAY_US
from ..stores.totals import Total
from ..tools.cache import Diagnosis, Finding, Patient, diagnose
from ..tools.cache import Span as Looked
from ..tools.cache.causes import CAUSES
from ..wire.messages import Usage
from ..wire.prices import PriceBook
from .desk import Desk
from .view import View

#: The doctor reads so many of the newest calls at most: it takes some seconds for them.
CALLS_MAX = 20_000
FINDINGS_MAX = 20
#: Features and models are shown up to so many, those with most input.
FEATURES_MAX = 50
#: So many tokens are priced, which gives pico-dollars for each, and is below any step of a price.
_PRICED = 1000

#: One at a time, whoever asks: it takes all of a core.
_LOOKING = threading.Lock()

_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def caching(desk: Desk, view: View) -> dict[str, Any]:
    """What the template shows: sums, the same over time and by feature and model, and what the doctor found."""
    with desk.totals() as totals:
        rows = totals.of(view.span, ("feature", "model"), view.where, step_us=view.step_us)
        earlier = totals.of(view.before, ("feature", "model"), view.where, step_us=DAY_US) if view.compares else []
    prices, before = price_book(desk.config), _Sum()
    for one in earlier:
        before.add(one.measures, _money(one, prices))
    whole, times, features = _Sum(), defaultdict[int, _Sum](_Sum), defaultdict[tuple[str, ...], _Sum](_Sum)
    for one in rows:
        money = _money(one, prices)
        for own in (whole, times[one.at_us], features[one.labels]):
            own.add(one.measures, money)
    by_time = [{"at_us": at_us, **own.told()} for at_us, own in sorted(times.items())]
    by_feature = [{"feature": feature, "model": model, **own.told()} for (feature, model), own in features.items()]
    by_feature = sorted(filter(_has_input, by_feature), key=lambda one: (-one["input"], one["feature"], one["model"]))
    return {
        "whole": whole.told(),
        "rows": by_time,
        "before": before.told() if view.compares else None,
        "features": by_feature[:FEATURES_MAX],
        "fewer": max(0, len(by_feature) - FEATURES_MAX),
        "share": {
            "time": [one["at_us"] // 1_000_000 for one in by_time],
            "share": [
                round(100 * one["cache_read_tokens"] / one["input"], 2) if one["input"] else None for one in by_time
            ],
        },
        "tokens": _stack(by_time, view),
        "doctor": _doctor(desk, view, prices) if view.asked.get("doctor") == "1" else None,
        "calls_max": CALLS_MAX,
    }


def _has_input(told: Mapping[str, Any]) -> bool:
    return bool(told["input"])


def _stack(by_time: Sequence[Mapping[str, Any]], view: View) -> dict[str, Any]:
    """Tokens of input by kind, over all steps of the span."""
    known = {one["at_us"]: one for one in by_time}
    kinds = {"read from cache": "cache_read_tokens", "written": "written", "fresh": "input_tokens"}
    return {
        "time": [at_us // 1_000_000 for at_us in view.times()],
        "step_s": view.step_us // 1_000_000,
        "stack": [
            {"label": label, "values": [known[at_us][name] if at_us in known else 0 for at_us in view.times()]}
            for label, name in kinds.items()
        ],
    }


class _Sum:
    """Tokens of input by kind, and nano-dollars: what reads saved, and what writes cost beyond input."""

    def __init__(self) -> None:
        self._tokens = dict.fromkeys(("calls", *_TOKENS), 0)
        self._saved = self._surcharge = self._unpriced = 0

    def add(self, measures: Mapping[str, int], money: tuple[int, int] | None) -> None:
        for name in self._tokens:
            self._tokens[name] += measures[name]
        if money is None:
            self._unpriced += measures["calls"]
        else:
            self._saved += money[0]
            self._surcharge += money[1]

    def told(self) -> dict[str, Any]:
        tokens = self._tokens
        return {
            **tokens,
            "written": tokens["cache_write_5m_tokens"] + tokens["cache_write_1h_tokens"],
            "input": sum(tokens[name] for name in _TOKENS),
            "saved_nano": self._saved,
            "surcharge_nano": self._surcharge,
            "net_nano": self._saved - self._surcharge,
            "unpriced": self._unpriced,
        }


def _money(total: Total, prices: PriceBook) -> tuple[int, int] | None:
    """What reads saved and what writes cost beyond plain input, at the list prices of the time; None if not known."""
    one, model = total.measures, total.labels[1]
    read, short, long = (one[name] for name in _TOKENS[1:])
    if not read + short + long:
        return 0, 0

    def pico(usage: Usage) -> int | None:
        return prices.price(usage, model, total.at_us).nano

    fresh = pico(Usage(input_tokens=_PRICED))
    rates = (
        pico(Usage(cache_read_tokens=_PRICED)) if read else 0,
        pico(Usage(cache_write_5m_tokens=_PRICED)) if short else 0,
        pico(Usage(cache_write_1h_tokens=_PRICED)) if long else 0,
    )
    if fresh is None or rates[0] is None or rates[1] is None or rates[2] is None:
        return None
    saved = read * (fresh - rates[0])
    return saved // 1000, (short * (rates[1] - fresh) * bool(short) + long * (rates[2] - fresh) * bool(long)) // 1000


def _doctor(desk: Desk, view: View, prices: PriceBook) -> dict[str, Any]:
    """What `penstock cache doctor` says of the newest calls of the span; `said` where it could not be asked."""
    if not _LOOKING.acquire(blocking=False):
        return {"said": "It looks for somebody else just now. Ask again in some seconds."}
    try:
        span = view.span
        older = (
            "SELECT began_at_us FROM calls WHERE began_at_us >= ? AND began_at_us < ? ORDER BY 1 DESC LIMIT 1 OFFSET ?"
        )
        row = desk.ledger.execute(older, (*span, CALLS_MAX)).fetchone()
        since_us = span.from_us if row is None else row[0] + 1
        made = diagnose(desk.data, Looked(since_us, span.until_us, view.where.get("feature") or None), prices)
    except PenstockError as error:
        return {"said": str(error)}
    finally:
        _LOOKING.release()
    return {"said": None, "is_cut": row is not None, "since_us": since_us, **_found(made)}


def _found(made: Diagnosis) -> dict[str, Any]:
    found = [_told(patient, one) for patient in made.patients for one in patient.findings]
    found.sort(key=lambda one: -one["nano"])
    return {
        "calls": made.calls,
        "unjudged": made.unjudged,
        "lost_nano": made.lost_nano,
        "unread_nano": made.unread_nano,
        "findings": found[:FINDINGS_MAX],
        "more": max(0, len(found) - FINDINGS_MAX),
    }


def _told(patient: Patient, one: Finding) -> dict[str, Any]:
    cause = CAUSES[one.cause]
    return {
        "feature": patient.group.feature,
        "prompt": patient.group.prompt,
        "model": patient.group.model,
        "cause": one.cause.replace("_", " "),
        "said": " ".join(filter(None, (cause.said, one.evidence))),
        "fix": one.fix,
        "is_waste": cause.is_waste,
        "calls": one.calls,
        "tokens": one.tokens,
        "nano": one.nano,
        "call_ids": one.call_ids,
    }
