"""Through a real gateway: a schema beside the config, and what becomes of answers that do not fit it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anthropic
import pydantic
import pytest

from gateways import Process, command, environment, gateway
from penstock.simulator import Cue, Running, running

SCHEMA = {"type": "object", "properties": {"level": {"type": "integer", "minimum": 0}}, "required": ["level"]}
GOOD, BAD = '{"level": 3}', '{"level": -3}'
CONFIG = """
[features.mended.form]
schema = "SCHEMA"

[features.passed.form]
schema = "SCHEMA"
streams = "pass"

[features.strict.form]
schema = "SCHEMA"
repairs = 0
invalid = "refuse"

[features.hopping]
fallback = ["claude-sonnet-4-6"]
form = { schema = "SCHEMA", repairs = 0, invalid = "hop" }

[features.kept]
reuse_s = 60
form = { schema = "SCHEMA", repairs = 0 }
"""
LINES = [
    Cue("not of the form", say=GOOD),
    Cue("hop", say=GOOD, model="claude-sonnet-4-6"),
    Cue("cut", say=GOOD + " and so on" * 30),
    Cue("decline", say=GOOD, fault="refusal_mid"),
    Cue("fine", say=GOOD),
    Cue(say=BAD),
]


class Level(pydantic.BaseModel):
    level: int


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    schema = tmp_path_factory.mktemp("schemas") / "level.json"
    schema.write_text(json.dumps(SCHEMA))
    with running(seed=2, answers=LINES) as sim:
        with gateway(sim.url, config=CONFIG.replace("SCHEMA", str(schema)), ANTHROPIC_API_KEY=sim.key) as process:
            yield process, sim


def client(process: Process) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=process.url, api_key=process.key, max_retries=0, timeout=20)


def asked(process: Process, feature: str, prompt: str, **more: Any) -> Any:
    body: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 100, **more}
    return client(process).messages.with_raw_response.create(
        **body, messages=[{"role": "user", "content": prompt}], extra_headers={"x-penstock-feature": feature}
    )


def billed(sim: Running, since: int) -> int:
    return sum(entry.cost_nano for entry in list(sim.books)[since:])


@pytest.mark.parametrize(
    ("prompt", "outcome", "calls"),
    [("fine", "valid", 1), ("else", "repaired", 2), ("cut", "truncated", 1), ("decline", "refused", 1)],
)
def test_each_outcome_is_in_the_header_and_on_the_row_and_its_cost_is_the_invoices(
    pair: tuple[Process, Running], prompt: str, outcome: str, calls: int
) -> None:
    process, sim = pair
    since = len(list(sim.books))
    answer = asked(process, "mended", prompt, max_tokens=12 if prompt == "cut" else 100)
    assert answer.headers["x-penstock-outcome"] == outcome
    assert len(list(sim.books)) - since == calls
    row = process.record(answer.headers["x-penstock-call-id"])
    assert (row.outcome, row.cost_basis, row.cost_nano) == (outcome, "exact", billed(sim, since))
    assert row.attempts == calls and len(process.records()) == len({one.call_id for one in process.records()})
    if outcome in ("valid", "repaired"):
        assert json.loads(answer.parse().content[0].text) == {"level": 3}
    told = command("explain", row.call_id, "--data", str(process.data)).stdout
    assert f"The answer was {outcome}" in told and "-3" not in told


@pytest.mark.parametrize(("feature", "text", "outcome"), [("mended", GOOD, "repaired"), ("passed", BAD, "invalid")])
def test_a_stream_is_held_and_mended_or_passes_and_is_noted(
    pair: tuple[Process, Running], feature: str, text: str, outcome: str
) -> None:
    process, sim = pair
    since = len(list(sim.books))
    with client(process).messages.stream(
        model="claude-haiku-4-5",
        max_tokens=100,
        messages=[{"role": "user", "content": f"a stream, {feature}"}],
        extra_headers={"x-penstock-feature": feature},
    ) as events:
        assert events.get_final_text() == text
        headers = events.response.headers
    assert headers.get("x-penstock-outcome") == (outcome if feature == "mended" else None)
    row = process.record(headers["x-penstock-call-id"])
    assert (row.outcome, row.cost_nano) == (outcome, billed(sim, since)) and row.ending == "complete"


def test_thinking_that_is_bound_to_its_conversation_goes_back_as_it_came(pair: tuple[Process, Running]) -> None:
    """The simulator refuses it otherwise, as the API does, and the answer would stay invalid."""
    process, sim = pair
    for prompt in ("one", "two", "three"):
        answer = asked(process, "mended", prompt, model="claude-opus-5-5", max_tokens=2000)
        assert answer.headers["x-penstock-outcome"] == "repaired"
        turn = json.loads(sim.requests[-1].body)["messages"][1]
        assert [block["type"] for block in turn["content"]] == ["thinking", "text"]


def test_a_wrong_answer_can_be_an_error_that_is_paid_and_not_tried_again(pair: tuple[Process, Running]) -> None:
    process, sim = pair
    since = len(list(sim.books))
    with pytest.raises(anthropic.UnprocessableEntityError) as caught:
        asked(process, "strict", "else")
    assert caught.value.body["error"]["details"]["error_code"] == "answer_invalid"  # type: ignore[index]
    row = process.record_of(feature="strict")
    assert (row.outcome, row.status, row.cost_nano, row.cost_basis) == ("invalid", 422, billed(sim, since), "exact")
    assert len(list(sim.books)) - since == 1


def test_the_next_model_is_asked_where_the_feature_wants_that(pair: tuple[Process, Running]) -> None:
    process, sim = pair
    since = len(list(sim.books))
    answer = asked(process, "hopping", "hop")
    assert json.loads(answer.parse().content[0].text) == {"level": 3}
    row = process.record_of(feature="hopping")
    assert (row.outcome, row.model_served, row.attempts) == ("valid", "claude-sonnet-4-6", 2)
    assert (row.cost_basis, row.cost_nano) == ("exact", billed(sim, since))
    stays = asked(process, "hopping", "else")
    assert stays.headers["x-penstock-outcome"] == "invalid" and stays.parse().content[0].text == BAD


def test_a_wrong_answer_is_not_given_again(pair: tuple[Process, Running]) -> None:
    process, sim = pair
    since = len(list(sim.books))
    for _ in range(2):
        assert asked(process, "kept", "else").headers["x-penstock-outcome"] == "invalid"
    assert len(list(sim.books)) - since == 2
    first, again = asked(process, "kept", "fine"), asked(process, "kept", "fine")
    assert len(list(sim.books)) - since == 3 and "x-penstock-replayed" in again.headers
    assert first.headers["x-penstock-outcome"] == again.headers["x-penstock-outcome"] == "valid"


def test_the_sdks_own_parse_goes_through_with_its_own_format(pair: tuple[Process, Running]) -> None:
    process, sim = pair
    message = client(process).messages.parse(
        model="claude-haiku-4-5",
        max_tokens=100,
        messages=[{"role": "user", "content": "fine"}],
        output_format=Level,
        extra_headers={"x-penstock-feature": "mended"},
    )
    assert message.parsed_output == Level(level=3)
    sent = json.loads(sim.requests[-1].body)["output_config"]["format"]["schema"]
    assert sent["title"] == "Level", "the caller's, not the feature's"


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot be read"), ("{", "no JSON"), ('{"type": "objekt"}', "cannot be used")]
)
def test_a_gateway_does_not_start_with_a_schema_that_is_none(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "answer.json").write_text(text)
    (tmp_path / "penstock.toml").write_text('[features.a.form]\nschema = "answer.json"\n')
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "serve", "--port", "0", "--config", str(tmp_path / "penstock.toml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env=environment(ANTHROPIC_API_KEY="sk-ant-" + "x", PYTHONPATH=os.environ.get("PYTHONPATH", "")),
    )
    told = done.stdout + done.stderr
    assert done.returncode == 2 and "answer.json" in told and said in " ".join(told.split()), told
