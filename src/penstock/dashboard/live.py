"""Calls as they end, for the page of calls: one channel of server-sent events for each page that is open.

The ledger is asked for rows it did not have before, so that the calls of all processes are told, and in order. A
channel tells at most twice a second, and no more than the page keeps; one whose reader is slow waits and holds nothing.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ..errors import StoreFailed
from ..stores.schema import connect
from ..stores.search import Wanted, arrived, last_row
from .access import Access
from .calls import asked, key_names, line
from .desk import Desk
from .view import View

#: How often the ledger is asked, in seconds.
EVERY_S = 0.5
#: So many channels there are at most, and of one visitor.
CHANNELS_MAX, CHANNELS_EACH_MAX = 32, 6
#: So many rows are looked at and told at one go; of more the latest, and how many were passed over.
EXAMINED_MAX, ROWS_MAX = 2_000, 200

#: How many times the ledger is asked until the visitor is looked up again, and until a sign of life is sent.
_LOOKED_UP_EVERY, _ALIVE_EVERY = 10, 30
_EVENTS = "text/event-stream"


class News(NamedTuple):
    """What came: rows of the table, how many were passed over, and the number of the last."""

    rows: list[str]
    passed: int
    last: int


class Live:
    """The channels of this process. `desk` makes what a page reads from, `now_us` is the time."""

    def __init__(
        self,
        access: Access,
        desk: Callable[[], Awaitable[Desk]],
        now_us: Callable[[], int],
        templates: Environment,
        root: str,
    ) -> None:
        self._access, self._desk, self._now_us = access, desk, now_us
        self._templates, self._root = templates, root
        self._open: Counter[str] = Counter()

    async def answer(self, request: Request) -> Response:
        """One channel: the filters are the page's, `after` or `last-event-id` is the number of the last row known."""
        visitor = await asyncio.to_thread(self._access.visitor, request)
        if visitor is None:
            return Response("Log in again.", 401)
        if request.method == "HEAD":
            return Response(media_type=_EVENTS)
        desk, who = await self._desk(), visitor.key_id or visitor.name
        names = await asyncio.to_thread(key_names, desk)
        if self._open.total() >= CHANNELS_MAX or self._open[who] >= CHANNELS_EACH_MAX:
            return Response("Too many look at calls live already.", 503)
        self._open[who] += 1
        view = View.of(request.query_params, self._now_us())
        return _Channel(self._told(request, desk, view, names), lambda: self._open.subtract([who]))

    async def _told(self, request: Request, desk: Desk, view: View, names: Mapping[str, str]) -> AsyncIterator[str]:
        is_over = request.scope.get("state", {}).get("is_draining", _never)
        wanted, _ = asked(view)
        said = request.headers.get("last-event-id") or view.asked.get("after", "")
        last = int(said) if said.isascii() and said.isdigit() and len(said) < 19 else None
        asks = 0
        yield "retry: 2000\n\n"
        while not is_over():
            news = await asyncio.to_thread(self._news, desk.data, wanted, view, names, last)
            if news is not None:
                if news.rows or news.passed:
                    told = json.dumps({"rows": news.rows, "passed": news.passed})
                    yield f"id: {news.last}\ndata: {told}\n\n"
                last = news.last
            asks += 1
            if asks % _ALIVE_EVERY == 0:
                yield ": alive\n\n"
            if asks % _LOOKED_UP_EVERY == 0 and await asyncio.to_thread(self._access.visitor, request) is None:
                return
            await desk.clock.sleep(EVERY_S)

    def _news(self, data: Path, wanted: Wanted, view: View, names: Mapping[str, str], after: int | None) -> News | None:
        """What came after a row; None while the ledger cannot be read. Opened anew each time, for a third of a
        millisecond: whoever hangs up does so at any moment, and a connection may not be closed while it is used."""
        try:
            connection = connect(data)
        except StoreFailed:
            return None
        try:
            last = last_row(connection)
            if after is None or after > last:  # another ledger than the page was made of
                return News([], 0, last)
            begin = max(after, last - EXAMINED_MAX)
            rows = arrived(connection, wanted, begin, last, ROWS_MAX)
        except sqlite3.Error:
            return None
        finally:
            connection.close()
        template = self._templates.get_template("calls_rows.html")
        lines: list[dict[str, Any]] = [line(row, names) for row in rows]
        return News([template.render(rows=[one], view=view, root=self._root) for one in lines], begin - after, last)


class _Channel(StreamingResponse):
    """An answer without an end; `ended` is called when it has one after all."""

    def __init__(self, told: AsyncIterator[str], ended: Callable[[], None]) -> None:
        # A proxy that gathers would hold calls back.
        super().__init__(told, media_type=_EVENTS, headers={"x-accel-buffering": "no"})
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


def _never() -> bool:
    return False
