"""Replay: has this been answered already?

Three ways, of which the first is asked for by a header and the others by the feature: an idempotency key, one flight
for identical calls under way at once, and earlier answers given again. What is kept is a good answer, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable

from ...call import Call, Fact
from ...config.schema import ReplayConfig
from ...errors import Refused, StoreFailed, Unavailable
from ...layer import Next
from ...naming import answer_name, digest, flight_name, idempotency_name
from ...ports import Claim, Ports, StoredAnswer
from ...record import Record
from ...reply import Ending, Reply, Tap, Whole
from ...wire.reading import reading

KEY_CHARACTERS_MAX = 255
#: A call whose process was killed keeps its place no longer than this, in seconds.
LEASE_MAX_S = 3600.0
#: How long a shared answer waits for those that asked for it meanwhile.
FLIGHT_S = 2.0

_KEYED = ("messages", "count_tokens", "batches")
#: What may be given again without a key. A refusal is one of its moment.
_REUSABLE = frozenset({"end_turn", "stop_sequence", "max_tokens", "tool_use"})
#: How the layer that judges answers says that one is not of its form. Another try may do better.
_IS_INVALID = (b"x-penstock-outcome", b"invalid")
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.01, 0.25


class Replayed(Fact, frozen=True):
    """The caller got the answer of another call. `kind`: idempotency | flight | reuse."""

    call_id: str
    kind: str
    wait_us: int = 0

    def is_free(self) -> bool:
        return True

    def mark(self, record: Record) -> None:
        record.wait_us += self.wait_us

    def told(self) -> str:
        why = {"idempotency": "of the same idempotency key", "flight": "of the same request, then under way"}
        return f"Got the answer of call {self.call_id} {why.get(self.kind, 'to the same request')}."


class Unkept(Fact, frozen=True):
    """Answers could not be looked up or kept, and the call went on without."""

    message: str

    def told(self) -> str:
        return f"Answers could not be kept: {self.message}"


class Replay:
    """Gives a kept answer where there is one, and keeps good ones."""

    def __init__(self, config: ReplayConfig, ports: Ports) -> None:
        self._config, self._ports = config, ports

    async def __call__(self, call: Call, onward: Next) -> Reply:
        key = call.fields.get(b"idempotency-key") or call.fields.get(b"x-penstock-idempotency-key")
        if key is not None and call.method == "POST" and call.endpoint.name in _KEYED:
            return await self._keyed(call, onward, _checked(key))
        policy = call.plan.policy if call.plan is not None else None
        if policy is None or call.endpoint.name != "messages" or call.request is None:
            return await onward(call)
        keep_s = max(policy.reuse_s, policy.earlier_s)
        if not (keep_s or policy.is_shared) or (bytes(call.request.tools) and not policy.reuses_tools):
            return await onward(call)
        try:
            if policy.reuse_s:
                answer = await self._ports.answers.find(answer_name(call), self._ports.clock.wall_us())
                if answer is not None and answer.made_at_us >= self._ports.clock.wall_us() - policy.reuse_s * 1e6:
                    return self._given(call, answer, "reuse", 0.0)
            if policy.is_shared:
                return await self._shared(call, onward, keep_s)
        except StoreFailed as failure:
            call.trail.append(Unkept(failure.message))
            return await onward(call)
        return await self._recorded(call, onward, "", keep_s)

    async def _keyed(self, call: Call, onward: Next, key: str) -> Reply:
        """Raises Refused where the key belongs to another request, Unavailable where it cannot be looked up."""
        name, asked, began = idempotency_name(call, key), digest(call), self._ports.clock.now()
        try:
            claim = await self._claimed(call, name, asked, lambda claim: claim.digest == asked)
        except StoreFailed as failure:
            raise Unavailable(
                f"The answers of idempotency keys cannot be looked up, so it may be done twice: {failure.message}",
                layer="replay",
                code="replay_unavailable",
                fix="Retry shortly; the operator should look at the data folder.",
                retry_after_s=5,
            ) from failure
        if claim.digest != asked:
            raise Refused(
                "This idempotency key was used for another request.",
                layer="replay",
                code="idempotency_mismatch",
                fix="Use a new key for each request, and the same for its retries.",
                status=422,
                type="invalid_request_error",
            )
        if claim.answer is not None:
            return self._given(call, claim.answer, "idempotency", self._ports.clock.now() - began)
        if not claim.is_mine:
            raise Refused(
                "Another call with this idempotency key is still under way.",
                layer="replay",
                code="idempotency_in_flight",
                fix="Wait for it, or come back after its deadline.",
                status=409,
                type="conflict_error",
            )
        return await self._recorded(call, onward, name, 0.0, until_s=self._config.idempotency_s)

    async def _shared(self, call: Call, onward: Next, keep_s: float) -> Reply:
        name, began = flight_name(call), self._ports.clock.now()
        claim = await self._claimed(call, name, digest(call), lambda claim: claim.answer is None)
        if claim.answer is not None and claim.answer.made_at_us >= call.began_at_us:
            return self._given(call, claim.answer, "flight", self._ports.clock.now() - began)
        return await self._recorded(call, onward, name if claim.is_mine else "", keep_s, until_s=FLIGHT_S)

    async def _claimed(self, call: Call, name: str, asked: bytes, waits_for: Callable[[Claim], bool]) -> Claim:
        """The place, or what is in it; waits while another call is at work on it, until the deadline."""
        clock, wait_s = self._ports.clock, _FIRST_WAIT_S
        deadline = call.began + call.timeouts.total_s
        while True:
            now_us = clock.wall_us()
            lease_us = now_us + round(min(deadline - clock.now() + 1.0, LEASE_MAX_S) * 1e6)
            claim = await self._ports.answers.claim(name, asked, call.id, now_us, lease_us)
            is_settled = claim.is_mine or claim.answer is not None or not waits_for(claim)
            if is_settled or clock.now() + wait_s >= deadline:
                return claim
            await clock.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def _recorded(self, call: Call, onward: Next, place: str, keep_s: float, *, until_s: float = 0.0) -> Reply:
        """The call's own answer, noted for those who ask again: at `place` if it has one, and under its own name."""
        recorder = _Recorder(call, self._ports, self._config.body_bytes_max, place, until_s, keep_s)
        try:
            reply = await onward(call)
        except BaseException:
            await recorder.given_up()
            raise
        recorder.reply = reply
        return reply.tap(recorder)

    def _given(self, call: Call, answer: StoredAnswer, kind: str, waited_s: float) -> Reply:
        call.trail.append(Replayed(answer.call_id, kind, round(waited_s * 1e6)))
        headers = (*answer.headers, (b"x-penstock-replayed", answer.call_id.encode()))
        follow = reading(call.endpoint, answer.status, answer.headers)
        return Reply(answer.status, headers, Whole([answer.body]), reading=follow, request_id=call.id)


class _Recorder(Tap):
    """Gathers an answer as it passes, and keeps it if it was good."""

    __slots__ = ("_body", "_bytes_left", "_call", "_keep_s", "_place", "_ports", "_until_s", "reply")

    def __init__(self, call: Call, ports: Ports, bytes_max: int, place: str, until_s: float, keep_s: float) -> None:
        self._call, self._ports = call, ports
        self._place, self._until_s, self._keep_s = place, until_s, keep_s
        self._body: list[bytes] = []
        self._bytes_left = bytes_max
        self.reply: Reply | None = None

    def saw(self, chunk: bytes) -> None:
        self._bytes_left -= len(chunk)
        if self._bytes_left >= 0:
            self._body.append(chunk)
        else:
            self._body.clear()

    async def ended(self, ending: Ending) -> None:
        reply, call = self.reply, self._call
        is_good = ending.kind == "complete" and reply is not None and reply.status == 200 and self._bytes_left >= 0
        if reply is None or not is_good or any(fact.is_free() for fact in call.trail):
            return await self.given_up()
        now_us = self._ports.clock.wall_us()
        answer = StoredAnswer(call.id, reply.status, reply.headers, b"".join(self._body), now_us)
        try:
            if self._place:
                await self._ports.answers.put(self._place, call.id, answer, now_us + round(self._until_s * 1e6))
            if self._keep_s and reply.answer.stop_reason in _REUSABLE and _IS_INVALID not in reply.headers:
                await self._ports.answers.keep(answer_name(call), answer, now_us + round(self._keep_s * 1e6))
        except StoreFailed as failure:
            call.trail.append(Unkept(failure.message))

    async def given_up(self) -> None:
        """Leave the place to the next who asks."""
        if self._place:
            try:
                await self._ports.answers.release(self._place, self._call.id)
            except StoreFailed:
                return  # its lease runs out


def _checked(key: bytes) -> str:
    text = key.decode("latin-1")
    if text.isascii() and text.isprintable() and 0 < len(text) <= KEY_CHARACTERS_MAX:
        return text
    raise Refused(
        f"The idempotency key has {len(text)} characters or ones that cannot be printed.",
        layer="replay",
        code="bad_idempotency_key",
        fix=f"Give 1 to {KEY_CHARACTERS_MAX} printable ASCII characters.",
        status=400,
        type="invalid_request_error",
    )
