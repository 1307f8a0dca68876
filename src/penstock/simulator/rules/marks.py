"""Where cache marks may be, and how many (`claude-api.md` §2.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..problems import Problem, invalid

MARKS_MAX = 4
_UNMARKED = ("thinking", "redacted_thinking")


def check_marks(request: dict[str, Any]) -> None:
    """Count, order of lifetimes, and agreement of the automatic mark with the one it falls on. Raises Problem 400."""
    marks = [(place, control.get("ttl", "5m")) for place, control, _ in _blocks(request) if control]
    automatic = request.get("cache_control")
    if automatic:
        place = _last_markable(request)
        lifetime = automatic.get("ttl", "5m")
        there = next((ttl for marked, ttl in marks if marked == place), None)
        if there is None:
            marks.append(("", lifetime))
        elif there != lifetime:
            # The docs give the rule and no words for it (?).
            raise invalid(
                f"cache_control.ttl: a ttl='{lifetime}' does not agree with the ttl='{there}' of the cache_control on "
                "the last block."
            )
    if len(marks) > MARKS_MAX:
        raise invalid(f"A maximum of 4 blocks with cache_control may be provided. Found {len(marks)}.")
    is_short = False
    for place, lifetime in marks:
        if is_short and lifetime == "1h":
            raise _late(f"{place}.cache_control" if place else "cache_control")
        is_short = is_short or lifetime == "5m"


def _late(place: str) -> Problem:
    return invalid(
        f"{place}.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that "
        "blocks are processed in the following order: tools, system, messages."
    )


def _blocks(request: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any] | None, dict[str, Any]]]:
    """Place, mark and self of everything that may have one, in the order of the prompt."""
    for at, tool in enumerate(request.get("tools") or ()):
        yield f"tools.{at}", tool.get("cache_control"), tool
    contents = [("system", request.get("system"))]
    contents += [(f"messages.{at}.content", turn["content"]) for at, turn in enumerate(request["messages"])]
    for place, content in contents:
        for at, block in enumerate(content if isinstance(content, list) else ()):
            if block.get("type") == "tool_result" and isinstance(block.get("content"), list):
                for within, inner in enumerate(block["content"]):
                    yield f"{place}.{at}.content.{within}", inner.get("cache_control"), inner
            yield f"{place}.{at}", block.get("cache_control"), block


def _last_markable(request: dict[str, Any]) -> str:
    """The place of the block that automatic caching marks: the last that may be; "" where it is a bare text."""
    content = request["messages"][-1]["content"]
    if isinstance(content, str):
        return ""
    return next(
        (place for place, _, block in reversed(list(_blocks(request))) if block.get("type") not in _UNMARKED), ""
    )
