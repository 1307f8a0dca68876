"""The gateway as one bare ASGI application: no framework stands on a call's path.

`/v1/` is the Claude API and nothing else; what is Penstock's own lives under `/penstock/`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ...call import Call, Timeouts
from ...errors import PenstockError
from ...layer import Next
from ...layers.per_call.ledger import Settled
from ...ports import Ports
from ...reply import Reply
from .answer import CutOff, send_error, send_reply, send_whole
from .api import METRICS, Api
from .exchange import App
from .intake import Receive, Scope, Send, call_from, read_body

log = logging.getLogger("penstock.gateway")

_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)
_JSON = ((b"content-type", b"application/json"),)


class Gateway:
    """One running gateway. `swap` replaces the core under live traffic: calls under way keep the old one."""

    def __init__(
        self,
        core: Next,
        ports: Ports,
        timeouts: Timeouts,
        api: Api,
        *,
        pages: App | None = None,
        drains_on_hangup: bool = False,
        is_draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._core, self._ports, self._timeouts, self._api = core, ports, timeouts, api
        self._pages, self._drains_on_hangup = pages, drains_on_hangup
        self.is_draining = is_draining

    def swap(self, core: Next, timeouts: Timeouts, *, drains_on_hangup: bool) -> None:
        self._core, self._timeouts, self._drains_on_hangup = core, timeouts, drains_on_hangup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["raw_path"].decode("latin-1")
        if path.startswith("/v1/"):
            await self._serve(scope, path, receive, send)
        else:
            await self._serve_house(scope, path, receive, send)

    async def _serve(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        if body is None:
            return  # hung up before it was a call
        call = call_from(scope, path, body, self._ports, self._timeouts)
        if self._drains_on_hangup:
            scope["state"]["hangup"] = _read_on
        try:
            reply = await self._core(call)
            await self._send(send, call, reply)
        except CutOff:
            raise  # the server cuts the connection
        except PenstockError as error:
            await send_error(send, call, error)
        except Exception as error:
            log.exception("call %s failed inside Penstock", call.id)
            await send_error(send, call, error)

    async def _send(self, send: Send, call: Call, reply: Reply) -> None:
        """Pass the reply on. If the caller hangs up, the server cancels this task, and the upstream is let go."""
        try:
            await send_reply(send, call, reply)
        finally:
            await reply.aclose()
            settled = call.trail.last(Settled)
            if settled is not None and settled.basis == "unpriced":
                log.warning("call %s used a model with no known price; its cost is recorded as unpriced", call.id)

    async def _serve_house(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if path.startswith("/penstock/api/") or path == METRICS:
            status, headers, body = await self._api.answer(scope, path)
            await send_whole(send, status, headers, body)
        elif self._pages is not None and path.startswith("/penstock/"):
            await self._pages(scope, receive, send)
        elif self._pages is not None and path in ("/", "/penstock") and method == "GET":
            await send_whole(send, 302, ((b"location", b"/penstock/"),), b"")
        elif method not in ("GET", "HEAD"):
            await self._not_here(send, method, path)
        elif path == "/healthz":
            await send_whole(send, 200, _JSON, b'{"status":"ok"}')
        elif path == "/readyz":
            fault = "draining" if self.is_draining() else await self._api.fault()
            body = b'{"status":"ready"}' if fault is None else b'{"status":"%s"}' % fault.encode()
            await send_whole(send, 200 if fault is None else 503, _JSON, body)
        elif path in ("/", "/api/hello"):
            await send_whole(
                send, 200, _TEXT, b"" if method == "HEAD" else b"Penstock: the Claude API is under /v1/.\n"
            )
        else:
            await self._not_here(send, method, path)

    async def _not_here(self, send: Send, method: str, path: str) -> None:
        body = (
            b'{"type":"error","error":{"type":"not_found_error","message":'
            b'"Not found. The Claude API is under /v1/, Penstock\'s own under /penstock/."}}'
        )
        await send_whole(send, 404, _JSON, body)


def _read_on() -> None:
    """Told that the caller hung up: nothing to do, the call goes on to its end for the exact cost."""
