"""Answers as objects: native first, judged by the type itself, mended in the same call; and what is none says why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any

import anthropic
import msgspec
import pydantic
import pytest

import penstock
from penstock.config.schema import Config
from penstock.errors import ConfigError
from penstock.simulator import Cue, Running, running

ASK: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "Who is Ada?"}],
}
SEARCH = [{"type": "web_search_20250305", "name": "web_search"}]
SEARCHING = [{"type": "server_tool_use", "id": "srvtoolu_01", "name": "web_search", "input": {"query": "Ada"}}]
GOOD, OLD = '{"name": "Ada", "age": 36}', '{"name": "Ada", "age": 360}'


class Person(pydantic.BaseModel):
    name: str
    age: int

    @pydantic.field_validator("age")
    @classmethod
    def _is_alive(cls, age: int) -> int:
        if age > 130:
            raise ValueError("nobody is that old")
        return age


class Struct(msgspec.Struct):
    name: str
    age: Annotated[int, msgspec.Meta(le=130)]


Rows = Callable[[], list[dict[str, Any]]]
KINDS = pytest.mark.parametrize("kind", [Person, Struct])
BOTH = pytest.mark.parametrize("is_async", [False, True])


def said(sim: Running, config: Config, kind: type, *, is_async: bool = False, **more: Any) -> Any:
    """One typed call in one colour."""
    common: dict[str, Any] = {"base_url": sim.url, "api_key": sim.key}
    if not is_async:
        return penstock.parsed(penstock.wrap(anthropic.Anthropic(**common), config=config), kind, **{**ASK, **more})

    async def scene() -> Any:
        async with penstock.wrap(anthropic.AsyncAnthropic(**common), config=config) as client:
            return await penstock.parsed(client, kind, **{**ASK, **more})

    return asyncio.run(scene())


@KINDS
@BOTH
def test_the_api_is_asked_for_the_type_and_gives_it(config: Config, rows: Rows, kind: type, is_async: bool) -> None:
    with running(seed=3) as sim:
        made = said(sim, config, kind, is_async=is_async)
    assert isinstance(made, kind) and isinstance(made.name, str)  # type: ignore[attr-defined]
    (row,) = rows()
    assert row["outcome"] in ("valid", "repaired") and row["cost_basis"] == "exact"


@KINDS
@BOTH
def test_what_the_type_itself_refuses_is_mended_in_the_same_call_and_paid_to_the_nano_dollar(
    config: Config, rows: Rows, kind: type, is_async: bool
) -> None:
    lines = [Cue("not of the form", say=GOOD), Cue("Ada", say=OLD)]
    with running(seed=3, answers=lines) as sim:
        assert said(sim, config, kind, is_async=is_async).age == 36
        invoice = [entry.cost_nano for entry in sim.books]
    (row,) = rows()
    assert len(invoice) == 2 and row["cost_nano"] == sum(invoice) and row["cost_basis"] == "exact"
    assert (row["outcome"], row["attempts"]) == ("repaired", 2)
    facts = {fact["type"]: fact for fact in json.loads(row["trail"])}
    assert "Formatted" in facts and facts["Judged"]["repairs"] == 1


@KINDS
def test_what_stays_wrong_says_what_is_wrong_and_has_the_answer(config: Config, rows: Rows, kind: type) -> None:
    with running(seed=3, answers=[Cue(say=OLD)]) as sim, pytest.raises(penstock.Unparsed) as caught:
        said(sim, config, kind, repairs=2)
    error = caught.value
    assert error.outcome == "invalid" and error.answer.content[0].text == OLD and len(rows()) == 1
    assert [flaw.place for flaw in error.flaws] == ["$.age"] and "$.age" in str(error)
    assert not isinstance(error, anthropic.APIError) and isinstance(error, penstock.PenstockError)


@BOTH
@pytest.mark.parametrize(
    ("cue", "outcome"),
    [
        (Cue(say=GOOD, fault="refusal_mid"), "refused"),
        (Cue(say=GOOD, fault="context_full"), "overflowed"),
        (Cue(blocks=SEARCHING, fault="pause_turn"), "paused"),
    ],
)
def test_an_answer_that_ended_otherwise_is_never_read(
    config: Config, rows: Rows, is_async: bool, cue: Cue, outcome: str
) -> None:
    with running(seed=3, answers=[cue]) as sim:
        with pytest.raises(penstock.Unparsed) as caught:
            said(sim, config, Person, is_async=is_async, tools=SEARCH)
    assert caught.value.outcome == outcome and {row["outcome"] for row in rows()} == {outcome}
    assert len(rows()) == (4 if outcome == "paused" else 1)


def test_an_answer_that_pauses_is_asked_to_go_on(config: Config, rows: Rows) -> None:
    with running(seed=3, answers=[Cue(blocks=SEARCHING, fault="pause_turn", times=1), Cue(say=GOOD)]) as sim:
        assert said(sim, config, Person, tools=SEARCH) == Person(name="Ada", age=36)
        turns = json.loads(sim.requests[-1].body)["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"]
    assert [row["outcome"] for row in rows()] == ["paused", "valid"]


def test_json_that_is_cut_off_is_truncated_though_it_parses(config: Config, rows: Rows) -> None:
    parsing = 0
    with running(seed=3, answers=[Cue(say=GOOD + " and more of it" * 50)]) as sim:
        for most in range(8, 24):
            with pytest.raises(penstock.Unparsed) as caught:
                said(sim, config, Person, max_tokens=most)
            assert caught.value.outcome == "truncated"
            parsing += caught.value.answer.content[0].text.strip() == GOOD
    assert parsing and {row["outcome"] for row in rows()} == {"truncated"}


def test_a_tool_wanted_first_is_said(config: Config, rows: Rows) -> None:
    tool = {"name": "look", "description": "Look it up.", "input_schema": {"type": "object"}}
    with running(seed=3, answers=[Cue(tool="look", input={})]) as sim, pytest.raises(penstock.Unparsed) as caught:
        said(sim, config, Person, tools=[tool])
    assert caught.value.outcome == "tool_use" and rows()[0]["outcome"] is None


def test_what_the_api_refuses_raises_the_sdks_own_exception(config: Config) -> None:
    with running(seed=3) as sim, pytest.raises(anthropic.NotFoundError):
        said(sim, config, Person, model="claude-nobody-9")


def test_what_cannot_be_asked_for_is_said_before_anything_is_sent(sim: Running, config: Config) -> None:
    bare = anthropic.Anthropic(base_url=sim.url, api_key=sim.key)
    with pytest.raises(ConfigError, match=r"not wrapped") as caught:
        penstock.parsed(bare, Person, **ASK)
    assert caught.value.code == "not_wrapped"
    client = penstock.wrap(bare, config=config)
    with pytest.raises(TypeError, match="stream"):
        penstock.parsed(client, Person, **ASK, stream=True)
    for kind in (int, dict):
        with pytest.raises(TypeError, match="neither a pydantic model"):
            penstock.parsed(client, kind, **ASK)
    assert sim.requests == []


def test_nothing_of_it_stays_for_the_next_call(config: Config, rows: Rows) -> None:
    with running(seed=3, answers=[Cue(say=GOOD)]) as sim:
        client = penstock.wrap(anthropic.Anthropic(base_url=sim.url, api_key=sim.key), config=config)
        penstock.parsed(client, Person, **ASK)
        client.messages.create(**ASK)
        assert ["output_config" in json.loads(request.body) for request in sim.requests] == [True, False]
    assert [row["outcome"] for row in rows()] == ["valid", None]


def test_a_cloud_is_asked_too_and_judged_by_the_type_alone(config: Config, rows: Rows) -> None:
    with running(seed=3, accept_any=True, answers=[Cue("not of the form", say=GOOD), Cue(say=OLD)]) as sim:
        client = penstock.wrap(anthropic.AnthropicFoundry(api_key="k", base_url=sim.url), config=config)
        assert penstock.parsed(client, Person, **ASK).age == 36
        assert ["output_config" in json.loads(request.body) for request in sim.requests] == [False, False]
        assert '"age"' in json.loads(sim.requests[1].body)["messages"][-1]["content"], "the schema, in words"
    assert [row["outcome"] for row in rows()] == ["repaired"]


@BOTH
def test_the_sdks_own_parse_works_as_before(config: Config, rows: Rows, is_async: bool) -> None:
    common: dict[str, Any]
    with running(seed=3, answers=[Cue(say=GOOD)]) as sim:
        common = {"base_url": sim.url, "api_key": sim.key}
        if is_async:

            async def scene() -> Any:
                async with penstock.wrap(anthropic.AsyncAnthropic(**common), config=config) as client:
                    return await client.messages.parse(**ASK, output_format=Person)

            message = asyncio.run(scene())
        else:
            client = penstock.wrap(anthropic.Anthropic(**common), config=config)
            message = client.messages.parse(**ASK, output_format=Person)
    assert message.parsed_output == Person(name="Ada", age=36) and rows()[0]["ending"] == "complete"
