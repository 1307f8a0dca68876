"""Ledger: one row per call, whatever happens."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.call import Call
from penstock.errors import Refused, UpstreamFailed
from penstock.layers.per_attempt.transport import Answered, Broken
from penstock.layers.per_call.ledger import Ledger, Settled
from penstock.record import Record
from penstock.reply import Reply, Whole
from penstock.wire.prices import PriceBook
from penstock.wire.reading import reading
from script import ANSWER, HELLO, SSE, STREAM, Drive, LedgerBook, Played, a_call, a_reply, play, ports


def keep(drive: Drive, call: Call, answer: Any = a_reply, book: LedgerBook | None = None) -> tuple[Played, Record]:
    book = book or LedgerBook()
    played = play(drive, Ledger(PriceBook(), ports(ledger=book)), call, answer)
    assert len(book.records) == 1, "one row per call"
    return played, book.records[0]


def streamed(chunks: tuple[bytes, ...]) -> Any:
    def answer(call: Call) -> Reply:
        return Reply(200, SSE, Whole(chunks), reading=reading(call.endpoint, 200, SSE), request_id="req_1")

    return answer


def test_an_answer_becomes_a_row_with_its_usage_and_exact_cost(drive: Drive) -> None:
    played, row = keep(drive, a_call())
    assert played.body == ANSWER
    assert (row.ending, row.status, row.stop_reason) == ("complete", 200, "end_turn")
    assert (row.model_asked, row.model_served) == ("claude-haiku-4-5", "claude-haiku-4-5-20251001")
    assert (row.input_tokens, row.output_tokens) == (8, 5)
    assert (row.cost_nano, row.cost_basis) == (8 * 1000 + 5 * 5000, "exact")
    assert played.fact(Settled).nano == 33_000
    assert row.response_bytes == len(ANSWER)


def test_a_stream_takes_its_usage_from_both_events(drive: Drive) -> None:
    played, row = keep(drive, a_call({**HELLO, "stream": True}), streamed(STREAM))
    assert played.body == b"".join(STREAM)
    assert (row.ending, row.input_tokens, row.output_tokens, row.cost_nano) == ("complete", 8, 5, 33_000)
    assert row.first_token_us is not None
    assert row.is_stream


def test_a_stream_cut_before_its_end_is_never_complete(drive: Drive) -> None:
    played, row = keep(drive, a_call({**HELLO, "stream": True}), streamed(STREAM[:4]))
    assert row.ending == "truncated"
    assert row.cost_basis == "estimated"
    assert row.cost_nano
    assert played.body is not None
    assert played.body.startswith(b"".join(STREAM[:4]))
    assert b"event: error" in played.body[len(b"".join(STREAM[:4])) :]


def test_an_error_of_the_api_costs_nothing_and_keeps_its_type(drive: Drive) -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    _, row = keep(drive, a_call(), lambda call: a_reply(call, 529, body))
    assert (row.status, row.error_type, row.cost_nano, row.cost_basis) == (529, "overloaded_error", 0, "free")


def test_a_refusal_of_ours_is_a_row_too(drive: Drive) -> None:
    error = Refused("No.", layer="identity", code="no_key", fix="x", status=401, type="authentication_error")
    played, row = keep(drive, a_call(), error)
    assert played.error is error
    assert (row.ending, row.status, row.error_layer, row.error_code) == ("refused", 401, "identity", "no_key")
    assert (row.cost_nano, row.cost_basis) == (0, "free")


def test_no_answer_costs_nothing_known_once_the_request_had_left(drive: Drive) -> None:
    call = a_call()
    call.trail.append(Broken("anthropic", "reset", "reset", 10, 20, True))
    _, row = keep(drive, call, UpstreamFailed("reset", code="reset"))
    assert (row.ending, row.status, row.cost_nano, row.cost_basis) == ("failed", 502, None, "unknown")
    assert row.attempts == 1


def test_no_connection_costs_nothing(drive: Drive) -> None:
    call = a_call()
    call.trail.append(Broken("anthropic", "connect_failed", "refused", 10, 20, False))
    _, row = keep(drive, call, UpstreamFailed("refused", code="connect_failed"))
    assert (row.cost_nano, row.cost_basis) == (0, "free")


def test_an_unknown_model_is_flagged_and_never_free(drive: Drive) -> None:
    body = ANSWER.replace(b"claude-haiku-4-5-20251001", b"claude-from-tomorrow")
    _, row = keep(drive, a_call({**HELLO, "model": "claude-from-tomorrow"}), lambda call: a_reply(call, 200, body))
    assert (row.cost_nano, row.cost_basis) == (None, "unpriced")
    assert row.input_tokens == 8


@pytest.mark.parametrize(
    ("path", "method", "basis", "nano"),
    [
        ("/v1/messages/count_tokens", "POST", "free", 0),
        ("/v1/models", "GET", "free", 0),
        ("/v1/messages/batches", "POST", "deferred", None),
        ("/v1/messages/batches", "GET", "free", 0),
    ],
)
def test_other_endpoints_cost_what_they_cost(
    drive: Drive, path: str, method: str, basis: str, nano: int | None
) -> None:
    call = a_call(path=path, method=method)
    _, row = keep(drive, call, lambda call: a_reply(call, 200, b'{"input_tokens": 8}'))
    assert (row.cost_basis, row.cost_nano) == (basis, nano)


def test_facts_write_their_columns(drive: Drive) -> None:
    call = a_call()
    call.trail.append(Answered("anthropic", 200, 0, 5_000, "req_011"))
    _, row = keep(drive, call)
    assert (row.upstream, row.upstream_request_id, row.attempts) == ("anthropic", "req_011", 1)
    assert b'"Answered"' in row.trail
    assert b'"Settled"' in row.trail


def test_an_answer_paid_for_reaches_its_caller_though_the_ledger_fails(drive: Drive) -> None:
    book = LedgerBook(close_fails=True)
    played = play(drive, Ledger(PriceBook(), ports(ledger=book)), a_call())
    assert played.body == ANSWER


def test_a_bug_below_is_a_row_and_still_a_bug(drive: Drive) -> None:
    played, row = keep(drive, a_call(), ZeroDivisionError("ours"))
    assert isinstance(played.error, ZeroDivisionError)
    assert (row.ending, row.error_code) == ("failed", "internal")


def test_the_retries_of_a_client_are_seen(drive: Drive) -> None:
    _, row = keep(drive, a_call(headers=((b"x-stainless-retry-count", b"2"),)))
    assert row.client_retry == 2


def test_a_caller_who_hangs_up_is_billed_an_estimate_once(drive: Drive) -> None:
    book = LedgerBook()
    layer = Ledger(PriceBook(), ports(ledger=book))

    async def below(call: Call) -> Reply:
        return streamed(STREAM)(call)

    async def scene() -> None:
        reply = await layer(a_call({**HELLO, "stream": True}), below)
        for _ in range(4):
            await anext(reply)
        await reply.aclose()
        await reply.aclose()

    drive(scene())
    assert [(row.ending, row.cost_basis) for row in book.records] == [("abandoned", "estimated")]
    assert book.records[0].cost_nano
    assert book.records[0].output_tokens >= 1
