"""An answer's body decoded on its way: what a cloud wraps it in comes off before anything looks at it."""

from __future__ import annotations

from ..errors import UpstreamFailed
from ..reply import Source
from ..wire.envelopes import Corrupt, Opener


class Opened:
    """The `Source` of what an opener makes of another source."""

    __slots__ = ("_inner", "_is_over", "_opener", "_upstream")

    def __init__(self, inner: Source, opener: Opener, upstream: str) -> None:
        self._inner, self._opener, self._upstream = inner, opener, upstream
        self._is_over = False

    async def __anext__(self) -> bytes:
        while not self._is_over:
            try:
                chunk = await self._inner.__anext__()
            except StopAsyncIteration:
                self._is_over = True
                return await self._rest()
            if opened := await self._decoded(chunk):
                return opened
        raise StopAsyncIteration

    async def within(self, seconds: float) -> bytes | None:
        """The next chunk; None where none comes in that time, or only part of one."""
        within = getattr(self._inner, "within", None)
        if within is None or self._is_over:
            return await self.__anext__()
        try:
            chunk = await within(seconds)
        except StopAsyncIteration:
            self._is_over = True
            return await self._rest()
        return None if chunk is None else await self._decoded(chunk) or None

    async def aclose(self) -> None:
        self._is_over = True
        await self._inner.aclose()

    async def _rest(self) -> bytes:
        try:
            rest = self._opener.end()
        except Corrupt as fault:
            raise self._failed(fault) from fault
        if not rest:
            raise StopAsyncIteration
        return rest

    async def _decoded(self, chunk: bytes) -> bytes:
        try:
            return self._opener.feed(chunk)
        except Corrupt as fault:
            await self.aclose()
            raise self._failed(fault) from fault

    def _failed(self, fault: Corrupt) -> UpstreamFailed:
        return UpstreamFailed(f"{self._upstream} sent what cannot be read: {fault}.", code="bad_answer")
