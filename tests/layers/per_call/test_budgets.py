"""Budgets: what is held, what is refused, and what is done instead."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from penstock.call import Call, Caller, Tags
from penstock.config.features import FeatureConfig
from penstock.config.money import BudgetConfig
from penstock.config.schema import Config
from penstock.errors import Refused, StoreFailed, Unavailable, UpstreamFailed, rendered
from penstock.layers.per_call.budgets import Budgets, Reserved, Slowed
from penstock.layers.per_call.ledger import Ledger
from penstock.ports import Ports
from penstock.ports.money import Balance
from penstock.spending.ceiling import Ceiling
from penstock.spending.economies import Downgraded, Trimmed
from penstock.stores.memory import MemoryBudgets
from penstock.wire.prices import PriceBook
from script import HELLO, Drive, Played, a_call, a_reply, play, ports

PRICES = PriceBook()
MONTH = "2026-11"
#: 8 input and 5 output tokens of Claude Haiku 4.5, at $1 and $5 a million.
COST = 8 * 1000 + 5 * 5000


def a_budget(**keys: Any) -> BudgetConfig:
    return BudgetConfig(**{"name": "b", "limit_usd": 1, **keys})


def layer(own: Ports, *budgets: BudgetConfig, **features: FeatureConfig) -> Budgets:
    return Budgets(Config(budgets=budgets, features=features), PRICES, own)


def by(user: str | None = None, feature: str | None = None, *, limit_nano: int | None = None, **fields: Any) -> Call:
    caller = Caller("dev", "key_1", None, limit_nano, "day")
    return changed(a_call({**HELLO, **fields}, tags=Tags(feature=feature, user=user)), caller=caller)


def most(call: Call) -> int:
    assert call.request is not None and call.request.model is not None
    ceiling = Ceiling(PRICES)
    estimate = ceiling.calibration.of(call.request, call.request.model, call.body)
    found = ceiling.most(call.request, call.body, call.request.model, call.began_at_us, estimate)
    assert found is not None
    return found


def kept(own: Ports) -> MemoryBudgets:
    assert isinstance(own.budgets, MemoryBudgets)
    return own.budgets


def through(drive: Drive, own: Ports, budgets: Budgets, call: Call, answer: Any = a_reply) -> Played:
    """The call through the ledger's layer and the budgets', as in the pipeline."""
    ledger = Ledger(PRICES, own)

    async def both(passed: Call, onward: Any) -> Any:
        async def begun(further: Call) -> Any:
            if further.trail.purse is not None:
                await further.trail.purse.begin(further)
            return await onward(further)

        return await ledger(passed, lambda inner: budgets(inner, begun))

    return play(drive, both, call, answer)


def test_the_most_is_held_and_what_it_cost_is_spent(drive: Drive) -> None:
    own = ports()
    budgets, call = layer(own, a_budget()), by()
    seen: list[Balance] = []

    def while_open(passed: Call) -> Any:
        seen.append(kept(own).balances[f"b\x1f{MONTH}"])
        return a_reply(passed)

    played = through(drive, own, budgets, call, while_open)
    assert played.error is None and seen == [Balance(0, most(call))] and most(call) > COST
    assert kept(own).balances == {f"b\x1f{MONTH}": Balance(COST, 0)} and not kept(own).holds
    assert played.fact(Reserved).nano == most(call)
    (record,) = own.ledger.records  # type: ignore[attr-defined]
    assert (record.cost_nano, record.held_nano) == (COST, most(call))


def test_what_is_not_known_counts_as_all_that_was_held(drive: Drive) -> None:
    own, call = ports(), by()
    played = through(drive, own, layer(own, a_budget()), call, UpstreamFailed("No.", code="reset"))
    assert isinstance(played.error, UpstreamFailed)
    assert kept(own).balances == {f"b\x1f{MONTH}": Balance(0, 0)}, "nothing was noted to have left"


def test_a_refusal_says_which_budget_how_much_is_left_and_when_it_resets(drive: Drive) -> None:
    own = ports()
    tight = a_budget(name="support", limit_usd="0.0001", contact="Ada", timezone="Europe/Berlin")
    played = through(drive, own, layer(own, tight), by())
    assert isinstance(played.error, Refused) and played.onward == []
    status, headers, body = rendered(played.error, "c")
    said = json.loads(body)["error"]
    assert (status, said["type"], said["details"]["error_code"]) == (402, "billing_error", "budget_exhausted")
    assert dict(headers)[b"x-should-retry"] == b"false" and int(dict(headers)[b"retry-after"]) > 100_000
    assert "'support' has 0.0001 of 0.0001 dollars left" in said["message"]
    assert "resets at 2026-12-01 00:00 Europe/Berlin. Ask Ada" in said["message"]
    assert kept(own).balances == {} and not kept(own).holds
    again = through(drive, own, layer(own, a_budget(limit_usd=0, status=429)), by())
    assert isinstance(again.error, Refused) and (again.error.status, again.error.type) == (429, "rate_limit_error")


def test_a_call_counts_to_every_budget_that_is_about_it_or_to_none(drive: Drive) -> None:
    own = ports()
    budgets = layer(
        own,
        a_budget(name="all"),
        a_budget(name="chat", where={"feature": "chat"}),
        a_budget(name="users", per=("user",), limit_usd="0.001", period="day"),
        a_budget(name="prod", where={"environment": "prod"}),
    )
    assert through(drive, own, budgets, by("ada", "chat")).error is None
    day = "2026-11-20"
    assert kept(own).balances == {
        f"all\x1f{MONTH}": Balance(COST, 0),
        f"chat\x1f{MONTH}": Balance(COST, 0),
        f"users\x1f{day}\x1fada": Balance(COST, 0),
    }
    refused = through(drive, own, budgets, by("ada", "chat", max_tokens=4000))
    assert isinstance(refused.error, Refused) and "'users' of user 'ada'" in str(refused.error)
    assert kept(own).balances[f"all\x1f{MONTH}"] == Balance(COST, 0), "all or nothing"
    assert through(drive, own, budgets, by("bob")).error is None


def test_a_key_may_have_a_limit_of_its_own(drive: Drive) -> None:
    own = ports()
    budgets = layer(own)
    assert through(drive, own, budgets, by(limit_nano=10_000_000)).error is None
    played = through(drive, own, budgets, by(limit_nano=10_000_000, max_tokens=10_000))
    assert isinstance(played.error, Refused) and "each key's own 0.01, day\" of key 'key_1'" in str(played.error)
    assert through(drive, own, budgets, by(max_tokens=10_000)).error is None


def test_a_nearly_used_up_budget_slows_calls_down(drive: Drive) -> None:
    own = ports()
    budgets = layer(own, a_budget(plan_usd="0.0001", limit_usd=1, slow_percent=80, slow_s=3))
    played = through(drive, own, budgets, by())
    assert played.error is None and played.fact(Slowed).wait_us == 3_000_000
    (record,) = own.ledger.records  # type: ignore[attr-defined]
    assert record.wait_us == 3_000_000


def test_a_feature_goes_on_with_a_cheaper_model(drive: Drive) -> None:
    chat = FeatureConfig(downgrade="claude-haiku-4-5")
    asked = {"model": "claude-opus-4-8", "max_tokens": 200}
    own = ports()
    budgets = layer(own, a_budget(limit_usd="0.003"), chat=chat)
    played = through(drive, own, budgets, by(feature="chat", **asked))
    assert played.error is None and played.fact(Downgraded).model == "claude-haiku-4-5"
    (onward,) = played.onward
    assert onward.plan is not None and [one.model for one in onward.plan.candidates] == ["claude-haiku-4-5"]
    assert isinstance(through(drive, own, budgets, by(feature="other", **asked)).error, Refused)
    early = layer(ports(), a_budget(plan_usd="0.00001", downgrade_percent=50, limit_usd=5), chat=chat)
    first = through(drive, own, early, by(feature="chat", **asked))
    assert first.error is None and first.trail.last(Downgraded) is None, "nothing is spent yet"
    second = through(drive, own, early, by(feature="chat", **asked))
    assert second.error is None and second.fact(Downgraded).model == "claude-haiku-4-5"


def test_a_feature_may_have_its_answers_trimmed_to_what_is_left(drive: Drive) -> None:
    own = ports()
    budgets = layer(own, a_budget(limit_usd="0.01"), chat=FeatureConfig(may_trim=True))
    call = by(feature="chat", max_tokens=50_000)
    played = through(drive, own, budgets, call)
    trimmed = played.fact(Trimmed)
    (onward,) = played.onward
    assert trimmed.asked == 50_000 and 1_500 < trimmed.max_tokens < 2_000
    assert b'"max_tokens": %d' % trimmed.max_tokens in onward.body
    assert 9_900_000 < played.fact(Reserved).nano <= 10_000_000
    thinking = by(feature="chat", max_tokens=50_000, thinking={"type": "enabled", "budget_tokens": 40_000})
    assert isinstance(through(drive, own, budgets, thinking).error, Refused)
    tiny = layer(ports(), a_budget(limit_usd="0.0002"), chat=FeatureConfig(may_trim=True))
    assert isinstance(through(drive, own, tiny, call).error, Refused), "so short an answer is of no use"


def test_expected_holds_are_learned_from_answers(drive: Drive) -> None:
    own = ports()
    budgets = layer(own, a_budget(limit_usd="0.5"), chat=FeatureConfig(hold="expected"))
    call = by(feature="chat", max_tokens=20_000)
    held = [through(drive, own, budgets, call).fact(Reserved).nano for _ in range(22)]
    assert held[:20] == [most(call)] * 20 and held[21] < most(call) / 100


def test_a_budget_that_does_not_stop_only_counts(drive: Drive) -> None:
    own = ports()
    assert through(drive, own, layer(own, a_budget(limit_usd=0, stops=False)), by()).error is None
    assert kept(own).balances == {f"b\x1f{MONTH}": Balance(COST, 0)}


def test_a_model_without_a_price_cannot_be_held_and_is_refused(drive: Drive) -> None:
    own = ports()
    played = through(drive, own, layer(own, a_budget()), by(model="claude-new-1"))
    assert isinstance(played.error, Refused) and played.error.code == "unpriced_under_budget"


def test_batches_hold_half_of_what_their_requests_can_cost(drive: Drive) -> None:
    own = ports()
    one = {"custom_id": "a", "params": {**HELLO, "max_tokens": 1000}}
    call = a_call(json.dumps({"requests": [one, {**one, "custom_id": "b"}]}).encode(), path="/v1/messages/batches")
    call = changed(call, caller=Caller("dev"))
    played = play(drive, layer(own, a_budget()), call)
    single = by(max_tokens=1000)
    assert played.error is None and abs(played.fact(Reserved).nano - most(single)) <= 2000


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models"), ("POST", "/v1/messages/count_tokens")])
def test_what_is_free_is_not_held(drive: Drive, method: str, path: str) -> None:
    own = ports()
    call = changed(a_call(method=method, path=path), caller=Caller("dev"))
    assert play(drive, layer(own, a_budget(limit_usd=0)), call).error is None


def test_a_store_that_fails_refuses_for_otherwise_nothing_would_hold(drive: Drive) -> None:
    class Failing(MemoryBudgets):
        times = 10

        async def hold(self, *arguments: Any) -> Any:
            self.times -= 1
            if self.times >= 0:
                raise StoreFailed("Locked.")
            return await super().hold(*arguments)

    own = ports()
    failing = Failing()
    budgets = layer(replace(own, budgets=failing), a_budget())
    played = play(drive, budgets, by())
    assert isinstance(played.error, Unavailable) and played.error.code == "budgets_unavailable"
    assert play(drive, budgets, by()).error is None, "and waits a while before it does"
