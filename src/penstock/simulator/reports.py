"""The admin API's reports: usage by token, cost in cents, rate limits (`claude-api.md` §12).

Made from sums by the minute, kept aside from the books' entries, so that no call is forgotten. There is no id of a
request in any report, as in the real ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .books import Entry
from .dice import Dice
from .headers import stamp
from .problems import invalid

#: Bucket width: seconds, buckets by default, buckets at most.
WIDTHS = {"1m": (60, 60, 1_440), "1h": (3_600, 24, 168), "1d": (86_400, 7, 31)}
GROUPS = ("api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo", "speed")
FILTERS = {
    "models[]": "model",
    "api_key_ids[]": "api_key_id",
    "workspace_ids[]": "workspace_id",
    "service_tiers[]": "service_tier",
    "context_window[]": "context_window",
    "inference_geos[]": "inference_geo",
    "speeds[]": "speed",
}
_TOKENS = (
    "uncached_input_tokens",
    "cache_creation.ephemeral_1h_input_tokens",
    "cache_creation.ephemeral_5m_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)
_PICO_PER_CENT = 10_000_000_000

Place = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """What is wrong with the reports on purpose, so that reconciliation can be tested. Shares of calls, seeded.

    `missing` calls are in no report, `doubled` ones twice; all calls appear `late_s` seconds after they were made;
    `price_factor` multiplies the cost report.
    """

    missing: float = 0.0
    doubled: float = 0.0
    late_s: float = 0.0
    price_factor: float = 1.0

    def __post_init__(self) -> None:
        if min(self.missing, self.doubled, self.late_s, self.price_factor) < 0 or self.missing + self.doubled > 1:
            raise ValueError("Drift: shares lie between 0 and 1, together at most 1; late_s and price_factor above 0")


@dataclass(slots=True)
class _Sum:
    """What one minute saw of one combination of dimensions."""

    tokens: list[int] = field(default_factory=lambda: [0] * len(_TOKENS))
    web_searches: int = 0
    pico: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class Reports:
    """The sums of one organization's calls by minute, and the reports made of them."""

    def __init__(self, drift: Drift, seed: object, now: Callable[[], float]) -> None:
        self._drift, self._seed, self._now = drift, seed, now
        self._sums: dict[str, dict[tuple[int, Place], _Sum]] = defaultdict(dict)
        self._count = 0

    def note(self, entry: Entry, pico: Mapping[str, int]) -> None:
        """Take up a charged call; `pico` is its cost by token type, in pico-dollars."""
        if entry.model is None or entry.organization_id is None:
            return
        self._count += 1
        at = Dice(self._seed, "drift", self._count).random.random()
        times = 0 if at < self._drift.missing else 2 if at < self._drift.missing + self._drift.doubled else 1
        prompt = (
            entry.input_tokens + entry.cache_read_tokens + entry.cache_write_5m_tokens + entry.cache_write_1h_tokens
        )
        place: Place = (
            entry.key_id,
            entry.workspace_id,
            entry.model,
            entry.service_tier,
            "0-200k" if prompt <= 200_000 else "200k-1M",
            entry.inference_geo,
            entry.speed or "standard",
        )
        for _ in range(times):
            sums = self._sums[entry.organization_id].setdefault((int(entry.at_s // 60), place), _Sum())
            self._add(sums, entry, pico)

    def _add(self, sums: _Sum, entry: Entry, pico: Mapping[str, int]) -> None:
        counts = (
            entry.input_tokens,
            entry.cache_write_1h_tokens,
            entry.cache_write_5m_tokens,
            entry.cache_read_tokens,
            entry.output_tokens,
        )
        for at, count in enumerate(counts):
            sums.tokens[at] += count
        sums.web_searches += entry.web_searches
        for name, amount in pico.items():
            sums.pico[name] += amount

    def usage(self, organization_id: str, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """`GET /v1/organizations/usage_report/messages`. Raises Problem."""
        width_s, begin, end, limit = _range(query, query.get("bucket_width", ["1d"])[-1], self._now())
        groups = _groups(query, GROUPS)
        data = []
        for bucket in _buckets(begin, end, width_s):
            rows: dict[Place, _Sum] = {}
            for place, sums in self._within(organization_id, bucket, width_s, query):
                row = rows.setdefault(tuple(_named(place, name) for name in groups), _Sum())
                row.tokens = [one + other for one, other in zip(row.tokens, sums.tokens, strict=True)]
                row.web_searches += sums.web_searches
            results = [_usage_row(dict(zip(groups, place, strict=True)), row) for place, row in rows.items()]
            data.append(_bucket(bucket, width_s, results))
        return _page(data, limit, query)

    def cost(self, organization_id: str, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """`GET /v1/organizations/cost_report`: by day, in cents. Raises Problem."""
        if query.get("bucket_width", ["1d"]) != ["1d"]:
            raise invalid("bucket_width: Input should be '1d'")
        width_s, begin, end, limit = _range(query, "1d", self._now())
        groups = _groups(query, ("workspace_id", "description"))
        data = []
        for bucket in _buckets(begin, end, width_s):
            rows: dict[Place, int] = defaultdict(int)
            for place, sums in self._within(organization_id, bucket, width_s, {}):
                for line, pico in sums.pico.items():
                    rows[_cost_place(place, line, groups)] += pico
            results = [self._cost_row(place, pico) for place, pico in rows.items()]
            data.append(_bucket(bucket, width_s, results))
        return _page(data, limit, query)

    def _cost_row(self, place: Place, pico: int) -> dict[str, Any]:
        workspace, model, tier, window, geo, line = place
        if self._drift.price_factor != 1.0:
            pico = round(pico * self._drift.price_factor)
        amount = f"{pico // _PICO_PER_CENT}.{pico % _PICO_PER_CENT:010d}".rstrip("0").rstrip(".")
        is_search = line == "web_search"
        return {
            "currency": "USD",
            "amount": amount,
            "workspace_id": workspace,
            "description": None if line is None else f"{model} Usage - {line}",
            "cost_type": None if line is None else "web_search" if is_search else "tokens",
            "context_window": window,
            "model": model,
            "service_tier": tier,
            "token_type": None if is_search else line,
            "inference_geo": geo,
        }

    def _within(
        self, organization_id: str, bucket: float, width_s: int, query: Mapping[str, Sequence[str]]
    ) -> Iterator[tuple[Place, _Sum]]:
        """The sums of a bucket that have been taken up by now and pass the filters."""
        known_until = self._now() - self._drift.late_s
        for (minute, place), sums in self._sums[organization_id].items():
            is_in = bucket <= minute * 60 < bucket + width_s and minute * 60 <= known_until
            if is_in and all(
                _named(place, FILTERS[name]) in wanted for name, wanted in query.items() if name in FILTERS
            ):
                yield place, sums


def rate_limits(table: Sequence[tuple[Sequence[str], Sequence[int]]]) -> dict[str, Any]:
    """`GET /v1/organizations/rate_limits`: the groups with their models and limits per minute."""
    kinds = ("requests_per_minute", "input_tokens_per_minute_cache_aware", "output_tokens_per_minute")
    data = [
        {
            "type": "rate_limit",
            "group_type": "model_group",
            "models": list(models),
            "limits": [{"type": kind, "value": value} for kind, value in zip(kinds, values, strict=True)],
        }
        for models, values in table
    ]
    return {"data": data, "has_more": False, "next_page": None}


def _usage_row(named: dict[str, str | None], sums: _Sum) -> dict[str, Any]:
    uncached, written_1h, written_5m, read, output = sums.tokens
    return {
        "uncached_input_tokens": uncached,
        "cache_creation": {"ephemeral_1h_input_tokens": written_1h, "ephemeral_5m_input_tokens": written_5m},
        "cache_read_input_tokens": read,
        "output_tokens": output,
        "server_tool_use": {"web_search_requests": sums.web_searches},
        **{name: named.get(name) for name in GROUPS},
    }


def _named(place: Place, name: str) -> str | None:
    return place[GROUPS.index(name)]


def _cost_place(place: Place, line: str, groups: Sequence[str]) -> Place:
    """What tells one row of the cost report from another: all of it with `description`, else the workspace at most."""
    workspace = _named(place, "workspace_id") if "workspace_id" in groups else None
    if "description" not in groups:
        return (workspace, None, None, None, None, None)
    named = [_named(place, name) for name in ("model", "service_tier", "context_window", "inference_geo")]
    return (workspace, *named, line)


def _groups(query: Mapping[str, Sequence[str]], known: Sequence[str]) -> list[str]:
    asked = list(query.get("group_by[]", ()))
    for name in asked:
        if name not in known:
            raise invalid(f"group_by: Input should be {', '.join(map(repr, known))}")
    return asked


def _range(query: Mapping[str, Sequence[str]], width: str, now_s: float) -> tuple[int, float, float, int]:
    """Width, begin and end of the buckets, and how many a page has."""
    if width not in WIDTHS:
        raise invalid("bucket_width: Input should be '1m', '1h' or '1d'")
    width_s, usual, most = WIDTHS[width]
    if "starting_at" not in query:
        raise invalid("starting_at: Field required")
    begin = _moment(query["starting_at"][-1], "starting_at") // width_s * width_s
    end = _moment(query["ending_at"][-1], "ending_at") if "ending_at" in query else now_s
    try:
        limit = int(query.get("limit", [str(usual)])[-1])
    except ValueError:
        raise invalid("limit: Input should be a valid integer") from None
    if not 1 <= limit <= most:
        raise invalid(f"limit: Input should be between 1 and {most}")
    if end <= begin:
        raise invalid("ending_at: must be after starting_at")
    return width_s, begin, end, limit


def _moment(text: str, name: str) -> float:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise invalid(f"{name}: Input should be a valid datetime") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _buckets(begin: float, end: float, width_s: int) -> Iterator[float]:
    at = begin
    while at < end:
        yield at
        at += width_s


def _bucket(begin: float, width_s: int, results: list[dict[str, Any]]) -> dict[str, Any]:
    return {"starting_at": stamp(begin), "ending_at": stamp(begin + width_s), "results": results}


def _page(data: list[dict[str, Any]], limit: int, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """One page: `page` is the place of its first bucket, as an opaque word."""
    word = query.get("page", ["page_0"])[-1]
    if not word.startswith("page_") or not word[5:].isdigit():
        raise invalid("page: Input should be a page of an earlier answer")
    first = int(word[5:])
    rest = len(data) > first + limit
    return {
        "data": data[first : first + limit],
        "has_more": rest,
        "next_page": f"page_{first + limit}" if rest else None,
    }
