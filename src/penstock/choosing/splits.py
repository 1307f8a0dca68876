"""Splits: which arm of a comparison a call falls to, the same each time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ..call import Call
from ..config.routes import CONTROL, UNITS, ArmConfig, QualityConfig, SplitConfig
from ..prompts.splitting import POINTS, point

#: By so many of its last calls an arm is judged, and not before it has had so many.
_LAST, _LEAST = 200, 20


class Arm:
    """One arm, and how its last calls of this process ended."""

    def __init__(self, config: ArmConfig, quality: QualityConfig) -> None:
        self.name, self.stop_percent = config.name, config.stop_at_error_percent
        self.model = quality.model(config.model, config.quality) or ""
        self._failed: deque[bool] = deque(maxlen=_LAST)
        #: Once it is stopped it stays so, as long as the config does: a canary that is taken up again is another one.
        self.is_stopped = False

    def ended(self, *, is_failure: bool) -> None:
        """One of its calls has ended."""
        self._failed.append(is_failure)
        calls, failures = len(self._failed), sum(self._failed)
        if self.stop_percent and calls >= _LEAST and failures * 100 > self.stop_percent * calls:
            self.is_stopped = True


class Split:
    """A feature's split. `models` are those of its arms."""

    def __init__(self, feature: str, config: SplitConfig, quality: QualityConfig) -> None:
        self.name = config.name or feature
        self._units = UNITS[UNITS.index(config.by) :]
        self._arms = {arm.name: Arm(arm, quality) for arm in config.arms}
        self._ranges = _ranges(config.arms)
        self.models = frozenset(arm.model for arm in self._arms.values())

    def arm(self, call: Call) -> Arm | None:
        """The arm that the call falls to; None for the control."""
        name = fallen(self._ranges, point(self.name, _unit(call, self._units)))
        return self._arms[name] if name is not None else None

    def label(self, arm: Arm | None) -> str:
        """What the ledger calls it."""
        return f"{self.name}/{CONTROL if arm is None else arm.name}"


Ranges = tuple[tuple[int, int, str], ...]


def _ranges(arms: Sequence[ArmConfig]) -> Ranges:
    """From which to which point each arm reaches: the first down from the top, the others up from the bottom, in order.

    So the control lies between, and of one arm or two each grows into it alone: nobody changes from one to the other.
    Of three, the first and the last do. The newest version of a prompt has the top too (see `prompts.splitting`).
    """
    found, bottom = [], 0
    for place, arm in enumerate(arms):
        width = round(arm.share_percent * POINTS / 100)
        if place == 0:
            found.append((POINTS - width, POINTS, arm.name))
        else:
            found.append((bottom, bottom + width, arm.name))
            bottom += width
    return tuple(found)


def fallen(ranges: Ranges, at: int) -> str | None:
    """The name of the arm at a point; None where there is none."""
    for first, until, name in ranges:
        if first <= at < until:
            return name
    return None


def is_drawn(name: str, unit: str, share_percent: float) -> bool:
    """Whether so large a share has this one in it."""
    return point(name, unit) < share_percent * POINTS / 100


def _unit(call: Call, units: Sequence[str]) -> str:
    for unit in units:
        value = call.id if unit == "call" else getattr(call.tags, unit)
        if value is not None:
            return str(value)
    return call.id
