"""Continuously refilled buckets, and the header fields that show them."""

from __future__ import annotations

import math

from .headers import Header, stamp


class Bucket:
    """A limit per period, refilled all the time. Times are Unix seconds.

    What is left may fall below zero: output tokens are known only once an answer has been made.
    """

    __slots__ = ("_at_s", "_left", "limit", "period_s")

    def __init__(self, limit: int, now_s: float, period_s: float = 60.0) -> None:
        self.limit, self.period_s = limit, period_s
        self._left = float(limit)
        self._at_s = now_s

    def left(self, now_s: float) -> float:
        refilled = self._left + max(0.0, now_s - self._at_s) * self.limit / self.period_s
        self._left, self._at_s = min(float(self.limit), refilled), max(now_s, self._at_s)
        return self._left

    def take(self, amount: float, now_s: float) -> None:
        self._left = self.left(now_s) - amount

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until `amount` can be had, 0 for now; an amount above the limit is never had."""
        return max(0.0, (amount - self.left(now_s)) * self.period_s / self.limit)

    def full_at_s(self, now_s: float) -> float:
        return now_s + (self.limit - self.left(now_s)) * self.period_s / self.limit


def shown(requests: Bucket, inputs: Bucket, outputs: Bucket, now_s: float) -> list[Header]:
    """The twelve rate limit fields (`recordings.md` §2, without exception in 7,020 exchanges).

    Tokens left are in whole thousands, `tokens` is the sum of input and output, and `reset` the time at which the
    bucket is full again, to the second.
    """
    input_left, output_left = _thousands(inputs.left(now_s)), _thousands(outputs.left(now_s))
    input_full_s, output_full_s = inputs.full_at_s(now_s), outputs.full_at_s(now_s)
    requests_left = max(0, math.floor(requests.left(now_s)))
    return [
        *_three(b"ratelimit-output-tokens", outputs.limit, output_left, output_full_s),
        *_three(b"ratelimit-requests", requests.limit, requests_left, requests.full_at_s(now_s)),
        *_three(b"ratelimit-input-tokens", inputs.limit, input_left, input_full_s),
        *_three(
            b"ratelimit-tokens",
            inputs.limit + outputs.limit,
            input_left + output_left,
            max(input_full_s, output_full_s),
        ),
    ]


def shown_fast(inputs: Bucket, outputs: Bucket, now_s: float) -> list[Header]:
    """The six fields of fast mode's own limits."""
    return [
        *_three(b"fast-input-tokens", inputs.limit, _thousands(inputs.left(now_s)), inputs.full_at_s(now_s)),
        *_three(b"fast-output-tokens", outputs.limit, _thousands(outputs.left(now_s)), outputs.full_at_s(now_s)),
    ]


def _three(name: bytes, limit: int, left: int, full_at_s: float) -> list[Header]:
    return [
        (b"anthropic-%b-limit" % name, b"%d" % limit),
        (b"anthropic-%b-remaining" % name, b"%d" % left),
        (b"anthropic-%b-reset" % name, stamp(full_at_s).encode()),
    ]


def _thousands(tokens: float) -> int:
    return max(0, math.floor(tokens / 1000 + 0.5) * 1000)
