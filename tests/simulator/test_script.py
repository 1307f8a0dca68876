"""What the model is told to say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import pytest

from penstock.errors import ConfigError
from penstock.ports.simulated import World
from penstock.simulator import Cue, Running, Simulator, read_setup, running
from penstock.simulator.api import Served
from penstock.simulator.delivery import Pause

Got = tuple[int, dict[str, str], bytes]


@pytest.fixture
def said(ask: dict[str, Any]) -> Callable[[Running, str], Any]:
    def one(sim: Running, prompt: str, **more: Any) -> Any:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0)
        return client.messages.create(**{**ask, "messages": [{"role": "user", "content": prompt}], **more})

    return one


def test_each_kind_of_answer_is_given_and_the_first_line_counts(said: Callable[..., Any]) -> None:
    lines = [
        Cue("river", say="It flows."),
        Cue("length", words=30),
        Cue("act", tool="turn", input={"wheel": 3}),
        Cue("parts", blocks=[{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]),
        Cue(r"^\d+ \+ \d+$", say="A sum.", is_pattern=True),
        ("river", "never said"),
    ]
    with running(answers=lines) as sim:
        assert said(sim, "the river").content[0].text == "It flows."
        assert len(said(sim, "the length").content[0].text.split()) == 30
        use = said(sim, "act").content[0]
        assert (use.type, use.name, use.input) == ("tool_use", "turn", {"wheel": 3})
        assert [block.text for block in said(sim, "in parts").content] == ["One.", "Two."]
        assert said(sim, "3 + 4").content[0].text == "A sum." != said(sim, "what is 3 + 4").content[0].text


def test_a_line_is_for_its_model_and_its_number_of_times(said: Callable[..., Any]) -> None:
    with running(answers=[Cue(say="Once.", times=1), Cue(say="Opus.", model="claude-opus")]) as sim:
        assert said(sim, "x").content[0].text == "Once."
        assert said(sim, "x", model="claude-opus-4-8").content[0].text == "Opus."
        assert said(sim, "x").content[0].text not in ("Once.", "Opus.")


@pytest.mark.parametrize(
    ("fault", "error"), [("overloaded", anthropic.OverloadedError), ("error_500", anthropic.InternalServerError)]
)
def test_a_line_can_fail_and_then_be_over(said: Callable[..., Any], fault: str, error: type[Exception]) -> None:
    with running(answers=[Cue("x", fault=fault, times=1)]) as sim:
        with pytest.raises(error):
            said(sim, "x")
        assert said(sim, "x").stop_reason == "end_turn"
        assert [entry.fault for entry in sim.books] == [fault, None]


def test_a_line_with_words_can_end_otherwise(said: Callable[..., Any]) -> None:
    with running(answers=[Cue("x", say="Half of it. The other half.", fault="refusal_mid", times=1)]) as sim:
        assert said(sim, "x").stop_reason == "refusal"
        assert said(sim, "x").stop_reason == "end_turn"


def test_a_line_comes_late_in_virtual_time(ask: dict[str, Any]) -> None:
    world = World(1)
    simulator = Simulator(clock=lambda: world.wall_us() / 1e6, answers=[Cue("river", say="It flows.", delay_ms=1_500)])
    headers = {"x-api-key": simulator.key, "anthropic-version": "2023-06-01"}
    _, steps = simulator.exchange(Served("POST", "/v1/messages", headers, json.dumps(ask).encode()))
    assert next(steps) == Pause(1.5)


def test_a_test_can_queue_what_is_said(sim: Running, said: Callable[..., Any]) -> None:
    sim.say(Cue("weather", say="Later.", times=1))
    sim.say(("weather in Paris", "Sooner."))
    assert said(sim, "The weather in Paris?").content[0].text == "Sooner."
    assert said(sim, "The weather?").content[0].text == "Later."


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"say": "a", "words": 3}, "one answer"),
        ({"words": 0}, "words is 0"),
        ({"times": 0}, "times is 0"),
        ({"fault": "flood"}, "unknown fault"),
        ({"when": "(", "is_pattern": True}, "regular expression"),
    ],
)
def test_what_is_no_cue_is_named(wrong: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Cue(**wrong)


def test_cues_in_a_file_are_named_with_their_line(tmp_path: Path, said: Callable[..., Any]) -> None:
    file = tmp_path / "sim.toml"
    file.write_text('[[answers]]\nwhen = "x"\nsay = "Y."\n\n[[answers]]\nwhen = "z"\nfault = "overloaded"\n')
    with running(**read_setup(file)) as sim:
        assert said(sim, "x").content[0].text == "Y."
        with pytest.raises(anthropic.OverloadedError):
            said(sim, "z")
    file.write_text('[[answers]]\nwhen = "x"\n\n[[answers]]\nfault = "flood"\n')
    with pytest.raises(ConfigError, match="unknown fault") as caught:
        read_setup(file)
    assert str(caught.value).startswith(f"{file}:4: ")
