"""Who is told of what: `[alerts]`.

A threshold of 0 turns its alert off. What fires above a value clears below `clear_percent` of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import faults
from .features import DAY_S
from .keys import BadValue, Fault, Section, check, key, shown
from .money import nano_of, of_amount, of_zone

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def of_clock(text: str | None) -> Fault | None:
    if text is None or _CLOCK.fullmatch(text):
        return None
    return f"is {shown(text)}", 'Give a time of day such as "22:00".'


def of_share(percent: str | float) -> Fault | None:
    try:
        is_share = 0 <= float(percent) <= 100
    except ValueError:
        is_share = False
    return None if is_share else (f"is {shown(percent)}", "Give a number from 0 to 100.")


def minutes_of(text: str) -> int:
    """A time of day, such as "22:30", in minutes since midnight."""
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


@dataclass(frozen=True, slots=True)
class AlertsConfig(Section):
    """What is watched, from which value on, and who is told: `[alerts]`."""

    sinks: tuple[str, ...] = key(
        (), "who is told: references to Apprise URLs, or to the https:// URL of a webhook", fault=faults.of_keys
    )
    every_s: float = key(15.0, "how often the gateway looks; 0 never does", least=0, most=DAY_S)
    tells_cleared: bool = key(True, "whether they are told when it is over")
    remind_s: float = key(0.0, "how long after they are told again of what still fires; 0: never", least=0)
    clear_percent: int = key(80, "of the value it fires above: below that, an alert clears", least=1, most=100)
    hold_s: float = key(300.0, "once it has been below for so long", least=0, most=DAY_S)
    timezone: str = key("UTC", "of quiet hours, and where days begin", fault=of_zone)
    quiet_from: str | None = key(None, "from this time of day on, only critical alerts are delivered", fault=of_clock)
    quiet_until: str | None = key(None, "until this one; then the others are", fault=of_clock)
    error_percent: str | float = key(1, "of calls that fail", fault=of_share)
    error_critical_percent: str | float = key(5, "from here on it is critical", fault=of_share)
    error_calls_min: int = key(20, "of fewer calls nothing is said", least=1)
    slow_s: float = key(10.0, "which one of twenty calls takes longer than, end to end", least=0)
    slow_calls_min: int = key(20, "of fewer calls nothing is said", least=1)
    window_s: float = key(300.0, "the time that failures and durations are of", least=10, most=DAY_S)
    day_usd: str | float | None = key(None, "what a day may cost before somebody is told", fault=of_amount)
    spike_percent: int = key(300, "of the median of the same hour of earlier days", least=0)
    spike_usd: str | float = key(1, "an hour that cost less is no spike", fault=of_amount)
    cache_drop_percent: int = key(
        50, "by which the share of input read from cache fell against the same hour of earlier days", least=0, most=99
    )
    cache_tokens_min: int = key(1_000_000, "of less input in an hour nothing is said", least=1)
    compare_days: int = key(7, "how many earlier days", least=1, most=31)
    compare_days_min: int = key(3, "with fewer days of records nothing is compared", least=1, most=31)
    forecast_s: float = key(
        14_400.0, "a budget that will be used up sooner, at the rate of the last hour", least=0, most=31 * DAY_S
    )
    breaker: bool = key(True, "whether an open circuit is told")
    drift_percent: str | float = key(
        1, "of an invoice by which the ledger differed when `penstock reconcile` last looked", fault=of_share
    )
    key_days: int = key(90, "the age of a key, a virtual one or an upstream's, as far as it is known", least=0)

    def __post_init__(self) -> None:
        check(self)
        if (self.quiet_from is None) != (self.quiet_until is None):
            missing = "quiet_from" if self.quiet_from is None else "quiet_until"
            raise BadValue("AlertsConfig", missing, "is missing, and the other is given", "Give both, or neither.")
        critical = float(self.error_critical_percent)
        if critical and critical < float(self.error_percent):
            raise BadValue(
                "AlertsConfig", "error_critical_percent", "is less than `error_percent`", "Give more, or 0 for never."
            )

    @property
    def day_nano(self) -> int | None:
        """What a day may cost, in nano-dollars; None for no matter what."""
        return None if self.day_usd is None else nano_of(self.day_usd)

    @property
    def spike_nano(self) -> int:
        """The least that an hour costs that is a spike, in nano-dollars."""
        return nano_of(self.spike_usd)
