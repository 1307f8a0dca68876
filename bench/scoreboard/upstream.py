"""A simulator in a process of its own, so that the load beside it does not slow it, and what tells it to fail.

`python -m bench.scoreboard.upstream '{"faults": {"overloaded": 0.3}, "limits": {...}, "pace": {...}}'` prints its URL
and key as JSON and serves until it is terminated.
"""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..machine import Unmeasurable, child, cores, python

KEPT = 100_000


class Upstream:
    """One simulator."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def fail(self, fault: str, **more: Any) -> None:
        """Set off a fault, for `count` requests or for a `share` of them over `for_s` seconds."""
        self._ask("POST", "faults", {"fault": fault, **more})

    def heal(self) -> None:
        self._ask("DELETE", "faults")

    @property
    def requests(self) -> int:
        """How many it has been sent so far."""
        count: int = self.books()["totals"]["requests"]
        return count

    def books(self) -> dict[str, Any]:
        """What it has been asked: `{"totals": {...}, "entries": [...]}`."""
        books: dict[str, Any] = self._ask("GET", "books")
        return books

    def _ask(self, method: str, place: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/simulator/{place}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def upstream(**options: Any) -> Iterator[Upstream]:
    """A simulator on the core of what is measured; options are those of `Simulator`, the structured ones as tables."""
    with child(python("-m", "bench.scoreboard.upstream", json.dumps(options)), cores()[0]) as process:
        line = process.line()
        if not line.startswith("{"):
            raise Unmeasurable(f"the simulator did not start: {process.last_words()}")
        yield Upstream(**json.loads(line))


def main() -> None:
    from penstock.simulator import Faults, Limits, Pace, running

    options = json.loads(sys.argv[1])
    for name, kind in (("faults", Faults), ("limits", Limits), ("pace", Pace)):
        if name in options:
            options[name] = kind(**options[name])
    with running(accept_any=True, keep_requests=KEPT, **options) as sim:
        print(json.dumps({"url": sim.url, "key": sim.key}), flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
