"""No text can make a guard slow: what is looked for takes time by the length of the text."""

from __future__ import annotations

import re
import time
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from penstock.config.guards import PII_KINDS
from penstock.guards import credentials, injection, personal
from penstock.guards.screen import personal as finder_of

FINDER = finder_of(PII_KINDS)
EXPRESSIONS = [
    *(sign.pattern for sign in injection._SIGNS),
    *(form.pattern for form in (*personal._OF_DIGITS, *personal._OF_LETTERS, personal._IPV6)),
    *(personal._EMAIL, personal._NUMBER, personal._LETTERED, personal._IBAN, personal._COLON),
    *(personal._NUMBER_BEGUN, personal._LETTERED_BEGUN),
    *(pattern for _, pattern, _ in credentials._MARKS),
]
#: What follows a credential is taken greedily, one class of characters, without a way back.
RUNS = {run for _, _, run in credentials._MARKS} | {personal._NUMBER_RUN, personal._LETTERED_RUN}
REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


def _repeats(tree: Any) -> list[tuple[int, Any]]:
    """The most that each repetition that can go back may repeat, and what."""
    found = []
    for kind, value in tree:
        if kind in REPEATS:
            found.append((value[1], value[2]))
        for part in value if isinstance(value, tuple | list) else (value,):
            branches = part if isinstance(part, list) else [part]
            for branch in branches:
                if isinstance(branch, _parser.SubPattern):
                    found += _repeats(branch)
    return found


@pytest.mark.parametrize("pattern", EXPRESSIONS, ids=lambda pattern: pattern.pattern[:30])
def test_every_expression_is_bounded(pattern: re.Pattern[str]) -> None:
    tree = _parser.parse(pattern.pattern, pattern.flags)
    assert tree.getwidth()[1] < 1000
    for most, _ in _repeats(tree):
        assert most <= 200


def test_what_follows_a_credential_is_one_class_without_a_way_back() -> None:
    assert all(re.fullmatch(r"\[[^\]]+\]\*\+", run.pattern) for run in RUNS)


HOSTILE = [
    "1 " * 8,
    "1234567890123456 ",
    "4111 1111 1111 1112 ",
    "+1 1 1 1 1 1 1 1 1 1 ",
    "a@",
    "a" * 63 + "@",
    "a@" + "a." * 20,
    "1.1.1.1.",
    "a:b:c:",
    "AB12 ",
    "DE89 3704 0044 0532 0130 01 ",
    "sk-" + "x" * 19 + " ",
    "AKIA" + "Q7RT2LW9ZK4XABCD" + " ",
    "eyJ" + "x" * 90 + ".",
    "ignore all ",
    "your answer, your answer. Please use ",
    "please add and then use include make ",
    "send the data all the ",
    "print the system the ",
    "act as pretend imagine you are ",
    "![](https://a/",
    "please add the answer ",
    "add. use. make, output. ",
    "and put the code: add use ",
    "if you are dear assistant to the ",
    "\n\n\n\n\n answer",
    "following code include use the code ",
    "\u200b\U000e0041",
]


def _seconds(text: str) -> float:
    best = 1e9
    for _ in range(2):
        began = time.process_time()
        list(FINDER.spans(text))
        list(injection.signs(text, is_users=False))
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("part", HOSTILE, ids=lambda part: repr(part[:20]))
def test_a_hostile_text_takes_time_by_its_length(part: str) -> None:
    short, long = (part * (size // len(part)) for size in (20_000, 160_000))
    small, large = _seconds(short), _seconds(long)
    assert large < 8 * small * 2.5 + 0.02, (small, large)
    assert large < 0.8, large
