"""A Reply as the body of an `httpx` or `httpx2` response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from ...drive import run
from ...errors import UpstreamFailed
from ...reply import Reply
from .faults import as_raised
from .kit import HttpModule


@cache
def blocking_body(http: HttpModule) -> type[Any]:
    """The blocking body as a stream of that library."""
    return type("PenstockBody", (_BlockingBody, http.SyncByteStream), {})


@cache
def loop_body(http: HttpModule) -> type[Any]:
    """The body for event loops as a stream of that library."""
    return type("PenstockAsyncBody", (_LoopBody, http.AsyncByteStream), {})


class _BlockingBody:
    def __init__(self, reply: Reply, request: object, http: HttpModule) -> None:
        self._reply, self._request, self._http = reply, request, http

    def __iter__(self) -> Iterator[bytes]:
        following = self._reply.__anext__
        while True:
            try:
                chunk = run(following())
            except StopAsyncIteration:
                return
            except UpstreamFailed as error:
                raise as_raised(error, self._http, self._request) from error
            yield chunk

    def close(self) -> None:
        run(self._reply.aclose())

    def __del__(self) -> None:
        """A stream dropped half read is settled all the same, and its connection let go."""
        if self._reply.ending is None:
            with suppress(Exception):
                self.close()


class _LoopBody:
    def __init__(self, reply: Reply, request: object, http: HttpModule) -> None:
        self._reply, self._request, self._http = reply, request, http
        self._loop = asyncio.get_running_loop()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        following = self._reply.__anext__
        while True:
            try:
                chunk = await following()
            except StopAsyncIteration:
                return
            except UpstreamFailed as error:
                raise as_raised(error, self._http, self._request) from error
            yield chunk

    async def aclose(self) -> None:
        await self._reply.aclose()

    def __del__(self) -> None:
        """As for the blocking body, but on the loop the connection belongs to: the collector may run in any thread."""
        if self._reply.ending is None and not self._loop.is_closed():
            with suppress(Exception):
                self._loop.call_soon_threadsafe(_settle, self._reply)


def _settle(reply: Reply) -> None:
    with suppress(Exception):
        run(reply.aclose())
