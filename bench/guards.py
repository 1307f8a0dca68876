"""What guards find, on corpora that lie beside the project, and what they cost a call."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from penstock.config.guards import PII_KINDS, InputConfig
from penstock.guards import injection
from penstock.guards.parts import parts, read_turns
from penstock.guards.screen import Screen, personal
from penstock.wire.messages import read_request

from . import gates
from .machine import ROOT, Unmeasurable
from .report import Plan, Row, Section, Spread, Target

CORPORA = ROOT.parent / "shared" / "corpora"

_ABOUT = (
    "Injection: PIGuard's validation set, BIPIA's attacks planted in its e-mails as lines of their own (start, middle, "
    "end), NotInject's harmless prompts full of trigger words, and BIPIA's e-mails as they are; each text as if from a "
    "tool, and as if from the user. Personal data: presidio-research's synthetic sentences, by kind; a find must "
    "cover all of the labelled span. Each corpus was split in halves by the hash of its texts: expressions were "
    "written by looking at one half, the figures are of the other. Cost: one look at the texts of a call."
)
#: How the corpus names the kinds.
_LABELS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
    "IP_ADDRESS": "ip",
    "US_SSN": "national_id",
}
#: Of BIPIA: orders that are tasks of their own, with nothing about them that speaks to a model.
_PLAIN = {
    "Information Retrieval",
    "Content Creation",
    "Learning and Tutoring",
    "Language Translation",
    "Programming Help",
}
_SENTENCE = (
    "The mill by the river grinds 40 sacks a day, and in 2024 it was asked to grind more: see https://a.example/b. "
)
_SIZES = (2_000, 500_000)
#: Texts made to be slow, the slowest known.
_HOSTILE = {"digits apart": "1 ", "orders begun and not ended": "ignore all "}
_GUARDS = {
    "length alone": InputConfig(characters_max=10_000_000),
    "injection": InputConfig(injection="tag", untrusted=("user",)),
    "personal data": InputConfig(pii="tag"),
    "all": InputConfig(characters_max=10_000_000, injection="tag", untrusted=("user",), pii="scrub"),
}


@dataclass(frozen=True)
class Rates:
    """Of `count` labelled spans, and of what was found."""

    count: int
    precision: float
    recall: float


def is_tested(text: str) -> bool:
    """Whether a text is of the half that is only measured."""
    return bool(sha256(text.encode()).digest()[0] & 1)


def measure(plan: Plan) -> Section:
    if not CORPORA.is_dir():
        raise Unmeasurable("the corpora are not on this machine")
    section = Section("guards", "Guards: what they find, and what they cost", _ABOUT, ("figure", "of"))
    for what, caught, count in of_injection(CORPORA / "injection"):
        section.rows.append(Row(what, "%", (Spread.of([100 * caught / count]), Spread.of([count]))))
    rows = json.loads((CORPORA / "pii" / "presidio_synth_v2.json").read_text())
    for kind, rates in of_personal(rows).items():
        for name in ("precision", "recall"):
            figure = Spread.of([100 * getattr(rates, name)])
            section.rows.append(Row(f"{kind}: {name}", "%", (figure, Spread.of([rates.count]))))
    for name, config in _GUARDS.items():
        for size in _SIZES:
            target = Target(100) if size == _SIZES[0] else None
            cost = Spread.of([_look_us(config, size, plan) for _ in range(plan.rounds)])
            section.rows.append(Row(f"{name}, {size // 1000} KB body, CPU", "µs/call", (cost,), target))
    for what, text in _HOSTILE.items():
        cost = Spread.of([_look_us(_GUARDS["all"], _SIZES[1], plan, text, share=0.05) for _ in range(plan.rounds)])
        section.rows.append(Row(f"all, 500 KB of {what}, CPU", "µs/call", (cost,)))
    answers = [row["full_text"] for row in rows if is_tested(row["full_text"])]
    section.rows += gates.rows(plan, answers, _SENTENCE, _HOSTILE)
    section.notes += [
        "False alarms are of a few dozen texts each: none among 32 e-mails is no promise for a mailbox.",
        "Phones without a country's code, a trunk 0 or the form of North America are not told from other numbers.",
        "With no guard in the config, one look-up by the name of the feature is all a call costs.",
        "Streams are of four characters an event, as tokens come. Held back is what has come and not been passed on.",
    ]
    return section


def of_injection(folder: Path) -> Iterator[tuple[str, int, int]]:
    """What was measured, how many were found, and of how many."""
    labelled = [x for x in json.loads((folder / "piguard_valid.json").read_text()) if is_tested(x["prompt"])]
    attacks = [x["prompt"] for x in labelled if x["label"]]
    indirect = [x["prompt"] for x in labelled if x["label"] and x["source"].startswith("BIPIA")]
    direct = [x["prompt"] for x in labelled if x["label"] and x["source"].startswith("PINT")]
    benign = [x["prompt"] for x in labelled if not x["label"]]
    trigger = [
        x["prompt"]
        for place in sorted(folder.glob("notinject_*.json"))
        for x in json.loads(place.read_text())
        if is_tested(x["prompt"])
    ]
    mails = [json.loads(line)["context"] for line in (folder / "bipia_emails.jsonl").read_text().splitlines() if line]
    mails = [mail for mail in mails if is_tested(mail)]
    plain, telling = planted(json.loads((folder / "bipia_text_attacks.json").read_text()), mails)
    for source, is_users in (("tool", False), ("user", True)):
        for what, texts in (
            ("PIGuard, attacks: detected", attacks),
            ("PIGuard, indirect ones", indirect),
            ("PIGuard, direct ones", direct),
            ("PIGuard, harmless: false alarms", benign),
            ("NotInject: false alarms", trigger),
            ("BIPIA in e-mails, about the answer: detected", telling),
            ("BIPIA in e-mails, other tasks: detected", plain),
            ("e-mails as they are: false alarms", mails),
        ):
            yield f"as of the {source}: {what}", _flagged(texts, is_users), len(texts)


def planted(attacks: dict[str, list[str]], mails: list[str]) -> tuple[list[str], list[str]]:
    """E-mails with an attack each: those that are tasks of their own, and those about the answer to be given."""
    found: tuple[list[str], list[str]] = ([], [])
    for category, texts in attacks.items():
        for text in filter(is_tested, texts):
            for mail in mails:
                middle = mail.find(" ", len(mail) // 2)
                for at in (0, middle, len(mail)):
                    found[category not in _PLAIN].append(f"{mail[:at]}\n{text}\n{mail[at:]}".strip())
    return found


def _flagged(texts: Iterable[str], is_users: bool) -> int:
    return sum(any(True for _ in injection.signs(text, is_users=is_users)) for text in texts)


def of_personal(rows: list[dict[str, Any]]) -> dict[str, Rates]:
    """Precision and recall by kind, of the half that is only measured."""
    finder = personal(PII_KINDS)
    right, missed, wrong = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        text = row["full_text"]
        if not is_tested(text):
            continue
        left = list(finder.spans(text))
        for label in row["spans"]:
            kind = _LABELS.get(label["entity_type"])
            start, end = label["start_position"], label["end_position"]
            hits = [span for span in left if span.kind == kind and span.start <= start and span.end >= end]
            if kind is not None:
                (right if hits else missed)[kind] += 1
            left = [span for span in left if span not in hits]
        wrong.update(span.kind for span in left)
    return {
        kind: Rates(
            right[kind] + missed[kind],
            right[kind] / max(1, right[kind] + wrong[kind]),
            right[kind] / max(1, right[kind] + missed[kind]),
        )
        for kind in _LABELS.values()
    }


def _look_us(config: InputConfig, size: int, plan: Plan, sentence: str = _SENTENCE, share: float = 1.0) -> float:
    """CPU of one look at a call with one long message, in microseconds; `share` of the usual number of looks."""
    text = (sentence * (size // len(sentence) + 1))[: size - 100]
    body = {"model": "claude-haiku-4-5", "max_tokens": 1, "messages": [{"role": "user", "content": text}]}
    messages = read_request(json.dumps(body).encode()).messages
    characters = (2_000_000 if plan.is_quick else 40_000_000) * share
    screen, count = Screen(config), max(1, int(characters / (size + 2_000)))
    began = time.process_time_ns()
    for _ in range(count):
        screen.look(list(parts(read_turns(messages))))
    return (time.process_time_ns() - began) / count / 1000
