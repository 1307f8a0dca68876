"""One session with an SDK client, in every form a call has, and what came of it as plain data.

Also a program, for SDK versions that live in environments of their own:

    python sdk_session.py URL KEY DATA    prints {"seen": [...], "version": ..., and where DATA is given "rows": N}

With DATA empty the client is left bare.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

MODEL = "claude-sonnet-4-6"
ASK: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "Tell me of the river."}],
}
TOOL = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TOOL_ASK = {**ASK, "messages": [{"role": "user", "content": "What is the weather in Paris?"}], "tools": [TOOL]}

Result = tuple[str, Any]


def plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return json.loads(value.model_dump_json(warnings=False))
    return value


def fault(kind: str, raised: BaseException) -> Result:
    """What a caller sees of an error: its class, status, and body."""
    return kind, [type(raised).__name__, getattr(raised, "status_code", None), plain(getattr(raised, "body", None))]


def blocking(client: Any) -> list[Result]:
    """Every form of call of a blocking client. Nothing in here may depend on time or place."""
    seen: list[Result] = [("create", plain(client.messages.create(**ASK)))]
    seen.append(("stream=True", [plain(event) for event in client.messages.create(**ASK, stream=True)]))
    with client.messages.stream(**ASK) as stream:
        seen.append(("text_stream", list(stream.text_stream)))
        seen.append(("get_final_message", plain(stream.get_final_message())))
    with client.messages.stream(**TOOL_ASK) as stream:
        seen.append(("stream events", [event.type for event in stream]))
        seen.append(("final tool use", plain(stream.get_final_message())))
    raw = client.messages.with_raw_response.create(**ASK)
    seen.append(("raw", [raw.status_code, raw.headers["content-type"], raw.headers["request-id"], plain(raw.parse())]))
    seen.append(("raw elapsed", raw.elapsed.total_seconds() > 0))
    with client.messages.with_streaming_response.create(**ASK) as answer:
        seen.append(("streaming response", [answer.status_code, b"".join(answer.iter_bytes()).decode()]))
    seen.append(
        ("with_options", plain(client.with_options(timeout=9, default_headers={"x-a": "b"}).messages.create(**ASK)))
    )
    seen.append(("count_tokens", plain(client.messages.count_tokens(model=MODEL, messages=ASK["messages"]))))
    seen.append(("models", [model.id for model in client.models.list(limit=3)]))
    seen.append(("model", plain(client.models.retrieve(MODEL))["id"]))
    batch = client.messages.batches.create(requests=[{"custom_id": "one", "params": ASK}])
    seen.append(("batch", batch.processing_status))
    while client.messages.batches.retrieve(batch.id).processing_status != "ended":
        pass
    seen.append(("results", [plain(result) for result in client.messages.batches.results(batch.id)]))
    for name, asked in (("unknown model", {**ASK, "model": "claude-none"}), ("bad request", {**ASK, "messages": []})):
        try:
            client.messages.create(**asked)
        except Exception as raised:
            seen.append(fault(name, raised))
    try:
        client.with_options(api_key="sk-ant-" + "api03-wrong").messages.create(**ASK)
    except Exception as raised:
        seen.append(fault("wrong key", raised))
    for name in ("overloaded", "rate_limited", "error_500", "html_502", "error_mid", "error_first"):
        try:
            headers = {"x-simulator-fault": name}
            for _ in client.messages.create(**ASK, stream=True, extra_headers=headers):
                pass
        except Exception as raised:
            seen.append(fault(name, raised))
    return seen


async def looped(client: Any) -> list[Result]:
    """The same of an async client, less what does not differ in kind."""
    seen: list[Result] = [("create", plain(await client.messages.create(**ASK)))]
    seen.append(("stream=True", [plain(event) async for event in await client.messages.create(**ASK, stream=True)]))
    async with client.messages.stream(**ASK) as stream:
        seen.append(("text_stream", [piece async for piece in stream.text_stream]))
        seen.append(("get_final_message", plain(await stream.get_final_message())))
    raw = await client.messages.with_raw_response.create(**ASK)
    parsed = raw.parse()
    seen.append(("raw", [raw.status_code, plain(await parsed if asyncio.iscoroutine(parsed) else parsed)]))
    async with client.messages.with_streaming_response.create(**ASK) as answer:
        seen.append(("streaming response", (await answer.read()).decode()))
    seen.append(("with_options", plain(await client.with_options(timeout=9).messages.create(**ASK))))
    seen.append(("count_tokens", plain(await client.messages.count_tokens(model=MODEL, messages=ASK["messages"]))))
    seen.append(("models", [model.id async for model in client.models.list(limit=3)]))
    batch = await client.messages.batches.create(requests=[{"custom_id": "one", "params": ASK}])
    while (await client.messages.batches.retrieve(batch.id)).processing_status != "ended":
        pass
    seen.append(("results", [plain(result) async for result in await client.messages.batches.results(batch.id)]))
    for name in ("overloaded", "rate_limited", "error_mid", "error_first"):
        try:
            headers = {"x-simulator-fault": name}
            async for _ in await client.messages.create(**ASK, stream=True, extra_headers=headers):
                pass
        except Exception as raised:
            seen.append(fault(name, raised))
    return seen


def in_loop(client: Any) -> list[Result]:
    async def main() -> list[Result]:
        async with client:
            return await looped(client)

    return asyncio.run(main())


def both(made: Callable[[], tuple[Any, Any]]) -> list[Result]:
    client, loop_client = made()
    with client:
        return blocking(client) + in_loop(loop_client)


def main(url: str, key: str, data: str) -> None:
    import anthropic

    options: dict[str, Any] = {"base_url": url, "api_key": key, "max_retries": 0, "timeout": 20}
    client: Any = anthropic.Anthropic(**options)
    loop_client: Any = anthropic.AsyncAnthropic(**options)
    told: dict[str, Any] = {"version": anthropic.__version__}
    if data:
        import penstock

        client, loop_client = (penstock.wrap(one, data=data) for one in (client, loop_client))
        told["is_fast"] = type(client._make_sse_decoder()).__name__ == "FastDecoder"
    told["seen"] = both(lambda: (client, loop_client))
    if data:
        told["rows"] = rows(data)
    json.dump(told, sys.stdout)


def rows(data: str) -> int:
    import sqlite3

    from penstock.faces.client.compose import composition

    composition(None, data).ledger.flush()  # type: ignore[attr-defined]
    with sqlite3.connect(f"{data}/penstock.db") as database:
        count: int = database.execute("select count(*) from calls").fetchone()[0]
    return count


if __name__ == "__main__":
    main(*sys.argv[1:])
