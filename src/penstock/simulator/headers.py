"""The headers the API and its edge put on answers (recorded in July and August 2026)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import formatdate

from .accounts import Caller
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


def stamp(now_s: float) -> str:
    """RFC 3339 to the second."""
    return datetime.fromtimestamp(int(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_us(now_s: float) -> str:
    """RFC 3339 to the microsecond, as batches and files carry it."""
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="microseconds")


class Headers:
    """Makes header lists. The date is kept for its second."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._second = -1
        self._date: Header = (b"date", b"")

    def date(self) -> Header:
        second = int(self._now())
        if second != self._second:
            self._second = second
            self._date = (b"date", formatdate(second, usegmt=True).encode())
        return self._date

    def answer(
        self, request_id: str, dice: Dice, caller: Caller, limits: Sequence[Header], *, is_stream: bool
    ) -> list[Header]:
        """Headers of an answered message."""
        head = [self.date(), *(_STREAM if is_stream else (_JSON,))]
        trace = f"00-{dice.hex(32)}-{dice.hex(16)}-01".encode()
        return [*head, *limits, *_tail(request_id, dice, caller), (b"traceresponse", trace)]

    def plain(
        self, request_id: str, dice: Dice, caller: Caller, content_type: bytes = b"application/json"
    ) -> list[Header]:
        """Headers of every other good answer: no rate limits."""
        timing = f"x-originResponse;dur={20 + dice.random.randrange(60)}".encode()
        head = [self.date(), (b"content-type", content_type)]
        return [*head, *_tail(request_id, dice, caller), (b"server-timing", timing)]

    def problem(self, request_id: str, dice: Dice, caller: Caller | None, may_retry: bool | None) -> list[Header]:
        """Headers of an error; `caller` is None where the credential was not known."""
        head = [self.date(), _JSON]
        if may_retry is not None:
            head.append((b"x-should-retry", b"true" if may_retry else b"false"))
        return [*head, *_tail(request_id, dice, caller)]

    def edge(self, content_type: bytes, dice: Dice) -> list[Header]:
        """Headers of an answer the edge made by itself: no request id."""
        return [self.date(), (b"content-type", content_type), *_EDGE, _ray(dice)]


def _tail(request_id: str, dice: Dice, caller: Caller | None) -> list[Header]:
    made = [(b"request-id", request_id.encode()), _SECURITY]
    if caller is not None:
        made.append((b"anthropic-organization-id", caller.organization_id.encode()))
        if caller.workspace_id is not None and not caller.is_admin:
            made.append((b"anthropic-workspace-id", caller.workspace_id.encode()))
    return [*made, *_EDGE, _ray(dice)]


def _ray(dice: Dice) -> Header:
    return (b"cf-ray", f"{dice.hex(16)}-SIM".encode())
