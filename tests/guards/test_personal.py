"""Personal data and credentials are told by their form, and numbers that only look like them are let be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.config.guards import PII_KINDS
from penstock.guards.credentials import _MARKS
from penstock.guards.screen import personal

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "pii" / "presidio_synth_v2.json"
FINDER = personal(PII_KINDS)
BODY = "Xq7Rt2Lw9Zk4"

# Credentials are built from parts, so that no scanner of this repository takes them for real ones.
FOUND = [
    ("email", "jane.doe+news@mail.example.co.uk"),
    ("email", "o'neill@example.com"),
    ("phone", "+49 30 901820"),
    ("phone", "+1-903-140-4508"),
    ("phone", "(602) 272-9781"),
    ("phone", "602-272-9781"),
    ("phone", "0490 75 40 81"),
    ("phone", "+41 (0)85 806 98 67"),
    ("iban", "DE89370400440532013000"),
    ("iban", "GB29 NWBK 6016 1331 9268 19"),
    ("iban", "NO9386011117947"),
    ("card", "4111111111111111"),
    ("card", "5500-0000-0000-0004"),
    ("card", "3782 822463 10005"),
    ("ip", "203.0.113.77"),
    ("ip", "2001:db8::8a2e:370:7334"),
    ("ip", "fe80::1ff:fe23:4567:890a"),
    ("national_id", "536-90-4399"),
    ("national_id", "12345678Z"),
    ("national_id", "X1234567L"),
    ("national_id", "2 55 08 14 168 025 38"),
    ("national_id", "RSSMRA85T10A562S"),
    ("national_id", "44051401359"),
    ("national_id", "529.982.247-25"),
    ("secret", "sk-ant-" + "api03-" + BODY * 8),
    ("secret", "AKIA" + "Q7RT2LW9ZK4XABCD"),
    ("secret", "ghp_" + BODY * 3),
    ("secret", "xoxb-" + BODY),
    ("secret", "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + BODY + "." + BODY),
]


@pytest.mark.parametrize(("kind", "text"), FOUND)
def test_what_is_personal_is_found_whole(kind: str, text: str) -> None:
    for before, after in (("", ""), ("It is ", ", I think."), ("(", ")"), ("é: ", "\nNext"), ('"', '"')):
        (span,) = FINDER.spans(before + text + after)
        assert (span.kind, (before + text + after)[span.start : span.end]) == (kind, text)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # the check digit is wrong
        "DE89370400440532013001",
        "12345678A",
        "44051401358",
        "529.982.247-26",
        "000-12-3456",
        "666-12-3456",
        "999.1.2.3",
        "127.0.0.1",
        "std::vector<int> a::b",
        "at 12:30:45 on 2026-11-21T10:00:00Z",
        "1795132800000",  # a moment in milliseconds
        "version 1.2.3, 3.14159265358979, 1,000,000,000",
        "order 1234567890123456",
        "@decorator and a@b",
        "risk-averse task-oriented desk-bound-and-more-of-it",
        "2026-11-21 10:00",
        "ISBN 978-3-16-148410-0",
        "f8d1c2e4-4111-4111-8111-111111111111",
    ],
)
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert list(FINDER.spans(text)) == []


def test_only_the_kinds_asked_for_are_found() -> None:
    text = " ".join(text for _, text in FOUND)
    for kind in PII_KINDS:
        assert {span.kind for span in personal((kind,)).spans(text)} == {kind}


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\\n"])
def test_a_private_key_is_found_to_its_end(newline: str) -> None:
    lines = ["-----BEGIN RSA " + "PRIVATE KEY-----", BODY * 5, BODY * 5, BODY + "=="]
    text = newline.join(lines) + newline
    (span,) = FINDER.spans(f"Here: {text}-----END RSA " + "PRIVATE KEY-----")
    assert (span.start, span.end) == (6, 6 + len(text))


def test_every_mark_of_a_credential_is_found() -> None:
    samples = {"eyJ": "hbGciOiJIUzI1NiJ9.eyJ" + BODY, "xox": "b-" + BODY, "SG.": (BODY * 2)[:22] + "." + BODY * 2}
    samples |= {"AKIA": "Q7RT2LW9ZK4XABCD", "ASIA": "Q7RT2LW9ZK4XABCD", "hf_": "AbCdEfGhIj" * 4}
    samples["AIza"] = (BODY * 3)[:35]
    for mark, _, _ in _MARKS:
        if not mark.startswith("---"):
            text = mark + samples.get(mark, BODY * 6)
            assert [(s.kind, s.end) for s in FINDER.spans(text)] == [("secret", len(text))], mark


def test_on_labelled_sentences_it_is_as_precise_as_the_page_says() -> None:
    """The half that the expressions were not tuned on; `python -m bench guards` has the figures."""
    if not CORPUS.exists():
        pytest.skip("the corpora are not on this machine")
    from bench.guards import of_personal

    rows: dict[str, Any] = of_personal(json.loads(CORPUS.read_text()))
    for kind in ("email", "iban", "card", "ip", "national_id"):
        assert rows[kind].precision >= 0.95 and rows[kind].recall >= 0.9, kind
    assert rows["phone"].precision >= 0.9 and rows["phone"].recall >= 0.5
