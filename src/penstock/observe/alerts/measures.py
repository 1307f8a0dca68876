"""What readings come to, beside their thresholds and in words. Pure: one function for each kind of alert."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from ...config.alerts import AlertsConfig
from ...stores.recent import Spent
from ...wire.prices import usd
from .readings import Readings, Standing
from .rules import Level, Measured

#: Within so many percent of its limit, a budget refuses calls, or is about to: the next one may not fit.
LIMIT_PERCENT = 95
#: Before so much of its limit is spent, nothing is foretold of a budget.
FORECAST_PERCENT = 20
#: A share of input read from cache that is lower than this, in percent, cannot collapse.
CACHE_PERCENT_MIN = 10

_DAY_US = 86_400_000_000
_SHOWN_MAX = 80


def measured(config: AlertsConfig, now: Readings) -> list[Measured]:
    """What is to be judged. What there is too little of to judge is left out."""
    made = [*_errors(config, now), *_slow(config, now), *_today(config, now), *_spike(config, now)]
    made += [*_cache(config, now), *_keys(config, now), *_circuits(config, now), *_drift(config, now)]
    for standing in now.standings:
        made += [*_budget(standing), *_forecast(config, standing, now.at_us)]
    return made


def _errors(config: AlertsConfig, now: Readings) -> Iterator[Measured]:
    above, critical = float(config.error_percent), float(config.error_critical_percent)
    calls, failed = now.ended.calls, now.ended.failed
    if not above or calls < config.error_calls_min:
        return
    percent = 100 * failed / calls
    yield Measured(
        identity="error rate",
        kind="error_rate",
        value=percent,
        levels=(Level(above, "warning"), *([Level(critical, "critical")] if critical else [])),
        clear_below=above * config.clear_percent / 100,
        hold_us=_us(config.hold_s),
        said=f"{percent:.1f} % of {calls:,} calls failed in the last {_span(config.window_s)}.",
        fix="See `penstock report --by error,upstream,model --since 15m`; `penstock explain` tells of one call.",
    )


def _slow(config: AlertsConfig, now: Readings) -> Iterator[Measured]:
    if not config.slow_s or now.ended.timed < config.slow_calls_min:
        return
    p95_s = now.ended.p95_us / 1e6
    yield Measured(
        identity="slow calls",
        kind="p95",
        value=p95_s,
        levels=(Level(config.slow_s, "warning"),),
        clear_below=config.slow_s * config.clear_percent / 100,
        hold_us=_us(config.hold_s),
        said=f"One of twenty messages took {p95_s:.1f} s or longer, of {now.ended.timed:,} in the last "
        f"{_span(config.window_s)}.",
        fix="See `penstock report --by model,feature --since 15m`; where that is usual, raise `alerts.slow_s`.",
    )


def _today(config: AlertsConfig, now: Readings) -> Iterator[Measured]:
    most = config.day_nano
    if not most:
        return
    yield Measured(
        identity="cost of the day",
        kind="day_cost",
        value=now.today.nano,
        levels=(Level(most, "warning"),),
        clear_below=most,
        said=f"Today's calls cost {usd(now.today.nano)} dollars so far; `alerts.day_usd` is {usd(most)}.",
        fix="See `penstock report --by feature,user --since 24h`; a budget would stop it.",
    )


def _spike(config: AlertsConfig, now: Readings) -> Iterator[Measured]:
    if not config.spike_percent or len(now.earlier) < config.compare_days_min:
        return
    usual = sorted(day.nano for day in now.earlier)[(len(now.earlier) - 1) // 2]
    above = max(usual * config.spike_percent // 100, config.spike_nano, 1)
    yield Measured(
        identity="cost spike",
        kind="cost_spike",
        value=now.hour.nano,
        levels=(Level(above, "warning"),),
        clear_below=above * config.clear_percent / 100,
        hold_us=_us(config.hold_s),
        said=f"The last hour cost {usd(now.hour.nano)} dollars; at this time of {len(now.earlier)} earlier days it was "
        f"{usd(usual)} (median).",
        fix="See `penstock report --by feature,user,model --since 2h` for who spends it.",
    )


def _cache(config: AlertsConfig, now: Readings) -> Iterator[Measured]:
    before = sum(now.earlier, Spent())
    is_enough = now.hour.input_tokens >= config.cache_tokens_min and before.input_tokens >= config.cache_tokens_min
    if not config.cache_drop_percent or len(now.earlier) < config.compare_days_min or not is_enough:
        return
    was, percent = _read_percent(before), _read_percent(now.hour)
    if was < CACHE_PERCENT_MIN:
        return
    yield Measured(
        identity="cache hit rate",
        kind="cache_collapse",
        value=100 - 100 * percent / was,
        levels=(Level(config.cache_drop_percent, "warning"),),
        clear_below=config.cache_drop_percent * config.clear_percent / 100,
        hold_us=_us(config.hold_s),
        said=f"{percent:.0f} % of input was read from cache in the last hour; at this time of {len(now.earlier)} "
        f"earlier days it was {was:.0f} %.",
        fix="Something near the beginning of prompts changes from call to call: look at what was released last, and "
        "at `penstock report --by feature,model --since 2h`.",
    )


def _read_percent(spent: Spent) -> float:
    return 100 * spent.read_tokens / spent.input_tokens


def _budget(standing: Standing) -> Iterator[Measured]:
    own, plan, limit = standing.budget, standing.budget.plan_nano, standing.budget.limit_nano
    if not plan or not own.alert_percent:
        return
    levels = [Level(plan * percent, "critical" if percent >= 100 else "warning") for percent in own.alert_percent]
    if limit is not None:
        levels.append(Level(limit * LIMIT_PERCENT, "critical"))
    levels.sort(key=lambda level: level.at)
    spent = standing.spent_nano
    said = (
        f"Budget {_about(standing)} has spent {usd(spent)} of {usd(plan)} dollars planned ({100 * spent / plan:.0f} %)"
    )
    if limit is not None and spent * 100 >= limit * LIMIT_PERCENT:
        whom = f", or ask {own.contact}" if own.contact else ""
        said += f"; calls are refused at {usd(limit)}."
        fix = f"Raise `limit_usd` to let calls through{whom}; `penstock report --by feature,user` shows what spent it."
    else:
        said += f"; calls are refused at {usd(limit)}." if limit is not None else "; nothing is refused."
        fix = "See `penstock budgets list` and `penstock report --by feature,user`; raise the plan, or spend less."
    yield Measured(
        identity=f"budget {_account(standing)}",
        kind="budget",
        value=spent * 100,
        levels=tuple(levels),
        clear_below=levels[0].at,
        said=said,
        fix=fix,
        group=f"budget {own.title}" if own.per else None,
    )


def _forecast(config: AlertsConfig, standing: Standing, now_us: int) -> Iterator[Measured]:
    """Measured is what would be spent in `forecast_s` at the rate of the last hour, of what is left."""
    left, hour = standing.limit_nano - standing.spent_nano, standing.hour_nano
    if not config.forecast_s or not hour or left <= 0:
        return
    out_us = now_us + left * 3_600_000_000 // hour
    if out_us >= standing.until_us:
        return
    own = standing.budget
    at = datetime.fromtimestamp(out_us // 1_000_000, ZoneInfo(own.timezone))
    day = "" if out_us - now_us < _DAY_US // 2 else f"{at:%Y-%m-%d} "
    yield Measured(
        identity=f"forecast {_account(standing)}",
        kind="forecast",
        value=hour * config.forecast_s / 3600 / left,
        levels=(Level(1, "warning"),),
        clear_below=config.clear_percent / 100,
        hold_us=_us(config.hold_s),
        said=f"Budget {_about(standing)} will be used up by {day}{at:%H:%M} ({own.timezone}): {usd(left)} dollars are "
        f"left, and the last hour cost {usd(hour)}.",
        fix="See `penstock report --by feature,user --since 2h`; `slow_percent` or a `downgrade` would stretch it.",
        group=f"forecast {own.title}" if own.per else None,
    )


def _circuits(config: AlertsConfig, now: Readings) -> Iterator[Measured]:
    for circuit in now.circuits:
        if config.breaker and circuit.until_us > now.at_us:
            yield Measured(
                identity=f"circuit {circuit.name}",
                kind="breaker",
                value=1,
                levels=(Level(1, "warning"),),
                clear_below=1,
                hold_us=_us(config.hold_s),
                said=f"The circuit of {shown(circuit.name)} is open: calls to it failed time and again.",
                fix="See `penstock report --by upstream,error --since 15m`; a `fallback` would be asked instead.",
                group="circuits",
            )


def _drift(config: AlertsConfig, now: Readings) -> Iterator[Measured]:
    above = float(config.drift_percent)
    for upstream, percent in now.drifts if above else ():
        yield Measured(
            identity=f"invoice of {upstream}",
            kind="drift",
            value=percent,
            levels=(Level(above, "warning"),),
            clear_below=above,
            said=f"The ledger and the invoice of {shown(upstream)} differ by {percent:.2f} %.",
            fix="`penstock reconcile` says by what, and why; it clears when that finds less.",
        )


def _keys(config: AlertsConfig, now: Readings) -> Iterator[Measured]:
    if not config.key_days:
        return
    for held in now.keys:
        days = (now.at_us - held.since_us) / _DAY_US
        least = "has been the same for at least" if held.is_upstream else "was made"
        ago = "" if held.is_upstream else " ago"
        make = "Make another where it comes from" if held.is_upstream else "Make another with `penstock keys create`"
        yield Measured(
            identity=f"age of key {held.identity}",
            kind="key_age",
            value=days,
            levels=(Level(config.key_days, "warning"),),
            clear_below=config.key_days,
            said=f"The key {shown(held.shown)} {least} {days:.0f} days{ago}.",
            fix=f"{make}, put it in the place of this one, and revoke this one.",
            group="ages of keys",
        )


def shown(text: str) -> str:
    """A name from outside as a message may have it: one short line, nothing that a chat takes for markup."""
    plain = _LOUD.sub("＠", "".join(sign if sign.isprintable() else " " for sign in text).translate(_PLAIN))
    return plain if len(plain) <= _SHOWN_MAX else plain[: _SHOWN_MAX - 1] + "…"


_PLAIN = str.maketrans({"<": "‹", ">": "›", "`": "'", "*": "∗"})
_LOUD = re.compile(r"@(?=everyone|here|channel)")


def _about(standing: Standing) -> str:
    """The budget, whose part of it, and the period, in words."""
    each = zip(standing.budget.per, standing.values, strict=True)
    whose = "".join(f", {name} '{shown(value)}'" if value else f", no {name}" for name, value in each)
    return f"'{shown(standing.budget.title)}'{whose} ({standing.period})"


def _account(standing: Standing) -> str:
    return " / ".join([standing.budget.title, *standing.values])


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
