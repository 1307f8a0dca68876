"""A text that comes in chunks gives what the whole would have given, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config.guards import PII_KINDS
from penstock.guards.finding import CONTEXT, Finder
from penstock.guards.parts import replaced
from penstock.guards.patterns import Patterns
from penstock.guards.screen import personal
from penstock.guards.stream import Matcher

BODY = "Xq7Rt2Lw9Zk4"
FINDER = personal(PII_KINDS)
DENIED = Finder([Patterns([r"(?i)project\s+nightingale", r"fo{1,50}\b"], reach=64)])
ALL = Finder([Patterns([r"(?i)project\s+nightingale", r"fo{1,50}\b"], reach=64), *FINDER._detectors])
#: Each a thing that is looked for, the beginning of one, or what hides where one begins.
PIECES = [
    *("jane@example.com", "jane@exam", "@", "4111 1111 1111 1111", "4111 1111 1111 1112", "DE89370400440532013000"),
    *("602-272-9781", "+49 30 901820", "536-90-4399", "1 2 3 4", "203.0.113.77", "2001:db8::8a2e:370:7334", "12"),
    *("AKIA" + "Q7RT2LW9ZK4XABCD", "sk-ant-" + BODY * 20, "sk-", "-----BEGIN " + "PRIVATE KEY-----\n" + BODY * 9),
    *("Project  Nightingale", "project ", "fooooo", "foo", " ", "a", ".", "é", "\n", "x" * 70, "Hello there. "),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


def whole(finder: Finder, text: str) -> str:
    out, at = "", 0
    for span in finder.spans(text):
        out += text[at : span.start] + replaced(span)
        at = span.end
    return out + text[at:]


def in_chunks(finder: Finder, text: str, cuts: list[int]) -> tuple[str, Matcher]:
    matcher = Matcher(finder, replaced)
    out, at = "", 0
    for cut in [*sorted(cut % (len(text) + 1) for cut in cuts), len(text)]:
        out += matcher.feed(text[at:cut])
        at = max(at, cut)
        assert len(matcher._text) <= matcher.hold_back + CONTEXT
    return out + matcher.end(), matcher


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 2000), max_size=12), st.sampled_from([FINDER, DENIED, ALL]))
def test_however_a_text_is_cut_nothing_gets_through(text: str, cuts: list[int], finder: Finder) -> None:
    assert in_chunks(finder, text, cuts)[0] == whole(finder, text)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_a_character_at_a_time(text: str) -> None:
    assert in_chunks(ALL, text, list(range(len(text))))[0] == whole(ALL, text)


@pytest.mark.parametrize("cut", range(17))
def test_an_address_cut_anywhere_is_replaced(cut: int) -> None:
    matcher = Matcher(FINDER, replaced)
    text = "jane@example.com"
    assert matcher.feed(text[:cut]) + matcher.feed(text[cut:]) + matcher.end() == "[EMAIL]"
    assert matcher.found == {"email": 1}


def test_what_can_no_longer_be_part_of_anything_goes_on_at_once() -> None:
    matcher = Matcher(DENIED, replaced)
    assert matcher.feed("x" * 1000) == "x" * (1000 - matcher.hold_back)


def test_a_token_without_an_end_is_swallowed_in_constant_memory() -> None:
    matcher = Matcher(FINDER, replaced)
    out = matcher.feed("key: sk-ant-" + BODY * 10)
    for _ in range(2000):
        out += matcher.feed(BODY)
        assert len(matcher._text) <= matcher.hold_back + len(BODY) + CONTEXT
    out += matcher.feed(BODY + " and more") + matcher.end()
    assert out == "key: [SECRET] and more"
