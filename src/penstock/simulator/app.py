"""The simulated API as an ASGI application."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from typing import TypedDict

import msgspec

from .accounts import Accounts, ApiKey, made_key
from .answer import Answer, fault_answer, problem_answer
from .api import Api, Served
from .books import Books, Entry
from .control import Control
from .delivery import Head, Piece, Step, delivered, failed
from .dice import Dice
from .distortion import altered
from .faults import Fault, Faults, read_fault
from .headers import Headers
from .limits import Limits
from .pace import MeasuredPace, Pace
from .problems import Problem
from .replay import Recorded, Replay
from .reports import Drift
from .schedule import Dealer, Rule, read_rule
from .script import Line, Script
from .spend import Caps
from .toxics import poisoned
from .wire import Message, Wire, deflater


class Options(TypedDict, total=False):
    """What a simulator can be told; all optional.

    seed                 the same seed and the same requests in the same order give the same bytes (0)
    key                  the API key it accepts; made from the seed where not given
    keys                 further keys, of other workspaces or organizations
    accept_any           accept every credential, as the first key's (False)
    limits               what an organization may use per minute (shown, not enforced)
    caps                 what an organization may spend (without end)
    drift                what is wrong with the usage and cost reports (nothing)
    faults               shares of faults, seeded
    schedule             rules for faults: `Rule`s, or texts such as "overloaded 30% from 10s to 40s"
    answers              what the model says instead: `Cue`s, pairs (text the prompt contains, answer) or functions of
                         the request; an answer is a text or a list of content blocks; the first that fits counts
    replay               recorded answers to POST /v1/messages, served before any others
    pace                 how fast it answers: `Pace(…)`, or `Pace.measured(scale)` by model (at once)
    control_key          lets other machines use `/simulator/…`; without one only this machine may
    allow_fault_headers  whether a request may ask for a fault by `x-simulator-fault: NAME[:NUMBER]` (False)
    strict_betas         refuse beta names that the simulator does not know (False: they pass, and what they may bring)
    is_lean              answer from bytes made once, for benchmarks: checks nothing, keeps no books (False)
    keep_requests        how many of the last requests `requests` and `books` remember (1000)
    gzip                 compress good answers for callers that accept it, streams piece by piece (False)
    batch_s              how long a batch takes, seconds (0.2)
    clock                Unix time in seconds, for dates and lifetimes
    """

    seed: int
    key: str | None
    keys: Sequence[ApiKey]
    accept_any: bool
    limits: Limits
    caps: Caps
    drift: Drift
    faults: Faults
    schedule: Sequence[Rule | str]
    answers: Sequence[Line]
    replay: Iterable[Recorded]
    pace: Pace | MeasuredPace
    control_key: str | None
    allow_fault_headers: bool
    strict_betas: bool
    is_lean: bool
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
        keys: Sequence[ApiKey] = (),
        accept_any: bool = False,
        limits: Limits | None = None,
        caps: Caps | None = None,
        drift: Drift | None = None,
        faults: Faults | None = None,
        schedule: Sequence[Rule | str] = (),
        answers: Sequence[Line] = (),
        replay: Iterable[Recorded] = (),
        pace: Pace | MeasuredPace | None = None,
        control_key: str | None = None,
        allow_fault_headers: bool = False,
        strict_betas: bool = False,
        is_lean: bool = False,
        keep_requests: int = 1000,
        gzip: bool = False,
        batch_s: float = 0.2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.key = key if key is not None else made_key(seed)
        self.is_lean = is_lean
        self.admin_key = made_key(seed, "admin", "admin01")
        self.requests: deque[Served] = deque(maxlen=keep_requests)
        self.books = Books(keep_requests)
        self._seed = seed
        self._pace: Pace | MeasuredPace = pace or Pace()
        self._clock = clock
        self._gzip = gzip
        self._headers = Headers(clock)
        self._accounts = Accounts(
            [ApiKey(self.key), ApiKey(self.admin_key, is_admin=True), *keys], seed, accept_any=accept_any
        )
        self.script = Script(answers)
        self.api = Api(
            seed=seed,
            accounts=self._accounts,
            headers=self._headers,
            books=self.books,
            limits=limits or Limits(),
            caps=caps or Caps(),
            drift=drift or Drift(),
            script=self.script,
            batch_s=batch_s,
            strict_betas=strict_betas,
            now=clock,
        )
        rules = [read_rule(rule) if isinstance(rule, str) else rule for rule in schedule]
        self.dealer = Dealer(faults or Faults(), rules, clock, may_ask=allow_fault_headers)
        self._control = Control(self.dealer, self.books, control_key)
        self._replay = Replay(replay)
        self._count = 0

    def trigger(self, fault: str | Fault, count: int = 1) -> None:
        """Let the next `count` requests meet a fault: NAME or NAME:NUMBER. Raises ValueError for an unknown one."""
        self.dealer.trigger(read_fault(fault) if isinstance(fault, str) else fault, count)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        wire = Wire(scope, receive, send)
        body = await wire.read_body()
        if body is None:
            return
        served = _served(scope, body)
        answer, steps = self.exchange(served)
        if self._gzip and not answer.has_length and not answer.is_verbatim:
            wire.deflater = deflater() if "gzip" in served.headers.get("accept-encoding", "") else None
        try:
            await wire.play(steps)
        finally:
            steps.close()

    def exchange(self, served: Served) -> tuple[Answer, Generator[Step, None, None]]:
        """What becomes of a request: its answer, and the steps in which that leaves.

        Whoever takes the steps closes them when done, or where the caller goes.
        """
        if served.path.startswith("/simulator/"):
            return self._controlled(served)
        self._count += 1
        dice = Dice(self._seed, "request", self._count)
        served.request_id = dice.numbered_id("req", self._count)
        if self.requests.maxlen:
            self.requests.append(served)
        entry = Entry(request_id=served.request_id, at_s=self._clock(), method=served.method, path=served.path)
        fault = None
        try:
            if served.path.startswith("/v1/"):
                fault = self.dealer.deal(served.headers, served.path, _model_of(served.body), dice)
                if fault is None and served.method == "POST" and _place(served) == "/v1/messages":
                    fault = self.api.messages.cued(served.body)
                entry.fault = None if fault is None else fault.name
            answer = self._decide(served, entry, fault, dice)
        except Problem as problem:
            answer = problem_answer(problem, self._headers, served.request_id, dice, served.caller)
            entry.error_type, entry.error_code = problem.kind, problem.code
            fault = entry.fault = None
        self.books.enter(entry)
        return answer, _watched(self._steps(answer, fault, served, dice), served, entry, answer, self._clock)

    def _controlled(self, served: Served) -> tuple[Answer, Generator[Step, None, None]]:
        """Its own endpoints: not remembered, not in the books, and no request that seeded draws would count."""
        dice = Dice(self._seed, "control")
        try:
            answer = self._control.answer(served.method, served.path, served.headers, served.body, served.client)
        except Problem as problem:
            answer = problem_answer(problem, self._headers, dice.id("req"), dice, None)
        return answer, (step for step in delivered(answer, Pace(), dice))

    def _steps(self, answer: Answer, fault: Fault | None, served: Served, dice: Dice) -> Iterator[Step]:
        when = "" if fault is None else fault.kind.when
        if fault is not None and when in ("before", "during"):
            return failed(answer, fault, served.request_id, dice)
        if fault is not None and when == "altered":
            answer = altered(answer, fault.name, dice)
        steps = delivered(answer, self._pace, dice)
        return poisoned(steps, fault, dice) if fault is not None and when == "socket" else steps

    def _decide(self, served: Served, entry: Entry, fault: Fault | None, dice: Dice) -> Answer:
        if fault is not None and fault.kind.when == "answered":
            caller = self._accounts.first
            return fault_answer(fault, self._headers, served.request_id, dice, caller, self._clock())
        if fault is not None and (fault.kind.when == "before" or fault.name == "down"):
            return Answer(200, [])  # nobody has read the request, nothing is charged
        if served.method == "POST" and _place(served) == "/v1/messages":
            recorded = self._replay.next(served.body)
            if recorded is not None:
                return recorded
        return self.api.answer(served, entry, dice)


def _watched(
    steps: Iterator[Step], served: Served, entry: Entry, answer: Answer, clock: Callable[[], float]
) -> Generator[Step, None, None]:
    """The steps, with what became of them noted: when the answer begins, and once, when it is over."""
    sent, whole = 0, sum(map(len, answer.parts)) or 1
    has_ended = False
    try:
        for step in steps:
            if type(step) is Head:
                served.status = entry.status = step.status
                answer.began()
            yield step
            if type(step) is Piece:
                sent += len(step.data)
        has_ended = True
    finally:
        entry.took_s = clock() - entry.at_s
        served.ending = entry.ending = (entry.fault or "whole") if has_ended else "caller gone"
        answer.ended(min(1.0, sent / whole) if served.status else 0.0)


def _served(scope: Message, body: bytes) -> Served:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    query = scope["query_string"].decode("latin-1")
    path = scope["path"] + ("?" + query if query else "")
    client = scope.get("client") or ("",)
    return Served(scope["method"], path, headers, body, client=client[0])


def _place(served: Served) -> str:
    return served.path.partition("?")[0]


class _Asked(msgspec.Struct):
    """What rules look at in a body."""

    model: str = ""


_ASKED = msgspec.json.Decoder(_Asked)


def _model_of(body: bytes) -> str:
    try:
        return _ASKED.decode(body).model
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
