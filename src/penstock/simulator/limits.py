"""Rate limits: continuously refilled buckets per organization and model group, and the headers that show them.

Requests, input tokens (cache reads are free) and output tokens are counted per minute. A bucket may go below zero:
tokens are known in full only once an answer has been made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .accounts import Caller
from .catalogue import Model
from .headers import Header, stamp
from .problems import Problem

#: Requests, input tokens and output tokens per minute of a model group (`claude-api.md` §6).
TIERS = {
    "start": (1_000, 2_000_000, 400_000),
    "build": (5_000, 5_000_000, 1_000_000),
    "scale": (10_000, 10_000_000, 2_000_000),
}
_TOO_MANY = (
    "Number of requests has exceeded your per-minute rate limit (https://docs.claude.com/en/api/rate-limits); see the "
    "response headers for current usage. Please try again later or contact sales at "
    "https://www.anthropic.com/contact-sales to discuss your options for a rate limit increase."
)
_TOO_MUCH = (
    "This request would exceed your organization's rate limit of {limit:,} {kind} per minute (org: {org}, model: "
    "{model}). For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the response headers for "
    "current usage. Please reduce the prompt length or the maximum tokens requested, or try again later. You may also "
    "contact sales at https://www.anthropic.com/contact-sales to discuss your options for a rate limit increase."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an organization may use per minute and model group.

    `tier` gives the published numbers, each of the others overrides one. Without `is_enforced` the buckets are kept
    and shown in the headers, and nothing is refused.
    """

    tier: str = "start"
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    is_enforced: bool = False


class Bucket:
    """A limit per minute, refilled all the time. Times are Unix seconds."""

    __slots__ = ("_at_s", "_left", "limit")

    def __init__(self, limit: int, now_s: float) -> None:
        self.limit = limit
        self._left = float(limit)
        self._at_s = now_s

    def left(self, now_s: float) -> float:
        refilled = self._left + (now_s - self._at_s) * self.limit / 60
        self._left, self._at_s = min(float(self.limit), refilled), now_s
        return self._left

    def take(self, amount: float, now_s: float) -> None:
        self._left = self.left(now_s) - amount

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until `amount` can be had."""
        return max(0.0, (amount - self.left(now_s)) * 60 / self.limit)

    def full_at_s(self, now_s: float) -> float:
        return now_s + (self.limit - self.left(now_s)) * 60 / self.limit


class RateLimits:
    """The buckets of all organizations of one simulator."""

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        requests, input_tokens, output_tokens = TIERS[limits.tier]
        self._limits = (
            limits.requests or requests,
            limits.input_tokens or input_tokens,
            limits.output_tokens or output_tokens,
        )
        self._is_enforced = limits.is_enforced
        self._now = now
        self._buckets: dict[tuple[str, str], tuple[Bucket, Bucket, Bucket]] = {}

    def admit(self, caller: Caller, model: Model, input_tokens: int) -> Admission:
        """Take one request and its uncached input tokens. Raises Problem 429."""
        now_s = self._now()
        requests, inputs, outputs = buckets = self._found(caller, model, now_s)
        if self._is_enforced:
            self._check(caller, model, buckets, input_tokens, now_s)
        requests.take(1, now_s)
        inputs.take(input_tokens, now_s)
        return Admission(inputs, outputs, self._now, shown(buckets, now_s))

    def _found(self, caller: Caller, model: Model, now_s: float) -> tuple[Bucket, Bucket, Bucket]:
        place = (caller.organization_id, group(model))
        buckets = self._buckets.get(place)
        if buckets is None:
            requests, inputs, outputs = self._limits
            buckets = (Bucket(requests, now_s), Bucket(inputs, now_s), Bucket(outputs, now_s))
            self._buckets[place] = buckets
        return buckets

    def _check(
        self, caller: Caller, model: Model, buckets: tuple[Bucket, Bucket, Bucket], input_tokens: int, now_s: float
    ) -> None:
        requests, inputs, outputs = buckets
        kinds = ((requests, 1, ""), (inputs, input_tokens, "input tokens"), (outputs, 1, "output tokens"))
        for bucket, amount, kind in kinds:
            wait_s = bucket.wait_s(min(amount, bucket.limit), now_s)
            may_ever = amount <= bucket.limit
            if wait_s <= 0 and may_ever:
                continue
            text = _TOO_MUCH.format(limit=bucket.limit, kind=kind, org=caller.organization_id, model=model.id)
            headers = shown(buckets, now_s)
            if may_ever:
                headers.append((b"retry-after", b"%d" % max(1, math.ceil(wait_s))))
            raise Problem(429, "rate_limit_error", text if kind else _TOO_MANY, may_retry=may_ever, headers=headers)


class Admission:
    """What one admitted request has taken, and the headers its answer shows."""

    __slots__ = ("_inputs", "_now", "_outputs", "headers")

    def __init__(self, inputs: Bucket, outputs: Bucket, now: Callable[[], float], headers: list[Header]) -> None:
        self._inputs, self._outputs, self._now, self.headers = inputs, outputs, now, headers

    def ended(self, output_tokens: int) -> None:
        """Count the output tokens that were made. Called once, when the answer ends or breaks off."""
        self._outputs.take(output_tokens, self._now())


def group(model: Model) -> str:
    """The models that share a limit: Fable 5.x, Opus 4.x and Sonnet 4.x each together, any other alone."""
    major, minor = model.version
    if model.family in ("fable", "mythos") or (model.family in ("opus", "sonnet") and major == 4):
        return f"{model.family}-{major}.x"
    return f"{model.family}-{major}.{minor}"


def shown(buckets: tuple[Bucket, Bucket, Bucket], now_s: float) -> list[Header]:
    """The twelve rate limit headers: token counts in whole thousands, tokens as the sum of input and output."""
    requests, inputs, outputs = buckets
    input_left, output_left = _thousands(inputs.left(now_s)), _thousands(outputs.left(now_s))
    rows = (
        ("output-tokens", outputs.limit, output_left, outputs.full_at_s(now_s)),
        ("requests", requests.limit, max(0, math.floor(requests.left(now_s))), requests.full_at_s(now_s)),
        ("input-tokens", inputs.limit, input_left, inputs.full_at_s(now_s)),
        (
            "tokens",
            inputs.limit + outputs.limit,
            input_left + output_left,
            max(inputs.full_at_s(now_s), outputs.full_at_s(now_s)),
        ),
    )
    made: list[Header] = []
    for name, limit, left, at_s in rows:
        for suffix, value in (("limit", limit), ("remaining", left), ("reset", stamp(at_s))):
            made.append((f"anthropic-ratelimit-{name}-{suffix}".encode(), str(value).encode()))
    return made


def _thousands(tokens: float) -> int:
    return max(0, round(tokens / 1000) * 1000)
