"""Caching: prompts that come again are marked, and everything else leaves as it came."""

from __future__ import annotations

import json
from typing import Any

import pytest

from caching.callers import SYSTEM, body
from penstock.call import Call, Tags
from penstock.config.caching import CacheConfig
from penstock.config.features import FeatureConfig
from penstock.config.schema import Config
from penstock.errors import UpstreamFailed
from penstock.layers.per_attempt.caching import Caching, Marked, Unmarked
from penstock.reply import Reply
from script import ANSWER, Drive, a_call, a_reply, play, ports

MARK = {"type": "ephemeral"}
WRITTEN = ANSWER.replace(b'5m_input_tokens":0', b'5m_input_tokens":3000').replace(
    b'"cache_creation_input_tokens":0', b'"cache_creation_input_tokens":3000'
)
REFUSAL = b'{"type":"error","error":{"type":"invalid_request_error","message":"%b"}}'


def layer(**cache: Any) -> Caching:
    """A layer, with the cache of feature "own" set."""
    return Caching(Config(features={"own": FeatureConfig(cache=CacheConfig(**cache))}), ports())


def system_of(call: Call) -> Any:
    return json.loads(call.body)["system"]


def test_a_system_prompt_that_comes_a_second_time_is_marked(drive: Drive) -> None:
    caching = layer()
    first = play(drive, caching, a_call(body("one")))
    assert first.onward[0].body == json.dumps(body("one")).encode() and first.trail.last(Marked) is None
    second = play(drive, caching, a_call(body("two")), lambda call: a_reply(call, body=WRITTEN))
    assert system_of(second.onward[0]) == [{"type": "text", "text": SYSTEM, "cache_control": MARK}]
    assert bytes(second.onward[0].request.system).startswith(b'[{"type":"text"')  # type: ignore[union-attr]
    fact = second.fact(Marked)
    assert fact.marks == (("system", "5m"),) and fact.read_tokens == 0 and 2900 < fact.written_tokens < 3100
    assert "Marked for the prompt cache: system (5m)" in fact.told()
    third = play(drive, caching, a_call(body("three")))
    assert third.fact(Marked).read_tokens == fact.written_tokens and third.fact(Marked).written_tokens == 0


def test_only_the_marked_block_is_touched(drive: Drive) -> None:
    spelt = (
        b'{ "max_tokens" : 2e1,"model":"claude-sonnet-4-6","x":1.50, "messages":[ {"role":"user","content":"%b"} ],'
        b'"system" : [ {"text":"%b", "type":"text"} , {"type":"text","text":"\\u0041"} ]\n}'
    )
    caching = layer()
    for end in (b"a", b"b"):
        played = play(drive, caching, a_call(spelt % (end, SYSTEM.encode())))
    marked = spelt % (b"b", SYSTEM.encode())
    there = b'{"type":"text","text":"\\u0041"'
    assert played.onward[0].body == marked.replace(there, there + b',"cache_control":{"type":"ephemeral"}')


def test_a_feature_has_its_own_way_and_its_own_lifetime(drive: Drive) -> None:
    off, hour = layer(marks="off"), layer(ttl="1h")
    for text in "ab":
        quiet = play(drive, off, a_call(body(text), tags=Tags(feature="own")))
        long = play(drive, hour, a_call(body(text), tags=Tags(feature="own")))
    assert quiet.trail.last(Marked) is None
    assert system_of(long.onward[0])[0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    "more",
    [
        {"path": "/v1/messages/count_tokens"},
        {"aside": "summary"},
        {"body": body("a", cache_control=MARK)},
        {"body": body("a", system=[{"type": "text", "text": SYSTEM, "cache_control": MARK}])},
        {"body": body([{"type": "text", "text": "a", "cache_control": MARK}])},
        {"body": body("a", diagnostics={"previous_message_id": "msg_1"})},
        {"body": body("a", system="short")},
        {"body": body("a", model="claude-unheard-of-9")},
        {"body": body("a", system={"not": "a prompt"})},
        {"body": {**body("a"), "messages": [1, 2, "three" * 3000]}},
        {"body": b'{"model":"claude-sonnet-4-6","system":"' + SYSTEM.encode() + b'","messages":[[[['},
        {"body": b'{"system":"a","system":"' + SYSTEM.encode() + b'","model":"claude-sonnet-4-6","messages":[]}'},
    ],
    ids=str,
)
def test_others_leave_as_they_came(drive: Drive, more: dict[str, Any]) -> None:
    caching = layer()
    more = {"body": body("a"), **more}
    for _ in range(3):
        call = a_call(**more)
        played = play(drive, caching, call)
        assert played.error is None and played.onward[0].body == call.body and played.trail.last(Marked) is None


def test_what_failed_has_written_nothing(drive: Drive) -> None:
    caching = layer()
    play(drive, caching, a_call(body("a")))
    failures: list[Any] = [UpstreamFailed("No.", code="reset"), lambda call: a_reply(call, 529, REFUSAL % b"busy")]
    for failure in failures:
        assert play(drive, caching, a_call(body("b")), failure).fact(Marked).read_tokens == 0
    assert play(drive, caching, a_call(body("c"))).fact(Marked).read_tokens == 0


def test_an_upstream_that_takes_no_marks_gets_the_call_without_and_no_more_of_them(drive: Drive) -> None:
    def upstream(call: Call) -> Reply:
        if b"cache_control" in call.body:
            return a_reply(call, 400, REFUSAL % b"system.0.cache_control: Extra inputs are not permitted")
        return a_reply(call)

    caching = layer()
    play(drive, caching, a_call(body("a")), upstream)
    call = a_call(body("b"))
    played = play(drive, caching, call, upstream)
    assert len(played.onward) == 2 and played.onward[1] is call and played.reply is not None
    assert played.reply.status == 200 and "without" not in played.fact(Marked).told()
    assert "sent again" in played.fact(Unmarked).told()
    assert len(play(drive, caching, a_call(body("c")), upstream).onward) == 1


def test_a_refusal_of_another_kind_reaches_the_caller_whole(drive: Drive) -> None:
    caching, refusal = layer(), REFUSAL % b"max_tokens: Field required"
    play(drive, caching, a_call(body("a")))
    played = play(drive, caching, a_call(body("b")), lambda call: a_reply(call, 400, refusal))
    assert played.body == refusal and len(played.onward) == 1 and played.trail.last(Unmarked) is None
