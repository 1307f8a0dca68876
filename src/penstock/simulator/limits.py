"""Rate limits: what an organization may use per minute and model group, and what it is told when it is too much.

By `claude-api.md` §5.2, §6 and `recordings.md` §2. A refused request takes nothing from any bucket; in which order the
API looks at its limits is not recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .accounts import Caller
from .buckets import Bucket, shown, shown_fast
from .catalogue import Model, served_models
from .headers import Header
from .problems import Problem

#: Requests, input tokens and output tokens per minute of a model group.
TIERS = {
    "start": (1_000, 2_000_000, 400_000),
    "build": (5_000, 5_000_000, 1_000_000),
    "scale": (10_000, 10_000_000, 2_000_000),
}
#: The same of Fable and Mythos 5.x, together.
FABLE_TIERS = {
    "start": (1_000, 500_000, 100_000),
    "build": (2_000, 1_500_000, 300_000),
    "scale": (4_000, 4_000_000, 800_000),
}
#: Requests per minute to count_tokens; to batches; and items queued in batches, all models together.
COUNT_TIERS = {"start": 2_000, "build": 4_000, "scale": 8_000}
BATCH_TIERS = {"start": (1_000, 200_000), "build": (2_000, 300_000), "scale": (4_000, 500_000)}

_SEE = "see the response headers for current usage. Please try again later or contact sales at "
_SALES = "https://www.anthropic.com/contact-sales to discuss your options for a rate limit increase."
_REQUESTS = (
    "Number of requests has exceeded your per-minute rate limit (https://docs.claude.com/en/api/rate-limits); "
    f"{_SEE}{_SALES}"
)
CONCURRENT = (
    "Number of concurrent connections has exceeded your rate limit. Please try again later or contact sales at "
    f"{_SALES}"
)
_TOKENS = (
    "This request would exceed your organization's {what} (org: {org}, model: {model}). For details, refer to: "
    "https://docs.claude.com/en/api/rate-limits. You can see the response headers for current usage. Please reduce the "
    "prompt length or the maximum tokens requested, or try again later. You may also contact sales at " + _SALES
)
_QUEUE = "This request would exceed the limit of {limit:,} batch requests that may wait in your organization's queue."


@dataclass(frozen=True, slots=True)
class Limits:
    """What each organization may use. Without `is_enforced` the buckets are kept and shown, and nothing is refused.

    tier              start, build or scale: the published numbers, for each model group
    requests          overrides the tier's requests per minute; so do `input_tokens` and `output_tokens`
    fast_input_tokens, fast_output_tokens
                      fast mode's own limits per minute; a tenth of the tier's where not given
    is_smooth         requests are enforced by the second: 60 per minute are 1 per second
    concurrent        answers under way at once, all models together
    prompt_bytes      bytes of request bodies per hour and model group
    ramp              how many times the uncached input tokens of the minute before a minute may use, once it uses
                      more than a tenth of the limit: 2.0 lets usage double from minute to minute
    """

    tier: str = "start"
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    fast_input_tokens: int | None = None
    fast_output_tokens: int | None = None
    is_smooth: bool = False
    concurrent: int | None = None
    prompt_bytes: int | None = None
    ramp: float | None = None
    is_enforced: bool = False

    def __post_init__(self) -> None:
        if self.tier not in TIERS:
            raise ValueError(f"Limits: tier is {self.tier!r}; it must be one of: {', '.join(TIERS)}")
        for name in ("requests", "input_tokens", "output_tokens", "concurrent", "prompt_bytes"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"Limits: {name} is {value}; it must be at least 1")
        if self.ramp is not None and self.ramp <= 1:
            raise ValueError(f"Limits: ramp is {self.ramp}; it must be more than 1")


@dataclass(slots=True)
class _Group:
    """One model group's buckets, and the input tokens of this minute and the one before."""

    requests: Bucket
    inputs: Bucket
    outputs: Bucket
    fast_inputs: Bucket
    fast_outputs: Bucket
    smooth: Bucket
    prompt_bytes: Bucket | None
    minute: int = 0
    this_minute: int = 0
    last_minute: int = 0

    def turn(self, now_s: float) -> None:
        """Bring the minutes up to date."""
        minute = int(now_s // 60)
        if minute != self.minute:
            self.last_minute = self.this_minute if minute == self.minute + 1 else 0
            self.minute, self.this_minute = minute, 0


class Admission:
    """What one admitted request has taken, and the header fields its answer shows."""

    __slots__ = ("_end", "headers")

    def __init__(self, headers: list[Header], end: Callable[[int], None]) -> None:
        self.headers, self._end = headers, end

    def ended(self, output_tokens: int) -> None:
        """Count the output tokens that were made. Called once, when the answer ends or breaks off."""
        self._end(output_tokens)


class RateLimits:
    """The buckets of all organizations of one simulator."""

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        self._limits, self._now = limits, now
        self._groups: dict[tuple[str, str], _Group] = {}
        self._shared: dict[tuple[str, str], Bucket] = {}
        self._under_way: dict[str, int] = {}

    def admit(
        self, caller: Caller, model: Model, input_tokens: int, body_bytes: int, *, is_fast: bool = False
    ) -> Admission:
        """Take one request and its uncached input tokens. Raises Problem 429."""
        now_s = self._now()
        group = self._group(caller, model, now_s)
        group.turn(now_s)
        inputs, outputs = (group.fast_inputs, group.fast_outputs) if is_fast else (group.inputs, group.outputs)
        if self._limits.is_enforced:
            self._check(caller, model, group, inputs, outputs, input_tokens, body_bytes, now_s)
        for bucket, amount in ((group.requests, 1), (group.smooth, 1), (inputs, input_tokens)):
            bucket.take(amount, now_s)
        if group.prompt_bytes is not None:
            group.prompt_bytes.take(body_bytes, now_s)
        group.this_minute += input_tokens
        organization = caller.organization_id
        self._under_way[organization] = self._under_way.get(organization, 0) + 1

        def end(output_tokens: int) -> None:
            outputs.take(output_tokens, self._now())
            self._under_way[organization] -= 1

        headers = shown(group.requests, group.inputs, group.outputs, now_s)
        if is_fast:
            headers += shown_fast(inputs, outputs, now_s)
        return Admission(headers, end)

    def count(self, caller: Caller) -> None:
        """Take one request to count_tokens. Raises Problem 429."""
        self._take_shared(caller, "count_tokens", COUNT_TIERS[self._limits.tier])

    def batch(self, caller: Caller, queued: int, added: int) -> None:
        """Take one request to the batches endpoint that adds items to those queued. Raises Problem 429."""
        requests, queue = BATCH_TIERS[self._limits.tier]
        if self._limits.is_enforced and queued + added > queue:
            raise refusal(_QUEUE.format(limit=queue), may_retry=added <= queue)
        self._take_shared(caller, "batches", requests)

    def table(self) -> list[tuple[list[str], tuple[int, int, int]]]:
        """The model groups: ids with aliases, and requests, input and output tokens per minute."""
        groups: dict[str, list[str]] = {}
        numbers: dict[str, tuple[int, int, int]] = {}
        for model in served_models():
            group = group_of(model)
            groups.setdefault(group, []).extend([model.id, *model.facts.aliases])
            numbers[group] = self._numbers(model.family)
        return [(names, numbers[group]) for group, names in groups.items()]

    def _take_shared(self, caller: Caller, name: str, limit: int) -> None:
        now_s = self._now()
        bucket = self._shared.setdefault((caller.organization_id, name), Bucket(limit, now_s))
        wait_s = bucket.wait_s(1, now_s)
        if self._limits.is_enforced and wait_s > 0:
            raise refusal(_REQUESTS, wait_s=wait_s)
        bucket.take(1, now_s)

    def _numbers(self, family: str) -> tuple[int, int, int]:
        own = self._limits
        requests, inputs, outputs = (FABLE_TIERS if family in ("fable", "mythos") else TIERS)[own.tier]
        return own.requests or requests, own.input_tokens or inputs, own.output_tokens or outputs

    def _group(self, caller: Caller, model: Model, now_s: float) -> _Group:
        place = (caller.organization_id, group_of(model))
        group = self._groups.get(place)
        if group is None:
            own, (requests, inputs, outputs) = self._limits, self._numbers(model.family)
            group = self._groups[place] = _Group(
                requests=Bucket(requests, now_s),
                inputs=Bucket(inputs, now_s),
                outputs=Bucket(outputs, now_s),
                fast_inputs=Bucket(own.fast_input_tokens or max(1, inputs // 10), now_s),
                fast_outputs=Bucket(own.fast_output_tokens or max(1, outputs // 10), now_s),
                smooth=Bucket(max(1, requests // 60), now_s, period_s=1.0 if requests >= 60 else 60.0 / requests),
                prompt_bytes=None if own.prompt_bytes is None else Bucket(own.prompt_bytes, now_s, period_s=3600.0),
            )
        return group

    def _check(
        self,
        caller: Caller,
        model: Model,
        group: _Group,
        inputs: Bucket,
        outputs: Bucket,
        input_tokens: int,
        body_bytes: int,
        now_s: float,
    ) -> None:
        own = self._limits
        if own.concurrent is not None and self._under_way.get(caller.organization_id, 0) >= own.concurrent:
            raise refusal(CONCURRENT)
        headers = shown(group.requests, group.inputs, group.outputs, now_s)
        if inputs is group.fast_inputs:
            headers += shown_fast(inputs, outputs, now_s)
        wait_s = group.requests.wait_s(1, now_s)
        if own.is_smooth:
            wait_s = max(wait_s, group.smooth.wait_s(1, now_s))
        if wait_s > 0:
            raise refusal(_REQUESTS, headers, wait_s=wait_s)

        def tokens(what: str) -> str:
            return tokens_text(what, caller, model.id)

        for bucket, amount, kind in ((inputs, input_tokens, "input"), (outputs, 1, "output")):
            text = tokens(f"rate limit of {bucket.limit:,} {kind} tokens per minute")
            if amount > bucket.limit:
                raise refusal(text, headers, may_retry=False)
            if (wait_s := bucket.wait_s(amount, now_s)) > 0:
                raise refusal(text, headers, wait_s=wait_s)
        if group.prompt_bytes is not None and group.prompt_bytes.wait_s(body_bytes, now_s) > 0:
            raise refusal(tokens(f"rate limit of {group.prompt_bytes.limit:,} prompt bytes per hour"))
        if own.ramp is not None:
            allowed = max(inputs.limit / 10, group.last_minute * own.ramp)
            if group.this_minute + input_tokens > allowed:
                text = tokens("maximum usage increase rate for input tokens per minute")
                raise refusal(text, headers, wait_s=60 - now_s % 60, code="ramp_limit_exceeded")


def group_of(model: Model) -> str:
    """The models that share a limit: Fable and Mythos 5.x, Opus 4.x and Sonnet 4.x each together, any other alone."""
    major, minor = model.version
    if model.family in ("fable", "mythos"):
        return f"fable-{major}.x"
    return f"{model.family}-4.x" if major == 4 and model.family != "haiku" else f"{model.family}-{major}.{minor}"


def tokens_text(what: str, caller: Caller, model_id: str) -> str:
    """The recorded words for too many tokens."""
    return _TOKENS.format(what=what, org=caller.organization_id, model=model_id)


def refusal(
    text: str,
    headers: list[Header] | None = None,
    *,
    wait_s: float | None = None,
    may_retry: bool = True,
    code: str | None = None,
) -> Problem:
    """A 429; with `wait_s` it carries `retry-after`."""
    fields = list(headers or [])
    if wait_s is not None:
        fields.append((b"retry-after", b"%d" % max(1, math.ceil(wait_s))))
    return Problem(429, "rate_limit_error", text, code, may_retry=may_retry, headers=fields)
