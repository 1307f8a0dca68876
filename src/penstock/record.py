"""One call as the ledger keeps it.

The order of the fields is the order of the columns and of the journal's arrays: add new fields at the
end, with a default, and a schema migration beside it.
"""

from __future__ import annotations

import msgspec


class Intent(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Written before the upstream is called, so that a killed process leaves a trace of what it may owe."""

    call_id: str
    began_at_us: int
    face: str
    method: str
    path: str
    endpoint: str
    upstream: str
    model_asked: str | None = None
    is_stream: bool = False
    key_id: str | None = None
    environment: str | None = None
    feature: str | None = None
    user: str | None = None
    session: str | None = None
    segment: str | None = None
    attempt: int = 1
    held_nano: int | None = None
    prompt: str | None = None


class Bill(msgspec.Struct, frozen=True, array_like=True):
    """What a batch came to, known from its results: for the row of the call that made it. Money in nano-dollars."""

    batch_id: str
    cost_nano: int
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    web_searches: int = 0


class Record(msgspec.Struct, array_like=True, kw_only=True):
    """One finished call. Times in microseconds, money in nano-dollars, tokens as the API counts them.

    `ending`: complete | refused | failed | truncated | abandoned (the caller hung up) | killed.
    `cost_basis`: exact | estimated | free | deferred (a batch, until its results are seen) |
    unpriced (unknown model) | unknown (usage never seen). `cost_nano` is None for the last three: a cost that
    is not known is never 0. `held_nano` is what budgets held for it at its end, and what they count where the cost is
    not known; None where no budget was asked. `arm` is the part of a split that the call fell to. `outcome` is what
    became of a form that was wanted: valid | repaired | invalid | truncated | refused | paused | overflowed.
    """

    call_id: str
    began_at_us: int
    face: str
    method: str
    path: str
    endpoint: str
    upstream: str | None = None
    upstream_request_id: str | None = None
    key_id: str | None = None
    environment: str | None = None
    tier: str | None = None
    feature: str | None = None
    user: str | None = None
    session: str | None = None
    segment: str | None = None
    model_asked: str | None = None
    model_served: str | None = None
    is_stream: bool = False
    status: int | None = None
    ending: str = "complete"
    error_type: str | None = None
    error_code: str | None = None
    error_layer: str | None = None
    stop_reason: str | None = None
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    web_searches: int = 0
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    cost_nano: int | None = None
    cost_basis: str = "unknown"
    attempts: int = 0
    wait_us: int = 0
    first_token_us: int | None = None
    upstream_us: int | None = None
    total_us: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    prompt_hash: str | None = None
    client_retry: int = 0
    trail: bytes = b"[]"
    held_nano: int | None = None
    batch_id: str | None = None
    prompt: str | None = None
    arm: str | None = None
    outcome: str | None = None
