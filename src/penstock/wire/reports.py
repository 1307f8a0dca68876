"""The Admin API's usage and cost reports: how they are asked for, and what they say.

Usage counts tokens by bucket and by what they are told apart by; cost is by whole days, in cents as decimal strings.
Neither names a request. Times are Unix microseconds, money is pico-dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

import msgspec

USAGE_PATH = "/v1/organizations/usage_report/messages"
COST_PATH = "/v1/organizations/cost_report"

#: Reports can be told apart by speed under this beta.
SPEED_BETA = "fast-mode-2026-02-01"

#: Width of a bucket in microseconds, and how many a page has at most.
WIDTHS: Mapping[str, tuple[int, int]] = {
    "1m": (60_000_000, 1_440),
    "1h": (3_600_000_000, 168),
    "1d": (86_400_000_000, 31),
}

#: What is counted, by the names of the cost report's `token_type`; the last, searches, is a `cost_type` there.
KINDS = (
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "cache_creation.ephemeral_5m_input_tokens",
    "cache_creation.ephemeral_1h_input_tokens",
    "output_tokens",
    "web_search",
)

_USAGE_GROUPS = (
    "api_key_id",
    "workspace_id",
    "model",
    "service_tier",
    "context_window",
    "inference_geo",
    "speed",
)
_COST_GROUPS = ("workspace_id", "description")
_PICO_PER_CENT = 10_000_000_000


class UsageRow(msgspec.Struct, frozen=True):
    """What one bucket counted of one combination; `counts` in the order of KINDS."""

    at_us: int
    api_key_id: str | None
    workspace_id: str | None
    model: str | None
    service_tier: str | None
    context_window: str | None
    inference_geo: str | None
    speed: str | None
    counts: tuple[int, ...]


class CostRow(msgspec.Struct, frozen=True):
    """One line of a day's costs. `kind` is of KINDS, or another `cost_type`; its cents had so many `decimals`."""

    at_us: int
    workspace_id: str | None
    model: str | None
    service_tier: str | None
    context_window: str | None
    inference_geo: str | None
    kind: str
    pico: int
    decimals: int


def usage_query(since_us: int, until_us: int, width: str, page: str | None = None) -> str:
    """The path and query that ask for usage from `since_us` up to but not including `until_us`."""
    return f"{USAGE_PATH}?{_query(since_us, until_us, width, _USAGE_GROUPS, page)}"


def cost_query(since_us: int, until_us: int, page: str | None = None) -> str:
    """The path and query that ask for costs; both ends are midnights."""
    return f"{COST_PATH}?{_query(since_us, until_us, '1d', _COST_GROUPS, page)}"


def read_usage(body: bytes) -> tuple[list[UsageRow], int | None, str | None]:
    """The rows of a page, where its last bucket ends, and the next page. Raises ValueError."""
    page = _read(body)
    rows = [
        UsageRow(at_us=_us(bucket.starting_at), counts=_counts(one), **{name: one.get(name) for name in _USAGE_GROUPS})
        for bucket in page.data
        for one in bucket.results
    ]
    return rows, _end(page), page.next_page if page.has_more else None


def read_cost(body: bytes) -> tuple[list[CostRow], int | None, str | None]:
    """Likewise of the cost report. Raises ValueError, also for another currency than dollars."""
    page = _read(body)
    rows = [_cost(_us(bucket.starting_at), one) for bucket in page.data for one in bucket.results]
    return rows, _end(page), page.next_page if page.has_more else None


class _Bucket(msgspec.Struct):
    starting_at: str
    ending_at: str
    results: list[dict[str, Any]]


class _Page(msgspec.Struct):
    data: list[_Bucket]
    has_more: bool = False
    next_page: str | None = None


_PAGE = msgspec.json.Decoder(_Page)


def _read(body: bytes) -> _Page:
    try:
        return _PAGE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the report is not one: {error}") from error


def _end(page: _Page) -> int | None:
    return _us(page.data[-1].ending_at) if page.data else None


def _query(since_us: int, until_us: int, width: str, groups: tuple[str, ...], page: str | None) -> str:
    asked = [("starting_at", _stamp(since_us)), ("ending_at", _stamp(until_us)), ("bucket_width", width)]
    asked += [("limit", str(WIDTHS[width][1]))]
    asked += [("group_by[]", name) for name in groups]
    return urlencode(asked if page is None else [*asked, ("page", page)])


def _counts(row: dict[str, Any]) -> tuple[int, ...]:
    written = row.get("cache_creation") or {}
    searches = (row.get("server_tool_use") or {}).get("web_search_requests")
    given = (
        row.get("uncached_input_tokens"),
        row.get("cache_read_input_tokens"),
        written.get("ephemeral_5m_input_tokens"),
        written.get("ephemeral_1h_input_tokens"),
        row.get("output_tokens"),
        searches,
    )
    if not all(one is None or type(one) is int for one in given):
        raise ValueError("the report counts in something else than whole numbers")
    return tuple(one or 0 for one in given)


def _cost(at_us: int, row: dict[str, Any]) -> CostRow:
    if row.get("currency", "USD") != "USD":
        raise ValueError(f"the report is in {row['currency']!r}, not in US dollars")
    try:
        cents = Decimal(row["amount"])
        decimals = max(0, -int(cents.as_tuple().exponent))
    except (KeyError, TypeError, ValueError, InvalidOperation):
        raise ValueError(f"the report has {row.get('amount')!r} for an amount") from None
    kind = row.get("token_type") or row.get("cost_type") or "other"
    return CostRow(
        at_us,
        row.get("workspace_id"),
        row.get("model"),
        row.get("service_tier"),
        row.get("context_window"),
        row.get("inference_geo"),
        kind,
        round(cents * _PICO_PER_CENT),
        decimals,
    )


def _stamp(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _us(text: str) -> int:
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * 1_000_000
