"""Transport: out and back.

Writes the intent, sends the bytes as they came but for the fields that belong to one hop or to Penstock, and turns the
answer's head into a Reply. An answer of any status is a Reply; only no answer is an error.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from ...call import Call, Fact, Headers, Target
from ...errors import NOT_SENT, PenstockError, Refused, StoreFailed, Unavailable
from ...ports import Incoming, Outgoing, Ports
from ...ports.opened import Opened
from ...record import Intent, Record
from ...reply import Reply
from ...wire.envelopes import Unsupported, Unusable
from ...wire.messages import Malformed, kept_path
from ...wire.reading import reading

#: RFC 9110 §7.6.1, and what the port writes itself.
_ONE_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NOT_SENT = _ONE_HOP | {b"host", b"content-length", b"expect", b"accept-encoding"}
_CREDENTIALS = frozenset({b"authorization", b"x-api-key"})
#: Where a call stands in the caller's own traces, and what else travels with those: W3C Trace Context, Baggage.
_TRACES = frozenset({b"traceparent", b"tracestate", b"baggage"})


class Answered(Fact, frozen=True):
    """An upstream answered. Times in microseconds since the call began; `aside` as on the call."""

    upstream: str
    status: int
    sent_us: int
    head_us: int
    request_id: str | None = None
    aside: str | None = None

    def may_cost(self) -> bool:
        return self.aside is None

    def mark(self, record: Record) -> None:
        if self.aside is not None:
            return
        record.upstream, record.upstream_request_id, record.upstream_us = self.upstream, self.request_id, self.sent_us
        record.attempts += 1

    def told(self) -> str:
        took_ms = (self.head_us - self.sent_us) / 1000
        named = f", request {self.request_id}" if self.request_id else ""
        wanted = f", asked for a {self.aside}," if self.aside is not None else ""
        return f"{self.upstream}{wanted} answered {self.status} after {took_ms:.1f} ms{named}."


class Broken(Fact, frozen=True):
    """An upstream gave no answer. Times in microseconds since the call began."""

    upstream: str
    code: str
    message: str
    sent_us: int
    broken_us: int
    had_left: bool = True
    aside: str | None = None

    def may_cost(self) -> bool:
        return self.had_left

    def mark(self, record: Record) -> None:
        if self.aside is not None:
            return
        record.upstream, record.upstream_us = self.upstream, self.sent_us
        record.attempts += 1

    def told(self) -> str:
        return f"{self.upstream} gave no answer after {(self.broken_us - self.sent_us) / 1000:.1f} ms: {self.message}"


_ATTEMPTS = (Answered, Broken)


class Transport:
    """The innermost layer: a `Next` by itself, since nothing is below."""

    def __init__(self, ports: Ports, *, propagates: bool = False) -> None:
        self._ports, self._dropped = ports, frozenset() if propagates else _TRACES
        self._places: dict[str, tuple[str, str]] = {}

    async def __call__(self, call: Call) -> Reply:
        assert call.plan is not None, "routing stands above transport"
        target = call.plan.candidates[0].target
        outgoing = self._outgoing(call, target) if target.envelope is None else self._dressed(call, target)
        await self._note_intent(call, target)
        clock, began = self._ports.clock, call.began
        sent_us = round((clock.now() - began) * 1_000_000)
        try:
            incoming = await self._ports.upstream.send(outgoing)
        except BaseException as error:
            code, said = ("left", "the caller hung up")
            if isinstance(error, PenstockError):
                code, said = error.code, error.message
            broken_us = round((clock.now() - began) * 1_000_000)
            # Without a connection no request left, and nothing can have been billed.
            had_left = not isinstance(error, Refused) and code not in NOT_SENT
            call.trail.append(Broken(target.name, code, said, sent_us, broken_us, had_left, call.aside))
            if isinstance(error, PenstockError):
                _forget_frames(error)
                raise error
            raise
        head_us = round((clock.now() - began) * 1_000_000)
        if target.envelope is not None:
            opener = target.envelope.undress(incoming.status, incoming.headers)
            if opener is not None:
                source = Opened(incoming.source, opener, target.name)
                incoming = Incoming(incoming.status, opener.headers, source)
        headers, request_id = _headers_back(incoming.headers)
        call.trail.append(Answered(target.name, incoming.status, sent_us, head_us, request_id, call.aside))
        most = call.request.max_tokens if call.request is not None else None
        return Reply(
            incoming.status,
            headers,
            incoming.source,
            reading=reading(call.endpoint, incoming.status, incoming.headers, most),
            request_id=request_id or call.id,
        )

    def _outgoing(self, call: Call, target: Target) -> Outgoing:
        origin, prefix = self._place(target.url)
        path = f"{prefix}{call.path}?{call.query}" if call.query else prefix + call.path
        return Outgoing(call.method, origin, path, _headers_out(call, target, self._dropped), call.body, call.timeouts)

    def _dressed(self, call: Call, target: Target) -> Outgoing:
        """The request in its cloud's envelope. Raises Refused for what that cloud does not have."""
        assert target.envelope is not None
        secret = target.key.reveal() if target.key is not None else None
        headers = _headers_out(call, target, self._dropped)
        if secret:
            headers = tuple([field for field in headers if field[0] not in _CREDENTIALS])
        try:
            dressed = target.envelope.dress(
                call.method,
                call.path,
                call.query,
                headers,
                call.body,
                secret=secret,
                now_s=self._ports.clock.wall_us() / 1e6,
            )
        except (Unsupported, Unusable, Malformed) as fault:
            raise Refused(
                f"{target.name} cannot be asked for this: {fault}",
                layer="transport",
                code="not_at_upstream",
                fix="Send it to the API itself, or route this feature elsewhere.",
                status=400,
                type="invalid_request_error",
            ) from None
        path = f"{dressed.path}?{dressed.query}" if dressed.query else dressed.path
        return Outgoing(call.method, self._place(target.url)[0], path, dressed.headers, dressed.body, call.timeouts)

    async def _note_intent(self, call: Call, target: Target) -> None:
        request, caller, tags, purse = call.request, call.caller, call.tags, call.trail.purse
        intent = Intent(
            call_id=call.id,
            began_at_us=call.began_at_us,
            face=call.face,
            method=call.method,
            path=kept_path(call.path),
            endpoint=call.endpoint.name,
            upstream=target.name,
            model_asked=request.model if request is not None else None,
            is_stream=request is not None and request.stream,
            key_id=caller.key_id if caller is not None else None,
            environment=caller.environment if caller is not None else None,
            feature=tags.feature,
            user=tags.user,
            session=tags.session,
            segment=tags.segment,
            attempt=1 + sum(isinstance(fact, _ATTEMPTS) and fact.aside is None for fact in call.trail),
            prompt=tags.prompt,
            held_nano=None if purse is None else purse.committed_nano,
        )
        try:
            await self._ports.ledger.open(intent)
        except StoreFailed as error:
            raise Unavailable(
                f"The ledger cannot be written, so nothing may be spent: {error.message}",
                layer="ledger",
                code="ledger_unavailable",
                fix="Retry shortly; the operator should look at the data folder.",
                retry_after_s=5,
            ) from error

    def _place(self, url: str) -> tuple[str, str]:
        """An upstream's origin and path prefix."""
        place = self._places.get(url)
        if place is None:
            parts = urlsplit(url)
            place = self._places[url] = (f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/"))
        return place


def _forget_frames(error: BaseException | None) -> None:
    """The frames below hold the request as sent, key included, and crash reporters write frames down."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _headers_out(call: Call, target: Target, left_out: frozenset[bytes]) -> Headers:
    """The caller's fields, less those of this hop and Penstock's own, with the credential replaced.

    `accept-encoding` is always identity: usage is read from the bytes as they pass.
    """
    dropped = _NOT_SENT | left_out | (_CREDENTIALS if target.key is not None else frozenset())
    connection = call.fields.get(b"connection")
    if connection is not None and connection.lower() not in (b"keep-alive", b"close"):
        dropped = dropped | {name.strip().lower() for name in connection.split(b",")}
    kept = [field for field in call.headers if field[0] not in dropped and not field[0].startswith(b"x-penstock-")]
    if target.key is not None:
        key = target.key.reveal()
        # The caller's own way is kept: upstreams that only speak the Messages format may know but one.
        if b"authorization" in call.fields or key.startswith("sk-ant-oat"):
            kept.append((b"authorization", b"Bearer " + key.encode()))
        else:
            kept.append((b"x-api-key", key.encode()))
    kept.append((b"accept-encoding", b"identity"))
    return tuple(kept)


def _headers_back(headers: Headers) -> tuple[Headers, str | None]:
    """The answer's fields less those of one hop, and its `request-id`."""
    fields, dropped = dict(headers), _ONE_HOP
    request_id, connection = fields.get(b"request-id"), fields.get(b"connection")
    if connection is not None and connection.lower() not in (b"keep-alive", b"close"):
        dropped = dropped | {part.strip().lower() for part in connection.split(b",")}
    kept = tuple([field for field in headers if field[0] not in dropped])
    return kept, request_id.decode("latin-1") if request_id is not None else None
