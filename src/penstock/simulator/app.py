"""The simulated API as an ASGI application."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypedDict

from .answer import Answer, fault_answer, problem_answer
from .api import Api, Served
from .deliver import Message, Pace, Wire, deflater, deliver, fail
from .dice import Dice, made_key
from .faults import ANSWERED, BEFORE, Dealer, Fault, Faults, read_fault
from .headers import Headers
from .model import Line
from .problems import Problem
from .replay import Recorded, Replay


class Options(TypedDict, total=False):
    """What a simulator can be told; all optional.

    seed                 the same seed and the same requests in the same order give the same bytes (0)
    key                  the one API key it accepts; made from the seed where not given
    accept_any           accept every credential (False)
    faults               shares of faults, seeded
    answers              what the model says instead: pairs (text the prompt contains, answer) or functions of the
                         request; an answer is a text or a list of content blocks; the first that fits counts
    replay               recorded answers to POST /v1/messages, served before any others
    pace                 how fast it answers (at once)
    allow_fault_headers  whether a request may ask for a fault by `x-simulator-fault: NAME[:NUMBER]` (False)
    keep_requests        how many of the last requests `requests` remembers (1000)
    gzip                 compress good answers for callers that accept it, streams piece by piece (False)
    batch_s              how long a batch takes, seconds (0.2)
    clock                Unix time in seconds, for dates and lifetimes
    """

    seed: int
    key: str | None
    accept_any: bool
    faults: Faults
    answers: Sequence[Line]
    replay: Iterable[Recorded]
    pace: Pace
    allow_fault_headers: bool
    keep_requests: int
    gzip: bool
    batch_s: float
    clock: Callable[[], float]


class Simulator:
    """An ASGI application that answers as the Claude API does."""

    def __init__(
        self,
        *,
        seed: int = 0,
        key: str | None = None,
        accept_any: bool = False,
        faults: Faults | None = None,
        answers: Sequence[Line] = (),
        replay: Iterable[Recorded] = (),
        pace: Pace | None = None,
        allow_fault_headers: bool = False,
        keep_requests: int = 1000,
        gzip: bool = False,
        batch_s: float = 0.2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.key = key if key is not None else made_key(seed)
        self.requests: deque[Served] = deque(maxlen=keep_requests)
        self._seed = seed
        self._pace = pace or Pace()
        self._clock = clock
        self._gzip = gzip
        self._headers = Headers(clock, seed)
        self.api = Api(
            seed=seed,
            key=None if accept_any else self.key,
            headers=self._headers,
            script=answers,
            batch_s=batch_s,
            clock=clock,
        )
        self._dealer = Dealer(faults or Faults(), may_ask=allow_fault_headers)
        self._replay = Replay(replay)
        self._count = 0

    def trigger(self, fault: str | Fault, count: int = 1) -> None:
        """Let the next `count` requests meet a fault: NAME or NAME:NUMBER. Raises ValueError for an unknown one."""
        self._dealer.trigger(read_fault(fault) if isinstance(fault, str) else fault, count)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        self._count += 1
        dice = Dice(self._seed, "request", self._count)
        wire = Wire(scope, receive, send)
        body = await wire.read_body()
        if body is None:
            return
        served = _served(scope, body, dice.id("req"))
        if self.requests.maxlen:
            self.requests.append(served)
        await self._answer(wire, served, dice)

    async def _answer(self, wire: Wire, served: Served, dice: Dice) -> None:
        fault = None
        try:
            if served.path.startswith("/v1/"):
                fault = self._dealer.deal(served.headers, dice)
            answer = self._decide(served, fault, dice)
        except Problem as problem:
            answer = problem_answer(problem, self._headers, served.request_id, dice)
            fault = None
        served.status = 0 if fault is not None and fault.name in BEFORE else answer.status
        if self._gzip and not answer.has_length and not answer.is_verbatim:
            wire.deflater = deflater() if "gzip" in served.headers.get("accept-encoding", "") else None
        if fault is None or fault.name in ANSWERED:
            is_whole = await deliver(wire, answer, self._pace, dice)
        else:
            is_whole = await fail(wire, answer, fault, served.request_id, dice)
        served.ending = "caller gone" if not is_whole else fault.name if fault is not None else "whole"

    def _decide(self, served: Served, fault: Fault | None, dice: Dice) -> Answer:
        if fault is not None and fault.name in ANSWERED:
            return fault_answer(fault, self._headers, served.request_id, dice, self._clock())
        if fault is not None and fault.name in BEFORE:
            return Answer(200, [])
        if served.method == "POST" and served.path.partition("?")[0] == "/v1/messages":
            recorded = self._replay.next(served.body)
            if recorded is not None:
                return recorded
        return self.api.answer(served, dice)


def _served(scope: Message, body: bytes, request_id: str) -> Served:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    query = scope["query_string"].decode("latin-1")
    path = scope["path"] + ("?" + query if query else "")
    return Served(scope["method"], path, headers, body, request_id)
