"""The upstreams' own limits as this process knows them, and who waits for them: buckets, queues, calls under way.

Whoever asks whether it is their turn gives every turn that has come, in order: interactive before background, which has
one of ten; between tenants by what each has used (start-time fair queueing). What a call takes is estimated before, and
corrected when its answer says it.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Mapping

from ..ports import Clock, Demand, Pace, Turn
from ..wire.limits import PRECISION, Shown

#: One turn of so many goes to the background, where both lanes wait.
BACKGROUND_SHARE = 10
#: Waiting is asked about again after this long at the latest, and at the soonest, in seconds.
ASK_S, SOON_S = 0.25, 0.005
#: How much a new observation counts in what is expected.
_WEIGHT = 0.1
#: After the API has said that traffic grows too fast: by how much it may grow in a minute, and for how long.
RAMP_PERCENT, RAMP_S = 50, 600.0
_RAMP_LEAST = 30.0
#: Of the limit of output, kept for answers that turn out longer than expected.
_SPARE = 0.03
#: With more than half of every limit left, what answers show of them is read this often, in seconds, and else each.
_LEARN_S = 0.1
#: What is expected of a call before any has been seen.
_INPUT_TOKENS, _OUTPUT_TOKENS = 1000.0, 400.0


class _Bucket:
    """A limit per minute, refilled all the time."""

    __slots__ = ("at", "left", "limit")

    def __init__(self, limit: float, now: float) -> None:
        self.limit = self.left = limit
        self.at = now

    def refill(self, now: float) -> None:
        self.left = min(self.limit, self.left + max(0.0, now - self.at) * self.limit / 60)
        self.at = max(now, self.at)

    def wait_s(self, amount: float) -> float:
        """Seconds until `amount` is there; all there can be is enough for more than that."""
        return max(0.0, (min(amount, self.limit) - self.left) * 60 / self.limit)


class _Scope:
    """One group of models at one upstream and key."""

    def __init__(self, name: str, target: str, known: Mapping[str, float]) -> None:
        self.name, self.target, self.known = name, target, known
        self.told: Mapping[str, float] = {}
        self.buckets: dict[str, _Bucket] = {}
        self.closed_until = 0.0
        self.learned_at, self.is_near = -1e9, True
        self.lanes: dict[str, list[tuple[float, int, Turn]]] = {"interactive": [], "background": []}
        self.waiting = 0
        self.queued: dict[str, float] = dict.fromkeys(PRECISION, 0.0)
        self.under_way: dict[str, float] = dict.fromkeys(PRECISION, 0.0)
        self.virtual = 0.0
        self.finished: dict[str, float] = {}
        self.turns = 0
        self.input_seen = self.input_asked = _INPUT_TOKENS
        self.output_tokens = _OUTPUT_TOKENS
        self.ramp: _Bucket | None = None
        self.ramp_percent, self.ramp_from, self.ramp_until = 0, 0.0, float("inf")
        self.minute, self.this_minute, self.last_minute = 0, 0, 0


class Paces:
    """All of them, for all threads and loops of one process. No method waits for anything but a lock."""

    def __init__(self, clock: Clock, *, share: float = 1.0, ramp_percent: int = 0, queue_max: int = 1000) -> None:
        self._clock, self._share, self._ramp_percent, self._queue_max = clock, share, ramp_percent, queue_max
        self._scopes: dict[str, _Scope] = {}
        self._named: dict[tuple[str, str], _Scope] = {}
        self._waiting = 0
        self._targets: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._told: dict[str, Mapping[str, float]] = {}
        self._lock = threading.Lock()
        self._count = 0

    def tell(self, target: str, limits: Mapping[str, Mapping[str, float]]) -> None:
        """The limits per minute of a target, by group of models and kind, as the upstream lists them."""
        now = self._clock.now()
        with self._lock:
            for group, told in limits.items():
                self._told[f"{target} {group}"] = told
                scope = self._scopes.get(f"{target} {group}")
                if scope is not None:
                    scope.told = told
                    self._open(scope, now)

    def limit(self, target: str, *, concurrency_max: int) -> None:
        """Let no more calls be under way at a target; 0 for no limit."""
        self._places[target] = concurrency_max

    def standing(self) -> list[Pace]:
        """How every target and group that was called stands now."""
        now, made = self._clock.now(), []
        with self._lock:
            for (target, group), scope in self._named.items():
                for bucket in scope.buckets.values():
                    bucket.refill(now)
                limits = {kind: (bucket.limit, max(0.0, bucket.left)) for kind, bucket in scope.buckets.items()}
                under_way, most = self._targets.get(target, 0), self._places.get(target, 0)
                closed_s = max(0.0, scope.closed_until - now)
                made.append(Pace(target, group, limits, scope.waiting, under_way, most, closed_s))
        return made

    def enter(self, target: str, group: str, demand: Demand, known: Mapping[str, float]) -> Turn:
        """Ask for a turn. `known`: limits per minute that hold before any answer has shown them."""
        now = self._clock.now()
        with self._lock:
            scope = self._scope(target, group, known, now)
            estimate = {
                "requests": 1.0,
                "input-tokens": demand.input_tokens * scope.input_seen / scope.input_asked,
                "output-tokens": min(demand.output_tokens_max, scope.output_tokens),
            }
            turn = Turn(scope.name, estimate, demand.input_tokens, demand.lane)
            if not scope.waiting and self._is_free(scope, estimate, now):
                self._take(scope, turn)
                turn.tells = scope.is_near or now - scope.learned_at > _LEARN_S
                return turn
            is_full = scope.waiting >= self._queue_max
            turn.expected_s = float("inf") if is_full else self._expected_s(scope, turn, now)
            self._queue(scope, turn, demand.tenant)
            self._give(scope, now)
            return turn

    def ask(self, turn: Turn) -> float:
        """0.0 where it has come; else in how many seconds to ask again."""
        if turn.has_come:
            return 0.0
        now = self._clock.now()
        with self._lock:
            scope = self._scopes[turn.scope]
            self._give(scope, now)
            if turn.has_come:
                return 0.0
            return min(ASK_S, max(SOON_S, self._wait_s(scope, turn, now)))

    def leave(self, turn: Turn, *, took_nothing: bool = False) -> None:
        """Give up a turn that has not come, or end one that has, which may have taken nothing of the limits."""
        now = self._clock.now()
        with self._lock:
            scope = self._scopes[turn.scope]
            if turn.has_left:
                return
            turn.has_left = True
            if turn.has_come:
                self._targets[scope.target] -= 1
                for kind, amount in turn.estimate.items():
                    scope.under_way[kind] -= amount
                    bucket = scope.buckets.get(kind)
                    if took_nothing and not turn.is_corrected and bucket is not None:
                        bucket.left = min(bucket.limit, bucket.left + amount)
            else:
                self._unqueue(scope, turn)
            if self._waiting:
                for other in self._scopes.values():
                    if other.waiting and other.target == scope.target:
                        self._give(other, now)

    def learn(self, turn: Turn, limits: Mapping[str, Shown]) -> None:
        """What an answer's head shows: the limits, and what is left of them."""
        now = self._clock.now()
        with self._lock:
            scope = self._scopes[turn.scope]
            scope.learned_at = now
            for kind, shown in limits.items():
                self._learn(scope, kind, shown, turn, now)

    def close(self, turn: Turn, seconds: float, *, is_ramp: bool) -> None:
        """The upstream refused for so long. `is_ramp`: because traffic grew too fast."""
        now = self._clock.now()
        with self._lock:
            scope = self._scopes[turn.scope]
            scope.closed_until = max(scope.closed_until, now + seconds)
            if is_ramp:
                self._hold_growth(scope, now, self._ramp_percent or RAMP_PERCENT, now + RAMP_S)

    def correct(self, turn: Turn, input_tokens: float, output_tokens: float, *, is_final: bool) -> None:
        """What an answer says it used, uncached input and output: instead of the estimate, and for those to come."""
        now = self._clock.now()
        with self._lock:
            scope = self._scopes[turn.scope]
            if not turn.is_corrected:
                # By tokens, not by calls: what the sum of many comes to is what the limit is about.
                scope.input_seen += _WEIGHT * (input_tokens - scope.input_seen)
                scope.input_asked += _WEIGHT * (turn.input_tokens - scope.input_asked)
            turn.is_corrected = True
            self._correct(scope, turn, "input-tokens", float(input_tokens), now)
            if is_final:
                scope.output_tokens += _WEIGHT * (output_tokens - scope.output_tokens)
                self._correct(scope, turn, "output-tokens", float(output_tokens), now)
            if scope.waiting:
                self._give(scope, now)

    # -- under the lock ----------------------------------------------------------------------------------------

    def _correct(self, scope: _Scope, turn: Turn, kind: str, amount: float, now: float) -> None:
        estimate, bucket = turn.estimate[kind], scope.buckets.get(kind)
        if bucket is not None and turn.has_come:
            bucket.refill(now)
            bucket.left = min(bucket.limit, bucket.left + estimate - amount)
        scope.under_way[kind] += amount - estimate
        turn.estimate[kind] = amount

    def _learn(self, scope: _Scope, kind: str, shown: Shown, turn: Turn, now: float) -> None:
        cap = scope.known.get(kind, 0.0)
        limit = min(shown.limit, cap or shown.limit) * self._share
        left = shown.left * self._share
        bucket = scope.buckets.get(kind)
        if bucket is None:
            bucket = scope.buckets[kind] = _Bucket(limit, now)
        bucket.refill(now)
        bucket.limit = limit
        # Others may use the key too; and not all calls under way are in what is shown, nor is it shown to the token.
        unseen = max(0.0, scope.under_way[kind] - turn.estimate[kind])
        doubt = PRECISION[kind] if limit > 20 * PRECISION[kind] else 0.0
        least = left - PRECISION[kind] - unseen if limit >= shown.limit * self._share else 0.0
        most = left - (unseen if kind == "output-tokens" else doubt)  # output counts once it has been made
        bucket.left = min(max(bucket.left, least), max(most, least), limit)

    def _scope(self, target: str, group: str, known: Mapping[str, float], now: float) -> _Scope:
        scope = self._named.get((target, group))
        if scope is None:
            name = f"{target} {group}"
            scope = self._scopes[name] = self._named[target, group] = _Scope(name, target, known)
            scope.told = self._told.get(name, {})
            self._open(scope, now)
            if self._ramp_percent:
                self._hold_growth(scope, now, self._ramp_percent, float("inf"))
        return scope

    def _open(self, scope: _Scope, now: float) -> None:
        """Buckets for what is known without an answer: the lower of what the config and the upstream say."""
        for kind in PRECISION:
            limits = [limit for limit in (scope.known.get(kind, 0.0), scope.told.get(kind, 0.0)) if limit]
            if not limits:
                continue
            limit, bucket = min(limits) * self._share, scope.buckets.get(kind)
            if bucket is None:
                scope.buckets[kind] = _Bucket(limit, now)
            else:
                bucket.refill(now)
                bucket.limit, bucket.left = limit, min(bucket.left, limit)

    def _queue(self, scope: _Scope, turn: Turn, tenant: str) -> None:
        start = max(scope.virtual, scope.finished.get(tenant, 0.0))
        scope.finished[tenant] = start + 1.0 + turn.estimate["input-tokens"] + turn.estimate["output-tokens"]
        self._count += 1
        heapq.heappush(scope.lanes[turn.lane], (start, self._count, turn))
        scope.waiting += 1
        self._waiting += 1
        for kind, amount in turn.estimate.items():
            scope.queued[kind] += amount

    def _unqueue(self, scope: _Scope, turn: Turn) -> None:
        """No longer waiting. Its place in the heap is passed over when it comes up."""
        scope.waiting -= 1
        self._waiting -= 1
        for kind, amount in turn.estimate.items():
            scope.queued[kind] -= amount
        if not scope.waiting:
            scope.virtual, scope.finished = 0.0, {}
            scope.lanes = {lane: [] for lane in scope.lanes}

    def _give(self, scope: _Scope, now: float) -> None:
        """Every turn that has come."""
        if not scope.waiting:
            return
        for bucket in scope.buckets.values():
            bucket.refill(now)
        self._grow(scope, now)
        while scope.waiting:
            lane = self._next_lane(scope)
            start, _, turn = scope.lanes[lane][0]
            if self._head_wait_s(scope, turn, now) > 0:
                return
            heapq.heappop(scope.lanes[lane])
            scope.virtual = max(scope.virtual, start)
            self._take(scope, turn)
            self._unqueue(scope, turn)

    def _is_free(self, scope: _Scope, estimate: Mapping[str, float], now: float) -> bool:
        """Whether a turn that nobody waits before comes at once; nearly all do, and need no queue."""
        if scope.ramp is not None or scope.closed_until > now:
            return False
        if int(now // 60) != scope.minute:
            self._grow(scope, now)
        most = self._places.get(scope.target, 0)
        if most and self._targets.get(scope.target, 0) >= most:
            return False
        scope.is_near = not scope.buckets
        for kind, bucket in scope.buckets.items():
            limit = bucket.limit
            left = bucket.left + (now - bucket.at) * limit / 60
            bucket.left, bucket.at = left if left < limit else limit, now
            spare = _SPARE * limit if kind == "output-tokens" else 0.0
            if bucket.left < estimate[kind] + spare:
                return False
            if 2 * left < limit:
                scope.is_near = True
        return True

    def _take(self, scope: _Scope, turn: Turn) -> None:
        turn.has_come = True
        scope.turns += 1
        self._targets[scope.target] = self._targets.get(scope.target, 0) + 1
        scope.this_minute += 1
        if scope.ramp is not None:
            scope.ramp.left -= 1
        for kind, amount in turn.estimate.items():
            scope.under_way[kind] += amount
            bucket = scope.buckets.get(kind)
            if bucket is not None:
                bucket.left -= amount

    def _next_lane(self, scope: _Scope) -> str:
        for lane in scope.lanes.values():
            while lane and lane[0][2].has_left:
                heapq.heappop(lane)
        interactive, background = scope.lanes["interactive"], scope.lanes["background"]
        is_their_turn = bool(background) and scope.turns % BACKGROUND_SHARE == BACKGROUND_SHARE - 1
        return "background" if is_their_turn or not interactive else "interactive"

    def _head_wait_s(self, scope: _Scope, turn: Turn, now: float) -> float:
        most = self._places.get(scope.target, 0)
        if most and self._targets.get(scope.target, 0) >= most:
            return ASK_S
        waits = [scope.closed_until - now]
        for kind, bucket in scope.buckets.items():
            spare = _SPARE * bucket.limit if kind == "output-tokens" else 0.0
            waits.append(bucket.wait_s(turn.estimate[kind] + spare))
        if scope.ramp is not None:
            waits.append(scope.ramp.wait_s(1.0))
        return max(0.0, *waits)

    def _wait_s(self, scope: _Scope, turn: Turn, now: float) -> float:
        lane = self._next_lane(scope)
        head = scope.lanes[lane][0][2]
        wait_s = self._head_wait_s(scope, head, now)
        return wait_s if head is turn else wait_s + SOON_S

    def _expected_s(self, scope: _Scope, turn: Turn, now: float) -> float:
        """How long it will wait by what is known now: for all who wait already, and itself."""
        waits = [0.0, scope.closed_until - now]
        for kind, bucket in scope.buckets.items():
            bucket.refill(now)
            asked = scope.queued[kind] + min(turn.estimate[kind], bucket.limit)
            waits.append((asked - bucket.left) * 60 / bucket.limit)
        return max(waits)

    def _hold_growth(self, scope: _Scope, now: float, percent: int, until: float) -> None:
        rate = max(_RAMP_LEAST, float(max(scope.this_minute, scope.last_minute)))
        scope.ramp = _Bucket(rate, now)
        scope.ramp.left = rate / 6
        scope.ramp_percent, scope.ramp_from, scope.ramp_until = percent, now, until

    def _grow(self, scope: _Scope, now: float) -> None:
        """What may be sent grows by so much a minute, for as long as it is held back at all."""
        minute = int(now // 60)
        if minute != scope.minute:
            scope.last_minute = scope.this_minute if minute == scope.minute + 1 else 0
            scope.minute, scope.this_minute = minute, 0
        ramp = scope.ramp
        if ramp is None:
            return
        if now >= scope.ramp_until:
            scope.ramp = None
            return
        while now - scope.ramp_from >= 60:
            scope.ramp_from += 60
            ramp.limit *= 1 + scope.ramp_percent / 100
        ramp.refill(now)
        ramp.left = min(ramp.left, ramp.limit / 6)  # ten seconds' worth at once at most
