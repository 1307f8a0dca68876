"""The headers the API and its edge put on answers (recorded in July and August 2026)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate

from .dice import Dice

Header = tuple[bytes, bytes]

_JSON = (b"content-type", b"application/json")
_STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
)
_SECURITY = (b"strict-transport-security", b"max-age=31536000; includeSubDomains; preload")
_EDGE = (
    (b"server", b"cloudflare"),
    (b"vary", b"Accept-Encoding"),
    (b"cf-cache-status", b"DYNAMIC"),
    (b"x-robots-tag", b"none"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
INPUT_LIMIT, OUTPUT_LIMIT, REQUESTS_LIMIT = 2_000_000, 400_000, 1000


def stamp(now_s: float) -> str:
    """RFC 3339 to the second."""
    return datetime.fromtimestamp(int(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_us(now_s: float) -> str:
    """RFC 3339 to the microsecond, as batches and files carry it."""
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="microseconds")


class Headers:
    """Makes header lists. The parts that only change with the second are kept for that second."""

    def __init__(self, clock: Callable[[], float], seed: object) -> None:
        self._clock = clock
        self._second = -1
        self._date: Header = (b"date", b"")
        self._limits: list[Header] = []
        dice = Dice(seed, "organization")
        self.organization = f"{dice.hex(8)}-{dice.hex(4)}-4{dice.hex(3)}-a{dice.hex(3)}-{dice.hex(12)}"
        self._organization = (b"anthropic-organization-id", self.organization.encode())

    def date(self) -> Header:
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._date = (b"date", formatdate(second, usegmt=True).encode())
            self._limits = list(limits(second))
        return self._date

    def answer(self, request_id: str, dice: Dice, *, is_stream: bool) -> list[Header]:
        """Headers of an answered message."""
        head = [self.date(), *(_STREAM if is_stream else (_JSON,))]
        trace = f"00-{dice.hex(32)}-{dice.hex(16)}-01".encode()
        return [*head, *self._limits, *self._tail(request_id, dice), (b"traceresponse", trace)]

    def plain(self, request_id: str, dice: Dice, content_type: bytes = b"application/json") -> list[Header]:
        """Headers of every other good answer: no rate limits."""
        timing = f"x-originResponse;dur={20 + dice.random.randrange(60)}".encode()
        head = [self.date(), (b"content-type", content_type)]
        return [*head, *self._tail(request_id, dice), (b"server-timing", timing)]

    def problem(self, request_id: str, dice: Dice, may_retry: bool | None, *, is_known: bool = True) -> list[Header]:
        """Headers of an error; `is_known` is whether the caller's organization was found."""
        head = [self.date(), _JSON]
        if may_retry is not None:
            head.append((b"x-should-retry", b"true" if may_retry else b"false"))
        tail = self._tail(request_id, dice)
        return [*head, *(tail if is_known else [one for one in tail if one is not self._organization])]

    def edge(self, content_type: bytes, dice: Dice) -> list[Header]:
        """Headers of an answer the edge made by itself: no request id."""
        return [self.date(), (b"content-type", content_type), *_EDGE, _ray(dice)]

    def _tail(self, request_id: str, dice: Dice) -> list[Header]:
        identity = [(b"request-id", request_id.encode()), _SECURITY, self._organization]
        return [*identity, *_EDGE, _ray(dice)]


def limits(now_s: float, *, requests_left: int = REQUESTS_LIMIT - 1, input_left: int = INPUT_LIMIT) -> list[Header]:
    """The twelve rate limit headers. Tokens limit and remaining are the sums of input and output."""
    reset = stamp(now_s + 60 * (INPUT_LIMIT - input_left) / INPUT_LIMIT)
    rows = (
        ("output-tokens", OUTPUT_LIMIT, OUTPUT_LIMIT, stamp(now_s)),
        ("requests", REQUESTS_LIMIT, requests_left, stamp(now_s)),
        ("input-tokens", INPUT_LIMIT, input_left, reset),
        ("tokens", INPUT_LIMIT + OUTPUT_LIMIT, input_left + OUTPUT_LIMIT, reset),
    )
    made: list[Header] = []
    for name, limit, left, at in rows:
        for suffix, value in (("limit", limit), ("remaining", left), ("reset", at)):
            made.append((f"anthropic-ratelimit-{name}-{suffix}".encode(), str(value).encode()))
    return made


def _ray(dice: Dice) -> Header:
    return (b"cf-ray", f"{dice.hex(16)}-SIM".encode())
