"""Asks the Admin API for its reports, page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...call import Target, Timeouts
from ...errors import ConfigError, UpstreamFailed
from ...ports import Clock, Outgoing, Upstream
from ...wire.reports import SPEED_BETA, CostRow, UsageRow, cost_query, read_cost, read_usage, usage_query

_BYTES_MAX = 64 << 20
_TIMEOUTS = Timeouts(connect_s=5, first_byte_s=60, idle_s=30, total_s=120)
_TRIES = 5
_WAIT_S, _WAIT_MAX_S = 2.0, 60.0

R = TypeVar("R")
#: The rows of a page, where its last bucket ends, and the next page.
Read = tuple[list[R], int | None, str | None]
#: Called with what is asked for and the share of it that has come, from 0 to 1.
Told = Callable[[str, float], None]


class Admin:
    """The reports of the organization whose Admin API key `target` holds.

    Its methods raise UpstreamFailed where the API does not answer, and ConfigError where it refuses the key.
    """

    def __init__(self, target: Target, upstream: Upstream, clock: Clock, told: Told) -> None:
        self._target, self._upstream, self._clock, self._told = target, upstream, clock, told

    async def usage(self, since_us: int, until_us: int, width: str) -> list[UsageRow]:
        """Usage in buckets of that width, from `since_us` up to but not including `until_us`."""
        what = "usage by the minute" if width == "1m" else "usage"
        ask = lambda page: usage_query(since_us, until_us, width, page)  # noqa: E731
        return await self._pages(what, ask, read_usage, since_us, until_us)

    async def cost(self, since_us: int, until_us: int) -> list[CostRow]:
        """Costs by day."""
        ask = lambda page: cost_query(since_us, until_us, page)  # noqa: E731
        return await self._pages("cost", ask, read_cost, since_us, until_us)

    async def _pages(
        self,
        what: str,
        ask: Callable[[str | None], str],
        read: Callable[[bytes], Read[R]],
        since_us: int,
        until_us: int,
    ) -> list[R]:
        rows: list[R] = []
        seen: set[str] = set()
        page: str | None = None
        while True:
            found, ends_us, page = await self._page(what, ask(page), read)
            rows += found
            if page is None or page in seen:  # a server that turns in circles must not hold us
                self._told(what, 1.0)
                return rows
            seen.add(page)
            self._told(what, 0.0 if ends_us is None else min(1.0, (ends_us - since_us) / (until_us - since_us)))

    async def _page(self, what: str, path: str, read: Callable[[bytes], Read[R]]) -> Read[R]:
        """One page, asked for again a few times where the API is busy or breaks off."""
        for tries_left in reversed(range(_TRIES)):
            asked_s = b""
            try:
                status, headers, body = await self._asked(path)
                if status == 200:
                    return read(body)
                fault = self._refusal(status, body)
                asked_s = headers.get(b"retry-after", b"")
                if status != 429 and status < 500:
                    break
            except UpstreamFailed as error:
                fault = error
            except ValueError as error:
                said = f"The {what} report of upstream {self._target.name} cannot be read: {error}."
                fault = UpstreamFailed(said, code="bad_answer", fix="Try again later.")
            if tries_left:
                wait_s = float(asked_s) if asked_s.isdigit() else _WAIT_S * 2 ** (_TRIES - 1 - tries_left)
                await self._clock.sleep(min(wait_s, _WAIT_MAX_S))
        raise fault

    def _refusal(self, status: int, body: bytes) -> UpstreamFailed:
        """Raises ConfigError where it is the key that is refused."""
        if status in (401, 403):
            raise ConfigError(
                f"Upstream {self._target.name} refuses its `admin_key` (status {status}).",
                code="bad_secret",
                fix="Name an Admin API key of the organization that its `keys` belong to.",
            )
        said = body[:200].decode("utf-8", "replace")
        return UpstreamFailed(
            f"Upstream {self._target.name} answered {status} when it was asked for a report: {said}",
            code="bad_answer",
            fix="Try again later.",
        )

    async def _asked(self, path: str) -> tuple[int, dict[bytes, bytes], bytes]:
        assert self._target.key is not None
        fields = (
            (b"accept", b"application/json"),
            (b"user-agent", b"penstock"),
            (b"x-api-key", self._target.key.reveal().encode("latin-1")),
            (b"anthropic-version", b"2023-06-01"),
            (b"anthropic-beta", SPEED_BETA.encode()),
        )
        incoming = await self._upstream.send(Outgoing("GET", self._target.url, path, fields, b"", _TIMEOUTS))
        parts, size = [], 0
        try:
            while size <= _BYTES_MAX:
                parts.append(await incoming.source.__anext__())
                size += len(parts[-1])
        except StopAsyncIteration:
            pass
        finally:
            await incoming.source.aclose()
        return incoming.status, {name.lower(): value for name, value in incoming.headers}, b"".join(parts)
