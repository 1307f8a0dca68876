"""When faults befall requests: by share, on a schedule, for some requests only; decided by the seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from .dice import Dice
from .faults import Fault, Faults, read_fault
from .problems import invalid

HEADER = "x-simulator-fault"

_TEXT = re.compile(
    r"(?P<fault>[a-z_0-9]+(?::[0-9.]+)?)(?:\s+(?P<percent>[0-9.]+)\s*%)?"
    r"(?:\s+from\s+(?P<begin>[0-9.]+)s?)?(?:\s+to\s+(?P<end>[0-9.]+)s?)?"
    r"(?:\s+for\s+(?P<model>claude[a-z0-9.-]*))?"
)


@dataclass(slots=True)
class Rule:
    """A fault for a share of the requests within a time, in seconds since the simulator began; `count` at most.

    `model` and `path` are beginnings that a request's must have; empty for all.
    """

    fault: Fault
    share: float = 1.0
    from_s: float = 0.0
    to_s: float | None = None
    count: int | None = None
    model: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"a share lies between 0 and 1, and {self.share} does not")
        if self.to_s is not None and self.to_s <= self.from_s:
            raise ValueError(f"it ends at {self.to_s} s, before it begins at {self.from_s} s")

    def is_on(self, at_s: float, path: str, model: str) -> bool:
        if at_s < self.from_s or (self.to_s is not None and at_s >= self.to_s) or self.count == 0:
            return False
        return path.startswith(self.path) and model.startswith(self.model)

    def shown(self) -> dict[str, Any]:
        fault = self.fault
        return {
            "fault": fault.name if fault.amount is None else f"{fault.name}:{fault.amount:g}",
            "share": self.share,
            "from_s": self.from_s,
            "to_s": self.to_s,
            "count": self.count,
            "model": self.model,
            "path": self.path,
        }


def read_rule(text: str) -> Rule:
    """`overloaded 30% from 10s to 40s for claude-opus`: all but the fault may be left out. Raises ValueError."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no rule; write it as: overloaded 30% from 10s to 40s for claude-opus")
    percent, begin, end = found["percent"], found["begin"], found["end"]
    return Rule(
        read_fault(found["fault"]),
        float(percent) / 100 if percent else 1.0,
        float(begin) if begin else 0.0,
        float(end) if end else None,
        model=found["model"] or "",
    )


class Dealer:
    """Decides each request's fault: by the rules, newest first, then by what its header asks, then by the shares."""

    def __init__(self, shares: Faults, rules: Iterable[Rule], now: Callable[[], float], *, may_ask: bool) -> None:
        self._shares, self._may_ask, self._now = shares, may_ask, now
        self._began_s = now()
        self._rules = list(rules)
        self._lock = Lock()

    @property
    def at_s(self) -> float:
        """Seconds since the simulator began."""
        return self._now() - self._began_s

    def add(self, rule: Rule) -> None:
        """Put a rule before all others. May be called from any thread."""
        with self._lock:
            self._rules.insert(0, rule)

    def trigger(self, fault: Fault, count: int) -> None:
        """Let `count` requests meet this fault, after those triggered before. May be called from any thread."""
        with self._lock:
            at = sum(1 for rule in self._rules if rule.count is not None and rule.share == 1.0)
            self._rules.insert(at, Rule(fault, count=count))

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def rules(self) -> list[dict[str, Any]]:
        """The rules that can still befall a request."""
        at_s = self.at_s
        return [rule.shown() for rule in self._rules if rule.count != 0 and (rule.to_s is None or at_s < rule.to_s)]

    def deal(self, headers: dict[str, str], path: str, model: str, dice: Dice) -> Fault | None:
        """Raises Problem 400 for a fault header that names none."""
        drawn, at_s = self._shares.draw(dice), self.at_s
        chance = dice.random.getrandbits(32)  # drawn whether a rule is on or not, so that rules move no other draw
        with self._lock:
            for number, rule in enumerate(self._rules):
                if not rule.is_on(at_s, path, model):
                    continue
                if rule.share < 1.0 and Dice(chance, number).random.random() >= rule.share:
                    continue
                if rule.count is not None:
                    rule.count -= 1
                    self._rules = [one for one in self._rules if one.count != 0]
                return rule.fault
        if self._may_ask and HEADER in headers:
            try:
                return read_fault(headers[HEADER])
            except ValueError as fault:
                raise invalid(f"{HEADER}: {fault}") from None
        return drawn
