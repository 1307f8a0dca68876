"""The cache doctor's sums: what healthy traffic looks like, what misses cost, what the API itself says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from clinic import HOUR, MARK, MODEL, Clinic, body, text

from penstock.simulator.cache import Planned, PromptCache
from penstock.simulator.prefix import Prompt
from penstock.simulator.stream import Prompted
from penstock.tools.cache import Diagnosis, Finding, Patient, Span

SYSTEM = [text(2000, "rule", cache_control=MARK)]
#: Nano-dollars per token of Sonnet 4.6: new, read, written for five minutes, for an hour.
NEW, READ, SHORT, LONG = 3000, 300, 3750, 6000
DAY_US = 86_400_000_000


def only(made: Diagnosis) -> Patient:
    (patient,) = made.patients
    return patient


def finding(made: Diagnosis) -> Finding:
    (one,) = only(made).findings
    return one


def conversation(clinic: Clinic, turns: int, at_s: float = 0, session: str | None = "s", name: str = "u") -> None:
    """A mark on the system prompt, and one that moves along."""
    said: list[Any] = []
    for at in range(turns):
        own = text(300, f"{name}{at}")
        clinic.ask(at_s + 60 * at, body(*said, [{**own, "cache_control": MARK}], system=SYSTEM), session=session)
        said += [[own], "Yes."]


def test_a_conversation_that_is_read_has_nothing_but_its_last_turn_unread(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    conversation(clinic, 8)
    conversation(clinic, 8, at_s=10, session=None, name="v")
    clinic.ask(2000, body("Bye."))
    made = only(clinic.diagnosis())
    assert [one.cause for one in made.findings] == ["never_read"] and made.findings[0].calls == 2
    assert made.lost_nano == 0 and made.percent == 100.0
    assert (made.calls, made.judged, made.hits, made.chances) == (17, 16, 15, 15)


def test_what_was_written_is_not_in_vain_while_it_may_still_be_read(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    conversation(clinic, 3)
    made = only(clinic.diagnosis())
    assert made.findings == () and made.unread_nano == 0


@pytest.mark.parametrize("session", [None, "s"])
def test_two_prompts_in_turn_are_no_change(tmp_path: Path, session: str | None) -> None:
    clinic = Clinic(tmp_path)
    for at in range(8):
        system = [text(2000, "one" if at % 2 else "two", cache_control=MARK)]
        clinic.ask(60 * at, body(f"Question {at}?", system=system), session=session and f"s{at % 2}")
    made = only(clinic.diagnosis())
    assert made.findings == () and (made.hits, made.chances) == (6, 6)


def test_many_prompts_that_come_again_are_neither_changed_nor_volatile(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    for at in range(10):
        clinic.ask(30 * at, body("Question?", system=[text(2000, f"rule{at % 4}", cache_control=MARK)]))
    made = only(clinic.diagnosis())
    assert made.findings == () and made.hits == 6


def test_other_questions_to_the_same_prompt_are_no_edits(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    shown = ["Example?", "Answer.", "Another?", [text(2000, "shown", cache_control=MARK)]]
    for at in range(5):
        clinic.ask(60 * at, body(*shown, [text(9, f"this{at}"), text(9, f"that{at}")], system="Brief."), session="s")
    assert only(clinic.diagnosis()).findings == ()


def test_the_planners_marks_leave_nothing_to_find_but_how_it_began(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, is_marking=True)
    for at in range(10):
        clinic.ask(60 * at, body(f"Question {at}?", system=[text(3000, "rule")]))
    made = only(clinic.diagnosis())
    assert made.hits >= 7
    assert {one.cause for one in made.findings} <= {"unmarked"}


def test_what_a_miss_costs_is_what_was_paid_less_what_reading_costs(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    for at in range(3):
        clinic.ask(400 * at, body("Hi", system=SYSTEM))
    tokens = clinic.records[0].cache_write_5m_tokens
    one = finding(clinic.diagnosis())
    assert (one.cause, one.calls, one.hourly_calls, one.gaps_us) == ("expired", 2, 2, (400_000_000, 400_000_000))
    assert one.tokens == 2 * tokens and one.nano == 2 * tokens * (SHORT - READ)
    made = only(clinic.diagnosis_again())
    assert made.percent == 0.0 and made.lost_nano == one.nano
    # The first two entries are over; the last may yet be read. Each cost a quarter more than no cache.
    assert made.unread_nano == 2 * tokens * (SHORT - NEW)


def test_unmarked_tokens_are_lost_at_the_price_of_input(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    for at in range(3):
        clinic.ask(60 * at, body("Hi", system=[text(2000, "rule")]))
    one = finding(clinic.diagnosis())
    assert one.cause == "unmarked" and one.nano == one.tokens * (NEW - READ)


def test_an_hour_that_nobody_needed_costs_what_an_hour_costs(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.ask(0, body([text(2000, "page", cache_control=HOUR)]))
    clinic.ask(4000, body("Hi"))
    one = finding(clinic.diagnosis())
    assert one.cause == "never_read" and one.nano == one.tokens * (LONG - NEW)


def test_a_gap_of_more_than_an_hour_is_no_miss(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.ask(0, body("Hi", system=SYSTEM))
    clinic.ask(3700, body("Hi", system=SYSTEM))
    assert only(clinic.diagnosis()).lost_nano == 0


def test_an_entry_that_is_gone_before_its_time_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic = Clinic(tmp_path)
    clinic.ask(0, body("Hi", system=SYSTEM))
    clinic.at(30, lambda: monkeypatch.setattr(PromptCache, "_found", lambda *_: []))
    clinic.ask(60, body("Hi", system=SYSTEM))
    assert finding(clinic.diagnosis()).cause == "lost_early"


def test_another_form_of_the_answer_loses_the_messages(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    form = {"format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}}
    first = [text(2000, cache_control=MARK)]
    clinic.ask(0, body(first), session="s")
    clinic.ask(60, body(first, "Yes.", "And?", output_config=form), session="s")
    one = finding(clinic.diagnosis())
    assert (one.cause, one.where) == ("format", "format changed")


def test_an_upstream_that_caches_nothing_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def planned(cache: PromptCache, prompt: Prompt, *_: object) -> Planned:
        return Planned(Prompted(prompt.tokens), cache)

    monkeypatch.setattr(PromptCache, "_planned", planned)
    clinic = Clinic(tmp_path)
    for at in range(3):
        clinic.ask(60 * at, body("Hi", system=SYSTEM))
    one = finding(clinic.diagnosis())
    assert (one.cause, one.calls, one.nano) == ("not_cached", 3, 0)


def test_the_apis_own_word_is_evidence(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    first = clinic.ask(0, body("Hi", system=SYSTEM, diagnostics={"previous_message_id": None}), session="s")
    clinic.run()
    named = {"previous_message_id": clinic.answers[first]["id"]}
    clinic.ask(60, body("Hi", system=[text(2000, "else", cache_control=MARK)], diagnostics=named), session="s")
    one = finding(clinic.diagnosis())
    assert one.cause == "system_changed" and one.said == (("system_changed", 1),)
    assert "The API's diagnostics say system_changed (1)." in one.evidence


def test_without_a_fingerprint_the_apis_word_is_the_cause(tmp_path: Path) -> None:
    """Where the doctor does not know the call before: it began before the span."""
    clinic = Clinic(tmp_path)
    first = clinic.ask(0, body("Hi", system=SYSTEM, diagnostics={"previous_message_id": None}))
    clinic.run()
    named = {"previous_message_id": clinic.answers[first]["id"]}
    clinic.ask(60, body("Hi", system=[text(2000, "else", cache_control=MARK)], diagnostics=named))
    began_us = clinic.records[-1].began_at_us
    one = finding(clinic.diagnosis(Span(began_us, began_us + 1)))
    assert one.cause == "system_changed" and one.tokens > 1900


def test_long_conversations_are_compared_by_the_blocks_kept(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    said: list[Any] = [part for at in range(150) for part in ([text(9, f"u{at}")], "Yes.")]
    end = [text(9, "end", cache_control=MARK)]
    clinic.ask(0, body(*said, end), session="s")
    clinic.ask(60, body(*said, [text(9, "end")], "Yes.", end), session="s")
    edited = [*said[:200], [text(9, "other")], *said[201:]]
    clinic.ask(120, body(*edited, [text(9, "end")], "Yes.", end), session="s")
    one = finding(clinic.diagnosis())
    assert (one.cause, one.calls) == ("messages_changed", 1)
    assert all(len(record.trail) < 3000 for record in clinic.records)


def test_features_prompts_and_models_are_told_apart_and_one_can_be_asked_for(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    for at in range(3):
        for feature in ("chat", "search"):
            clinic.ask(60 * at, body("Hi", system=[text(2000, feature, cache_control=MARK)]), feature=feature)
        clinic.ask(60 * at, body("Hi", system=[text(2000, "rule")]), prompt="support@3")
    made = clinic.diagnosis()
    assert {(one.group.feature, one.group.prompt, one.hits) for one in made.patients} == {
        ("chat", "", 2),
        ("search", "", 2),
        ("chat", "support@3", 0),
    }
    assert made.patients[0].group.prompt == "support@3"  # what loses most comes first
    began_us = clinic.records[0].began_at_us
    mine = clinic.diagnosis_again(Span(0, began_us + DAY_US, "search"))
    assert [one.group.feature for one in mine.patients] == ["search"]


def test_calls_without_fingerprints_are_counted_and_not_judged(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, salt=b"")
    for at in range(3):
        clinic.ask(60 * at, body("Hi", system=SYSTEM))
    made = clinic.diagnosis()
    assert (made.calls, made.unjudged, only(made).hits, made.lost_nano) == (3, 3, 2, 0)


def test_what_is_told_as_json_has_exact_dollars(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    for at in range(3):
        clinic.ask(60 * at, body("Hi", system=[text(2000, "rule")]))
    told = json.loads(json.dumps(clinic.diagnosis().told()))
    (feature,) = told["features"]
    (found,) = feature["findings"]
    assert feature["feature"] == "chat" and feature["model"] == MODEL and feature["read_percent"] == 0.0
    assert found["cause"] == "unmarked" and found["lost_usd"] == feature["lost_usd"] == told["lost_usd"]
    assert found["fix"].startswith("Leave ") and found["call_ids"] and found["is_miss"]


def test_an_empty_ledger_has_nothing_to_say(tmp_path: Path) -> None:
    made = Clinic(tmp_path).diagnosis()
    assert made.patients == () and made.calls == 0
