"""The user's own HTTP client as the upstream leg.

Used where a client came with its own `http_client`, or with proxies from the environment: what it is set up
with (proxies, mounts, certificates, hooks, auth) keeps working, because it still sends every request.
"""

from __future__ import annotations

from typing import Any

from ...errors import UpstreamFailed
from ...ports import Clock, Incoming, Outgoing
from ...reply import Source, Whole
from .kit import HttpClient, HttpModule, Kit


def has_own_leg(client: HttpClient) -> bool:
    """Whether an HTTP client carries a set-up of the user's, rather than only the SDK's defaults."""
    kind = type(client)
    is_default = kind.__name__ in ("SyncHttpxClientWrapper", "AsyncHttpxClientWrapper") and kind.__module__.startswith(
        "anthropic."
    )
    # Private to the HTTP library, and the only place where proxies of the environment show.
    proxies = getattr(client, "_mounts", {})
    return not is_default or any(transport is not None for transport in proxies.values())


class BlockingLeg:
    """An Upstream over the user's blocking client."""

    def __init__(self, kit: Kit, client: HttpClient, clock: Clock) -> None:
        self._http, self._client, self._clock = kit.http, client, clock

    async def send(self, request: Outgoing) -> Incoming:
        limit = Limit(self._clock, request)
        try:
            response = self._client.send(_request(self._http, request), stream=True)
        except self._http.RequestError as error:
            raise _failed(error, request.url, has_head=False) from error
        return incoming(response, BlockingSource(self._http, response, limit))

    async def aclose(self) -> None:
        """Nothing: the client is its owner's to close."""


class LoopLeg:
    """An Upstream over the user's async client."""

    def __init__(self, kit: Kit, client: HttpClient, clock: Clock) -> None:
        self._http, self._client, self._clock = kit.http, client, clock

    async def send(self, request: Outgoing) -> Incoming:
        limit = Limit(self._clock, request)
        try:
            response = await self._client.send(_request(self._http, request), stream=True)
        except self._http.RequestError as error:
            raise _failed(error, request.url, has_head=False) from error
        return incoming(response, LoopSource(self._http, response, limit))

    async def aclose(self) -> None:
        """Nothing: the client is its owner's to close."""


class Limit:
    """How long one exchange may take as a whole, which these clients do not watch: checked with each piece."""

    __slots__ = ("_clock", "_ends", "_total_s", "url")

    def __init__(self, clock: Clock, request: Outgoing) -> None:
        self._clock, self._total_s, self.url = clock, request.timeouts.total_s, request.url
        self._ends = clock.now() + self._total_s

    def check(self) -> None:
        if self._clock.now() > self._ends:
            raise UpstreamFailed(
                f"The call to {self.url} was not done within {self._total_s:g} s.",
                code="total_timeout",
                fix="Retry, or raise total_s.",
            )


class BlockingSource:
    def __init__(self, http: HttpModule, response: Any, limit: Limit) -> None:
        self._http, self._response, self._limit = http, response, limit
        self._chunks = response.iter_bytes()  # runs only when asked for its first chunk

    async def __anext__(self) -> bytes:
        try:
            for chunk in self._chunks:
                self._limit.check()
                return bytes(chunk)
        except self._http.RequestError as error:
            raise _failed(error, self._limit.url, has_head=True) from error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._response.close()


class LoopSource:
    def __init__(self, http: HttpModule, response: Any, limit: Limit) -> None:
        self._http, self._response, self._limit = http, response, limit
        self._chunks = response.aiter_bytes()

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._chunks.__anext__()
        except self._http.RequestError as error:
            raise _failed(error, self._limit.url, has_head=True) from error
        self._limit.check()
        return bytes(chunk)

    async def aclose(self) -> None:
        await self._response.aclose()


def _request(http: HttpModule, request: Outgoing) -> Any:
    timeouts = request.timeouts
    phases = {
        "connect": timeouts.connect_s,
        "pool": timeouts.connect_s,
        "read": timeouts.first_byte_s,
        "write": timeouts.first_byte_s,
    }
    return http.Request(
        request.method,
        request.url + request.path,
        headers=list(request.headers),
        content=request.body,
        extensions={"timeout": phases},
    )


def incoming(response: Any, source: Source) -> Incoming:
    """A response of the HTTP library as an upstream's answer, with `source` for a body still to be read.

    The library undoes a body's encoding, so that a stream that breaks can still be told its end.
    """
    headers = [(name.lower(), value) for name, value in response.headers.raw]
    if response.is_stream_consumed:  # read already: by the SDK, a mock or a hook
        source = Whole([response.content])
    kept = tuple([field for field in headers if field[0] != b"content-encoding"])
    return Incoming(response.status_code, kept, source)


def _failed(error: Exception, url: str, *, has_head: bool) -> UpstreamFailed:
    """A failure of the HTTP library in our terms; its class names are the same in both libraries."""
    name = type(error).__name__
    if name in ("ConnectTimeout", "PoolTimeout"):
        code = "connect_timeout"
    elif name.endswith("Timeout"):
        code = "idle_timeout" if has_head else "first_byte_timeout"
    elif name in ("ConnectError", "ProxyError", "UnsupportedProtocol"):
        code = "connect_failed"
    elif name == "RemoteProtocolError":
        code = "cut" if has_head else "reset"
    elif name in ("DecodingError", "TooManyRedirects"):
        code = "bad_answer"
    else:
        code = "reset"
    return UpstreamFailed(f"{url}: {name}: {error}".rstrip(": "), code=code)
