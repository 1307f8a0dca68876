"""The ledger against reports with nothing wrong, and with each thing wrong that can be planted."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from drifting import FIRST, LONG, OTHER, SECOND, Scene, causes, key_id, only, scene

from penstock.errors import ConfigError, UpstreamFailed
from penstock.simulator import Drift, Faults, Pace
from script import HELLO

SEARCH = {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}


def everything(at: Scene) -> None:
    """Calls of all kinds that are billed by the message."""
    for number in range(3):
        at.call(number, session=f"s{number}")
        at.call(number, model="claude-opus-5-5", speed="fast")
        at.call(number, model="claude-sonnet-5-5", inference_geo="us", session=f"s{number + 9}")
    for _ in range(2):
        at.call(model="claude-haiku-5-5", system=LONG)
        at.call(model="claude-sonnet-4-6", stream=True)
    at.call(model="claude-opus-5-5", messages=[{"role": "user", "content": "Search the web for mills."}], **SEARCH)
    at.process.records(14)


@pytest.fixture(scope="module")
def clean() -> Iterator[Scene]:
    with scene() as at:
        everything(at)
        yield at


def test_without_drift_both_sides_agree_to_the_nano_dollar(clean: Scene) -> None:
    made = clean.compared()
    assert made.findings == () and made.difference_nano == 0 and made.drift_percent == 0
    billed = sum(entry.cost_nano for entry in clean.simulator.books)
    assert made.ledger_nano == made.invoice_nano == billed > 0
    assert len({row.labels["model"] for row in made.rows}) == 5
    assert all(row.ledger.counts == row.api.counts and row.ledger.pico == row.api.pico for row in made.rows)
    assert sum(row.calls for row in made.rows) == 14


def test_keys_and_workspaces_are_told_apart_where_their_ids_are_known(clean: Scene) -> None:
    ours = (key_id(FIRST), key_id(SECOND))
    second = next(entry.workspace_id for entry in clean.simulator.books if entry.workspace_id)
    made = clean.compared(api_key_ids=ours, by=("key", "workspace"))
    assert not made.findings and not [note for note in made.notes if "key" in note]
    assert {(row.labels["key"], row.labels["workspace"]) for row in made.rows} == {
        (ours[0], None),
        (ours[1], second),
    }
    assert all(row.ledger.counts == row.api.counts and row.api.pico is None for row in made.rows)
    crossed = clean.compared(api_key_ids=ours[::-1])
    assert crossed.drift_percent > 1, "keys in the wrong order are found out"


def test_without_ids_it_says_that_keys_are_taken_together(clean: Scene) -> None:
    assert "all keys of the organization, 2 in these reports" in clean.compared().notes[0]


def test_reports_of_more_days_than_a_page_has_are_followed(clean: Scene) -> None:
    made = clean.compared(back=70)
    assert made.difference_nano == 0 and not made.findings
    asked = [one.path for one in clean.simulator.requests if "page=" in one.path]
    assert len(asked) >= 4
    assert "nothing of this upstream before" in made.notes[-1]


def test_rows_by_every_label_add_up(clean: Scene) -> None:
    made = clean.compared(by=("day", "model", "tier", "geo", "speed"))
    assert {row.labels["speed"] for row in made.rows} == {"standard", "fast"}
    assert {row.labels["geo"] for row in made.rows} == {"global", "us", "not_available"}
    assert sum(row.ledger.pico or 0 for row in made.rows) == made.ledger_nano * 1000


def test_what_cannot_be_asked_is_said(clean: Scene) -> None:
    with pytest.raises(ConfigError, match="admin_key") as refused:
        clean.compared(admin="sk-none")
    assert refused.value.code == "bad_secret" and "sk-none" not in str(refused.value)
    with pytest.raises(ConfigError, match="2 keys, and 1 ids"):
        clean.compared(api_key_ids=("apikey_1",))
    with pytest.raises(ConfigError, match="mood"):
        clean.compared(by=("mood",))
    clean.simulator.trigger("overloaded", 2)
    assert clean.compared().difference_nano == 0, "asked again"
    clean.simulator.trigger("error_500", 5)
    with pytest.raises(UpstreamFailed, match="500"):
        clean.compared()


@pytest.mark.parametrize(
    ("drift", "cause", "direction"), [(Drift(missing=0.4), "missing", -1), (Drift(doubled=0.4), "doubled", 1)]
)
def test_calls_missing_and_doubled_are_found_and_named(drift: Drift, cause: str, direction: int) -> None:
    with scene(drift) as at:
        for number in range(8):
            at.call(number, session=f"s{number}", system="mill " * 900 * number)
        at.process.records(8)
        made = at.compared()
        finding = only(made)
        assert finding.cause == cause and not finding.is_settling and finding.is_explained
        assert 1 <= (finding.calls or 0) <= 7 and len(finding.call_ids) == min(5, finding.calls or 0)
        known = {record.call_id for record in at.process.records()}
        assert set(finding.call_ids) <= known
        assert made.difference_nano * direction == made.drift_nano > 0 and made.unexplained_nano == 0
        assert finding.pico == 1000 * made.difference_nano
        assert made.drift_percent == pytest.approx(100 * made.drift_nano / made.invoice_nano) and made.drift_percent > 1


def test_calls_missing_and_doubled_in_the_same_minutes_are_told_apart() -> None:
    with scene(Drift(missing=0.3, doubled=0.4)) as at:
        for number in range(5):
            at.call(number, system="mill " * 900 * number)
        at.process.records(5)
        made = at.compared()
        assert causes(made) == {"missing", "doubled"} and made.unexplained_nano == 0
        assert sum(finding.pico for finding in made.findings) == 1000 * made.difference_nano


def test_all_missing_is_an_empty_report() -> None:
    with scene(Drift(missing=1.0)) as at:
        at.call()
        at.process.records(1)
        made = at.compared()
        assert only(made).cause == "missing" and "organization" in only(made).told
        assert made.drift_percent == 100


def test_a_report_that_is_late_says_where_it_ends() -> None:
    with scene(Drift(late_s=86_400)) as at:
        at.call(1)
        at.process.records(1)
        at.move_back(minutes=10)  # that one alone has been long enough ago
        for number in range(3):
            at.call(number)
        at.process.records(4)
        made = at.compared(days=1 - 5 / 1440, back=1)
        assert only(made).cause == "late" and only(made).calls == 3 and "has nothing from" in only(made).told
        assert 1000 * made.difference_nano == only(made).pico < 0 and made.drift_percent > 1


def test_what_is_minutes_old_is_not_there_yet_and_no_drift() -> None:
    with scene(Drift(late_s=120)) as at:
        at.call()
        at.process.records(1)
        made = at.compared(days=0)
        assert causes(made) == {"incomplete"} and made.difference_nano < 0
        assert made.drift_nano == 0 and made.settling_nano == -made.difference_nano
        assert at.compared(days=1).difference_nano == 0


@pytest.mark.parametrize("factor", [1.1, 0.85])
def test_another_price_is_told_with_its_rates(factor: float) -> None:
    with scene(Drift(price_factor=factor)) as at:
        for number in range(3):
            at.call(number)
            at.call(model="claude-opus-5-5")
        at.process.records(6)
        made = at.compared()
        assert causes(made) == {"prices"} and len(made.findings) == 2
        for finding in made.findings:
            assert f"{factor:.4g} times" in finding.told and not any(finding.counts)
        haiku = next(finding for finding in made.findings if finding.model == "claude-haiku-4-5-20251001")
        assert f"output_tokens at {5 * factor:g} for 5" in haiku.told
        assert sum(finding.pico for finding in made.findings) == pytest.approx(1000 * made.difference_nano, abs=1000)


def test_missing_and_another_price_at_once_are_both_told() -> None:
    with scene(Drift(missing=0.4, price_factor=1.1)) as at:
        for number in range(6):
            at.call(number, system="mill " * 900 * number)
        at.process.records(6)
        made = at.compared()
        assert causes(made) == {"missing", "prices"} and made.unexplained_nano == 0
        assert sum(finding.pico for finding in made.findings) == pytest.approx(1000 * made.difference_nano, abs=1000)


def test_traffic_beside_penstock_is_found_and_other_keys_are_left_out() -> None:
    with scene() as at:
        for number in range(3):
            at.call(number, session=f"s{number}")
        at.process.records(3)
        at.beside(OTHER, messages=[{"role": "user", "content": "Another's words, in 80 words."}])
        everyone = at.compared()
        assert only(everyone).cause == "elsewhere" and 1000 * everyone.difference_nano == only(everyone).pico > 0
        ours = (key_id(FIRST), key_id(SECOND))
        made = at.compared(api_key_ids=ours)
        assert not made.findings and made.difference_nano == 0
        assert any(key_id(OTHER) in note for note in made.notes), made.notes
        at.beside(FIRST, messages=[{"role": "user", "content": "Past the gateway, in 90 words."}])
        made = at.compared(api_key_ids=ours)
        assert only(made).cause == "elsewhere" and only(made).key == key_id(FIRST) and made.drift_percent > 1
        assert 1000 * made.difference_nano == only(made).pico


def batch(at: Scene, *models: str) -> str:
    """A batch of one request for each model, done."""
    requests = [{"custom_id": f"c{n}", "params": {**HELLO, "model": model}} for n, model in enumerate(models)]
    made = httpx2.post(at.process.url + "/v1/messages/batches", json={"requests": requests}, headers=at.headers).json()
    time.sleep(0.2)
    place = f"{at.process.url}/v1/messages/batches/{made['id']}"
    assert httpx2.get(place, headers=at.headers).json()["processing_status"] == "ended"
    return place


def test_batches_are_billed_by_their_results() -> None:
    with scene(batch_s=0.05) as at:
        places = [batch(at, "claude-haiku-4-5"), batch(at, "claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-5-5")]
        at.process.records(4)
        unread = at.compared()
        assert causes(unread) == {"batches"} and unread.drift_nano == 0 and unread.difference_nano > 0
        assert any("2 of 2 batches" in note for note in unread.notes)
        for place in places:
            assert httpx2.get(place + "/results", headers=at.headers).status_code == 200
        ends = time.monotonic() + 10
        while sum(record.cost_nano or 0 for record in at.process.records()) == 0 and time.monotonic() < ends:
            time.sleep(0.05)
        time.sleep(0.3)
        made = at.compared()
        assert not made.findings and made.difference_nano == 0 and made.invoice_nano > 0


def test_batches_beside_penstock_are_found() -> None:
    with scene(batch_s=0.05) as at:
        at.call()
        requests = [{"custom_id": "c1", "params": HELLO}]
        headers = {"x-api-key": FIRST, "anthropic-version": "2023-06-01"}
        url = at.simulator.url + "/v1/messages/batches"
        made = httpx2.post(url, json={"requests": requests}, headers=headers).json()
        time.sleep(0.2)
        httpx2.get(f"{url}/{made['id']}", headers=headers)
        at.process.records(1)
        assert only(at.compared()).cause == "elsewhere"


def test_a_killed_process_leaves_calls_of_unknown_cost() -> None:
    budget = '[[budgets]]\nperiod = "month"\nplan_usd = 50\n'
    with scene(more=budget, pace=Pace(first_token_ms=50, tokens_per_s=2000)) as at:
        at.call(1)
        at.process.records(1)
        long = {"messages": [{"role": "user", "content": "In 900 words."}], "max_tokens": 4000}

        def broken_off() -> None:
            with pytest.raises(httpx2.HTTPError):
                at.call(**long)

        thread = threading.Thread(target=broken_off, daemon=True)
        thread.start()
        time.sleep(0.4)
        at.process.stop(signal.SIGKILL)
        thread.join(10)
        time.sleep(0.5)
        made = at.compared()
        assert only(made).cause == "unknown" and made.drift_nano == 0 and made.difference_nano > 0
        assert "budgets held 0.02" in only(made).told and only(made).calls == 1


def test_a_stream_that_broke_has_an_estimate() -> None:
    with scene(pace=Pace(first_token_ms=20, tokens_per_s=300)) as at:
        at.call(1)
        body = {**HELLO, "stream": True, "max_tokens": 900, "messages": [{"role": "user", "content": "In 500 words."}]}
        with httpx2.stream("POST", at.process.url + "/v1/messages", json=body, headers=at.headers) as answer:
            for number, _ in enumerate(answer.iter_bytes()):
                if number > 20:
                    break
        at.process.records(2)
        time.sleep(0.5)
        made = at.compared()
        assert causes(made) <= {"estimated"} and made.drift_nano == 0


def test_whatever_fails_on_the_way_nothing_is_put_down_to_the_reports() -> None:
    """Retries, fallbacks, refusals and broken streams, and reports that are right."""
    faults = Faults(overloaded=0.1, cut=0.08, reset=0.05, refusal=0.05, refusal_mid=0.05, error_mid=0.05)
    models = ("claude-haiku-4-5", "claude-sonnet-4-6", "claude-haiku-5-5")
    with scene(pace=Pace(first_token_ms=20, tokens_per_s=2000), faults=faults, tries=4) as at:

        def one(number: int) -> None:
            with contextlib.suppress(httpx2.HTTPError, AssertionError):
                at.call(number % 9, session=f"s{number}", stream=number % 2 == 0, model=models[number % 3])

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(one, range(60)))
        at.process.records(60)
        made = at.compared()
        assert causes(made) <= {"unknown", "estimated"} and made.findings and made.drift_percent == 0
        assert sum(finding.pico for finding in made.findings) == 1000 * made.difference_nano
