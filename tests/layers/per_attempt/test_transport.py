"""Transport: out and back."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.call import Call, Candidate, Plan, Target
from penstock.config.schema import UpstreamConfig
from penstock.errors import Refused, Unavailable, UpstreamFailed
from penstock.layers.per_attempt.transport import Answered, Broken, Transport
from penstock.ports import Outgoing
from penstock.ports.simulated import Scripted, SimulatedUpstream
from penstock.record import Record
from penstock.secret import Secret
from penstock.wire.envelopes import envelope
from script import ANSWER, HELLO, JSON_ANSWER, STREAM, UPSTREAM, Drive, LedgerBook, a_call, ports
from wire.envelopes.frames import chunk

KEYED = Target("anthropic", "https://api.anthropic.example/base", Secret("sk-upstream-1234567890"))


def send(drive: Drive, call: Call, script: Scripted = JSON_ANSWER, **more: Any) -> Any:
    """The bytes of the answer, the simulated upstream, and the ledger."""
    book = more.pop("ledger", LedgerBook())
    made = ports(ledger=book)
    upstream = SimulatedUpstream(made.clock, lambda request: script)  # type: ignore[arg-type]
    made = ports(ledger=book, upstream=upstream)

    async def scene() -> bytes:
        reply = await Transport(made)(call)
        return await reply.read()

    return drive(scene()), upstream, book


def planned(target: Target = KEYED, **more: Any) -> Call:
    return a_call(plan=Plan((Candidate(target),)), **more)


def sent_headers(upstream: SimulatedUpstream) -> dict[bytes, bytes]:
    return dict(upstream.served[0].request.headers)


def test_the_body_goes_out_and_the_answer_comes_back_byte_for_byte(drive: Drive) -> None:
    body = b'{ "model":"claude-haiku-4-5" ,"max_tokens":1, "messages":[], "x":"\xc3\xa9"}\n'
    answer, upstream, _ = send(drive, planned(body=body, query="beta=true"))
    request = upstream.served[0].request
    assert request.body == body
    assert (request.url, request.path) == ("https://api.anthropic.example", "/base/v1/messages?beta=true")
    assert answer == ANSWER


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        ((b"x-api-key", b"pk_caller"), (b"x-api-key", b"sk-upstream-1234567890")),
        ((b"authorization", b"Bearer pk_caller"), (b"authorization", b"Bearer sk-upstream-1234567890")),
    ],
)
def test_the_callers_credential_is_replaced_in_the_callers_own_way(drive: Drive, came: Any, goes: Any) -> None:
    _, upstream, _ = send(drive, planned(headers=(came,)))
    headers = upstream.served[0].request.headers
    assert goes in headers
    assert not any(b"pk_caller" in value for _, value in headers)


def test_both_credentials_are_replaced_where_both_came(drive: Drive) -> None:
    _, upstream, _ = send(drive, planned(headers=((b"x-api-key", b"pk_a"), (b"authorization", b"Bearer pk_a"))))
    values = [value for _, value in upstream.served[0].request.headers]
    assert not any(b"pk_a" in value for value in values)
    assert sum(b"sk-upstream" in value for value in values) == 1


def test_without_a_key_of_its_own_an_upstream_gets_the_callers(drive: Drive) -> None:
    _, upstream, _ = send(drive, planned(UPSTREAM, headers=((b"authorization", b"Bearer sk-own"),)))
    assert sent_headers(upstream)[b"authorization"] == b"Bearer sk-own"


def test_fields_of_one_hop_and_our_own_stay_here_and_all_others_pass(drive: Drive) -> None:
    headers = (
        (b"host", b"gateway"),
        (b"connection", b"keep-alive, x-hop"),
        (b"x-hop", b"1"),
        (b"te", b"trailers"),
        (b"content-length", b"9"),
        (b"x-penstock-feature", b"chat"),
        (b"accept-encoding", b"gzip"),
        (b"anthropic-beta", b"from-tomorrow-2027-01-01"),
        (b"anthropic-version", b"2026-10-21"),
        (b"x-unknown", b"kept"),
    )
    _, upstream, _ = send(drive, planned(UPSTREAM, headers=headers))
    assert sent_headers(upstream) == {
        b"anthropic-beta": b"from-tomorrow-2027-01-01",
        b"anthropic-version": b"2026-10-21",
        b"x-unknown": b"kept",
        b"accept-encoding": b"identity",
    }


def test_an_answer_keeps_its_fields_but_those_of_one_hop(drive: Drive) -> None:
    script = Scripted(
        headers=((b"transfer-encoding", b"chunked"), (b"connection", b"x-gone"), (b"x-gone", b"1"), (b"cf-ray", b"a")),
        chunks=(ANSWER,),
    )
    call = planned()

    made = ports(upstream=SimulatedUpstream(ports().clock, lambda request: script))  # type: ignore[arg-type]

    async def scene() -> Any:
        reply = await Transport(made)(call)
        await reply.read()
        return reply.headers

    assert drive(scene()) == ((b"cf-ray", b"a"),)


def test_the_intent_is_written_before_the_upstream_is_called(drive: Drive) -> None:
    _, upstream, book = send(drive, planned())
    assert [intent.call_id for intent in book.intents] == ["call_1"]
    assert book.intents[0].upstream == "anthropic"
    assert len(upstream.served) == 1


def test_without_an_intent_nothing_is_sent(drive: Drive) -> None:
    call = planned()
    made = ports()
    upstream = SimulatedUpstream(made.clock, lambda request: JSON_ANSWER)  # type: ignore[arg-type]
    made = ports(ledger=LedgerBook(open_fails=True), upstream=upstream)

    async def scene() -> None:
        with pytest.raises(Unavailable) as caught:
            await Transport(made)(call)
        assert caught.value.status == 503
        assert caught.value.code == "ledger_unavailable"

    drive(scene())
    assert upstream.served == []


def test_an_answer_of_any_status_is_a_reply(drive: Drive) -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    call = planned()
    answer, _, _ = send(drive, call, Scripted(status=529, chunks=(body,)))
    assert answer == body
    fact = call.trail.last(Answered)
    assert fact is not None
    assert fact.status == 529


@pytest.mark.parametrize(("code", "may_cost"), [("reset", True), ("connect_failed", False)])
def test_no_answer_is_an_error_and_a_fact(drive: Drive, code: str, may_cost: bool) -> None:
    call = planned()
    with pytest.raises(UpstreamFailed) as caught:
        send(drive, call, Scripted(status=0, breaks=code))
    assert caught.value.code == code
    fact = call.trail.last(Broken)
    assert fact is not None
    assert (fact.code, fact.may_cost()) == (code, may_cost)


def test_a_cloud_gets_its_envelope_and_the_caller_an_answer_of_the_api(drive: Drive) -> None:
    sent: list[Outgoing] = []
    data = [event.partition(b"data: ")[2].strip() for event in STREAM if b"event: ping" not in event]
    frames = b"".join(chunk(line) for line in data)
    headers = ((b"content-type", b"application/vnd.amazon.eventstream"), (b"x-amzn-requestid", b"r-1"))

    def bedrock(request: Outgoing) -> Scripted:
        sent.append(request)
        return Scripted(headers=headers, chunks=tuple(frames[at : at + 50] for at in range(0, len(frames), 50)))

    own = ports(upstream=SimulatedUpstream(ports().clock, bedrock))  # type: ignore[arg-type]
    cloud = UpstreamConfig(kind="bedrock", region="eu-west-1", keys=("env:K",))
    target = Target("aws", cloud.address, Secret("bedrock-key-123456"), envelope=envelope("bedrock", cloud.address))
    body = {**HELLO, "model": "claude-opus-4-6", "stream": True, "x-new": 1}
    call = a_call(body, plan=Plan((Candidate(target),)), headers=((b"x-api-key", b"pk_x"),))

    async def scene() -> tuple[Any, bytes]:
        reply = await Transport(own)(call)
        return reply, await reply.read()

    reply, got = drive(scene())
    assert sent[0].url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert sent[0].path.startswith("/model/") and sent[0].path.endswith("/invoke-with-response-stream")
    out = dict(sent[0].headers)
    assert out[b"authorization"] == b"Bearer bedrock-key-123456" and b"x-api-key" not in out
    assert b'"model"' not in sent[0].body and b'"x-new"' in sent[0].body
    assert got.count(b"event: ") == len(data) and reply.answer.is_whole and reply.answer.usage.output_tokens == 5
    assert dict(reply.headers)[b"content-type"].startswith(b"text/event-stream")


def test_what_a_cloud_does_not_have_is_refused_before_anything_is_sent(drive: Drive) -> None:
    own = ports()
    target = Target("aws", "https://b.example", Secret("k" * 20), envelope=envelope("bedrock", "https://b.example"))
    call = a_call({"requests": []}, path="/v1/messages/batches", plan=Plan((Candidate(target),)))

    async def scene() -> None:
        await Transport(own)(call)

    with pytest.raises(Refused, match="message batches") as caught:
        drive(scene())
    assert caught.value.code == "not_at_upstream" and own.ledger.intents == []  # type: ignore[attr-defined]


def test_an_answer_is_told_with_what_a_layer_wanted_it_for() -> None:
    own, aside = (Answered("anthropic", 200, 1_000, 5_000, aside=wanted) for wanted in (None, "summary"))
    assert own.told() == "anthropic answered 200 after 4.0 ms."
    assert aside.told() == "anthropic, asked for a summary, answered 200 after 4.0 ms."
    record = Record(call_id="c", began_at_us=0, face="f", method="POST", path="/", endpoint="messages")
    aside.mark(record)
    assert (record.attempts, record.upstream) == (0, None), "it is no attempt of the call's"
    own.mark(record)
    assert (record.attempts, record.upstream) == (1, "anthropic")
