"""The shapes of the usage and cost reports."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from penstock.wire.reports import KINDS, cost_query, read_cost, read_usage, usage_query

BEGIN = 1_795_132_800_000_000
STAMPS = {"starting_at": "2026-11-20T00:00:00Z", "ending_at": "2026-11-21T00:00:00Z"}


def page(row: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"data": [{**STAMPS, "results": [row]}], "has_more": False, "next_page": None, **more}).encode()


def test_usage_is_read_in_the_order_of_its_kinds_whatever_else_there_is() -> None:
    row = {
        "uncached_input_tokens": 1,
        "cache_creation": {"ephemeral_1h_input_tokens": 4, "ephemeral_5m_input_tokens": 3},
        "cache_read_input_tokens": 2,
        "output_tokens": 5,
        "server_tool_use": {"web_search_requests": 6},
        "model": "claude-opus-5-5",
        "api_key_id": "apikey_1",
        "new_thing": {},
    }
    (found,), ends_us, following = read_usage(page(row, has_more=True, next_page="page_2"))
    assert found.counts == (1, 2, 3, 4, 5, 6) and len(KINDS) == 6 and found.api_key_id == "apikey_1"
    assert (found.at_us, ends_us, following) == (BEGIN, BEGIN + 86_400_000_000, "page_2")
    assert read_usage(page({}))[0][0].counts == (0,) * 6


@pytest.mark.parametrize(
    ("cents", "pico", "decimals"),
    [("123.78912", 1_237_891_200_000, 5), ("0", 0, 0), ("0.00000001", 100, 8), ("-5", -50_000_000_000, 0)],
)
def test_cents_are_exact(cents: str, pico: int, decimals: int) -> None:
    (row,), _, _ = read_cost(page({"amount": cents, "currency": "USD", "cost_type": "tokens", "token_type": KINDS[0]}))
    assert (row.pico, row.decimals, row.kind) == (pico, decimals, KINDS[0])


def test_what_is_no_token_has_its_cost_type() -> None:
    (row,), _, _ = read_cost(page({"amount": "1", "currency": "USD", "cost_type": "web_search", "token_type": None}))
    assert row.kind == "web_search" == KINDS[-1]


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (read_usage, b"<html>"),
        (read_usage, b'{"data": [{"starting_at": "2026'),
        (read_usage, page({"output_tokens": "5"})),
        (read_cost, page({"amount": "1", "currency": "EUR"})),
        (read_cost, page({"amount": "much", "currency": "USD"})),
        (read_cost, page({"currency": "USD"})),
    ],
)
def test_what_is_no_report_is_said(read: Any, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"report"):
        read(body)


def test_queries_ask_for_the_longest_pages_and_all_that_tells_rows_apart() -> None:
    asked = parse_qs(urlsplit(usage_query(BEGIN, BEGIN + 60_000_000, "1m", "page_7")).query)
    assert asked["starting_at"] == ["2026-11-20T00:00:00Z"] and asked["ending_at"] == ["2026-11-20T00:01:00Z"]
    assert asked["limit"] == ["1440"] and asked["page"] == ["page_7"]
    assert {"api_key_id", "workspace_id", "model", "service_tier", "inference_geo", "speed"} <= set(asked["group_by[]"])
    assert parse_qs(urlsplit(cost_query(BEGIN, BEGIN)).query)["group_by[]"] == ["workspace_id", "description"]
