"""Which model a feature's calls go to: `[quality]`, `[[routes]]`, and what features have of the kind of their own."""
# ruff: noqa: RUF009  (`key` and `table` make dataclass fields)

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from .keys import BadValue, Fault, Section, check, key, shown, table
from .money import of_zone

QUALITIES = ("top", "balanced", "fast")
#: The most tokens of an answer, by kind of task.
TASKS = {"classification": 50, "summary": 500, "chat": 2048}
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: What the calls of a split are told apart by, where it says no other: those without get the next one that they have.
UNITS = ("user", "session", "call")

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
#: What the calls of a split are that fall to none of its arms.
CONTROL = "control"


def of_hours(hours: str | None) -> Fault | None:
    found = None if hours is None else _HOURS.fullmatch(hours)
    if hours is None or (found is not None and found.group(1, 2) != found.group(3, 4)):
        return None
    return f"is {shown(hours)}", 'Give such as "22:00-06:00".'


def minutes_of(hours: str) -> tuple[int, int]:
    """From when and until when, in minutes since midnight, of hours such as "22:00-06:00"."""
    begins, _, ends = hours.partition("-")
    first, last = (int(one[:2]) * 60 + int(one[3:]) for one in (begins, ends))
    return first, last


def of_weekdays(days: tuple[str, ...]) -> Fault | None:
    return None if set(days) <= set(WEEKDAYS) else ("names what is no day", f"Choose from {', '.join(WEEKDAYS)}.")


def of_tasks(tasks: tuple[str, ...]) -> Fault | None:
    return None if set(tasks) <= set(TASKS) else ("names what is no task", f"Choose from {', '.join(TASKS)}.")


def of_name(name: str | None) -> Fault | None:
    if name is None or _NAME.fullmatch(name):
        return None
    return f"is {shown(name)}", "Give letters, digits, dots and dashes, at most 64."


@dataclass(frozen=True, slots=True)
class QualityConfig(Section):
    """The model of each tier of quality, so that features need name none: `[quality]`."""

    top: str = key("claude-opus-5-5", "what is wanted where it matters most")
    balanced: str = key("claude-sonnet-5-5", "what does for most of what people read")
    fast: str = key("claude-haiku-5-5", "what does for the bulk: short, simple, many")

    def model(self, model: str | None, quality: str | None) -> str | None:
        """The model that is named, or else that of the quality; None where neither is."""
        if model is not None or quality is None:
            return model
        found: str = getattr(self, quality)
        return found


@dataclass(frozen=True, slots=True)
class WhenConfig(Section):
    """What a rule wants of a call: `when`. All that is said must hold; where nothing is, every call fits."""

    tasks: tuple[str, ...] = key((), "the feature's `task` is one of these", fault=of_tasks)
    tiers: tuple[str, ...] = key((), 'the caller\'s tier is one of these; that of keys without is "default"')
    tokens_over: int | None = key(None, "its input has more tokens than this, by estimate", least=0)
    tokens_up_to: int | None = key(None, "its input has at most so many tokens, by estimate", least=1)
    budget: str | None = key(None, "the budget that `left_below_percent` is about, by name")
    left_below_percent: int | None = key(None, "less than this is left of that budget", least=1, most=100)
    hours: str | None = key(None, 'the time of day is within, such as "22:00-06:00"', fault=of_hours)
    weekdays: tuple[str, ...] = key((), "the day is one of these: " + ", ".join(WEEKDAYS), fault=of_weekdays)
    timezone: str = key("UTC", "where hours and days are those of", fault=of_zone)

    def __post_init__(self) -> None:
        check(self)
        if (self.budget is None) != (self.left_below_percent is None):
            missing = "budget" if self.budget is None else "left_below_percent"
            raise BadValue("WhenConfig", missing, "is missing", "Give both `budget` and `left_below_percent`.")


@dataclass(frozen=True, slots=True)
class RouteConfig(Section):
    """A rule, of which the first that fits counts: `[[routes]]` and `[[features.NAME.routes]]`."""

    when: WhenConfig = table(WhenConfig, "what it wants of a call: see [routing](layers/routing.md); all where empty")
    model: str | None = key(None, "the model they go to; without it that of `quality`, or else their own")
    quality: Literal["top", "balanced", "fast"] | None = key(None, "likewise, by tier of quality", one_of=QUALITIES)
    max_tokens: int | None = key(None, "the most an answer may have", least=1)
    lane: Literal["interactive", "background"] | None = key(
        None, "instead of the feature's `lane`", one_of=("interactive", "background")
    )

    def __post_init__(self) -> None:
        check(self)
        if (self.model, self.quality, self.max_tokens, self.lane) == (None, None, None, None):
            raise BadValue("RouteConfig", "model", "is missing, and so is all else it could do", "Say what it does.")


@dataclass(frozen=True, slots=True)
class ArmConfig(Section):
    """One part of a split: `[[features.NAME.split.arms]]`."""

    name: str = key(meaning="what reports call it", fault=of_name)
    share_percent: float = key(meaning="how many of the users fall to it", least=0, most=100)
    model: str | None = key(None, "the model they get; without it that of `quality`")
    quality: Literal["top", "balanced", "fast"] | None = key(None, "likewise, by tier of quality", one_of=QUALITIES)
    stop_at_error_percent: int = key(
        0, "if more of its last calls fail, it gets none in this process; 0: never", least=0, most=100
    )

    def __post_init__(self) -> None:
        check(self)
        if self.name == CONTROL:
            raise BadValue("ArmConfig", "name", f'is "{CONTROL}", which is the rest', "Give it another.")
        if self.model is None and self.quality is None:
            raise BadValue("ArmConfig", "model", "is missing, and so is `quality`", "Give one of them.")


@dataclass(frozen=True, slots=True)
class SplitConfig(Section):
    """Models compared on a feature's own calls: `[features.NAME.split]`. What falls to no arm is the control."""

    name: str | None = key(
        None, "what reports call it, and what users are shuffled by; else the feature's", fault=of_name
    )
    by: Literal["user", "session", "call"] = key(
        "user", "what stays in its arm; without a user the session does, without both the call", one_of=UNITS
    )
    arms: tuple[ArmConfig, ...] = table(tuple, "its parts")

    def __post_init__(self) -> None:
        check(self)
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise BadValue("SplitConfig", "arms", "has two of one name", "Name each otherwise.")
        if sum(arm.share_percent for arm in self.arms) > 100 + 1e-9:  # 33.3, 33.3 and 33.4 are a little more
            raise BadValue("SplitConfig", "arms", "share out more than 100 percent", "Give them less.")


@dataclass(frozen=True, slots=True)
class ShadowConfig(Section):
    """Copies of a feature's calls to another model, whose answers nobody gets: `[features.NAME.shadow]`."""

    model: str | None = key(None, "the model they go to; without it that of `quality`")
    quality: Literal["top", "balanced", "fast"] | None = key(None, "likewise, by tier of quality", one_of=QUALITIES)
    share_percent: float = key(0.0, "how many of the calls are copied; each copy is paid", least=0, most=100)
    concurrency_max: int = key(
        4, "how many copies may be under way at once in one process; others are left out", least=1
    )
    server_tools: bool = key(False, "whether calls are copied too whose tools the API runs, for a price")

    def __post_init__(self) -> None:
        check(self)
        if self.share_percent and self.model is None and self.quality is None:
            raise BadValue("ShadowConfig", "model", "is missing, and so is `quality`", "Give one of them.")


def check_budgets(place: str, routes: Collection[RouteConfig], titles: Collection[str]) -> None:
    """Whether the budgets that rules ask are there. Raises BadValue."""
    for route in routes:
        if route.when.budget is not None and route.when.budget not in titles:
            said = f"ask {shown(route.when.budget)}, and there is no budget of that name"
            raise BadValue("Config", place, said, f"There are: {', '.join(titles) or 'none'}.")
