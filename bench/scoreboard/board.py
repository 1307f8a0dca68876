"""The lines of the board, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..report import Target, shown
from .subjects import OURS, SUBJECTS


@dataclass(frozen=True)
class Scale:
    """How much is done. `is_quick` shows that the board runs, not what it would find."""

    is_quick: bool = False

    @property
    def calls(self) -> int:
        return 200 if self.is_quick else 2000

    @property
    def outage_s(self) -> float:
        return 3.0 if self.is_quick else 60.0

    @property
    def limited_s(self) -> float:
        """For how long limits are saturated; they are per minute."""
        return 5.0 if self.is_quick else 65.0

    @property
    def stream_s(self) -> float:
        return 3.0 if self.is_quick else 30.0

    @property
    def reloads(self) -> int:
        return 20 if self.is_quick else 1000

    @property
    def kills(self) -> int:
        return 5 if self.is_quick else 200

    @property
    def callers(self) -> tuple[int, ...]:
        """How many at once."""
        return (1, 10) if self.is_quick else (1, 10, 100, 1000)

    @property
    def soak_s(self) -> float:
        return 5.0 if self.is_quick else 180.0


@dataclass(frozen=True)
class Line:
    """One figure for each subject that has it. The target is for both of ours; the bare SDK stands beside."""

    test: str
    what: str
    unit: str
    figures: dict[str, float]
    target: Target | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether both of ours meet the target; None where there is none."""
        ours = [self.figures[name] for name in OURS if name in self.figures]
        return None if self.target is None or not ours else all(map(self.target.is_met, ours))

    def to_json(self) -> dict[str, Any]:
        return {
            "test": self.test,
            "what": self.what,
            "unit": self.unit,
            "figures": self.figures,
            "target": None if self.target is None else str(self.target),
            "is_met": self.is_met,
        }


def at_least(value: float) -> Target:
    return Target(value, is_floor=True)


def at_most(value: float) -> Target:
    return Target(value)


def table(lines: list[Line]) -> str:
    """The board as a Markdown table."""
    rows = [["", "", *SUBJECTS, "target", "met"], ["---", "---", "---:", "---:", "---:", "---:", "---"]]
    for line in lines:
        figures = [shown(line.figures[name]) if name in line.figures else "–" for name in SUBJECTS]
        met = {True: "yes", False: "**no**", None: ""}[line.is_met]
        what = f"{line.what}, {line.unit}" if line.unit else line.what
        rows.append([line.test, what, *figures, str(line.target or ""), met])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
