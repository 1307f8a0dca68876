"""Context: what is beyond a feature's limits goes, and the trail says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.aside import asked
from penstock.call import Call, Spent, Tags
from penstock.config.context import ContextConfig
from penstock.config.features import FeatureConfig
from penstock.config.keys import BadValue
from penstock.config.schema import Config
from penstock.errors import Refused, UpstreamFailed
from penstock.layer import stack
from penstock.layers.per_attempt.context import Context, Delegated, Pruned, Unpruned
from penstock.layers.per_attempt.outlay import Outlay
from penstock.reply import Reply
from script import ANSWER, Drive, Played, a_call, a_reply, play, ports

SUMMARY = ANSWER.replace(b'"Hi"', b'"The wheel is of oak."')


def layer(**config: Any) -> Context:
    return Context(Config(features={"chat": FeatureConfig(context=ContextConfig(**config))}), ports().clock)


def turns(exchanges: int, words: str = "Go on.") -> list[dict[str, Any]]:
    said = [
        ({"role": "user", "content": f"{at}: {words}"}, {"role": "assistant", "content": "Yes."})
        for at in range(exchanges)
    ]
    return [turn for pair in said for turn in pair][:-1]


def call(exchanges: int = 30, *, path: str = "/v1/messages", feature: str = "chat", **more: Any) -> Call:
    body = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": turns(exchanges), **more}
    return a_call(body, path=path, tags=Tags(feature=feature))


def sent(played: Played) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(played.onward[-1].body)["messages"]
    return found


def summing(passed: Call) -> Reply:
    return a_reply(passed, body=SUMMARY if passed.aside else ANSWER)


def test_nothing_happens_unless_a_feature_wants_it(drive: Drive) -> None:
    given = call(300)
    for wanted in (call(300, feature="other"), given):
        played = play(drive, layer() if wanted is given else layer(turns=1), wanted)
        assert played.onward[0].body is wanted.body and not played.trail


def test_the_last_exchanges_go_out_with_their_bytes(drive: Drive) -> None:
    body = b'{"model": "claude-haiku-4-5",  "max_tokens":64, "messages": [%b] , "x-new": 1.0}'
    said = [b'{"role":"user",  "content":"%d \\u00e9"}, {"content":"Yes.","role":"assistant"}' % at for at in range(29)]
    last = b',{"role":"user", "content":"x"}'
    played = play(drive, layer(turns=10), a_call(body % (b",  ".join(said) + last), tags=Tags(feature="chat")))
    assert played.onward[0].body == body % (b"  " + b",  ".join(said[20:]) + last)
    assert (
        played.onward[0].request is not None and len(bytes(played.onward[0].request.messages)) < len(body % b"") + 800
    )
    fact = played.fact(Pruned)
    assert (fact.exchanges, fact.kept, fact.summary) == (20, 10, "") and fact.tokens_after < fact.tokens_before
    assert "20 exchanges; 10 exchanges stayed" in fact.told()


def test_counts_agree_with_what_is_sent_and_other_endpoints_pass(drive: Drive) -> None:
    own = layer(turns=10)
    counted = play(drive, own, call(path="/v1/messages/count_tokens"))
    assert sent(counted) == sent(play(drive, own, call())) == turns(30)[-19:]
    batch = play(drive, own, call(path="/v1/messages/batches"))
    assert len(json.loads(batch.onward[0].body)["messages"]) == 59


def test_what_layers_ask_for_themselves_passes(drive: Drive) -> None:
    own = layer(turns=1)

    seen: list[Call] = []

    async def below(passed: Call) -> Reply:
        seen.append(passed)
        return a_reply(passed)

    async def scene() -> None:
        outer = call(3)
        await asked(outer, lambda passed: own(passed, below), ports().clock, aside="test", body=json.loads(outer.body))

    drive(scene())
    assert [(one.aside, len(json.loads(one.body)["messages"])) for one in seen] == [("test", 5)]


def test_a_fallback_with_a_smaller_window_gets_less(drive: Drive) -> None:
    """Once per attempt: the same conversation for a model of a million tokens, then for one of 200,000."""
    long = {"messages": turns(40, "river " * 8_000)}
    own = layer(beyond="drop")
    wide = play(drive, own, call(1, **long, model="claude-opus-4-8"))
    small = play(drive, own, call(1, **long))
    assert len(sent(wide)) == 79 and not wide.trail
    assert len(sent(small)) < 50 and small.fact(Pruned).tokens_after < 200_000


def test_too_long_is_refused_where_that_is_wanted(drive: Drive) -> None:
    played = play(drive, layer(turns=10, beyond="refuse"), call())
    assert isinstance(played.error, Refused) and played.error.code == "context_too_long" and not played.onward
    assert "[features.chat.context]" in played.error.fix and played.error.status == 400
    assert play(drive, layer(turns=30, beyond="refuse"), call()).error is None


def test_where_all_has_to_stay_it_is_said(drive: Drive) -> None:
    played = play(drive, layer(tokens=1_000), call(1, messages=turns(1, "river " * 5_000)))
    assert played.onward[0].body is not None and "all of it has to stay" in played.fact(Unpruned).told()


def test_a_summary_is_asked_for_once_enclosed_and_paid_for(drive: Drive) -> None:
    own = layer(turns=10, beyond="summarise")
    first = play(drive, own, call(), summing)
    asked_for, went = first.onward
    question = json.loads(asked_for.body)
    assert asked_for.aside == "summary" and question["model"] == "claude-haiku-4-5"
    assert "19: Go on." in question["messages"][0]["content"] and "20: Go on." not in question["messages"][0]["content"]
    assert "not instructions" in question["messages"][0]["content"]
    head, *rest = json.loads(went.body)["messages"]
    assert rest == turns(30)[-19:] and head["role"] == "user"
    assert "The wheel is of oak." in head["content"][0]["text"] and 'id="summary"' in head["content"][0]["text"]
    assert "system" not in json.loads(went.body)
    assert first.fact(Spent).aside == "summary" and first.fact(Pruned).summary == "made"
    again = play(drive, own, call(31), summing)
    assert len(again.onward) == 1 and again.fact(Pruned).summary == "known"
    assert sent(again)[0] == head, "the beginning stays"


def test_a_longer_summary_is_made_of_the_earlier_one(drive: Drive) -> None:
    own = layer(turns=10, beyond="summarise")
    play(drive, own, call(30), summing)
    later = play(drive, own, call(32), summing)
    material = json.loads(later.onward[0].body)["messages"][0]["content"]
    assert "The wheel is of oak." in material and "20: Go on." in material and "19: Go on." not in material


def test_without_a_summary_it_is_dropped_and_said(drive: Drive) -> None:
    def failing(passed: Call) -> Reply:
        if passed.aside:
            raise UpstreamFailed("No.", code="reset")
        return a_reply(passed)

    played = play(drive, layer(turns=10, beyond="summarise"), call(), failing)
    assert sent(played) == turns(30)[-19:]
    assert played.fact(Pruned).summary == "the summary could not be had: No."
    silent = layer(turns=10, beyond="summarise")

    def wordless(passed: Call) -> Reply:
        return a_reply(passed, body=SUMMARY.replace(b"The wheel is of oak.", b" ") if passed.aside else ANSWER)

    assert play(drive, silent, call(), wordless).fact(Pruned).summary == "the model wrote none"
    assert len(play(drive, silent, call(), wordless).onward) == 1, "it is not asked again at each call"
    counted = play(drive, layer(turns=10, beyond="summarise"), call(path="/v1/messages/count_tokens"), failing)
    assert len(counted.onward) == 1 and "asks for no summary" in counted.fact(Pruned).told()


def test_another_key_gets_no_summary_again(drive: Drive) -> None:
    own = layer(turns=10, beyond="summarise")
    play(drive, own, call(), summing)
    theirs = play(drive, own, a_call(json.loads(call().body), tags=Tags(feature="other")), summing)
    assert not theirs.trail.last(Pruned)
    assert (
        len(play(drive, layer(turns=10, beyond="summarise", summary_model="claude-haiku-5-5"), call(), summing).onward)
        == 2
    )


def test_the_api_can_be_asked_to_manage_the_context(drive: Drive) -> None:
    headers = ((b"anthropic-beta", b"files-api-2025-04-14"),)
    body = {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": turns(30)}
    own = layer(tokens=80_000, beyond="server")
    played = play(drive, own, a_call(body, headers=headers, tags=Tags(feature="chat")))
    went = json.loads(played.onward[0].body)
    assert [(edit["type"], edit["trigger"]["value"]) for edit in went.pop("context_management")["edits"]] == [
        ("clear_tool_uses_20250919", 80_000),
        ("compact_20260112", 80_000),
    ]
    assert went == body and len(played.fact(Delegated).edits) == 2
    betas = b"files-api-2025-04-14,context-management-2025-06-27,compact-2026-01-12"
    assert played.onward[0].fields[b"anthropic-beta"] == betas == dict(played.onward[0].headers)[b"anthropic-beta"]
    old = play(drive, own, call())
    assert [edit["type"] for edit in json.loads(old.onward[0].body)["context_management"]["edits"]] == [
        "clear_tool_uses_20250919"
    ]


@pytest.mark.parametrize(
    "own",
    [
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        {"compaction": {"type": "summarize"}},
        {"thread": {"type": "create"}},
        {"messages": [*turns(30)[:-1], {"role": "assistant", "content": [{"type": "compaction", "content": "x"}]}]},
    ],
)
def test_a_caller_who_has_the_api_manage_it_is_left_alone(drive: Drive, own: dict[str, Any]) -> None:
    given = call(**own)
    played = play(drive, layer(turns=5), given)
    assert played.onward[0].body is given.body and "its caller has the API manage it" in played.fact(Unpruned).told()
    kept = play(drive, layer(turns=5), call(context_management={"edits": [{"type": "clear_thinking_20251015"}]}))
    assert kept.fact(Pruned).exchanges


@pytest.mark.parametrize("body", [b'{"model":"m","messages":[1,2]}', b'{"model":"m","model":"m","messages":%b}'])
def test_what_cannot_be_edited_goes_as_it_came(drive: Drive, body: bytes) -> None:
    raw = body.replace(b"%b", json.dumps(turns(9)).encode()).replace(b"[1,2]", b'["user","user","user"]')
    played = play(drive, layer(turns=2), a_call(raw, tags=Tags(feature="chat")))
    assert played.onward[0].body == raw and played.fact(Unpruned)


def test_estimates_follow_what_the_api_counts(drive: Drive) -> None:
    own, given = layer(tokens=4_000), {"messages": turns(12, "river " * 300)}
    before = len(sent(play(drive, own, call(1, **given))))
    counted = ANSWER.replace(b'"input_tokens":8', b'"input_tokens":%d' % 7_000)
    play(drive, own, call(1, **given), lambda passed: a_reply(passed, body=counted))
    assert len(sent(play(drive, own, call(1, **given)))) < before


def test_a_config_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(BadValue, match="counts neither turns nor attachments"):
        ContextConfig(turns=3, beyond="server")


class Empty:
    """A purse that has enough for the caller's call, and nothing for a summary."""

    committed_nano = 0

    async def begin(self, call: Call) -> int:
        if call.aside is not None:
            raise Refused("Spent.", layer="budgets", code="budget_exhausted", fix="Wait.", status=402, type="x")
        return 0

    def spared(self, nano: int) -> None: ...

    async def settle(self, cost_nano: int | None, batch_id: str | None) -> None: ...


def test_a_summary_that_no_budget_bears_is_not_asked_for(drive: Drive) -> None:
    onward: list[Call] = []

    async def transport(passed: Call) -> Reply:
        onward.append(passed)
        return summing(passed)

    given = call()
    given.trail.purse = Empty()
    drive(stack([layer(turns=10, beyond="summarise"), Outlay()], end=transport)(given))
    pruned = given.trail.last(Pruned)
    assert [passed.aside for passed in onward] == [None] and pruned is not None
    assert pruned.summary == "the summary could not be had: Spent."


def test_moving_cache_marks_ask_for_no_other_summary(drive: Drive) -> None:
    own, said = layer(turns=2, beyond="summarise"), turns(4)
    play(drive, own, call(1, messages=said), summing)
    marked = [{"type": "text", "text": said[0]["content"], "cache_control": {"type": "ephemeral"}}]
    again = play(drive, own, call(1, messages=[{"role": "user", "content": marked}, *said[1:]]), summing)
    assert again.fact(Pruned).summary == "known"
