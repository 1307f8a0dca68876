"""The mount for clients of signed clouds: the SDK's own middleware.

Bedrock, Google Cloud, Foundry and AWS clients translate and sign a request once its body is final. The core
therefore stands where the SDK lets others stand, above the signature, and its upstream is the rest of the SDK.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import msgspec

from ...call import Call, Target, Timeouts
from ...drive import run
from ...errors import Refused, UpstreamFailed
from ...layer import Next
from ...ports import Clock, Incoming, Outgoing
from ...reply import Reply
from .answer import answered, streaming_response, whole_response
from .body import blocking_body, loop_body
from .faults import as_answered
from .intake import Intake
from .kit import Kit, SdkClient
from .leg import BlockingSource, Limit, LoopSource, incoming

#: The first version of the SDK with `with_middleware`.
SINCE = "0.108"


@dataclass(frozen=True, slots=True)
class _Errand:
    """One call's way onward, for the upstream port to find: the port is one for all calls of a core."""

    request: Any
    call: Call
    call_next: Any
    answers: list[Any]


_errand: ContextVar[_Errand] = ContextVar("penstock_errand")


class Onward:
    """An Upstream that is the rest of the SDK, blocking."""

    def __init__(self, kit: Kit, clock: Clock) -> None:
        self._kit, self._clock = kit, clock

    async def send(self, request: Outgoing) -> Incoming:
        errand, limit = _errand.get(), Limit(self._clock, request)
        try:
            answer = errand.call_next(_edited(errand, request))
        except self._kit.sdk.APIConnectionError as error:
            raise _failed(self._kit, error, request.url) from error
        errand.answers.append(answer)
        return incoming(answer.http_response, BlockingSource(self._kit.http, answer.http_response, limit))

    async def aclose(self) -> None:
        """Nothing: the SDK client is its owner's to close."""


class LoopOnward:
    """An Upstream that is the rest of the SDK, on an event loop."""

    def __init__(self, kit: Kit, clock: Clock) -> None:
        self._kit, self._clock = kit, clock

    async def send(self, request: Outgoing) -> Incoming:
        errand, limit = _errand.get(), Limit(self._clock, request)
        try:
            answer = await errand.call_next(_edited(errand, request))
        except self._kit.sdk.APIConnectionError as error:
            raise _failed(self._kit, error, request.url) from error
        errand.answers.append(answer)
        return incoming(answer.http_response, LoopSource(self._kit.http, answer.http_response, limit))

    async def aclose(self) -> None:
        """Nothing: the SDK client is its owner's to close."""


class Seat:
    """One cloud client's way into the core: `handle` and `handle_async` are the middleware.

    `client` is the client as it was before, asked only to make the exception of a refusal.
    """

    def __init__(self, kit: Kit, core: Next, clock: Clock, intake: Intake, client: SdkClient, cloud: str) -> None:
        self._kit, self._core, self._clock, self._intake, self._client = kit, core, clock, intake, client
        self._target = Target(cloud, str(client.base_url).rstrip("/"))

    def handle(self, request: Any, call_next: Any) -> Any:
        errand = self._errand_from(request, call_next)
        token = _errand.set(errand)
        try:
            reply, content = run(answered(self._core, errand.call, is_stream=_is_stream(request)))
        except (Refused, UpstreamFailed) as error:
            raised = self._raised(error, errand.call)
            raise raised from raised.__cause__
        finally:
            _errand.reset(token)
        return self._let_through(errand, reply, content, blocking_body(self._kit.http))

    async def handle_async(self, request: Any, call_next: Any) -> Any:
        errand = self._errand_from(request, call_next)
        token = _errand.set(errand)
        try:
            reply, content = await answered(self._core, errand.call, is_stream=_is_stream(request))
        except (Refused, UpstreamFailed) as error:
            raised = self._raised(error, errand.call)
            raise raised from raised.__cause__
        finally:
            _errand.reset(token)
        return self._let_through(errand, reply, content, loop_body(self._kit.http))

    def _errand_from(self, request: Any, call_next: Any) -> _Errand:
        said = {name: value for name, value in request.headers.items() if isinstance(value, str)}
        path, _, query = str(request.url).partition("?")
        call = self._intake.call(
            method=request.method.upper(),
            path=path,
            query=query,
            headers=tuple([(name.lower().encode(), value.encode()) for name, value in said.items()]),
            body=_body_of(request),
            target=self._target,
            timeouts=self._timeouts(request.timeout),
        )
        own = [name for name in said if name.lower().startswith("x-penstock-")]
        if own:
            request = request.copy(headers={name: v for name, v in request.headers.items() if name not in own})
        return _Errand(request, call, call_next, [])

    def _timeouts(self, said: Any) -> Timeouts:
        """The SDK itself keeps the time of each phase here; these are for layers that plan with them."""
        if said is not None and not isinstance(said, int | float | self._kit.http.Timeout):
            said = self._client.timeout
        return self._intake.timeouts_of(self._kit.http.Timeout(said).as_dict())

    def _let_through(self, errand: _Errand, reply: Reply, content: bytes | None, body: type[Any]) -> Any:
        """The SDK's own answer object; its response replaced where its body still comes, or was changed."""
        answer = errand.answers[-1]
        was = answer.http_response
        if content is None:
            stream = body(reply, was.request, self._kit.http)
            answer.http_response = streaming_response(
                self._kit.http, self._clock, was.request, errand.call, reply, stream
            )
        elif content != was.content:
            answer.http_response = whole_response(
                self._kit.http, self._clock, was.request, errand.call, reply.status, reply.headers, content
            )
        return answer

    def _raised(self, error: Refused | UpstreamFailed, call: Call) -> Exception:
        """An error of the core as the SDK's own exception, with its cause: where the SDK raised it, that very one."""
        if isinstance(error.__cause__, self._kit.sdk.APIConnectionError):
            known: Exception = error.__cause__
            return known
        http, sdk = self._kit.http, self._kit.sdk
        request = http.Request(call.method, self._target.url + call.path)
        raised: Exception
        if isinstance(error, Refused):
            response = whole_response(http, self._clock, request, call, *as_answered(error, call.id))
            raised = self._client._make_status_error_from_response(response)
        elif error.code in UpstreamFailed.TIMEOUTS:
            raised = sdk.APITimeoutError(request=request)
        else:
            raised = sdk.APIConnectionError(message=str(error), request=request)
        raised.__cause__ = error
        return raised


def _is_stream(request: Any) -> bool:
    """Whether the SDK will leave the body unread: event streams, and `with_streaming_response`."""
    return bool(request.stream) or request.headers.get("X-Stainless-Raw-Response") == "stream"


def _body_of(request: Any) -> bytes:
    """The body as layers read it. Multipart uploads are not JSON and go by unseen."""
    if request.json is None or getattr(request.options, "files", None):
        return b""
    return msgspec.json.encode(request.json, enc_hook=str)


def _edited(errand: _Errand, outgoing: Outgoing) -> Any:
    """The request to send on: the SDK's own object, unless a layer changed the body."""
    if outgoing.body == errand.call.body:
        return errand.request
    return errand.request.copy(body=msgspec.json.decode(outgoing.body))


def _failed(kit: Kit, error: Exception, url: str) -> UpstreamFailed:
    is_timeout = isinstance(error, kit.sdk.APITimeoutError)
    cause = type(error.__cause__).__name__ if error.__cause__ is not None else ""
    if is_timeout:
        code = "connect_timeout" if cause == "ConnectTimeout" else "first_byte_timeout"
    else:
        code = "connect_failed" if cause == "ConnectError" else "reset"
    return UpstreamFailed(f"{url}: {error}", code=code)
