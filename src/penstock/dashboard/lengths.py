"""How long answers are, beside the most they may be: what `max_tokens` cuts off, and what it holds for nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..stores.sums import LABELS
from .desk import Desk
from .view import View

#: So many calls are looked at, the newest of the span: lengths are in no sums.
SEEN_MAX = 20_000
_SHOWN = 12
#: From this share of answers on, a cap cuts off too many.
_CUT_SHARE = 0.01
#: A cap so many times the length of the longest hundredth holds budgets for what never comes.
_LOOSE = 4

_LABELS = ", ".join(f"{value} AS {name}" for name, value in LABELS.items())
_NEWEST = (
    f"SELECT {_LABELS}, output_tokens, stop_reason FROM calls WHERE began_at_us >= ? AND began_at_us < ? "
    "ORDER BY began_at_us DESC LIMIT ?"
)


class Lengths(NamedTuple):
    """The answers of a feature. Lengths in tokens; `cap` is the feature's own, None where it has none."""

    feature: str
    cap: int | None
    answers: int
    cut: int
    p50: int
    p95: int
    p99: int
    longest: int


def lengths(desk: Desk, view: View) -> dict[str, Any]:
    """`{"rows": [...], "most": tokens, "seen_max": calls}` of the features with the most answers."""
    conditions = "".join(f" AND {name} = ?" for name in view.where)
    query = f"SELECT feature, output_tokens, stop_reason IS 'max_tokens' FROM ({_NEWEST}) WHERE stop_reason IS NOT NULL"
    answers: dict[str, list[int]] = {}
    cut: dict[str, int] = {}
    values = (*view.span, SEEN_MAX, *view.where.values())
    for feature, tokens, was_cut in desk.ledger.execute(query + conditions, values):
        answers.setdefault(feature, []).append(tokens)
        cut[feature] = cut.get(feature, 0) + was_cut
    ranked = sorted(answers, key=lambda feature: (-len(answers[feature]), feature))[:_SHOWN]
    rows = [_row(desk, feature, answers[feature], cut[feature]) for feature in ranked]
    most = max((max(row.longest, row.cap or 0) for row in rows), default=0)
    return {"rows": [{**row._asdict(), "advice": _advice(row)} for row in rows], "most": most, "seen_max": SEEN_MAX}


def _row(desk: Desk, feature: str, tokens: list[int], cut: int) -> Lengths:
    config = desk.config.features.get(feature)
    cap = None if config is None else config.max_tokens_most
    ranked = sorted(tokens)
    p50, p95, p99 = (ranked[-(-percent * len(ranked) // 100) - 1] for percent in (50, 95, 99))
    return Lengths(feature, cap, len(ranked), cut, p50, p95, p99, ranked[-1])


def _advice(row: Lengths) -> str:
    enough = -(-row.p99 * 3 // 2 // 50) * 50 or 50
    if row.cut > row.answers * _CUT_SHARE:
        return "Too many are cut off: allow more, or ask for less."
    if row.cap is None:
        return f"No cap of its own; {enough:,} would be enough." if row.feature else ""
    if row.cap > _LOOSE * row.p99:
        return f"Budgets hold for answers that never come; {enough:,} would be enough."
    return ""
