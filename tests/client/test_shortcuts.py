"""What a wrapped client does faster has the outcome of the SDK's own way, and steps aside where it is not the SDK's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message, MessageTokensCount, ModelInfo, RawMessageStreamEvent
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from anthropic.types.messages import MessageBatch
from hypothesis import given
from hypothesis import strategies as st

from penstock.faces.client.shortcuts import maker_of, shorten
from penstock.ports.blocking import SystemChance

WHOLE = (Message, BetaMessage)
STREAMED = (RawMessageStreamEvent, BetaRawMessageStreamEvent)

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "text", "text": "One.", "citations": None},
        {"type": "thinking", "thinking": "…", "signature": "s"},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"deep": [{"a": 1.5}, None, True]}},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [
                {"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "e", "page_age": None}
            ],
        },
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 3,
        "output_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "server_tool_use": {"web_search_requests": 1},
        "service_tier": "standard",
        "new_since": {"x": [1]},
    },
}
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "", "citations": []}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "é"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a'}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]
#: What a newer, older or broken API may put anywhere.
ODD = st.sampled_from(
    [
        *(None, "", "5", 5, 5.0, -1, True, 2**70, [], {}, [None]),
        *("end_turn", "text", "nova", "2026-01-01T00:00:00Z", "\ud800"),
        *({"type": "nova", "more": 1}, [{"type": "text", "text": "t"}], {"text": 7, "type": "text"}),
    ]
)


def shortened() -> anthropic.Anthropic:
    client = anthropic.Anthropic(api_key="k", base_url="http://one.invalid/under")
    shorten(client, SystemChance())
    return client


CLIENT, USUAL = shortened(), anthropic.Anthropic(api_key="k")


def in_full(made: Any) -> Any:
    """A model with everything that is in it: types, order, fields that were set, fields beyond those known."""
    if isinstance(made, anthropic.BaseModel):
        held = [(name, in_full(value)) for name, value in vars(made).items()]
        extra = made.__pydantic_extra__
        return type(made), held, made.model_fields_set, in_full(extra), made.__pydantic_private__
    if isinstance(made, list):
        return [in_full(entry) for entry in made]
    if isinstance(made, dict):
        return [(key, in_full(value)) for key, value in made.items()]
    return type(made), made


def outcome(make: Callable[..., Any], data: Any, kind: Any) -> Any:
    response = httpx2.Response(200, request=httpx2.Request("POST", "http://one.invalid"))
    try:
        return in_full(make(data=deepcopy(data), cast_to=kind, response=response))
    except Exception as error:
        return type(error), str(error)


def assert_same(data: Any, kind: Any) -> None:
    usual = outcome(USUAL._process_response_data, data, kind)
    assert outcome(CLIENT._process_response_data, data, kind) == usual


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all that is in a JSON value."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def altered(draw: st.DrawFn, data: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with a few of its values replaced, taken away or added to."""
    data = deepcopy(data)
    for _ in range(draw(st.integers(0, 3))):
        found = list(places(data))
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        inside = data
        for key in way:
            inside = inside[key]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "remove":
                del inside[last]
            case "add" if isinstance(inside, dict):
                inside[draw(st.sampled_from(["extra", "type", "citations", "model_config", "schema"]))] = deepcopy(
                    draw(ODD)
                )
            case _:
                inside[last] = deepcopy(draw(ODD))
    return data


@given(altered(MESSAGE), st.sampled_from(WHOLE))
def test_a_message_however_odd_becomes_what_the_sdk_makes_of_it(data: dict[str, Any], kind: Any) -> None:
    assert_same(data, kind)


@given(st.sampled_from(EVENTS).flatmap(altered), st.sampled_from(STREAMED))
def test_an_event_however_odd_becomes_what_the_sdk_makes_of_it(data: dict[str, Any], kind: Any) -> None:
    assert_same(data, kind)


@pytest.mark.parametrize("data", [None, [], "text", 7, {}, {"type": []}, [{"type": "message_stop"}]])
@pytest.mark.parametrize("kind", [*WHOLE, *STREAMED, MessageTokensCount, ModelInfo, MessageBatch, object, dict])
def test_what_is_no_model_at_all_becomes_what_the_sdk_makes_of_it(data: Any, kind: Any) -> None:
    assert_same(data, kind)


@pytest.mark.parametrize("kind", [*WHOLE, *STREAMED, MessageTokensCount])
def test_the_models_of_every_call_are_made_in_one_step(kind: Any) -> None:
    assert maker_of(kind) is not None


class Checked(anthropic.BaseModel):
    size: int


@pytest.mark.parametrize("kind", [Checked, ModelInfo, MessageBatch, anthropic.BaseModel, list, None, Checked | None])
def test_models_with_times_and_models_of_others_are_left_to_the_sdk(kind: Any) -> None:
    assert maker_of(kind) is None


def answers_in(exchange: dict[str, Any]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """What the SDK reads as JSON in one recorded exchange, and the types it may make of that."""
    response = exchange.get("response") or {}
    if "/v1/messages" not in exchange.get("endpoint", "") or "body" not in response:
        return
    lines = response["body"].splitlines() if response["streamed"] else [f"data: {response['body']}"]
    for line in lines:
        try:
            data = json.loads(line.removeprefix("data:"))
        except ValueError:
            continue
        yield data, STREAMED if response["streamed"] else WHOLE


def test_every_recorded_answer_becomes_what_the_sdk_makes_of_it(recordings: Path) -> None:
    made = 0
    for path in sorted(recordings.rglob("*.json")):
        for data, kinds in answers_in(json.loads(path.read_text())):
            for kind in kinds:
                assert_same(data, kind)
            made += 1
    assert made > 1000


def test_an_address_is_that_of_the_sdk_whatever_the_path_or_base() -> None:
    client, usual = shortened(), anthropic.Anthropic(api_key="k", base_url="http://one.invalid/under")
    paths = ["/v1/messages", "v1/messages", "/v1/messages?beta=true", "https://two.invalid/x", "/v1/é b"]
    for base in ("http://one.invalid/under", "http://three.invalid", "http://one.invalid/under"):
        client.base_url = usual.base_url = base
        for path in [*paths, *(f"/v1/files/{number}" for number in range(100)), *paths]:
            assert client._prepare_url(path) == usual._prepare_url(path)


def test_an_address_asked_for_again_is_not_worked_out_again() -> None:
    client = shortened()
    assert client._prepare_url("/v1/messages") is client._prepare_url("/v1/messages")


def test_keys_for_repeated_attempts_differ() -> None:
    client = shortened()
    assert len({client._idempotency_key() for _ in range(100)}) == 100
    assert client._idempotency_key().startswith("stainless-python-retry")


class Own(anthropic.Anthropic):
    def _prepare_url(self, url: str) -> httpx2.URL:
        return httpx2.URL("http://own.invalid")

    def _process_response_data(self, **_: Any) -> Any:
        return "own"

    def _idempotency_key(self) -> str:
        return "own"


def test_what_a_subclass_does_its_own_way_stays_its_own() -> None:
    client = Own(api_key="k")
    shorten(client, SystemChance())
    assert client._idempotency_key() == client._process_response_data() == "own"
    assert client._prepare_url("/v1/messages").host == "own.invalid"


def test_a_key_that_is_sent_and_a_validation_that_was_asked_for_stay_the_sdks() -> None:
    client = anthropic.Anthropic(api_key="k", _strict_response_validation=True)
    client._idempotency_header = "idempotency-key"
    shorten(client, SystemChance())
    assert "_idempotency_key" not in vars(client)
    assert "_process_response_data" not in vars(client)


def test_a_validation_that_breaks_leaves_the_data_to_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("another thread is building this class")

    monkeypatch.setattr("penstock.faces.client.shortcuts.maker_of", lambda _: broken)
    made = outcome(shortened()._process_response_data, MESSAGE, Message)
    assert made == outcome(USUAL._process_response_data, MESSAGE, Message)


def test_more_types_than_are_remembered_are_still_made() -> None:
    client = shortened()
    kinds = [type(f"Kind{number}", (anthropic.BaseModel,), {"__annotations__": {"a": int}}) for number in range(100)]
    for kind in [*kinds, Message, *kinds]:
        data = MESSAGE if kind is Message else {"a": 1}
        assert outcome(client._process_response_data, data, kind) == outcome(USUAL._process_response_data, data, kind)
