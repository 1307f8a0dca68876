"""How far the gateway's estimates of input tokens are from what the API counted, and what an estimate costs."""

from __future__ import annotations

import json
import timeit
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.wire.messages import Request, read_request
from penstock.wire.models import shipped
from penstock.wire.overheads import SERVER_TOOLS
from penstock.wire.prompts import read_prompt
from penstock.wire.tokens import Estimate, estimate

from .machine import Unmeasurable
from .report import Plan, Row, Section, Spread, Target
from .tokens import RECORDINGS, _exchanges, _plain, part

_ABOUT = (
    "What `penstock.wire.tokens` says of a request before it is sent, against what the API then counted, caches "
    "included. `expected` is judged by its error in per cent of the count, `most` by how often the count was above it "
    "and by how many times the count it is. A prompt's class is the first that fits of: tools the API runs (what they "
    "find is input too), documents, other blocks that cannot be weighed (images of unknown size, tools of the API), "
    "images, an answer with a schema, tools; all are those from images on. Left out are prompts the API compacted "
    "before it counted them, and one whose recorder replaced what the API had sealed. `expected` weighs texts as the "
    "simulator does, whose section, above, has the error of a fit on one half and a test on the other; what thinking, "
    "citations, documents and the API's own tools add was read off this same traffic. The weights of `most` were "
    "chosen with all prompts in sight, so their test is the last column: texts of recorded answers, as if they were "
    "prompts. Old is the tokenizer up to Claude 4.6, new the later one."
)
_CLASSES = ("all", "plain", "tools", "structured", "images", "documents", "other blocks", "server tools", "answers")
_APART = ("documents", "other blocks", "server tools", "answers")
#: Tokens by which the frame of a prompt is more than that of an answer.
_FRAME = 4
_MODEL = "claude-sonnet-4-6"
_WORDS = (
    "The quick brown fox, who jumped over 12 lazy dogs, reads the documentation of internationalisation.\n"
    "    if (path.length > 0) { return this.open(path); }  // indented, and with a comment\n"
)


@dataclass
class Figures:
    """Of the prompts of a class: `expected` / counted - 1, `most` / counted, and the counts."""

    errors: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def add(self, estimate: Estimate, counted: int) -> None:
        self.errors.append(estimate.expected / counted - 1)
        self.ratios.append(estimate.most / counted)
        self.counts.append(counted)

    @property
    def count(self) -> int:
        return len(self.errors)

    @property
    def below(self) -> int:
        """Prompts that were counted at more than `most`."""
        return sum(ratio < 1 for ratio in self.ratios)

    @property
    def mean(self) -> float:
        return sum(self.errors) / len(self.errors)

    def error(self, share: float) -> float:
        """What so great a share of absolute errors stays below."""
        return part(sorted(map(abs, self.errors)), share)

    def over(self, share: float, tokens: int = 0) -> float | None:
        """What `most` / counted stays below for so great a share of the prompts of so many tokens."""
        ratios = sorted(ratio for ratio, counted in zip(self.ratios, self.counts, strict=True) if counted >= tokens)
        return part(ratios, share) if ratios else None


def measure(plan: Plan) -> Section:
    if not RECORDINGS.is_dir():
        raise Unmeasurable("the recorded traffic is not on this machine")
    figures = figures_of(RECORDINGS)
    section = Section("estimator", "The estimate of input tokens, before a request is sent", _ABOUT, _CLASSES)
    for family in ("old", "new"):
        found = [figures.get((family, kind)) for kind in _CLASSES]
        section.rows += [_row(f"{family}: {what}", unit, found[:-1], of) for what, unit, of in _OF_EXPECTED]
        section.rows += [_row(f"{family}: {what}", unit, found, of, target) for what, unit, of, target in _OF_MOST]
    section.rows += _costs(plan)
    section.notes.append(
        'The long plain prompts are nearly all fillers of cache tests: English without a single "th", which is held '
        "for as if it were another language."
    )
    return section


Figure = Callable[[Figures], float | None]
_OF_EXPECTED: tuple[tuple[str, str, Figure], ...] = (
    ("`expected`, absolute error, p50", "%", lambda one: one.error(0.5) * 100),
    ("`expected`, absolute error, p90", "%", lambda one: one.error(0.9) * 100),
    ("`expected`, absolute error, p95", "%", lambda one: one.error(0.95) * 100),
    ("`expected`, mean error", "%", lambda one: one.mean * 100),
)
_OF_MOST: tuple[tuple[str, str, Figure, Target | None], ...] = (
    ("counted above `most`", "% of prompts", lambda one: 100 * one.below / one.count, Target(0)),
    ("`most` / counted, median", "×", lambda one: one.over(0.5), None),
    ("`most` / counted, p95", "×", lambda one: one.over(0.95), None),
    ("the same from 1,000 tokens on, median", "×", lambda one: one.over(0.5, 1_000), None),
    ("prompts", "", lambda one: one.count, None),
)


def _row(what: str, unit: str, found: list[Figures | None], of: Figure, target: Target | None = None) -> Row:
    values = [None if one is None else of(one) for one in found]
    return Row(what, unit, tuple(None if value is None else Spread.of([value]) for value in values), target)


def figures_of(recordings: Path) -> dict[tuple[str, str], Figures]:
    """By tokenizer and class; only of models whose tokenizer is known."""
    figures: dict[tuple[str, str], Figures] = defaultdict(Figures)
    for asked, counted, answer, output in _exchanges(recordings):
        model = shipped().find(asked["model"])
        if model is None:
            continue
        family = "old" if model.tokenizer == "claude-3" else "new"
        text = "" if asked.get("thinking") else _plain(answer)
        if text and output:
            turn = {"messages": [{"role": "user", "content": text}]}
            figures[family, "answers"].add(_estimated(turn, model.id)[0], output + _FRAME)
        body = json.dumps(asked, ensure_ascii=False)
        if '"compact_20' in body or '"encrypted_content_REDACTED' in body:
            continue
        found, kind = _estimated(asked, model.id)
        for name in (kind,) if kind in _APART else (kind, "all"):
            figures[family, name].add(found, counted)
    return figures


def _estimated(asked: dict[str, Any], model: str) -> tuple[Estimate, str]:
    """The estimate of a request, and its class."""
    body = json.dumps(asked, ensure_ascii=False).encode()
    request = read_request(body)
    return estimate(request, model, body), _class_of(request, body, asked)


def _class_of(request: Request, body: bytes, asked: dict[str, Any]) -> str:
    prompt = read_prompt(request, body)
    if any(kind.startswith(SERVER_TOOLS) for kind in prompt.vendor_tools):
        return "server tools"
    if any(b'"document"' in block for block in prompt.odd) or prompt.documents:
        return "documents"
    if prompt.odd or prompt.vendor_tools:
        return "other blocks"
    if prompt.images:
        return "images" if None not in prompt.images else "other blocks"
    if asked.get("output_config") or asked.get("output_format"):
        return "structured"
    return "tools" if prompt.tools else "plain"


def _costs(plan: Plan) -> list[Row]:
    """What an estimate costs, beside a full decoding of the same body."""
    rows = []
    for what, size, turns, target in (
        ("2 KB, two turns", 2_000, 2, Target(20)),
        ("2 KB, ten turns", 2_000, 10, None),
        ("500 KB, two turns", 500_000, 2, Target(3_000)),
        ("500 KB, 200 turns", 500_000, 200, None),
    ):
        body = _body(size, turns)
        request = read_request(body)
        times = max(1, (200_000 if plan.is_quick else 2_000_000) // size)
        for name, run in (
            ("an estimate", lambda request=request, body=body: estimate(request, _MODEL, body)),
            ("json.loads", lambda body=body: json.loads(body)),
        ):
            rounds = [timeit.timeit(run, number=times) / times * 1e6 for _ in range(plan.rounds)]
            rows.append(Row(f"{name}, {what}", "µs", (Spread.of(rounds),), target if name == "an estimate" else None))
    return rows


def _body(size: int, turns: int) -> bytes:
    text = (_WORDS * (size // len(_WORDS) + 1))[: size // turns]
    messages = [{"role": ("user", "assistant")[at % 2], "content": text} for at in range(turns)]
    return json.dumps({"model": _MODEL, "max_tokens": 1024, "messages": messages}).encode()
