"""Budgets: hold the most a call can cost of every budget that is about it, before anything is spent.

The hold is settled with what the call did cost, when the ledger has its row. What cannot be afforded is refused, or
goes to a cheaper model, or gets a shorter answer, as its feature allows. A store that fails refuses, for otherwise a
limit would hold only as long as nothing breaks.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ...call import Call, Fact
from ...config.features import FeatureConfig
from ...config.schema import Config
from ...errors import StoreFailed, Unavailable
from ...layer import Next
from ...ports import Ports
from ...ports.money import Held
from ...record import Record
from ...reply import Ending, Reply, Tap
from ...spending.budget import Budget, Charged, of_key, who_asks
from ...spending.calibration import Calibration
from ...spending.ceiling import Ceiling, output_most
from ...spending.economies import asked_model, downgraded, trimmed
from ...spending.holding import Holding
from ...spending.learned import Lengths
from ...spending.refusals import over_budget, unpriced
from ...wire.prices import PriceBook, usd
from ...wire.tokens import Estimate

#: A store that is busy is asked again after so long, in seconds; then the call is refused.
_AGAIN_S = (0.02, 0.05, 0.15, 0.5, 1.0)
#: A lease outlives its call's own time by so much.
_LEASE_US = 60_000_000


class Reserved(Fact, frozen=True):
    """So much was held of these budgets, in nano-dollars."""

    nano: int
    budgets: tuple[str, ...]

    def told(self) -> str:
        return f"Held {usd(self.nano)} dollars of {', '.join(self.budgets)}."


class Slowed(Fact, frozen=True):
    """The call waited because a budget is nearly used up."""

    budget: str
    wait_us: int

    def mark(self, record: Record) -> None:
        record.wait_us += self.wait_us

    def told(self) -> str:
        return f"Waited {self.wait_us / 1e6:.2f} s, for budget {self.budget} is nearly used up."


class Budgets:
    """Holds, slows, downgrades, trims or refuses, by the budgets that a call counts to."""

    def __init__(self, config: Config, prices: PriceBook, ports: Ports) -> None:
        self._features, self._ports = config.features, ports
        self._budgets = tuple(Budget(own) for own in config.budgets)
        self._of_keys: dict[tuple[int, str], Budget] = {}
        self._ceiling, self._lengths = Ceiling(prices), Lengths()

    async def __call__(self, call: Call, onward: Next) -> Reply:
        limited = call.caller is not None and call.caller.limit_nano is not None
        is_batch = call.endpoint.name == "batches" and call.method == "POST" and call.path == "/v1/messages/batches"
        if not (self._budgets or limited) or not (call.endpoint.name == "messages" or is_batch):
            return await onward(call)
        charged = self._charged(call)
        if not charged:
            return await onward(call)
        feature = self._feature(call)
        call, estimate = await self._afforded(call, charged, feature)
        reply = await onward(call)
        return reply if estimate is None else reply.tap(self._learning(call, reply, estimate))

    def _charged(self, call: Call) -> list[Charged]:
        who = who_asks(call)
        charged = [found for one in self._budgets if (found := one.about(who, call.began_at_us)) is not None]
        caller = call.caller
        if caller is not None and caller.limit_nano is not None:
            own = self._of_key(caller.limit_nano, caller.period).about(who, call.began_at_us)
            charged += [own] if own is not None else []
        return charged

    def _of_key(self, limit_nano: int, period: str) -> Budget:
        """The budget of a key that has its own, which it shares with no other."""
        known = self._of_keys.get((limit_nano, period))
        if known is None:
            known = self._of_keys[limit_nano, period] = of_key(limit_nano, period)
        return known

    def _feature(self, call: Call) -> FeatureConfig:
        name = call.tags.feature
        found = self._features.get(name) if name is not None else None
        return found or self._features.get("default") or _PLAIN

    # -- holding ---------------------------------------------------------------------------------------------------

    async def _afforded(
        self, call: Call, charged: Sequence[Charged], feature: FeatureConfig
    ) -> tuple[Call, Estimate | None]:
        """The call as it can be paid for, with its purse, and what its input was taken for. Raises Refused."""
        if any(one.budget.config.downgrade_percent for one in charged):
            balances = (await self._hold(call, charged, 0)).balances
            for one, balance in zip(charged, balances, strict=True):
                percent = one.budget.config.downgrade_percent
                if percent and _is_past(one, balance.spent_nano + balance.held_nano, percent):
                    call = downgraded(call, one, feature.downgrade)
        nano, estimate = self._weighed(call, feature)
        held = await self._hold(call, charged, nano)
        for economy in (self._cheaper, self._shorter):
            if held.short is None:
                break
            changed = economy(call, charged, held, feature)
            if changed is not call:
                call, (nano, estimate) = changed, self._weighed(changed, feature)
                held = await self._hold(call, charged, nano)
        if held.short is not None:
            raise over_budget(charged[held.short], held.balances[held.short], nano, call.began_at_us)
        call.trail.append(Reserved(nano, tuple([one.shown for one in charged])))
        self._open_purse(call, charged, nano, feature)
        await self._slow(call, charged, held)
        return call, estimate

    def _cheaper(self, call: Call, charged: Sequence[Charged], held: Held, feature: FeatureConfig) -> Call:
        assert held.short is not None
        return downgraded(call, charged[held.short], feature.downgrade)

    def _shorter(self, call: Call, charged: Sequence[Charged], held: Held, feature: FeatureConfig) -> Call:
        if not feature.may_trim:
            return call
        return trimmed(call, charged, held, lambda tokens: self._weighed(call, feature, tokens)[0])

    def _open_purse(self, call: Call, charged: Sequence[Charged], nano: int, feature: FeatureConfig) -> None:
        async def more(lacking: int) -> None:
            held = await self._hold(call, charged, lacking)
            if held.short is not None:
                raise over_budget(
                    charged[held.short], held.balances[held.short], lacking, call.began_at_us, is_another=True
                )

        call.trail.purse = Holding(
            self._ports.budgets, call, nano, weigh=lambda attempt: self._weighed(attempt, feature)[0], more=more
        )

    async def _hold(self, call: Call, charged: Sequence[Charged], nano: int) -> Held:
        accounts = [one.account for one in charged]
        until_us = self._ports.clock.wall_us() + round(call.timeouts.total_s * 1_000_000) + _LEASE_US
        failure: StoreFailed | None = None
        for wait_s in (*_AGAIN_S, None):
            try:
                return await self._ports.budgets.hold(call.id, accounts, nano, until_us)
            except StoreFailed as error:
                failure = error
            if wait_s is not None:
                await self._ports.clock.sleep(wait_s)
        raise Unavailable(
            "Budgets cannot be checked now, so nothing may be spent: the store does not answer.",
            layer="budgets",
            code="budgets_unavailable",
            fix="Retry shortly; the operator should look at the data folder.",
            retry_after_s=2,
        ) from failure

    async def _slow(self, call: Call, charged: Sequence[Charged], held: Held) -> None:
        """Wait, as the slowest of the budgets wants it that are past their percent."""
        slowest: Charged | None = None
        for one, balance in zip(charged, held.balances, strict=True):
            own = one.budget.config
            if own.slow_percent and _is_past(one, balance.spent_nano + balance.held_nano, own.slow_percent):
                slowest = one if slowest is None or own.slow_s > slowest.budget.config.slow_s else slowest
        if slowest is not None:
            wait_s = min(slowest.budget.config.slow_s, call.timeouts.total_s / 2)
            await self._ports.clock.sleep(wait_s)
            call.trail.append(Slowed(slowest.shown, round(wait_s * 1e6)))

    # -- weighing --------------------------------------------------------------------------------------------------

    def _weighed(
        self, call: Call, feature: FeatureConfig, max_tokens: int | None = None
    ) -> tuple[int, Estimate | None]:
        """What the first candidate of a plan is held to cost, in nano-dollars, and by what estimate of its input.

        Raises Refused.
        """
        if call.endpoint.name == "batches":
            nano = self._ceiling.batch(call.body, call.began_at_us)
            if nano is None:
                raise unpriced("a model of this batch")
            return nano, None
        request, model = call.request, asked_model(call)
        if request is None or not model:
            return 0, None  # admission has refused what the API could charge for
        if max_tokens is not None:
            request = replace(request, max_tokens=max_tokens)
        estimate = self._ceiling.calibration.of(request, model, call.body)
        likely = self._lengths.expected(call.tags.feature or "", model) if feature.hold == "expected" else None
        if likely is None:
            nano = self._ceiling.most(request, call.body, model, call.began_at_us, estimate)
        else:
            tokens = min(likely, output_most(request, model))
            nano = self._ceiling.expected(request, call.body, model, call.began_at_us, estimate, tokens)
        if nano is None:
            raise unpriced(f"model {model!r}")
        return nano, estimate

    def _learning(self, call: Call, reply: Reply, estimate: Estimate) -> Tap:
        return _Learning(self._ceiling.calibration, self._lengths, call, reply, estimate)


class _Learning(Tap):
    """Notes what an answer used, for what later calls are held to cost."""

    __slots__ = ("_calibration", "_call", "_estimate", "_lengths", "_reply")

    def __init__(
        self, calibration: Calibration, lengths: Lengths, call: Call, reply: Reply, estimate: Estimate
    ) -> None:
        self._calibration, self._lengths = calibration, lengths
        self._call, self._reply, self._estimate = call, reply, estimate

    async def ended(self, ending: Ending) -> None:
        usage = self._reply.answer.usage
        if ending.kind != "complete" or usage is None or usage.iterations or self._reply.status >= 400:
            return
        model = asked_model(self._call)
        counted = usage.input_tokens + usage.cache_read_tokens
        counted += usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
        self._calibration.learn(model, self._estimate, counted)
        self._lengths.learn(self._call.tags.feature or "", model, usage.output_tokens)


_PLAIN = FeatureConfig()


def _is_past(charged: Charged, nano: int, percent: int) -> bool:
    return nano * 100 >= charged.budget.plan_nano * percent
