"""Reply: the one iteration of a body, and its endings."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.errors import Refused, UpstreamFailed
from penstock.reply import Ending, Gate, Reply, Tap, Whole, ending_of
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


class Hidden(Gate):
    """A gate that lets nothing through until the end."""

    def __init__(self) -> None:
        self.held = b""
        self.endings: list[Ending] = []

    def passed(self, chunk: bytes) -> bytes:
        self.held += chunk
        return b""

    def flushed(self, ending: Ending) -> bytes:
        self.endings.append(ending)
        return self.held.replace(b"Hi there", b"********")


def test_a_gate_may_hold_back_and_replace(drive: Drive) -> None:
    watch = Watch()
    body = drive(stream(Whole(STREAM)).tap(watch).gate(Hidden()).read())
    assert body == b"".join(STREAM).replace(b"Hi there", b"********")
    assert b"".join(watch.chunks) == body, "what is kept is what was let through, not what came"


class Shutting(Hidden):
    """A gate that shuts at a text."""

    def passed(self, chunk: bytes) -> bytes:
        if b"Hi there" in chunk:
            self.shut = Refused(
                "Not this.", layer="x", code="output_blocked", fix="", status=403, type="permission_error"
            )
            return b": last\n\n"
        return chunk


def test_a_gate_that_shuts_ends_the_stream_in_an_error_and_lets_the_upstream_go(drive: Drive) -> None:
    source, watch, gate = Body(STREAM), Watch(), Shutting()
    body = drive(stream(source).tap(watch).gate(gate).read())
    before, _, event = body.partition(b": last\n\n")
    assert before == b"".join(STREAM[:3]) and event.startswith(b"event: error\ndata: ") and event.endswith(b"\n\n")
    assert b'"permission_error"' in event and b'"output_blocked"' in event
    assert source.closed == 1 and source.left
    assert [ending.kind for ending in watch.endings] == [ending.kind for ending in gate.endings] == ["refused"]


def test_a_gate_is_told_of_an_ending_that_nobody_reads(drive: Drive) -> None:
    gate = Hidden()

    async def scene() -> None:
        reply = stream(Body(STREAM)).gate(gate)
        await reply.look()
        await reply.aclose()

    drive(scene())
    assert [ending.kind for ending in gate.endings] == ["abandoned"]


def test_a_body_that_is_all_ahead_may_be_replaced(drive: Drive) -> None:
    watch = Watch()
    length = (b"content-length", b"%d" % len(ANSWER))
    reply = Reply(200, (length,), Whole([ANSWER]), reading=reading(a_call().endpoint, 200, ()), request_id="r")

    async def scene() -> bytes:
        with pytest.raises(AssertionError):
            reply.put(b"")
        assert await reply.looked() == await reply.looked() == ANSWER
        reply.put(b"{}")
        return await reply.tap(watch).read()

    assert drive(scene()) == b"{}" == b"".join(watch.chunks)
    assert reply.headers == () and reply.answer.usage is not None
    assert [ending.kind for ending in watch.endings] == ["complete"]


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
