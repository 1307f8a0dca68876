"""The pages as one ASGI application: who may see which, and how each is made."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..errors import StoreFailed
from . import wording
from .access import COOKIE, SESSION_S, Access, Visitor
from .alerts import acknowledge, alerts
from .caching import caching
from .call import call
from .calls import calls, calls_table
from .cost import cost, cost_table
from .desk import Desk
from .exporting import FORMATS, Export, exported
from .limits import limits
from .live import Live
from .overview import overview
from .prompts import prompts
from .reliability import reliability
from .settings import settings
from .view import RANGES, View

ROOT = "/penstock"

#: What stands in every page's head: the names of the pages and where they are.
PAGES = (
    ("", "Overview"),
    ("calls", "Calls"),
    ("cost", "Cost"),
    ("limits", "Limits"),
    ("reliability", "Reliability"),
    ("caching", "Caching"),
    ("alerts", "Alerts"),
    ("prompts", "Prompts"),
    ("settings", "Settings"),
)

#: Makes what a template shows, with its `status_code` where that is not 200; or the whole answer. Runs in a thread.
Page = Callable[[Desk, View], dict[str, Any] | Response]
#: Changes something for a visitor who may, by the fields of a form. Runs in a thread.
Change = Callable[[Desk, Visitor, Mapping[str, str]], None]
_Made = TypeVar("_Made")

#: Nothing from elsewhere, no script or style within a page, no page within another.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: Fetched when the package is built; pages of a source checkout that has not been have tables alone.
_PLOTS = Path(__file__).with_name("static") / "vendor" / "uPlot.iife.min.js"
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Dashboard:
    """The pages over one data folder. `desk` makes what a request reads from; `now_us` is the time it is made at."""

    def __init__(self, access: Access, desk: Callable[[], Awaitable[Desk]], now_us: Callable[[], int]) -> None:
        self._access, self._desk, self._now_us = access, desk, now_us
        self._templates = Environment(
            loader=PackageLoader("penstock.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            name: getattr(wording, name)
            for name in ("dollars", "exact", "count", "short", "percent", "duration", "moment", "change", "size")
        }

    def login_link(self) -> str:
        """The path that logs its first follower in."""
        return f"{ROOT}/login?{urlencode({'link': self._access.link()})}"

    def app(self) -> Starlette:
        static = StaticFiles(directory=Path(__file__).with_name("static"))
        routes = [
            Route(f"{ROOT}/", self._page("overview.html", overview)),
            Route(f"{ROOT}/calls", self._page("calls.html", calls, calls_table)),
            Route(f"{ROOT}/calls/live", Live(self._access, self._desk, self._now_us, self._templates, ROOT).answer),
            Route(f"{ROOT}/calls/{{call_id}}", self._page("call.html", call)),
            Route(f"{ROOT}/cost", self._page("cost.html", cost, cost_table)),
            Route(f"{ROOT}/limits", self._page("limits.html", limits)),
            Route(f"{ROOT}/reliability", self._page("reliability.html", reliability)),
            Route(f"{ROOT}/caching", self._page("caching.html", caching)),
            Route(f"{ROOT}/alerts", self._page("alerts.html", alerts)),
            Route(f"{ROOT}/prompts", self._page("prompts.html", prompts)),
            Route(f"{ROOT}/settings", self._page("settings.html", settings)),
            Route(f"{ROOT}/alerts/acknowledge", self._changing(acknowledge, "alerts"), methods=["POST"]),
            Route(f"{ROOT}/login", self._login, methods=["GET", "POST"]),
            Route(f"{ROOT}/logout", self._logout, methods=["POST"]),
            Mount(f"{ROOT}/static", static),
        ]
        return Starlette(routes=routes, middleware=[Middleware(_Guarded)])

    def _page(
        self, template: str, page: Page, export: Export | None = None
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            visitor = await asyncio.to_thread(self._access.visitor, request)
            if visitor is None:
                return self._to_login(request)
            desk = await self._desk()
            view = View.of({**request.query_params, **request.path_params}, self._now_us())
            try:
                if export is not None and view.asked.get("format") in FORMATS:
                    return exported(await asyncio.to_thread(_made, export, desk, view), view, view.asked["format"])
                shown = await asyncio.to_thread(_made, page, desk, view)
            except (StoreFailed, sqlite3.Error) as error:
                failed = self._rendered(request, "failed.html", visitor=visitor, view=view, said=str(error))
                failed.status_code = 503
                return failed
            if isinstance(shown, Response):
                return shown
            made = self._rendered(request, template, visitor=visitor, view=view, **shown)
            made.status_code = shown.get("status_code", 200)
            return made

        return answer

    def _changing(self, change: Change, back: str) -> Callable[[Request], Awaitable[Response]]:
        """Answers a form of ours with the page `back`, once what it asks for is done."""

        async def answer(request: Request) -> Response:
            visitor = await asyncio.to_thread(self._access.visitor, request)
            if visitor is None:
                return RedirectResponse(f"{ROOT}/login", 303)
            form = await request.form()
            if not visitor.may_change:
                return Response("You may look, and change nothing: that takes a key with the scope admin.", 403)
            if not self._access.is_own(request, form.get("token")):
                return Response("This form is not one of this session's. Load the page again.", 403)
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
            desk = await self._desk()
            await asyncio.to_thread(_changed, change, desk, visitor, fields)
            return RedirectResponse(f"{ROOT}/{back}", 303)

        return answer

    def _rendered(self, request: Request, template: str, **shown: Any) -> Response:
        common = {
            "root": ROOT,
            "pages": PAGES,
            "ranges": list(RANGES),
            "at": request.url.path.removeprefix(f"{ROOT}/").partition("/")[0],
            "token": self._access.token(request),
            "has_plots": _PLOTS.is_file(),
        }
        return HTMLResponse(self._templates.get_template(template).render(common | shown))

    def _to_login(self, request: Request) -> Response:
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{ROOT}/login?{urlencode({'next': back})}", 303)

    async def _login(self, request: Request) -> Response:
        wanted = request.query_params.get("next", "")
        # Only to a place of ours, and to no other host: `//host` and `/\host` are such.
        place = wanted if wanted.startswith(f"{ROOT}/") and "\\" not in wanted else f"{ROOT}/"
        if request.method == "GET":
            session = self._access.follow(request.query_params.get("link", ""))
            if session is not None:
                return _entered(request, place, session)
            return self._rendered(request, "login.html", visitor=None, fault="")
        form = await request.form()
        cookie = await asyncio.to_thread(self._access.login, str(form.get("key", "")))
        if cookie is None:
            fault = "This key may not see these pages: it needs the scope admin or view, and must be live."
            response = self._rendered(request, "login.html", visitor=None, fault=fault)
            response.status_code = 403
            return response
        return _entered(request, place, cookie)

    async def _logout(self, request: Request) -> Response:
        form = await request.form()
        if not self._access.is_own(request, form.get("token")):
            return Response("This form is not one of this session's. Load the page again.", 403)
        self._access.logout(request)
        answer = RedirectResponse(f"{ROOT}/login", 303)
        answer.delete_cookie(COOKIE, path=ROOT)
        return answer


def _entered(request: Request, place: str, session: str) -> Response:
    answer = RedirectResponse(place, 303)
    answer.set_cookie(
        COOKIE,
        session,
        max_age=SESSION_S,
        path=ROOT,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def _made(page: Callable[[Desk, View], _Made], desk: Desk, view: View) -> _Made:
    with desk:
        return page(desk, view)


def _changed(change: Change, desk: Desk, visitor: Visitor, fields: Mapping[str, str]) -> None:
    with desk:
        change(desk, visitor, fields)


class _Guarded(BaseHTTPMiddleware):
    """Puts on every answer what keeps it from others."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        answer = await call_next(request)
        for name, value in _HEADERS.items():
            if name != "cache-control" or not request.url.path.startswith(f"{ROOT}/static/"):
                answer.headers.setdefault(name, value)
        return answer


__all__ = ["Dashboard", "Visitor"]
