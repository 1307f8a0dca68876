"""The guards of answers as a user meets them: the official SDK, through the gateway and wrapped."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import pytest

import penstock
from gateways import command, gateway
from penstock.errors import ConfigError
from penstock.simulator import Cue, running

MAIL = "Write to jane.doe@example.com, said the miller — über Nacht. "
SECRET = "Project Nightingale opens in May."
TOOL = {"name": "send", "input_schema": {"type": "object"}}
CONFIG = """
[features.mild.output]
pii = "scrub"
deny = ['(?i)project\\s{1,4}nightingale']
denied = "scrub"

[features.strict.output]
pii = "warn"
deny = ['(?i)project\\s{1,4}nightingale']

[features.judged]
timeout_s = 20
[features.judged.output]
question = "Is this about mills?"
streams = "whole"

[features.open.output]
pii = "block"
batches = "unguarded"

[features.mild-input.input]
pii = "scrub"
[features.strict-input.input]
pii = "block"
"""
LINES = [
    Cue("Yes or no?", say="Yes."),
    Cue("mail", say=MAIL * 3),
    Cue("secret", say=MAIL + SECRET + " " + "The river goes on. " * 30),
    Cue("tool", tool="send", input={"to": "jane.doe@example.com", "body": 'a "quoted" ünit\n'}),
    Cue("mill", say="The mill grinds."),
]


def ask(word: str, **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": f"Say the {word}."}]
    return {"model": "claude-haiku-4-5", "max_tokens": 500, "messages": turns, **more}


@contextmanager
def through_gateway(tmp_path: Path) -> Iterator[tuple[Callable[[str], Any], Any, Path]]:
    data = tmp_path / "data"
    with running(seed=1, answers=LINES, batch_s=0.0) as sim:
        with gateway(sim.url, data=data, config=CONFIG, ANTHROPIC_API_KEY=sim.key) as process:

            def client(feature: str) -> Any:
                named = {"x-penstock-feature": feature}
                return anthropic.Anthropic(
                    base_url=process.url, api_key=process.key, default_headers=named, max_retries=2
                )

            yield client, sim, data


@contextmanager
def wrapped(tmp_path: Path) -> Iterator[tuple[Callable[[str], Any], Any, Path]]:
    place, data = tmp_path / "penstock.toml", tmp_path / "data"
    place.write_text(CONFIG)
    with running(seed=1, answers=LINES, batch_s=0.0) as sim:
        bare = anthropic.Anthropic(base_url=sim.url, api_key=sim.key)
        yield lambda feature: penstock.wrap(bare, config=place, data=data, feature=feature), sim, data


@pytest.fixture(params=[through_gateway, wrapped])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Callable[[str], Any], Any, Path]]:
    with request.param(tmp_path) as made:
        yield made


def streamed(client: Any, **asked: Any) -> str:
    with client.messages.stream(**asked) as events:
        text = "".join(events.text_stream)
        assert events.get_final_message().content[0].text == text
        assert events.get_final_message().usage.output_tokens > 10
    return text


def test_what_is_to_be_scrubbed_reaches_nobody_and_the_text_around_it_is_whole(place: Any) -> None:
    client, _, data = place
    mild = client("mild")
    whole = mild.messages.create(**ask("mail"))
    assert whole.content[0].text == (MAIL * 3).replace("jane.doe@example.com", "[EMAIL]")
    assert streamed(mild, **ask("mail")) == whole.content[0].text
    assert streamed(mild, **ask("secret")).startswith(
        "Write to [EMAIL], said the miller — über Nacht. [DENIED] opens in May. The river"
    )
    raw = mild.messages.with_raw_response.create(**ask("mail"))
    assert int(raw.headers.get("content-length", len(raw.http_response.content))) == len(raw.http_response.content)
    assert b"[EMAIL]" in raw.http_response.content and float(raw.headers["x-penstock-cost-usd"]) > 0
    told = command("explain", raw.headers["x-penstock-call-id"], "--data", str(data)).stdout
    seen = f"looked at {3 * len(MAIL)} characters of the answer: 3 email, scrubbed."
    assert f"Guards of the output (deny, pii) {seen}" in told
    assert "example.com" not in told


def test_inputs_of_tools_are_looked_at_as_what_they_say(place: Any) -> None:
    client, _, _ = place
    asked = ask("tool", tools=[TOOL])
    expected = {"to": "[EMAIL]", "body": 'a "quoted" ünit\n'}
    assert client("mild").messages.create(**asked).content[0].input == expected
    with client("mild").messages.stream(**asked) as events:
        assert events.get_final_message().content[0].input == expected
    with client("strict").messages.stream(**asked) as events:
        assert events.get_final_message().content[0].input == {**expected, "to": "jane.doe@example.com"}


def test_a_blocked_answer_is_refused_once_and_billed(place: Any) -> None:
    client, sim, _ = place
    strict = client("strict")
    with pytest.raises(anthropic.PermissionDeniedError) as caught:
        strict.messages.create(**ask("secret"))
    assert caught.value.body["error"]["details"]["error_code"] == "output_blocked"  # type: ignore[index]
    assert "Nightingale" not in str(caught.value) and len(sim.requests) == 1
    seen = ""
    with pytest.raises(anthropic.APIStatusError) as broken:
        with strict.messages.stream(**ask("secret")) as events:
            for text in events.text_stream:
                seen += text
    assert "output_blocked" in str(broken.value.body) and "Nightingale" not in seen
    assert seen == "" or MAIL.startswith(seen[: len(MAIL)])
    raw = strict.messages.with_raw_response.create(**ask("mail"))
    assert raw.headers["x-penstock-warning"] == "output: email"
    assert "jane.doe" in raw.parse().content[0].text


def test_a_classifier_is_asked_about_the_whole(place: Any) -> None:
    client, sim, _ = place
    for is_stream in (False, True):
        with pytest.raises(anthropic.PermissionDeniedError, match="classifier"):
            client("judged").messages.create(**ask("mill", stream=is_stream))
    assert len(sim.requests) == 4
    (body,) = [request.body for request in list(sim.requests)[1:2]]
    assert b"The mill grinds." in body and b"Is this about mills?" in body


def test_batches_are_refused_where_their_answers_cannot_be_looked_at(place: Any) -> None:
    client, sim, _ = place
    requests: list[Any] = [{"custom_id": "a", "params": ask("mail")}]
    with pytest.raises(anthropic.PermissionDeniedError) as caught:
        client("strict").messages.batches.create(requests=requests)
    assert caught.value.body["error"]["details"]["error_code"] == "guard_cannot_run"  # type: ignore[index]
    assert not sim.requests
    made = client("open").messages.batches.create(requests=requests)
    assert made.id and client("strict").messages.batches.retrieve(made.id).id == made.id


def test_the_loop_of_an_async_client_gets_the_same(tmp_path: Path) -> None:
    place = tmp_path / "penstock.toml"
    place.write_text(CONFIG)

    async def scene(sim: Any) -> str:
        bare = anthropic.AsyncAnthropic(base_url=sim.url, api_key=sim.key)
        async with penstock.wrap(bare, config=place, data=tmp_path / "data", feature="mild") as client:
            async with client.messages.stream(**ask("mail")) as events:
                return str((await events.get_final_message()).content[0].text)

    with running(seed=1, answers=LINES) as sim:
        assert asyncio.run(scene(sim)) == (MAIL * 3).replace("jane.doe@example.com", "[EMAIL]")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("deny = ['sir .*']", "number 1 of `deny`"),
        ("deny = ['x', 'a{600}']", "number 2 of `deny`"),
        ("question = 'Is it?'", "`question`"),
        ("pii = 'tag'\nhold_back = 100", "`pii_kinds`"),
    ],
)
def test_a_guard_that_cannot_run_on_streams_stops_the_start(tmp_path: Path, output: str, said: str) -> None:
    place = tmp_path / "penstock.toml"
    text = f"[features.chat.output]\n{output}\n"
    place.write_text(text)
    with pytest.raises(ConfigError) as caught:
        penstock.wrap(anthropic.Anthropic(api_key="x"), config=place, data=tmp_path / "data")
    assert caught.value.code == "guard_cannot_run" and said in str(caught.value)
    assert 'streams = "whole"' in caught.value.fix and "[features.chat.output]" in str(caught.value)
    done = command("config", "check", "--config", str(place))
    assert done.returncode == 2 and said in done.stderr + done.stdout
    place.write_text(text + 'streams = "whole"\n')
    penstock.wrap(anthropic.Anthropic(api_key="x"), config=place, data=tmp_path / "data").close()


def test_a_reload_with_a_guard_that_cannot_run_changes_nothing(tmp_path: Path) -> None:
    with running(seed=1, answers=LINES) as sim:
        with gateway(sim.url, data=tmp_path / "data", config=CONFIG, ANTHROPIC_API_KEY=sim.key) as process:
            broken = '[features.mild.output]\npii = "scrub"\nhold_back = 20\n'
            (process.log.parent / "penstock.toml").write_text(broken)
            process.child.send_signal(signal.SIGHUP)
            ends = time.monotonic() + 20
            while "the old config stays" not in process.log.read_text():
                assert time.monotonic() < ends, process.log.read_text()
                time.sleep(0.02)
            assert "`pii_kinds`" in process.log.read_text()
            named = {"x-penstock-feature": "mild"}
            client = anthropic.Anthropic(base_url=process.url, api_key=process.key, default_headers=named)
            assert "[EMAIL]" in client.messages.create(**ask("mail")).content[0].text
