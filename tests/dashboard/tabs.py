"""A tab of a real browser, and what it met."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tab:
    """A page, and what it met: faults in words, answers as (kind, URL, status, bytes)."""

    page: Any
    url: str
    faults: list[str] = field(default_factory=list)
    answers: list[tuple[str, str, int, int]] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page, and let what is deferred be done."""
        self.answers.clear()
        self.page.goto(f"{self.url}/penstock/{path}", wait_until="load")
        self.page.wait_for_timeout(150)


#: Opens a tab at a gateway, logged in; see the fixture `opened`.
Opened = Callable[..., contextlib.AbstractContextManager[Tab]]


def noted(tab: Tab) -> None:
    """Have a tab note what goes wrong from now on."""
    page = tab.page
    page.on("console", lambda said: tab.faults.append(f"{page.url}: {said.text}") if said.type != "log" else None)
    page.on("pageerror", lambda error: tab.faults.append(f"error: {error}"))
    page.on("requestfailed", lambda request: tab.faults.append(f"failed: {request.url}") if _fails(request) else None)
    page.on("response", lambda answer: tab.answers.append(_told(answer)))


def _fails(request: Any) -> bool:
    """A stream that its page leaves is aborted, and no failure."""
    return request.resource_type != "eventsource" and "ERR_ABORTED" not in (request.failure or "")


def _told(answer: Any) -> tuple[str, str, int, int]:
    kind = answer.request.resource_type
    length = 0 if kind == "eventsource" else int(answer.headers.get("content-length", 0))
    return kind, answer.url, answer.status, length
