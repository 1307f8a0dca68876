"""Reply: the one iteration of a body, and its endings."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.errors import UpstreamFailed
from penstock.reply import Ending, Reply, Tap, Whole, ending_of
from penstock.wire.reading import reading
from script import ANSWER, SSE, STREAM, Drive, a_call


class Body:
    """A source that can break after its chunks, and counts its closings."""

    def __init__(self, chunks: tuple[bytes, ...], breaks: BaseException | None = None) -> None:
        self.left, self.breaks, self.closed = list(chunks), breaks, 0

    async def __anext__(self) -> bytes:
        if self.left:
            return self.left.pop(0)
        raise self.breaks or StopAsyncIteration()

    async def aclose(self) -> None:
        self.closed += 1


class Watch(Tap):
    def __init__(self, fails: bool = False) -> None:
        self.chunks: list[bytes] = []
        self.endings: list[Ending] = []
        self.fails = fails

    def saw(self, chunk: bytes) -> None:
        self.chunks.append(chunk)

    async def ended(self, ending: Ending) -> None:
        self.endings.append(ending)
        if self.fails:
            raise RuntimeError("a tap's own fault")


def stream(source: Any) -> Reply:
    return Reply(200, SSE, source, reading=reading(a_call().endpoint, 200, SSE), request_id="req_1")


def test_chunks_come_out_as_they_went_in(drive: Drive) -> None:
    watch, seen = Watch(), []

    async def scene() -> None:
        async for chunk in stream(Whole(STREAM)).tap(watch):
            seen.append(chunk)

    drive(scene())
    assert tuple(seen) == STREAM
    assert tuple(watch.chunks) == STREAM
    assert [e.kind for e in watch.endings] == ["complete"]


@pytest.mark.parametrize("code", ["cut", "reset", "idle_timeout"])
def test_a_stream_that_breaks_ends_with_an_error_event(drive: Drive, code: str) -> None:
    watch = Watch()
    source = Body(STREAM[:3], UpstreamFailed("It broke.", code=code))
    body = drive(stream(source).tap(watch).read())
    assert body.startswith(b"".join(STREAM[:3]))
    assert b"event: error\ndata: " in body
    assert watch.endings[0].kind == ("truncated" if code == "cut" else "failed")
    assert len(watch.endings) == 1
    assert b"".join(watch.chunks) == b"".join(STREAM[:3]), "taps see what the upstream sent, not what we add"


def test_a_whole_answer_that_breaks_raises(drive: Drive) -> None:
    watch = Watch()
    source = Body((ANSWER[:50],), UpstreamFailed("It broke.", code="cut"))
    reply = Reply(200, (), source, reading=reading(a_call().endpoint, 200, ()), request_id="req_1").tap(watch)

    async def scene() -> None:
        with pytest.raises(UpstreamFailed):
            await reply.read()

    drive(scene())
    assert [e.kind for e in watch.endings] == ["truncated"]


def test_giving_up_closes_the_source_before_taps_settle_and_once(drive: Drive) -> None:
    source = Body(STREAM)
    order: list[str] = []

    class Late(Watch):
        async def ended(self, ending: Ending) -> None:
            order.append(f"ended with source closed {source.closed} times")
            await super().ended(ending)

    watch = Late()
    reply = stream(source).tap(watch)

    async def scene() -> None:
        await anext(reply)
        await reply.aclose()
        await reply.aclose()
        assert await anext(reply, None) is None

    drive(scene())
    assert order == ["ended with source closed 1 times"]
    assert watch.endings[0].kind == "abandoned"


BROKEN = (*STREAM[:2], b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n')


def test_a_stream_that_said_error_failed_whether_it_is_read_to_its_end_or_closed(drive: Drive) -> None:
    read, closed = Watch(), Watch()

    async def scene() -> None:
        assert await stream(Whole(BROKEN)).tap(read).read() == b"".join(BROKEN), "nothing is added to it"
        reply = stream(Whole(BROKEN)).tap(closed)
        for _ in BROKEN:
            await anext(reply)
        await reply.aclose()

    drive(scene())
    assert [watch.endings[0].kind for watch in (read, closed)] == ["failed", "failed"]


def test_an_event_without_end_is_cut_off_and_the_stream_ends_in_an_error(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.wire.sse.EVENT_BYTES_MAX", 2000)
    source, watch = Body((STREAM[0], b"event: content_block_delta\ndata: ", *[b"x" * 500] * 10)), Watch()
    got: list[bytes] = []

    async def scene() -> None:
        async for chunk in stream(source).tap(watch):
            got.append(chunk)

    drive(scene())
    assert b"".join(got).count(b"x" * 500) == 3 and got[-1].startswith(b"\nevent: ping\n\nevent: error\n")
    assert watch.endings[0].kind == "failed" and source.closed >= 1


def test_one_failing_tap_does_not_silence_the_others(drive: Drive) -> None:
    first, failing, last = Watch(), Watch(fails=True), Watch()
    reply = stream(Whole(STREAM)).tap(first).tap(failing).tap(last)

    async def scene() -> None:
        with pytest.raises(RuntimeError):
            await reply.read()

    drive(scene())
    assert [len(w.endings) for w in (first, failing, last)] == [1, 1, 1]


@pytest.mark.parametrize("body", [ANSWER[:50], b"", b"<html>"])
def test_a_whole_answer_that_is_none_raises_too_though_its_framing_was_whole(drive: Drive, body: bytes) -> None:
    watch = Watch()
    reply = Reply(200, (), Body((body,)), reading=reading(a_call().endpoint, 200, ()), request_id="req_1").tap(watch)

    async def scene() -> None:
        with pytest.raises(UpstreamFailed, match="before it was complete"):
            await reply.read()

    drive(scene())
    assert [e.kind for e in watch.endings] == ["truncated"]


class Hidden:
    """A gate that lets nothing through until the end."""

    def __init__(self) -> None:
        self.held = b""

    def passed(self, chunk: bytes) -> bytes:
        self.held += chunk
        return b""

    def flushed(self, ending: Ending) -> bytes:
        return self.held.replace(b"Hi there", b"********")


def test_a_gate_may_hold_back_and_replace(drive: Drive) -> None:
    watch = Watch()
    body = drive(stream(Whole(STREAM)).tap(watch).gate(Hidden()).read())
    assert body == b"".join(STREAM).replace(b"Hi there", b"********")
    assert tuple(watch.chunks) == STREAM, "the record is of what came, not of what was let through"


def test_there_is_at_most_one_gate() -> None:
    with pytest.raises(AssertionError):
        stream(Whole(STREAM)).gate(Hidden()).gate(Hidden())


class Cancelled(BaseException):
    """What a loop throws into a task that must stop."""


def test_a_cancelled_reader_lets_the_upstream_go(drive: Drive) -> None:
    watch = Watch()
    source = Body(STREAM[:1], Cancelled())
    reply = stream(source).tap(watch)

    async def scene() -> None:
        with pytest.raises(Cancelled):
            await reply.read()

    drive(scene())
    assert source.closed == 1
    assert [e.kind for e in watch.endings] == ["abandoned"]


def test_endings_of_calls_that_got_no_reply() -> None:
    assert ending_of(UpstreamFailed("x", code="reset")).kind == "failed"
    assert ending_of(ZeroDivisionError()).kind == "failed"
    assert ending_of(Cancelled()).kind == "abandoned"
