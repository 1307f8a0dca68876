"""Pacing: the upstream's own limits for this model and key. Wait for a turn, or go elsewhere, instead of a 429.

Limits are learned from the header fields of answers, and from the config; with none known a call passes at once. The
waiting is by `clock.sleep` alone; who is next is `Paces`' business.
"""

from __future__ import annotations

from ...call import Call, Fact
from ...config.schema import Config
from ...errors import Refused
from ...layer import Next
from ...ports import Demand, Ports, Turn
from ...record import Record
from ...reply import Ending, Reply, Tap
from ...wire.limits import group, shown
from ...wire.models import bytes_per_token
from ...wire.remedies import retry_after_s

#: Without a word of the upstream's, this long after a 429 nothing is sent, in seconds.
_CLOSED_S = 1.0
#: An expectation is an estimate: only what is this many times too long is refused before it has been waited for.
_DOUBT = 1.5


class Paced(Fact, frozen=True):
    """The call waited for its turn at an upstream."""

    scope: str
    lane: str
    wait_us: int

    def mark(self, record: Record) -> None:
        record.wait_us += self.wait_us

    def told(self) -> str:
        return f"Waited {self.wait_us / 1e6:.2f} s for its turn at {self.scope}, in the {self.lane} lane."


class Pacing:
    """Keeps each upstream, key and group of models within its limits."""

    def __init__(self, config: Config, ports: Ports) -> None:
        self._config, self._ports = config.pacing, ports
        self._hop_wait_s = config.resilience.hop_wait_s
        self._known = {
            name: {
                "requests": float(upstream.requests_per_minute),
                "input-tokens": float(upstream.input_tokens_per_minute),
                "output-tokens": float(upstream.output_tokens_per_minute),
            }
            for name, upstream in config.upstreams.items()
        }
        self._places = {name: upstream.concurrency_max for name, upstream in config.upstreams.items()}

    async def __call__(self, call: Call, onward: Next) -> Reply:
        request, plan = call.request, call.plan
        if call.endpoint.name != "messages" or request is None or request.model is None or plan is None:
            return await onward(call)
        paces, target = self._ports.paces, plan.candidates[0].target
        upstream = target.name.partition("#")[0]
        paces.limit(target.name, concurrency_max=self._places.get(upstream, 0))
        demand = Demand(
            len(call.body) / bytes_per_token(request.model),
            float(request.max_tokens or 0),
            plan.policy.lane,
            _tenant(call),
        )
        turn = paces.enter(target.name, group(request.model), demand, self._known.get(upstream, {}))
        try:
            if not turn.has_come:
                call = await self._waited(call, turn, may_hop=len(plan.candidates) > 1)
            reply = await onward(call)
        except BaseException:
            paces.leave(turn, took_nothing=True)
            raise
        if self._config.learns and (turn.tells or reply.status == 429):
            self._learn(turn, reply)
        return reply.tap(_Using(self._ports, turn, reply, learns=self._config.learns))

    async def _waited(self, call: Call, turn: Turn, *, may_hop: bool) -> Call:
        """The call with the time left once its turn has come. Raises Refused where that would be too long."""
        clock, own = self._ports.clock, self._config
        began = clock.now()
        most_s = own.background_wait_max_s if turn.lane == "background" else own.wait_max_s
        if may_hop:
            most_s = min(most_s, self._hop_wait_s)
        ends = min(began + most_s, began + call.timeouts.total_s)
        if turn.expected_s > _DOUBT * (ends - began):
            raise _busy(turn, turn.expected_s)
        while wait_s := self._ports.paces.ask(turn):
            if clock.now() + wait_s > ends:
                raise _busy(turn, max(wait_s, turn.expected_s - (clock.now() - began)))
            await clock.sleep(wait_s)
        waited_s = clock.now() - began
        call.trail.append(Paced(turn.scope, turn.lane, round(waited_s * 1e6)))
        return call.later(waited_s)

    def _learn(self, turn: Turn, reply: Reply) -> None:
        fields = dict(reply.headers)
        if limits := shown(fields):
            self._ports.paces.learn(turn, limits)
        if reply.status == 429 and fields.get(b"x-should-retry") != b"false":
            now_s = self._ports.clock.wall_us() / 1e6
            asked_s = retry_after_s(fields.get(b"retry-after-ms"), fields.get(b"retry-after"), now_s)
            self._ports.paces.close(turn, asked_s or _CLOSED_S, is_ramp=False)


class _Using(Tap):
    """Tells what an answer uses as soon as it says so, and gives its place back at its end."""

    __slots__ = ("_has_said", "_learns", "_ports", "_reply", "_turn")

    def __init__(self, ports: Ports, turn: Turn, reply: Reply, *, learns: bool) -> None:
        self._ports, self._turn, self._reply, self._learns = ports, turn, reply, learns
        self._has_said = False

    def saw(self, chunk: bytes) -> None:
        answer = self._reply.answer
        if not self._has_said and answer.is_stream and answer.usage is not None:
            self._has_said = True
            self._say(is_final=False)

    async def ended(self, ending: Ending) -> None:
        answer = self._reply.answer
        if answer.usage is not None:
            self._say(is_final=True)
        elif self._learns and answer.error_code == "ramp_limit_exceeded":
            self._ports.paces.close(self._turn, 0.0, is_ramp=True)
        self._ports.paces.leave(self._turn, took_nothing=self._reply.status >= 400)

    def _say(self, *, is_final: bool) -> None:
        usage = self._reply.answer.usage
        if usage is not None:
            written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
            self._ports.paces.correct(self._turn, usage.input_tokens + written, usage.output_tokens, is_final=is_final)


def _tenant(call: Call) -> str:
    """In whose name a call waits: between these, turns are shared fairly."""
    tags, key = call.tags, call.caller.key_id if call.caller is not None else None
    return tags.segment or key or tags.user or ""


def _busy(turn: Turn, wait_s: float) -> Refused:
    wait_s = min(wait_s, 60.0)  # limits are per minute, and a queue that is full is another one by then
    return Refused(
        f"The limits of {turn.scope} leave no room for this call for about {wait_s:.0f} s.",
        layer="pacing",
        code="upstream_busy",
        fix="Come back then, give the feature a `fallback`, or let it wait in the background lane.",
        status=429,
        type="rate_limit_error",
        retry_after_s=max(1.0, wait_s),
    )
