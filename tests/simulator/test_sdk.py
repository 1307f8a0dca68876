"""The official SDK against the simulator."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import pytest

from penstock.simulator import Running, running

WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def test_an_answer_is_text_with_usage(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    message = client.messages.create(**ask)
    assert message.stop_reason == "end_turn" and message.model == "claude-sonnet-4-6"
    assert message.content[0].type == "text" and len(message.content[0].text) > 40
    assert message.usage.output_tokens > 5 and message.usage.service_tier == "standard"
    assert message.id.startswith("msg_01") and len(message.id) == len("msg_01") + 22


def test_a_stream_says_what_the_json_answer_says(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    whole = client.messages.create(**ask)
    with client.messages.stream(**ask) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 3 and all(pieces)
    assert "".join(pieces) == final.content[0].text == whole.content[0].text  # type: ignore[union-attr]
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.usage.input_tokens == whole.usage.input_tokens


def test_the_async_client_is_served(sim: Running, ask: dict[str, Any]) -> None:
    async def both() -> tuple[str, str]:
        async with anthropic.AsyncAnthropic(base_url=sim.url, api_key=sim.key, max_retries=0) as client:
            message = await client.messages.create(**ask)
            async with client.messages.stream(**ask) as stream:
                final = await stream.get_final_message()
            return message.content[0].text, final.content[0].text  # type: ignore[union-attr]

    one, other = asyncio.run(both())
    assert one == other


def test_counted_tokens_are_the_tokens_billed(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    asked = {**ask, "system": "Be brief.", "tools": [WEATHER]}
    counted = client.messages.count_tokens(**{name: asked[name] for name in ("model", "messages", "system", "tools")})
    assert counted.input_tokens == client.messages.create(**asked).usage.input_tokens > 490


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_tool_loop_ends(client: anthropic.Anthropic, ask: dict[str, Any], is_stream: bool) -> None:
    turns: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked = {**ask, "tools": [WEATHER]}

    def say() -> anthropic.types.Message:
        if not is_stream:
            return client.messages.create(**{**asked, "messages": turns})
        with client.messages.stream(**{**asked, "messages": turns}) as stream:
            return stream.get_final_message()

    first = say()
    assert first.stop_reason == "tool_use"
    use = first.content[-1]
    assert use.type == "tool_use" and use.name == "get_weather" and use.input == {"city": "Paris"}
    turns.append({"role": "assistant", "content": first.content})
    turns.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "21 °C"}]})
    last = say()
    assert last.stop_reason == "end_turn"
    assert "21 °C" in last.content[0].text  # type: ignore[union-attr]


def test_the_tool_runner_runs(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    asked: list[tuple[int, int]] = []

    @anthropic.beta_tool
    def add_numbers(one: int, other: int) -> str:
        """Add two numbers.

        Args:
            one: the first
            other: the second
        """
        asked.append((one, other))
        return str(one + other)

    turns: Any = [{"role": "user", "content": "Use the add_numbers tool on 17 and 25."}]
    final = client.beta.messages.tool_runner(**{**ask, "messages": turns, "tools": [add_numbers]}).until_done()
    assert asked == [(17, 25)]
    assert "42" in final.content[0].text  # type: ignore[union-attr]


def test_a_forced_tool_is_used_with_an_input_of_its_schema(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["cat", "dog"]},
            "count": {"type": "integer", "minimum": 3},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "owner": {"$ref": "#/$defs/owner"},
            "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        },
        "required": ["kind", "count", "tags", "owner", "note"],
        "$defs": {"owner": {"type": "object", "properties": {"born": {"type": "string", "format": "date"}}}},
    }
    tool = {"name": "store", "input_schema": schema}
    message = client.messages.create(**ask, tools=[tool], tool_choice={"type": "tool", "name": "store"})
    given: Any = message.content[0].input  # type: ignore[union-attr]
    assert given["kind"] == "cat" and given["count"] >= 3 and len(given["tags"]) == 2
    assert given["owner"]["born"] == "2026-01-15" and isinstance(given["note"], str)


def test_structured_output_is_json_of_the_schema(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    message = client.messages.create(**ask, output_config={"format": {"type": "json_schema", "schema": schema}})
    assert set(json.loads(message.content[0].text)) == {"name", "age"}  # type: ignore[union-attr]


def test_thinking_comes_first_and_signed(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    asked = {**ask, "max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    with client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    thought = final.content[0]
    assert thought.type == "thinking" and thought.thinking and len(thought.signature) > 300
    assert final.content[1].type == "text"
    assert final.usage.output_tokens_details is not None
    assert 0 < final.usage.output_tokens_details.thinking_tokens < final.usage.output_tokens


def test_max_tokens_and_stop_sequences_end_an_answer(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    short = client.messages.create(**{**ask, "max_tokens": 12})
    assert short.stop_reason == "max_tokens" and short.usage.output_tokens == 12
    whole = client.messages.create(**ask).content[0].text  # type: ignore[union-attr]
    stopped = client.messages.create(**ask, stop_sequences=[" the"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", " the")
    assert stopped.content[0].text == whole[: whole.index(" the")]  # type: ignore[union-attr]


def test_a_prompt_may_set_the_length(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    turns: Any = [{"role": "user", "content": "Write 150 words."}]
    message = client.messages.create(**{**ask, "messages": turns, "max_tokens": 2000})
    assert len(message.content[0].text.split()) == 150  # type: ignore[union-attr]


def test_scripted_answers_replace_the_model(ask: dict[str, Any]) -> None:
    def echo(request: dict[str, Any]) -> str | None:
        return "echo" if request["max_tokens"] == 77 else None

    tool_use = [{"type": "text", "text": "Let me look."}, {"type": "tool_use", "name": "look", "input": {"at": 1}}]
    with running(answers=[("river", "It flows."), ("look", tool_use), echo]) as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0)
        assert client.messages.create(**ask).content[0].text == "It flows."  # type: ignore[union-attr]
        turns: Any = [{"role": "user", "content": "look"}]
        used = client.messages.create(**{**ask, "messages": turns})
        assert used.stop_reason == "tool_use" and used.content[1].input == {"at": 1}  # type: ignore[union-attr]
        turns = [{"role": "user", "content": "?"}]
        said = client.messages.create(**{**ask, "messages": turns, "max_tokens": 77})
        assert said.content[0].text == "echo"  # type: ignore[union-attr]


def test_models_are_listed_by_page_and_found_by_alias(client: anthropic.Anthropic) -> None:
    ids = [model.id for model in client.models.list(limit=5)]
    assert len(ids) == len(set(ids)) > 10 and "claude-haiku-5-5" in ids
    assert client.models.retrieve("claude-haiku-4-5").id == "claude-haiku-4-5-20251001"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-nonesuch")


def test_a_batch_runs_and_its_results_carry_every_kind(ask: dict[str, Any]) -> None:
    now = [1_790_000_000.0]
    with running(batch_s=10, clock=lambda: now[0]) as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0)
        requests: Any = [{"custom_id": "good", "params": ask}, {"custom_id": "bad", "params": {**ask, "model": "no"}}]
        batch = client.messages.batches.create(requests=requests)
        assert batch.processing_status == "in_progress" and batch.request_counts.processing == 2
        with pytest.raises(anthropic.AnthropicError):
            list(client.messages.batches.results(batch.id))
        now[0] += 10
        ended = client.messages.batches.retrieve(batch.id)
        assert ended.processing_status == "ended"
        assert (ended.request_counts.succeeded, ended.request_counts.errored) == (1, 1)
        results = {one.custom_id: one.result for one in client.messages.batches.results(batch.id)}
        assert results["good"].type == "succeeded" and results["good"].message.usage.service_tier == "batch"
        assert results["bad"].type == "errored" and results["bad"].error.error.message == "model: no"
        assert [one.id for one in client.messages.batches.list()] == [batch.id]
        client.messages.batches.delete(batch.id)
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(batch.id)


def test_a_cancelled_batch_ends_cancelled(ask: dict[str, Any]) -> None:
    now = [1_790_000_000.0]
    with running(batch_s=10, clock=lambda: now[0]) as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0)
        batch = client.messages.batches.create(requests=[{"custom_id": "one", "params": ask}])  # type: ignore[typeddict-item]
        assert client.messages.batches.cancel(batch.id).processing_status == "canceling"
        now[0] += 10
        assert client.messages.batches.retrieve(batch.id).request_counts.canceled == 1
        assert [one.result.type for one in client.messages.batches.results(batch.id)] == ["canceled"]


def test_files_come_back_as_they_went(client: anthropic.Anthropic) -> None:
    content = bytes(range(256)) + b"\r\n--x\r\n\r\n"
    made = client.files.upload(file=("a.bin", content, "application/octet-stream"))
    assert made.filename == "a.bin" and made.size_bytes == len(content)
    assert client.files.download(made.id).read() == content
    assert made.id in [one.id for one in client.files.list()]
    client.files.delete(made.id)
    with pytest.raises(anthropic.NotFoundError):
        client.files.retrieve_metadata(made.id)


def test_a_marked_prefix_is_written_then_read(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    system: Any = [{"type": "text", "text": "Stone and water. " * 600, "cache_control": {"type": "ephemeral"}}]
    first = client.messages.create(**ask, system=system).usage
    second = client.messages.create(**ask, system=system).usage
    hour: Any = [{**system[0], "text": "Other. " * 800, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    third = client.messages.create(**ask, system=hour).usage
    assert first.cache_creation_input_tokens and not first.cache_read_input_tokens
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert not second.cache_creation_input_tokens and second.input_tokens == first.input_tokens
    assert third.cache_creation is not None and third.cache_creation.ephemeral_1h_input_tokens > 1024
    short: Any = [{"type": "text", "text": "Brief.", "cache_control": {"type": "ephemeral"}}]
    fourth = client.messages.create(**ask, system=short).usage
    assert not fourth.cache_creation_input_tokens


def test_gzip_is_given_where_it_is_on_and_accepted(ask: dict[str, Any]) -> None:
    with running(gzip=True) as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0)
        raw = client.messages.with_raw_response.create(**ask)
        assert raw.headers["content-encoding"] == "gzip"
        with client.messages.stream(**ask) as stream:
            assert "".join(stream.text_stream) == raw.parse().content[0].text  # type: ignore[union-attr]


def test_a_thread_goes_on_once_from_each_answer_while_it_lives(ask: dict[str, Any]) -> None:
    now = [1_790_000_000.0]
    with running(clock=lambda: now[0]) as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0)
        beta: Any = {"betas": ["message-threads-2026-08-12"]}
        first = client.beta.messages.create(**ask, thread={"type": "create"}, **beta)
        onward: Any = {"thread": {"type": "continue", "previous_message_id": first.id}, **beta}
        second = client.beta.messages.create(**ask, **onward)
        assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens / 2
        with pytest.raises(anthropic.BadRequestError) as caught:
            client.beta.messages.create(**ask, **onward)
        assert caught.value.error_code == "thread_already_continued"
        now[0] += 301
        lost: Any = {"thread": {"type": "continue", "previous_message_id": second.id}, **beta}
        with pytest.raises(anthropic.NotFoundError) as gone:
            client.beta.messages.create(**ask, **lost)
        assert gone.value.error_code == "thread_not_found"
