"""Whether something fires: pure functions of what is measured and what is known of the alert.

| known | measured | becomes |
|---|---|---|
| nothing | at a level | fires |
| fires | at a higher level than ever since it fires | worsens |
| fires | below `clear_below`, or not measured at all, for as long as `hold_us` | clears |
| fires | neither | goes on; is told again after `remind_us`, unless acknowledged |

Between `clear_below` and the first level nothing changes, so that a value that swings about there is one alert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from ...stores.alerts import Firing

Severity = Literal["warning", "critical"]
Event = Literal["fired", "worsened", "reminded", "cleared"]

#: So many alerts of one group fire at once; the others are one alert together.
GROUP_MAX = 20


class Level(msgspec.Struct, frozen=True):
    """From `at` on, in the unit of what is measured, the alert fires with this severity."""

    at: float
    severity: Severity


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one alert is about, measured. `identity` is the same as long as it is the same alert; `levels` rise.

    `said` tells the value in words, `fix` what to do, one sentence each. `group` gathers alerts that may be very many.
    """

    identity: str
    kind: str
    value: float
    levels: tuple[Level, ...]
    clear_below: float
    hold_us: int = 0
    said: str
    fix: str
    group: str | None = None

    @property
    def level(self) -> int:
        """How many levels are reached."""
        return sum(self.value >= level.at for level in self.levels)


class Step(msgspec.Struct, frozen=True):
    """What changes of an alert; `event` is None where nobody is to be told."""

    identity: str
    event: Event | None
    level: int
    below_since_us: int | None = None
    measured: Measured | None = None


def steps(measured: Iterable[Measured], firing: Mapping[str, Firing], now_us: int, *, remind_us: int = 0) -> list[Step]:
    """What changes by a round of measuring. Alerts that fire and were not measured count as below."""
    found = {one.identity: one for one in gathered(list(measured), firing)}
    made = [step(one, firing.get(one.identity), now_us, remind_us) for one in found.values()]
    made += [step(None, known, now_us, remind_us) for known in firing.values() if known.identity not in found]
    return [one for one in made if one is not None]


def step(measured: Measured | None, known: Firing | None, now_us: int, remind_us: int = 0) -> Step | None:
    """What changes of one alert; None where nothing does. One of the first two is given."""
    level = measured.level if measured is not None else 0
    if known is None:
        assert measured is not None
        return Step(measured.identity, "fired", level, None, measured) if level else None
    if level > known.level:
        return Step(known.identity, "worsened", level, None, measured)
    if measured is None or (not level and measured.value < measured.clear_below):
        since_us = now_us if known.below_since_us is None else known.below_since_us
        if now_us - since_us >= known.hold_us:
            return Step(known.identity, "cleared", known.level, since_us, measured)
        return Step(known.identity, None, known.level, now_us) if known.below_since_us is None else None
    is_due = remind_us > 0 and not known.is_acked and now_us - known.told_us >= remind_us
    if is_due or known.below_since_us is not None:
        return Step(known.identity, "reminded" if is_due else None, known.level, None, measured)
    return None


def gathered(measured: list[Measured], firing: Mapping[str, Firing]) -> list[Measured]:
    """The same, where of no group more than GROUP_MAX fire by themselves: the others are one alert.

    Those that fire already stay; of the others, the highest values go first.
    """
    kept = [one for one in measured if one.group is None or not one.level]
    groups: dict[str, list[Measured]] = {}
    for one in measured:
        if one.group is not None and one.level:
            groups.setdefault(one.group, []).append(one)
    for group, members in groups.items():
        members.sort(key=lambda one: (one.identity not in firing, -one.value))
        kept += members[:GROUP_MAX]
        rest = members[GROUP_MAX:]
        if rest:
            worst = max(rest, key=lambda one: (one.level, one.value))
            said = f"And {len(rest)} more, of which: {worst.said}"
            kept.append(replace(worst, identity=f"{group}: more", said=said, group=None))
    return kept
