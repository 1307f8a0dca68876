"""The simulator's own endpoints, under `/simulator/`: faults at run time, and the books.

Open to callers on this machine; to others with the control key the simulator was started with, in `x-simulator-key`.
"""

from __future__ import annotations

import hmac
from typing import Any

import msgspec

from .answer import Answer
from .books import Books
from .faults import KINDS, read_fault
from .problems import Problem, invalid, missing
from .schedule import Dealer, Rule

_LOCAL = ("127.0.0.1", "::1", "")


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A fault to set off: for the next `count` requests, or for a `share` of all for `for_s` seconds.

    Without `count` and `for_s` a whole share is one request, and a smaller one lasts until the rules are cleared.
    """

    fault: str
    share: float = 1.0
    count: int | None = None
    for_s: float | None = None
    model: str = ""
    path: str = ""


class Control:
    """Answers `/simulator/…`."""

    def __init__(self, dealer: Dealer, books: Books, key: str | None) -> None:
        self._dealer, self._books, self._key = dealer, books, key

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes, client: str) -> Answer:
        """Raises Problem."""
        given = headers.get("x-simulator-key", "")
        if client not in _LOCAL and not (self._key and hmac.compare_digest(given.encode(), self._key.encode())):
            raise Problem(403, "permission_error", "The simulator is controlled from its own machine, or with its key.")
        place = path.partition("?")[0]
        match method, place.removeprefix("/simulator/"):
            case "GET", "faults":
                return _json({"kinds": [msgspec.to_builtins(kind) for kind in KINDS], "rules": self._dealer.rules()})
            case "POST", "faults":
                self._dealer.add(self._rule(body))
                return _json({"rules": self._dealer.rules()})
            case "DELETE", "faults":
                self._dealer.clear()
                return _json({"rules": []})
            case "GET", "books":
                return _json(self._books.shown())
        raise missing(f"No {method} {place}; there are GET, POST and DELETE /simulator/faults, GET /simulator/books.")

    def _rule(self, body: bytes) -> Rule:
        try:
            asked = msgspec.json.decode(body, type=Asked)
            if asked.count is not None and asked.count < 1:
                raise ValueError(f"count is {asked.count}; it must be at least 1")
            at_s, count = self._dealer.at_s, asked.count
            if count is None and asked.for_s is None and asked.share == 1.0:
                count = 1
            end_s = None if asked.for_s is None else at_s + asked.for_s
            return Rule(read_fault(asked.fault), asked.share, at_s, end_s, count, asked.model, asked.path)
        except (msgspec.DecodeError, ValueError) as fault:
            raise invalid(str(fault)) from None


def _json(value: Any) -> Answer:
    return Answer(200, [(b"content-type", b"application/json")], [msgspec.json.encode(value)], has_length=True)
