"""Every recorded exchange, read by us and by the official SDK: both must understand the same.

The recordings lie beside the repository, not in it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from penstock.wire import faults
from penstock.wire.messages import Answer, endpoint
from penstock.wire.prices import arithmetic, price
from penstock.wire.reading import reading
from wire.byhand import by_hand

anthropic = pytest.importorskip("anthropic")
httpx2 = pytest.importorskip("httpx2")

RECORDINGS = Path(__file__).parents[2] / ".." / "shared" / "recordings"
SOURCES = sorted(path.name for path in RECORDINGS.iterdir() if path.is_dir()) if RECORDINGS.is_dir() else []

pytestmark = pytest.mark.skipif(not SOURCES, reason="the recordings are not beside this repository")

#: Made-up names in hand-written fixtures: the only answers of messages that stay unpriced.
UNPRICED_MODELS = {"fallback-model", "primary-model"}


class Sdk:
    """The real client, answered by whatever bytes are at hand."""

    def __init__(self) -> None:
        self.body, self.status, self.is_stream = b"", 200, False
        self.client = anthropic.Anthropic(
            api_key="test", max_retries=0, http_client=httpx2.Client(transport=httpx2.MockTransport(self._answer))
        )

    def _answer(self, request: Any) -> Any:
        kind = "text/event-stream; charset=utf-8" if self.is_stream else "application/json"
        return httpx2.Response(self.status, headers={"content-type": kind}, content=self.body)

    def outcome(self, status: int, body: bytes, is_stream: bool) -> Any:
        """The message the SDK makes of an answer, or the exception it raises."""
        self.status, self.body, self.is_stream = status, body, is_stream
        ask: dict[str, Any] = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
        try:
            if not is_stream:
                return self.client.beta.messages.create(**ask)
            with self.client.beta.messages.stream(**ask) as stream:
                return stream.get_final_message()
        except Exception as error:
            return error


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdk]:
    yield Sdk()


def body_of(response: dict[str, Any]) -> bytes:
    """The body as it came. One recorder kept some streams as a JSON string within an object."""
    body: str = response["body"]
    if response["streamed"] and body.startswith('{"type":"text","content":'):
        body = json.loads(body)["content"]
    return body.encode()


def read(exchange: dict[str, Any], size: int | None) -> Answer:
    """Our answer, with the body fed in pieces of `size` bytes, or whole."""
    response = exchange["response"]
    method, _, path = exchange["endpoint"].partition(" ")
    kind = b"text/event-stream" if response["streamed"] else b"application/json"
    body = body_of(response)
    ours = reading(endpoint(method, path), response["status"], [(b"content-type", kind)])
    step = size or len(body) or 1
    for start in range(0, len(body), step):
        ours.feed(body[start : start + step])
    ours.finish()
    return ours.answer


def at_us(exchange: dict[str, Any]) -> int:
    day = (exchange["recorded_at"] or "").removeprefix("before ")[:10]
    try:
        return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000
    except ValueError:
        return 1_780_000_000_000_000


def seen_by_sdk(message: Any) -> dict[str, Any]:
    usage = message.usage
    split, tools = usage.cache_creation, usage.server_tool_use
    details = getattr(usage, "output_tokens_details", None)
    return {
        "id": message.id,
        "model": message.model,
        "stop_reason": message.stop_reason,
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_input_tokens or 0,
        "cache_written_tokens": usage.cache_creation_input_tokens or 0,
        "cache_write_1h_tokens": split.ephemeral_1h_input_tokens if split is not None else 0,
        "output_tokens": usage.output_tokens,
        "thinking_tokens": details.thinking_tokens if details is not None else 0,
        "web_searches": tools.web_search_requests if tools is not None else 0,
        "service_tier": usage.service_tier,
        "inference_geo": usage.inference_geo,
        "speed": usage.speed,
        "iterations": [
            (entry.type, getattr(entry, "model", None), entry.input_tokens, entry.output_tokens)
            for entry in usage.iterations or ()
        ],
    }


def seen_by_us(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    assert usage is not None
    return {
        "id": answer.id,
        "model": answer.model,
        "stop_reason": answer.stop_reason,
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_written_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_tokens": usage.output_tokens,
        "thinking_tokens": usage.thinking_tokens,
        "web_searches": usage.web_searches,
        "service_tier": usage.service_tier,
        "inference_geo": usage.inference_geo,
        "speed": usage.speed,
        "iterations": [(e.type, e.model, e.input_tokens, e.output_tokens) for e in usage.iterations],
    }


def judge(sdk: Sdk, name: str, exchange: dict[str, Any]) -> str:
    """Assert that both agree on one exchange; return what it was."""
    answer = read(exchange, None)
    assert read(exchange, 61) == answer, name
    if exchange["endpoint"] != "POST /v1/messages":
        return "other endpoint"
    response = exchange["response"]
    if body_of(response).startswith(b"event: completion"):
        assert answer.usage is None and not answer.is_whole, name
        return "no price: an answer of the retired /v1/complete, filed under messages"
    theirs = sdk.outcome(response["status"], body_of(response), response["streamed"])
    if isinstance(theirs, anthropic.APIStatusError):
        assert answer.error_type == theirs.type, name
        assert faults.error_class(response["status"], answer.error_code) == type(theirs).__name__, name
        return "error"
    assert not isinstance(theirs, Exception), (name, repr(theirs))
    assert seen_by_us(answer) == seen_by_sdk(theirs), name
    assert answer.usage is not None and answer.model is not None
    cost = price(answer.usage, answer.model, at_us(exchange), is_early_refusal=answer.is_early_refusal)
    if cost.nano is None:
        assert answer.model in UNPRICED_MODELS, (name, answer.model)
        return f"no price: {answer.model} is not in the table"
    itemised = arithmetic(answer.usage, answer.model, at_us(exchange), is_early_refusal=answer.is_early_refusal)
    assert (itemised.nano, itemised.basis) == (cost.nano, cost.basis), name
    hand = None if answer.is_early_refusal else by_hand(answer.usage, answer.model)
    assert hand is None or cost.nano == int(hand + Fraction(1, 2)), name
    return f"priced: {cost.basis}{', the same by hand' if hand is not None else ''}"


@pytest.mark.parametrize("source", SOURCES)
def test_usage_stop_reason_and_error_are_those_the_sdk_sees(source: str, sdk: Sdk, record_property: Any) -> None:
    counts: Counter[str] = Counter()
    for path in sorted((RECORDINGS / source).glob("*.json")):
        counts[judge(sdk, path.name, json.loads(path.read_text("utf-8")))] += 1
    record_property("counts", dict(counts))
    print(source, dict(counts))
    assert counts.total() > 0
