"""What a bench found: figures with their spread, against targets, as a table for people and as JSON."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Plan:
    """How much to measure. `is_quick` shows that a bench runs, not what it would find."""

    is_quick: bool = False
    rows: int = 1_000_000  #: calls in a ledger that is made

    @property
    def rounds(self) -> int:
        return 1 if self.is_quick else 5

    @property
    def window_s(self) -> float:
        """How long one round of one subject lasts."""
        return 1.0 if self.is_quick else 4.0


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and how far apart they were."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        if self.low == self.high:
            return shown(self.median)
        return f"{shown(self.median)} ({shown(self.low)} to {shown(self.high)})"


@dataclass(frozen=True)
class Target:
    value: float
    is_floor: bool = False  #: at least this, where it is not at most this

    def is_met(self, figure: float) -> bool:
        return figure >= self.value if self.is_floor else figure <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.is_floor else '≤'} {shown(self.value)}"


@dataclass(frozen=True)
class Row:
    """One line of a table. `figures` stand in the order of the section's subjects; the target is for the first."""

    what: str
    unit: str
    figures: tuple[Spread | None, ...]
    target: Target | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is; None where there is none, or nothing was measured."""
        if self.target is None or self.figures[0] is None:
            return None
        return self.target.is_met(self.figures[0].median)


@dataclass
class Section:
    name: str
    title: str
    about: str
    subjects: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def table(self) -> str:
        """The rows as a Markdown table; columns in which nothing stands are left out."""
        has_target = any(row.target for row in self.rows)
        head = ["", *self.subjects, *(["target", "met"] if has_target else [])]
        lines = [head, ["---", *["---:"] * len(self.subjects), *(["---:", "---"] if has_target else [])]]
        for row in self.rows:
            cells = [f"{row.what}, {row.unit}" if row.unit else row.what]
            cells += ["–" if figure is None else str(figure) for figure in row.figures]
            cells += ["–"] * (len(self.subjects) - len(row.figures))
            if has_target:
                met = {True: "yes", False: "**no**", None: "not measured" if row.target else ""}[row.is_met]
                cells += [str(row.target or ""), met]
            lines.append(cells)
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def markdown(self, date: str, machine: str) -> str:
        parts = [
            f"## {self.title}",
            self.about,
            f"`python -m bench {self.name}`, {date}. {machine}",
            self.table(),
            "\n".join(f"* {note}" for note in self.notes),
        ]
        return "\n\n".join(part for part in parts if part)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "subjects": list(self.subjects),
            "rows": [
                {
                    "what": row.what,
                    "unit": row.unit,
                    "figures": {
                        subject: None if figure is None else vars(figure)
                        for subject, figure in zip(self.subjects, row.figures, strict=False)
                    },
                    "target": None if row.target is None else str(row.target),
                    "is_met": row.is_met,
                }
                for row in self.rows
            ],
            "notes": self.notes,
        }


def shown(figure: float) -> str:
    """Three significant digits, without an exponent; whole numbers from 100 on."""
    if figure == 0 or abs(figure) >= 99.95:
        return f"{figure:,.0f}"
    digits = 1 if abs(figure) >= 9.995 else 2 if abs(figure) >= 0.9995 else 3
    return f"{figure:.{digits}f}"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Round by round, so that what disturbed both cancels out."""
    return Spread.of([mine / other for mine, other in zip(ours, theirs, strict=True)])


def write_section(page: Path, name: str, text: str) -> None:
    """Put a section between its two marks in a page, and leave everything else in the page as it is.

    A section the page has no marks for goes to its end.
    """
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    block = f"{begin}\n{text}\n{end}"
    before = page.read_text() if page.exists() else ""
    marks = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if marks.search(before):
        after = marks.sub(lambda _: block, before, count=1)
    else:
        after = f"{before.rstrip()}\n\n{block}\n".lstrip()
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(after)
