"""The mount for first-party clients: an HTTP client whose every request goes through the core.

It is a subclass of the SDK's own HTTP client, made for whichever of `httpx` and `httpx2` that is, so the SDK takes it
as it would take the user's. `send` serves a call without the library's machinery of auth flows, hooks and pools, which
costs more than the core; a call that needs that machinery (a redirect, an explicit `auth`) goes through
the transport beneath instead, and so through the same core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...call import Call
from ...drive import run
from ...errors import Refused, UpstreamFailed
from ...layer import Next
from ...ports import Clock
from ...ports.blocking import ThreadTasks
from ...ports.loop import LoopTasks
from ...reply import Reply
from .answer import answered, headers_of, streaming_response, whole_response
from .body import blocking_body, loop_body
from .faults import as_answered, as_raised
from .intake import Intake
from .kit import HttpClient, HttpModule


@dataclass(frozen=True, slots=True)
class Mount:
    """What stands between one SDK client and the core.

    `original` is the HTTP client it had before; `tasks` is what may still be under way beside calls. `forget_token`
    drops an access token the API no longer takes; the SDK does so only while it has retries left, and under the core
    it has none.
    """

    http: HttpModule
    core: Next
    clock: Clock
    intake: Intake
    original: HttpClient
    tasks: ThreadTasks | LoopTasks
    forget_token: Callable[[], None] | None = None


def mounted(mount: Mount, *, is_async: bool) -> HttpClient:
    """An HTTP client for the SDK that calls the core, with the defaults of the client's original one."""
    kinds = _kinds(mount.http)
    client_kind, transport_kind = kinds[is_async]
    original = mount.original
    transport = transport_kind()
    transport.mount = mount
    client = client_kind(
        transport=transport,
        trust_env=False,  # proxies and certificates concern the upstream leg, not this hop
        base_url=original.base_url,
        headers=original.headers,
        params=original.params,
        cookies=original.cookies,
        timeout=original.timeout,
        follow_redirects=original.follow_redirects,
    )
    client.mount = mount
    client.headers_added = tuple(
        [(name, value) for name, value in original.headers.multi_items() if name not in _REPLACED]
    )
    return client


def mount_of(http_client: HttpClient) -> Mount | None:
    """The mount of an HTTP client made here; None for any other."""
    return http_client.mount if isinstance(http_client, (_BlockingSend, _LoopSend)) else None


@cache
def _kinds(http: HttpModule) -> tuple[tuple[type, type], tuple[type, type]]:
    """Client and transport for one HTTP library: the blocking pair, then the pair for event loops."""
    return (
        (
            type("PenstockClient", (_BlockingSend, http.Client), {}),
            type("PenstockTransport", (_BlockingTransport, http.BaseTransport), {}),
        ),
        (
            type("PenstockAsyncClient", (_LoopSend, http.AsyncClient), {}),
            type("PenstockAsyncTransport", (_LoopTransport, http.AsyncBaseTransport), {}),
        ),
    )


#: Fields of every HTTP client that the SDK or the core sets anew.
_REPLACED = frozenset({"accept", "accept-encoding", "connection", "user-agent"})
#: Fields the library adds to a request, unless they are there.
_ADDED = frozenset({b"host", b"content-length", b"transfer-encoding"})


_UNSAID = object()


class _Building:
    """Makes the SDK's requests, without merging URL, query and fields that are complete already."""

    mount: Mount
    headers_added: tuple[tuple[str, str], ...] = ()

    def build_request(self, method: str, url: Any, *, headers: Any = None, content: Any = None, **rest: Any) -> Any:
        http, timeout = self.mount.http, rest.pop("timeout", _UNSAID)
        client: Any = self
        if (
            isinstance(content, bytes)
            and isinstance(url, http.URL)
            and url.is_absolute_url
            and isinstance(headers, http.Headers)
            and isinstance(timeout, http.Timeout)
            and not any(rest.values())
            and not client.params
            and not client.cookies
        ):
            for name, value in self.headers_added:
                headers.setdefault(name, value)
            return _request(http, method, url, headers, content, {"timeout": timeout.as_dict()})
        if timeout is not _UNSAID:
            rest["timeout"] = timeout
        usual: Any = super()
        return usual.build_request(method, url, headers=headers, content=content, **rest)


def _request(http: HttpModule, method: str, url: Any, headers: Any, content: bytes, extensions: dict[str, Any]) -> Any:
    """A request as the library makes it, in one pass over its fields instead of five."""
    fields = headers.raw
    if not content or not url.host or not _ADDED.isdisjoint([name.lower() for name, _ in fields]):
        return http.Request(method, url, headers=headers, content=content, extensions=extensions)
    fields = [(b"Host", url.netloc), *fields, (b"Content-Length", b"%d" % len(content))]
    request = http.Request(method, url, headers=fields, stream=http.ByteStream(content), extensions=extensions)
    request.read()
    request.url = url  # not a copy: the intake knows it again
    return request


class _BlockingSend(_Building):
    def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        if _needs_machinery(self, options):
            return super().send(request, stream=stream, **options)  # type: ignore[misc]
        response = _serve(self.mount, request, is_stream=stream)
        if response.status_code >= 300 and response.has_redirect_location:
            response.close()
            return super().send(request, stream=stream, **options)  # type: ignore[misc]
        return response

    def close(self) -> None:
        if isinstance(self.mount.tasks, ThreadTasks):
            self.mount.tasks.drain()
        super().close()  # type: ignore[misc]
        self.mount.original.close()


class _LoopSend(_Building):
    async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        if _needs_machinery(self, options):
            return await super().send(request, stream=stream, **options)  # type: ignore[misc]
        response = await _serve_on_loop(self.mount, request, is_stream=stream)
        if response.status_code >= 300 and response.has_redirect_location:
            await response.aclose()
            return await super().send(request, stream=stream, **options)  # type: ignore[misc]
        return response

    async def aclose(self) -> None:
        if isinstance(self.mount.tasks, LoopTasks):
            await self.mount.tasks.drained()
        await super().aclose()  # type: ignore[misc]
        await self.mount.original.aclose()


class _BlockingTransport:
    mount: Mount

    def handle_request(self, request: Any) -> Any:
        return _serve(self.mount, request, is_stream=True)


class _LoopTransport:
    mount: Mount

    async def handle_async_request(self, request: Any) -> Any:
        return await _serve_on_loop(self.mount, request, is_stream=True)


def _needs_machinery(client: Any, options: dict[str, Any]) -> bool:
    """A closed client, which must refuse in the library's words, or a call with its own `auth`."""
    return client.is_closed or (bool(options) and callable(getattr(options.get("auth"), "auth_flow", None)))


def _serve(mount: Mount, request: Any, *, is_stream: bool) -> Any:
    call = mount.intake.call_from(request, request.read())
    try:
        reply, content = run(answered(mount.core, call, is_stream=is_stream))
    except Refused as error:
        return whole_response(mount.http, mount.clock, request, call, *as_answered(error, call.id))
    except UpstreamFailed as error:
        raise as_raised(error, mount.http, request) from error
    if content is not None:
        return _whole(mount, request, call, reply, content)
    stream = blocking_body(mount.http)(reply, request, mount.http)
    return streaming_response(mount.http, mount.clock, request, call, reply, stream)


async def _serve_on_loop(mount: Mount, request: Any, *, is_stream: bool) -> Any:
    call = mount.intake.call_from(request, await request.aread())
    try:
        reply, content = await answered(mount.core, call, is_stream=is_stream)
    except Refused as error:
        return whole_response(mount.http, mount.clock, request, call, *as_answered(error, call.id))
    except UpstreamFailed as error:
        raise as_raised(error, mount.http, request) from error
    if content is not None:
        return _whole(mount, request, call, reply, content)
    stream = loop_body(mount.http)(reply, request, mount.http)
    return streaming_response(mount.http, mount.clock, request, call, reply, stream)


def _whole(mount: Mount, request: Any, call: Call, reply: Reply, content: bytes) -> Any:
    if reply.status == 401 and mount.forget_token is not None:
        mount.forget_token()
    return whole_response(mount.http, mount.clock, request, call, reply.status, headers_of(call, reply), content)
