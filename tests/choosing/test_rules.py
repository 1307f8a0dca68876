"""Rules, arms and qualities: which model a call goes to, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace as with_config
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.call import Caller, Tags
from penstock.choosing.chooser import Chosen, Unfit
from penstock.config.features import FeatureConfig
from penstock.config.money import BudgetConfig
from penstock.config.routes import (
    ArmConfig,
    QualityConfig,
    RouteConfig,
    ShadowConfig,
    SplitConfig,
    WhenConfig,
)
from penstock.config.schema import Config
from penstock.errors import ConfigError, StoreFailed, UpstreamFailed
from penstock.layers.per_call.routing import Named, Routed, Routing
from penstock.ports import Ports
from penstock.ports.money import Account
from penstock.ports.simulated import EPOCH_US
from penstock.record import Record
from penstock.wire.models import shipped
from script import HELLO, UPSTREAM, Drive, Played, a_call, a_reply, play, ports, routes

NAMED = {**HELLO, "model": "feature:chat"}
LONG = {**NAMED, "messages": [{"role": "user", "content": "river " * 3000}]}
FAST, BALANCED, TOP = "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"


def rule(model: str | None = None, **when: Any) -> RouteConfig:
    does = {name: when.pop(name) for name in ("quality", "max_tokens", "lane") if name in when}
    return RouteConfig(when=WhenConfig(**when), model=model, **does)


def asked(
    drive: Drive,
    *rules: RouteConfig,
    body: Any = None,
    tier: str | None = None,
    models: frozenset[str] | None = None,
    config: Config | None = None,
    own: Ports | None = None,
    at_us: int | None = None,
    user: str | None = None,
    answer: Any = a_reply,
    **feature: Any,
) -> Played:
    chat = FeatureConfig(**{"quality": "balanced", **feature}, routes=rules)
    config = with_config(config or Config(), features={"chat": chat})
    own = own or ports()
    if at_us is not None:
        own.clock._now_s = (at_us - EPOCH_US) / 1e6  # type: ignore[attr-defined]
    call = a_call(body or NAMED, plan=None, tags=Tags(feature="chat", user=user))
    call = replace(call, caller=Caller("dev", "key_1", tier, models=models))
    return play(drive, Routing(config, routes(UPSTREAM), own), call, answer)


def sent(played: Played) -> dict[str, Any]:
    assert played.error is None, played.error
    body: dict[str, Any] = json.loads(played.onward[0].body)
    return body


def test_the_qualities_are_the_newest_models_in_service() -> None:
    for family, model in (("haiku", FAST), ("sonnet", BALANCED), ("opus", TOP)):
        alive = [one for one in shipped().all if family in one.id and one.state == "active" and one.released]
        assert max(alive, key=lambda one: str(one.released)).id == model
    assert QualityConfig() == QualityConfig(TOP, BALANCED, FAST)


def test_a_feature_has_the_model_of_its_quality_unless_it_names_one(drive: Drive) -> None:
    played = asked(drive)
    assert sent(played)["model"] == BALANCED and played.fact(Named).model == BALANCED
    assert played.trail.last(Chosen) is None, "nothing was chosen"
    assert sent(asked(drive, model="claude-opus-5"))["model"] == "claude-opus-5"


@pytest.mark.parametrize(
    ("when", "body", "fits"),
    [
        ({}, NAMED, True),
        ({"tokens_over": 1000}, LONG, True),
        ({"tokens_over": 1000}, NAMED, False),
        ({"tokens_up_to": 1000}, NAMED, True),
        ({"tokens_up_to": 1000}, LONG, False),
        ({"tiers": ("free", "default")}, NAMED, True),
        ({"tiers": ("free",)}, NAMED, False),
        ({"tasks": ("chat",)}, NAMED, True),
        ({"tasks": ("summary",)}, NAMED, False),
        ({"tokens_up_to": 1000, "tiers": ("free",)}, NAMED, False),
    ],
)
def test_a_rule_fits_where_all_it_says_holds(drive: Drive, when: dict[str, Any], body: Any, fits: bool) -> None:
    played = asked(drive, rule("claude-opus-5", **when), body=body, task="chat")
    assert sent(played)["model"] == ("claude-opus-5" if fits else BALANCED)
    assert (played.trail.last(Chosen) is not None) is fits


#: EPOCH is a Friday, midnight in UTC.
@pytest.mark.parametrize(
    ("hours", "weekdays", "zone", "at_h", "fits"),
    [
        ("22:00-06:00", (), "UTC", 0.0, True),
        ("22:00-06:00", (), "UTC", 5.99, True),
        ("22:00-06:00", (), "UTC", 6.0, False),
        ("22:00-06:00", (), "UTC", 22.0, True),
        ("09:00-17:00", (), "UTC", 12.0, True),
        ("09:00-17:00", (), "UTC", 17.0, False),
        ("00:30-02:00", (), "Europe/Berlin", 0.0, True),
        (None, ("fri",), "UTC", 23.0, True),
        (None, ("fri",), "Europe/Berlin", 23.0, False),
        (None, ("sat", "sun"), "UTC", 23.0, False),
        ("22:00-06:00", ("sat",), "America/New_York", 51.5, True),
    ],
)
def test_hours_and_days_are_those_of_the_time_zone(
    drive: Drive, hours: str | None, weekdays: tuple[str, ...], zone: str, at_h: float, fits: bool
) -> None:
    own = rule("claude-opus-5", hours=hours, weekdays=weekdays, timezone=zone)
    played = asked(drive, own, at_us=EPOCH_US + round(at_h * 3_600_000_000))
    assert (sent(played)["model"] == "claude-opus-5") is fits


def test_a_rule_asks_what_is_left_of_a_budget_and_holds_nothing_of_it(drive: Drive) -> None:
    config = Config(budgets=(BudgetConfig(name="users", per=("user",), limit_usd="1"),))
    own = ports()
    account = Account("users\x1f2026-11\x1fada", 1_000_000_000, 0)

    async def spend(nano: int) -> None:
        await own.budgets.hold("other", [account], nano, 1 << 62)

    low = rule("claude-haiku-4-5", budget="users", left_below_percent=20)
    models = []
    for nano in (0, 800_000_000, 1_000_000):
        if nano:
            drive(spend(nano))
        models.append(sent(asked(drive, low, config=config, own=own, user="ada"))["model"])
    assert models == [BALANCED, BALANCED, "claude-haiku-4-5"]
    assert sent(asked(drive, low, config=config, own=own, user="bob"))["model"] == BALANCED
    assert own.budgets.balances[account.name].held_nano == 801_000_000  # type: ignore[attr-defined]
    played = asked(drive, low, config=config, own=own, user="ada")
    assert played.fact(Chosen).because == "budget 'users' of user 'ada' has 19 % left"


def test_a_store_that_does_not_answer_makes_no_call_fit(drive: Drive) -> None:
    class Locked:
        async def hold(self, *_: object) -> None:
            raise StoreFailed("Locked.")

    own = ports()
    object.__setattr__(own, "budgets", Locked())
    config = Config(budgets=(BudgetConfig(name="all", limit_usd="1"),))
    low = rule("claude-haiku-4-5", budget="all", left_below_percent=20)
    assert sent(asked(drive, low, config=config, own=own))["model"] == BALANCED


def test_the_first_rule_that_fits_counts_those_of_the_feature_before_those_of_all(drive: Drive) -> None:
    shared = Config(routes=(rule("claude-opus-4-8"),))
    played = asked(drive, rule("a", tiers=("free",)), rule("claude-opus-5"), rule("b"), config=shared)
    assert sent(played)["model"] == "claude-opus-5"
    assert sent(asked(drive, rule("a", tiers=("free",)), config=shared))["model"] == "claude-opus-4-8"


def test_a_rule_may_leave_the_model_and_shorten_the_answer_or_change_the_lane(drive: Drive) -> None:
    played = asked(drive, rule(max_tokens=16, lane="background"))
    assert (sent(played)["model"], sent(played)["max_tokens"]) == (BALANCED, 16)
    assert played.onward[0].plan is not None and played.onward[0].plan.policy.lane == "background"
    assert played.fact(Routed).lane == "background"
    assert played.fact(Chosen).told() == (
        f"Goes to {BALANCED}, with max_tokens: 64 became 16, because a rule is for every call."
    )
    assert sent(asked(drive, rule(max_tokens=4096)))["max_tokens"] == 64, "never a longer one"


def test_a_request_is_adapted_to_the_model_it_goes_to(drive: Drive) -> None:
    body = {**NAMED, "max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 2000}}
    played = asked(drive, rule("claude-opus-4-8"), body=body, model="claude-haiku-4-5")
    assert sent(played)["thinking"]["type"] == "adaptive"
    assert "thinking: enabled became adaptive" in played.fact(Chosen).changes
    record = Record(call_id="c", began_at_us=0, face="client", method="POST", path="/v1/messages", endpoint="messages")
    played.fact(Chosen).mark(record)
    assert (record.model_asked, record.arm) == ("claude-opus-4-8", None)


def test_what_the_model_cannot_take_or_the_key_not_use_goes_on_to_the_next_rule(drive: Drive) -> None:
    turns = [*HELLO["messages"], {"role": "assistant", "content": "It is"}]  # type: ignore[misc]
    body = {**NAMED, "messages": turns}
    played = asked(drive, rule("claude-opus-5"), rule("claude-haiku-4-5"), body=body, model="claude-opus-4-5")
    assert sent(played)["model"] == "claude-haiku-4-5"
    assert played.fact(Unfit).told().startswith("claude-opus-5 was not chosen: the model does not go on")
    may = frozenset({BALANCED})
    played = asked(drive, rule("claude-opus-5"), models=may)
    assert sent(played)["model"] == BALANCED
    assert played.fact(Unfit).reason == "its key may not use it"


def test_a_caller_who_names_a_model_means_it_unless_the_feature_chooses_for_all(drive: Drive) -> None:
    assert sent(asked(drive, rule("claude-opus-5"), body=HELLO))["model"] == HELLO["model"]
    assert sent(asked(drive, rule("claude-opus-5"), body=HELLO, chooses="all"))["model"] == "claude-opus-5"
    played = asked(drive, body=HELLO, chooses="all")
    assert sent(played)["model"] == BALANCED
    assert played.fact(Chosen).instead_of == HELLO["model"]
    same = asked(drive, body={**HELLO, "model": BALANCED}, chooses="all")
    assert same.onward[0].body == json.dumps({**HELLO, "model": BALANCED}).encode(), "not a byte is changed"
    assert (
        sent(asked(drive, body=HELLO, chooses="all", models=frozenset({str(HELLO["model"])})))["model"]
        == HELLO["model"]
    )


# --- splits ------------------------------------------------------------------------------------------------------

CANARY = SplitConfig(arms=(ArmConfig(name="b", share_percent=50, model="claude-haiku-4-5"),))


def test_arm_and_control_are_on_the_record_and_rules_come_first(drive: Drive) -> None:
    arms: dict[str, str] = {}
    for number in range(40):
        played = asked(drive, split=CANARY, user=f"u{number}")
        arms[played.fact(Chosen).arm] = sent(played)["model"]
        again = asked(drive, split=CANARY, user=f"u{number}")
        assert again.fact(Chosen).arm == played.fact(Chosen).arm
    assert arms == {"chat/b": "claude-haiku-4-5", "chat/control": BALANCED}
    assert asked(drive, rule("claude-opus-5"), split=CANARY, user="u1").fact(Chosen).arm is None


def test_a_call_that_an_arm_cannot_take_stays_in_it(drive: Drive) -> None:
    """Left out of one arm alone, hard requests would make it look better than it is."""
    arms = SplitConfig(arms=(ArmConfig(name="b", share_percent=100, model="claude-opus-5"),))
    turns = [*HELLO["messages"], {"role": "assistant", "content": "It is"}]  # type: ignore[misc]
    played = asked(drive, split=arms, body={**NAMED, "messages": turns}, model="claude-opus-4-5")
    assert sent(played)["model"] == "claude-opus-4-5" and played.fact(Chosen).arm == "chat/b"


def test_a_key_that_may_not_use_every_arm_is_in_none(drive: Drive) -> None:
    for number in range(10):
        played = asked(drive, split=CANARY, user=f"u{number}", models=frozenset({BALANCED}))
        assert sent(played)["model"] == BALANCED and played.trail.last(Chosen) is None


def test_a_canary_whose_calls_fail_is_stopped(drive: Drive) -> None:
    split = SplitConfig(
        arms=(ArmConfig(name="b", share_percent=100, model="claude-haiku-4-5", stop_at_error_percent=10),)
    )
    config = Config(features={"chat": FeatureConfig(quality="balanced", split=split)})
    layer = Routing(config, routes(UPSTREAM), ports())

    def one(answer: Any) -> Played:
        call = a_call(NAMED, plan=None, tags=Tags(feature="chat"))
        return play(drive, layer, replace(call, caller=Caller("dev")), answer)

    for number in range(22):
        answer = (lambda call: a_reply(call, 500, b"{}")) if number in (4, 9) else a_reply
        assert sent(one(answer))["model"] == "claude-haiku-4-5"
    one(UpstreamFailed("Cut.", code="reset"))  # the third of 23
    played = one(a_reply)
    assert sent(played)["model"] == BALANCED
    assert played.fact(Chosen).because == "arm 'b' of split 'chat' is stopped, as too many of its calls failed"
    assert played.fact(Chosen).arm is None, "it is no control: that was drawn by chance"


# --- the config --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: WhenConfig(hours="25:00-26:00"),
        lambda: WhenConfig(hours="06:00-06:00"),
        lambda: WhenConfig(weekdays=("friday",)),
        lambda: WhenConfig(tasks=("poetry",)),
        lambda: WhenConfig(timezone="Mars/Olympus"),
        lambda: WhenConfig(budget="b"),
        lambda: WhenConfig(left_below_percent=20),
        lambda: RouteConfig(when=WhenConfig(tokens_over=5)),
        lambda: ArmConfig(name="control", share_percent=5, model="m"),
        lambda: ArmConfig(name="b", share_percent=5),
        lambda: ArmConfig(name="a b", share_percent=5, model="m"),
        lambda: SplitConfig(arms=(ArmConfig(name="b", share_percent=60, model="m"),) * 2),
        lambda: SplitConfig(arms=tuple(ArmConfig(name=name, share_percent=60, model="m") for name in ("b", "c"))),
        lambda: ShadowConfig(share_percent=5),
        lambda: Config(routes=(rule("m", budget="none", left_below_percent=20),)),
        lambda: Config(features={"f": FeatureConfig(routes=(rule("m", budget="x", left_below_percent=2),))}),
    ],
)
def test_what_could_not_work_is_refused(make: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.fix
