"""A text that comes in chunks gives what the whole would have given, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config.guards import PII_KINDS
from penstock.guards.finding import CONTEXT, Finder, Span
from penstock.guards.parts import replaced
from penstock.guards.patterns import Patterns
from penstock.guards.screen import personal
from penstock.guards.stream import Matcher

BODY = "Xq7Rt2Lw9Zk4"
FINDER = personal(PII_KINDS)
DENY = Patterns([r"(?i)project\s{1,9}nightingale", r"\bfo{1,50}\b", r"^an end$"])
DENIED = Finder([DENY])
ALL = Finder([DENY, *FINDER._detectors])
#: Each a thing that is looked for, the beginning of one, or what hides where one begins.
PIECES = [
    *("jane@example.com", "jane@exam", "@", "4111 1111 1111 1111", "4111 1111 1111 1112", "DE89370400440532013000"),
    *("602-272-9781", "+49 30 901820", "536-90-4399", "1 2 3 4", "203.0.113.77", "2001:db8::8a2e:370:7334", "12"),
    *("AKIA" + "Q7RT2LW9ZK4XABCD", "sk-ant-" + BODY * 20, "sk-", "-----BEGIN " + "PRIVATE KEY-----\n" + BODY * 9),
    *("Project  Nightingale", "project ", "fooooo", "foo", " ", "a", ".", "é", "\n", "x" * 70, "Hello there. "),
    *("12345678Z", "x12", "-", ":", "X1234567L", "RSSMRA85T10A562S", "GB29 NWBK 6016 1331 9268 19", "(0", "1.", "_"),
    *("192.168.0.1", "fe80::1", "an end", "ghp_" + BODY * 4, "eyJ" + BODY + ".eyJ" + BODY, "-----", "BEGIN ", "A1"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


def judged(span: Span, words: str) -> str:
    return replaced(span)


def whole(finder: Finder, text: str) -> str:
    out, at = "", 0
    for span in finder.spans(text):
        out += text[at : span.start] + replaced(span)
        at = span.end
    return out + text[at:]


def in_chunks(finder: Finder, text: str, cuts: list[int]) -> str:
    matcher = Matcher(finder, judged)
    out, at = "", 0
    for cut in [*sorted(cut % (len(text) + 1) for cut in cuts), len(text)]:
        out += matcher.feed(text[at:cut])
        at = max(at, cut)
        assert matcher.held <= finder.reach
        assert len(matcher._text) <= finder.reach + CONTEXT
    return out + matcher.end()


@settings(max_examples=2000, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 2000), max_size=12), st.sampled_from([FINDER, DENIED, ALL]))
def test_however_a_text_is_cut_nothing_gets_through(text: str, cuts: list[int], finder: Finder) -> None:
    assert in_chunks(finder, text, cuts) == whole(finder, text)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from([FINDER, ALL]))
def test_a_character_at_a_time(text: str, finder: Finder) -> None:
    assert in_chunks(finder, text, list(range(len(text)))) == whole(finder, text)


@settings(max_examples=1500, deadline=None)
@given(TEXTS, TEXTS, st.sampled_from(FINDER._detectors))
def test_each_detector_knows_what_more_text_may_change(text: str, more: str, detector: object) -> None:
    """What begins before `open_from` is the same whatever follows."""
    finder = Finder([detector])  # type: ignore[list-item]
    sure = finder.open_from(text, max(0, len(text) - finder.reach))

    def begun(whole: str) -> list[tuple[int, int]]:
        return [(s.start, s.end if s.run is None else 0) for s in finder.spans(whole) if s.start < sure]

    assert begun(text) == begun(text + more)


@pytest.mark.parametrize("cut", range(17))
def test_an_address_cut_anywhere_is_replaced(cut: int) -> None:
    matcher = Matcher(FINDER, judged)
    text = "jane@example.com"
    assert matcher.feed(text[:cut]) + matcher.feed(text[cut:]) + matcher.end() == "[EMAIL]"


def test_what_can_no_longer_be_part_of_anything_goes_on_at_once() -> None:
    matcher = Matcher(DENIED, judged)
    assert matcher.feed("x" * 1000) == "x" * (1000 - DENIED.reach)
    assert DENIED.reach == 52


def test_of_prose_no_more_is_held_than_the_word_it_ends_in() -> None:
    matcher = Matcher(FINDER, judged)
    assert matcher.feed("The mill grinds 40 sacks a day, and in 2024 it was ask") == (
        "The mill grinds 40 sacks a day, and in 2024 it was "
    )


def test_a_token_without_an_end_is_swallowed_in_constant_memory() -> None:
    matcher = Matcher(FINDER, judged)
    out = matcher.feed("key: sk-ant-" + BODY * 10)
    for _ in range(2000):
        out += matcher.feed(BODY)
        assert len(matcher._text) <= FINDER.reach + len(BODY) + CONTEXT
    out += matcher.feed(BODY + " and more") + matcher.end()
    assert out == "key: [SECRET] and more"


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 2000), max_size=12))
def test_what_is_let_go_on_is_as_it_was(text: str, cuts: list[int]) -> None:
    matcher, out, at = Matcher(ALL, lambda span, words: None), "", 0
    for cut in sorted(cut % (len(text) + 1) for cut in cuts):
        out, at = out + matcher.feed(text[at:cut]), max(at, cut)
    assert out + matcher.feed(text[at:]) + matcher.end() == text
