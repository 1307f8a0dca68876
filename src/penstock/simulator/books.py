"""What was served, charged, cached and refused: the invoice a client's own ledger can be compared with."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from .accounts import Caller


class Entry(msgspec.Struct, kw_only=True):
    """One request to the API, or one item of a batch. Times are Unix seconds, money is nano-dollars.

    `took_s` is None while the answer is under way; `output_tokens` are those made before it ended or its caller went.
    An early refusal costs nothing. Where a model declined and another went on, the counts are the other's, and
    `declined` is the first one's entry of `usage.iterations`.
    """

    request_id: str
    at_s: float
    took_s: float | None = None
    method: str
    path: str
    key_id: str | None = None
    workspace_id: str | None = None
    organization_id: str | None = None
    model: str | None = None
    status: int = 0
    error_type: str | None = None
    error_code: str | None = None
    fault: str | None = None
    ending: str = ""
    stop_reason: str | None = None
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    web_searches: int = 0
    declined: dict[str, Any] | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    cost_nano: int = 0

    def name(self, caller: Caller) -> None:
        """Note who it was for."""
        self.key_id, self.workspace_id, self.organization_id = (
            caller.key_id,
            caller.workspace_id,
            caller.organization_id,
        )


class Books:
    """The entries of one simulator, oldest first; past `entries_max` the oldest go, the totals stay."""

    def __init__(self, entries_max: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=entries_max)
        self.count = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries))

    def enter(self, entry: Entry) -> None:
        self.count += 1
        self._entries.append(entry)

    def shown(self) -> dict[str, Any]:
        """All of it as JSON can hold it: `{"totals": {...}, "entries": [...]}`."""
        entries = list(self)
        return {
            "totals": {
                "requests": self.count,
                "answered": sum(1 for entry in entries if 200 <= entry.status < 300),
                "refused": sum(1 for entry in entries if entry.status >= 400),
                "cost_nano": sum(entry.cost_nano for entry in entries),
            },
            "entries": [msgspec.to_builtins(entry) for entry in entries],
        }
