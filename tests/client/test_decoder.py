"""The fast decoder of events makes what the SDK's own makes, and steps aside where it does not know the hook."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import anthropic
import pytest
from anthropic._streaming import ServerSentEvent, SSEDecoder
from hypothesis import given
from hypothesis import strategies as st

from penstock.faces.client.decoder import hasten


def fast() -> Any:
    client = anthropic.Anthropic(api_key="k")
    assert hasten(client)
    return client._make_sse_decoder()


def made_by(decoder: Any, chunks: list[bytes]) -> list[tuple[Any, ...]]:
    return [(e.event, e.data, e.id, e.retry, e.raw) for e in decoder.iter_bytes(iter(chunks))]


def made_on_loop(decoder: Any, chunks: list[bytes]) -> list[tuple[Any, ...]]:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def main() -> list[tuple[Any, ...]]:
        return [(e.event, e.data, e.id, e.retry, e.raw) async for e in decoder.aiter_bytes(source())]

    return asyncio.run(main())


def cut(text: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[one:other] for one, other in pairwise(edges)]


LINES = st.sampled_from(
    [
        "event: message_start",
        "event: ping",
        "event:x",
        'data: {"type": "a", "text": "é"}',
        "data: two",
        "data:",
        ": note",
        "id: 7",
        "retry: 3",
        "",
        "",
        "odd",
    ]
)


@given(st.lists(LINES, max_size=14), st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"]), st.lists(st.integers(0, 400)))
def test_any_stream_cut_anywhere_gives_the_sdks_events(lines: list[str], end: str, places: list[int]) -> None:
    text = "".join(line + end for line in lines).encode()
    chunks = cut(text, places)
    if end == "\r\n" and any(chunk.endswith(b"\r") for chunk in chunks):
        chunks = [text]  # the SDK's own decoder depends on where such a pair is cut
    usual = made_by(SSEDecoder(), chunks)
    assert made_by(fast(), chunks) == usual
    assert made_on_loop(fast(), chunks) == usual


@pytest.mark.parametrize("text", ['{"a": 1.50, "b": [true, null], "c": "\\u00e9"}', '"\\ud83d"', "NaN", "1e400", "{}"])
def test_json_is_what_the_standard_library_reads(text: str) -> None:
    (event,) = fast().iter_bytes(iter([f"event: a\ndata: {text}\n\n".encode()]))
    expected = json.loads(text)
    assert isinstance(event, ServerSentEvent)
    assert event.json() == expected or math.isnan(expected)


def test_broken_json_fails_as_before() -> None:
    (event,) = fast().iter_bytes(iter([b"event: a\ndata: {\n\n"]))
    with pytest.raises(json.JSONDecodeError):
        event.json()


def test_a_hook_of_another_shape_is_left_alone() -> None:
    client: Any = anthropic.Anthropic(api_key="k")

    class Other:
        def iter_bytes(self, iterator: Any) -> Any: ...

    client._make_sse_decoder = Other
    assert not hasten(client)
    assert isinstance(client._make_sse_decoder(), Other)
    assert not hasten(object())
