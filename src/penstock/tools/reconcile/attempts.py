"""What a call's trail says of attempts that were given up: at which upstream, by which model, and what they used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ...errors import NOT_SENT
from ...wire.messages import Usage


class GivenUp(msgspec.Struct):
    """An attempt whose answer nobody got, and that may have been billed. `usage` is None where it was never seen."""

    upstream: str
    model: str
    usage: Usage | None = None


def given_up(trail: Iterable[dict[str, Any]], model: str | None, basis: str) -> Iterator[GivenUp]:
    """Those of one call, by the facts of its trail; `model` is the one it asked for, `basis` that of its cost.

    The last good answer is the caller's, or its failure is what the call's own row tells: it is not among them.
    """
    found: list[GivenUp] = []
    now = model or ""
    is_lost = basis == "unknown"
    for fact in trail:
        match fact.get("type"):
            case "Hopped":
                candidate, named, _ = str(fact.get("candidate", "")).rpartition(" at ")
                now = candidate if named else now
            case "Answered" if fact.get("status", 0) < 400:
                found.append(GivenUp(str(fact.get("upstream")), now))
            case "Broken" if fact.get("code") not in NOT_SENT:
                found.append(GivenUp(str(fact.get("upstream")), now))
            case "Spent" if found:
                found[-1].usage, found[-1].model = msgspec.convert(fact["usage"], Usage), fact["model"]
            case _:
                pass
    if found and (is_lost or found[-1].usage is None):
        found.pop()
    yield from found
