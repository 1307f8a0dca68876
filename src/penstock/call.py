"""What travels in: one request from one caller, and the trail its layers leave.

A `Call` is frozen; a layer that changes it hands a changed copy onward
(`msgspec.structs.replace`). The `Trail` is the exception on purpose: it is the one list that
all copies of a call share, so that the outermost layer reads what the innermost one learned.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

import msgspec

from .form import Wanted
from .record import Record
from .secret import Secret
from .wire.envelopes import Envelope
from .wire.messages import Endpoint, Request, Usage

#: What the name of a model begins with that is the name of a feature: `feature:support-chat`.
FEATURE = "feature:"

#: An attempt that could not take at least this long, in seconds, is not made.
LEAST_S = 0.05

#: Header fields in the order they came, names in lower case, as on the wire otherwise.
Headers = tuple[tuple[bytes, bytes], ...]


class Fact(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Something a layer did or learned, named by a past participle and defined beside its layer."""

    def mark(self, record: Record) -> None:
        """Write this fact's columns on the call's record. Most facts have none."""

    def may_cost(self) -> bool:
        """Whether an upstream may have billed something because of it that is not known."""
        return False

    def is_free(self) -> bool:
        """Whether the call costs nothing because of it, whatever its answer says it used."""
        return False

    def told(self) -> str:
        """This fact as one sentence, for `penstock explain`."""
        return repr(self)


class Spent(Fact, frozen=True):
    """What an answer used that the caller did not get: one that was given up, or one that a layer asked for itself.

    `aside` is what a layer wanted it for. Without `is_exact` it is what was seen until the answer was given up.
    """

    usage: Usage
    model: str
    aside: str | None = None
    is_exact: bool = False

    def may_cost(self) -> bool:
        return not self.is_exact

    def told(self) -> str:
        used = f"{self.usage.input_tokens:,} input and {self.usage.output_tokens:,} output tokens"
        if self.aside is not None:
            return f"{self.model} was asked for a {self.aside}, and used {used}."
        return f"An answer that was given up had used {used}."


F = TypeVar("F", bound=Fact)


class Purse(Protocol):
    """What budgets hold for one call. Money in nano-dollars."""

    @property
    def committed_nano(self) -> int:
        """The most that the attempts begun so far may cost together."""
        ...

    async def begin(self, call: Call) -> int:
        """An attempt is about to be made: the most it can cost, which is held from now on. Raises Refused."""
        ...

    def spared(self, nano: int) -> None:
        """An attempt for which so much was held has cost nothing."""
        ...

    async def settle(self, cost_nano: int | None, batch_id: str | None) -> None:
        """The call has ended. A cost that is not known counts as all that was committed, that of a batch until it is
        billed. Never raises."""
        ...


class Trail(list[Fact]):
    """The facts of one call, in the order they happened; and the purse it is paid from, where a budget is about it."""

    __slots__ = ("purse",)

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        super().__init__(facts)
        self.purse: Purse | None = None

    def last(self, kind: type[F]) -> F | None:
        for fact in reversed(self):
            if isinstance(fact, kind):
                return fact
        return None


class Tags(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the caller says the call is for; `prompt` is the prompt it was made of, such as `support@3`."""

    feature: str | None = None
    user: str | None = None
    session: str | None = None
    segment: str | None = None
    prompt: str | None = None


class Caller(msgspec.Struct, frozen=True):
    """Who is asking, as the identity layer established it, and what its key may spend in a period, in nano-dollars.

    `lineage` is the key whose account counts for it, where it came from another by rotation. `models` are the only ones
    it may use; None for any.
    """

    environment: str
    key_id: str | None = None
    tier: str | None = None
    limit_nano: int | None = None
    period: str = "month"
    lineage: str | None = None
    models: frozenset[str] | None = None


class Timeouts(msgspec.Struct, frozen=True):
    """How long each phase of an attempt may take, in seconds; `total_s` covers them all."""

    connect_s: float = 5.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0
    total_s: float = 3600.0


class Target(msgspec.Struct, frozen=True):
    """Where an attempt goes: an upstream, and the key it is paid with.

    `name` is the upstream's, with `#2` and so on for its further keys. `url` is scheme, host, optional port and
    optional path prefix. With `key` None the caller's own credential is sent on, as in process under an SDK client that
    already holds one. `envelope` is what requests for it go in, where it is another cloud.
    """

    name: str
    url: str
    key: Secret | None = None
    weight: int = 1
    envelope: Envelope | None = None


class Candidate(msgspec.Struct, frozen=True):
    """One way to have a call answered: where, and by which model, None for the one it names itself."""

    target: Target
    model: str | None = None


class Policy(msgspec.Struct, frozen=True):
    """What the feature of a call wants done for it, beside the plan. Times in seconds.

    `lane` is interactive or background. Where every candidate failed, an earlier answer to the same request is given
    that is at most `earlier_s` old (0: none), or else `text`. `hops_on_refusal`: a model that declines is a reason
    to go on to the next candidate, and with `hops_on_invalid` an answer that is not of its form is; `hands_over`: the
    API is asked to go on itself. `is_shared`: identical calls under way at once are one; `reuse_s`: an earlier answer
    is given without asking again; `reuses_tools`: both with tools too. `hedge_after_s`: a second try is begun beside
    the first where that has not begun to answer by then.
    """

    lane: str = "interactive"
    earlier_s: float = 0.0
    text: str | None = None
    hops_on_refusal: bool = False
    hops_on_invalid: bool = False
    hands_over: bool = False
    is_shared: bool = False
    reuse_s: float = 0.0
    reuses_tools: bool = False
    hedge_after_s: float | None = None


class Plan(msgspec.Struct, frozen=True):
    """What routing decided: whom to ask, in order, and how the call is to be treated."""

    candidates: tuple[Candidate, ...]
    policy: Policy = Policy()


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request from one caller.

    `began` is on the monotonic clock in seconds; `began_at_us` is Unix time in microseconds.
    `fields` is `headers` by name, for looking up; of a field sent twice it has the last value.
    `request` is the partial view of a JSON body, None where the endpoint has none or the body is not
    one; admission turns the latter into a refusal. `target` is set by a face that knows where the call
    must go (in process: the SDK client's own base URL) and left None where routing chooses. `tries_max` is how often
    the caller wants it tried at most, the first included; None leaves that to us. `aside` says what it is for where a
    layer makes it for itself, at work on a caller's (see `aside`); None for callers' calls. `wanted` is the form that
    the program under the SDK wants the answer in, whatever its feature does.
    """

    id: str
    face: str
    method: str
    path: str
    query: str
    headers: Headers
    fields: dict[bytes, bytes]
    body: bytes
    endpoint: Endpoint
    request: Request | None
    began: float
    began_at_us: int
    trail: Trail
    tries_max: int | None = None
    tags: Tags = Tags()
    timeouts: Timeouts = Timeouts()
    target: Target | None = None
    caller: Caller | None = None
    plan: Plan | None = None
    aside: str | None = None
    wanted: Wanted | None = None

    def later(self, seconds: float) -> Call:
        """The call when so much of its time is over."""
        left_s = max(self.timeouts.total_s - seconds, LEAST_S)
        return msgspec.structs.replace(self, timeouts=msgspec.structs.replace(self.timeouts, total_s=left_s))

    def __repr__(self) -> str:
        """Without header fields and body: those hold credentials and prompts, and a repr ends up in logs and dumps."""
        return f"Call({self.id}, {self.face}, {self.method} {self.path}, {len(self.body)} bytes)"
