from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.messages import Answer, Usage
from penstock.wire.sse import DELTA_OVERHEAD_BYTES, StreamReading

from .streams import BLOCK_STOP, OVERLOADED, PING, STOP, WHOLE, block, delta, frame, pieces, read, start, text

EXPECTED = Answer(
    id="msg_01A",
    model="claude-sonnet-5",
    stop_reason="end_turn",
    usage=Usage(input_tokens=31, output_tokens=547),
    is_whole=True,
    has_content=True,
    is_stream=True,
)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_every_split_in_two_reads_the_same(line_end: bytes, bom: bytes) -> None:
    body = bom + WHOLE.replace(b"\n", line_end)
    for cut in range(len(body) + 1):
        assert read(pieces(body, [cut])).answer == EXPECTED, cut


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_byte_by_byte_reads_the_same(line_end: bytes) -> None:
    body = WHOLE.replace(b"\n", line_end)
    assert read(bytes([byte]) for byte in body).answer == EXPECTED


@settings(deadline=None)
@given(st.lists(st.integers(0, len(WHOLE))))
def test_any_split_counts_the_same_output(cuts: list[int]) -> None:
    whole = read([WHOLE])
    ours = read(pieces(WHOLE, cuts))
    assert ours.answer == EXPECTED
    assert ours.estimated_output_tokens() == whole.estimated_output_tokens()


EVENTS = st.sampled_from(
    [PING, text("a"), text("é" * 200), BLOCK_STOP, b": note\n\n", frame("new_event", {"type": "new_event"}), b"\n"]
)


@settings(deadline=None)
@given(st.lists(EVENTS), st.lists(st.integers(0, 3000)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_events_in_any_pieces_count_as_one_by_one(middle: list[bytes], cuts: list[int], line_end: bytes) -> None:
    events = [start(), block(), *middle, delta(), STOP]
    plain = read(events)
    ours = read(pieces(b"".join(events).replace(b"\n", line_end), cuts))
    assert ours.answer == plain.answer
    expected_deltas = sum(event.startswith(b"event: content_block_delta") for event in middle)
    assert plain._deltas == ours._deltas == expected_deltas


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(noise: bytes) -> None:
    ours = read([noise, start(), noise, noise])
    ours.closing(b"{}")
    ours.estimated_usage()


def test_the_last_event_field_names_the_event() -> None:
    assert read([b"event: message_stop\nevent: ping\ndata: {}\n\n"]).answer.is_whole is False
    assert read([b'event: ping\ndata: {"type":"message_stop"}\nevent: message_stop\n\n']).answer.is_whole is True


def test_data_over_several_lines_is_joined() -> None:
    body = b'event: message_delta\ndata: {"delta":{"stop_reason":"end_turn"},\ndata:"usage":{"output_tokens":3}}\n\n'
    assert read([body]).answer.usage == Usage(output_tokens=3)


def test_an_event_without_a_name_is_passed_over_as_the_sdk_does() -> None:
    assert read([b'data: {"type":"message_stop"}\n\n']).answer == Answer(is_stream=True)


def test_a_delta_replaces_counts_and_leaves_those_it_does_not_name() -> None:
    split = {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 50}
    first = start(
        cache_creation_input_tokens=350,
        cache_read_input_tokens=9,
        cache_creation=split,
        service_tier="standard",
        inference_geo="us",
        speed="fast",
    )
    ours = read([first, delta(None, output_tokens=10), delta(input_tokens=40, cache_creation_input_tokens=400)])
    assert ours.answer.usage == Usage(
        input_tokens=40,
        cache_read_tokens=9,
        cache_write_5m_tokens=350,
        cache_write_1h_tokens=50,
        output_tokens=547,
        service_tier="standard",
        inference_geo="us",
        speed="fast",
    )


def test_tools_thinking_and_iterations_come_with_the_delta() -> None:
    entries = [
        {"type": "compaction", "input_tokens": 9, "output_tokens": 4},
        {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2, "output_tokens": 1},
    ]
    ours = read(
        [
            start(),
            delta(
                server_tool_use={"web_search_requests": 2, "web_fetch_requests": 1},
                output_tokens_details={"thinking_tokens": 77},
                iterations=entries,
            ),
        ]
    )
    usage = ours.answer.usage
    assert usage is not None
    assert (usage.web_searches, usage.web_fetches, usage.thinking_tokens) == (2, 1, 77)
    assert [(entry.type, entry.model, entry.output_tokens) for entry in usage.iterations] == [
        ("compaction", None, 4),
        ("advisor_message", "claude-opus-4-8", 1),
    ]


def test_a_field_of_the_wrong_type_costs_only_itself() -> None:
    usage = read([start(input_tokens="many", cache_read_input_tokens=5)]).answer.usage
    assert usage is not None and (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (0, 5, 7)


def test_a_fallback_block_names_the_serving_model_and_is_no_content() -> None:
    ours = read([start(), block("fallback", to={"model": "claude-opus-5"})])
    assert (ours.answer.model, ours.answer.has_content) == ("claude-opus-5", False)
    ours.feed(block(index=1))
    assert ours.answer.has_content is True


def test_an_error_event_is_noted_and_the_stream_not_whole() -> None:
    answer = read([start(), OVERLOADED]).answer
    assert (answer.error_type, answer.error_message, answer.is_whole) == ("overloaded_error", "Overloaded", False)
    assert read([b"event: error\ndata: <html>\n\n"]).answer.error_type == "api_error"


def test_a_refusal_is_early_only_without_content() -> None:
    assert read([start(), delta("refusal"), STOP]).answer.is_early_refusal is True
    assert read([start(), block(), text("No"), delta("refusal"), STOP]).answer.is_early_refusal is False


def test_closing_is_empty_once_the_client_knows() -> None:
    assert read([WHOLE]).closing(b"{}") == b""
    assert read([start(), OVERLOADED]).closing(b"{}") == b""
    assert read([]).closing(b"{}") == b"event: error\ndata: {}\n\n"


def test_an_abandoned_stream_is_estimated_by_its_bytes() -> None:
    ours = read([start(), block(), *[text("x" * 25)] * 20])
    size = len(text("x" * 25)) * 20 - DELTA_OVERHEAD_BYTES * 20
    assert ours.estimated_output_tokens() == round(size / 2.5)
    estimated = ours.estimated_usage()
    assert estimated is not None and estimated.output_tokens == round(size / 2.5)
    assert ours.answer.usage is not None and ours.answer.usage.output_tokens == 7


def test_a_signature_is_no_output_whatever_its_length() -> None:
    for size in (400, 3000):
        signed = {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": "s" * size},
        }
        event = frame("content_block_delta", signed)
        assert read([start(), block(), text("a"), event])._deltas == 1
        assert read([start(), block(), text("a"), text("b") + event])._deltas == 2


def test_the_final_count_is_not_estimated_over() -> None:
    ours = read([start(), block(), *[text("x" * 250)] * 20, delta(output_tokens=3)])
    assert ours.estimated_usage() == Usage(input_tokens=31, output_tokens=3)
    assert StreamReading().estimated_usage() is None


ERROR = {"type": "error", "error": {"type": "api_error", "message": "cut", "details": {"error_code": "cut"}}}


class TestCutStreamAsTheSdkSeesIt:
    """A stream cut anywhere, with our closing behind it, through the official SDK."""

    def seen(self, body: bytes) -> tuple[list[str], Exception | None]:
        anthropic = pytest.importorskip("anthropic")
        httpx2 = pytest.importorskip("httpx2")
        kind = {"content-type": "text/event-stream; charset=utf-8"}
        transport = httpx2.MockTransport(lambda request: httpx2.Response(200, headers=kind, content=body))
        client = anthropic.Anthropic(api_key="test", max_retries=0, http_client=httpx2.Client(transport=transport))
        events: list[str] = []
        try:
            for event in client.messages.create(
                model="m", max_tokens=1, stream=True, messages=[{"role": "user", "content": "hi"}]
            ):
                events.append(event.to_json(indent=None))
        except Exception as error:
            return events, error
        return events, None

    @pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
    def test_every_cut_gives_the_whole_events_and_then_a_typed_error(self, line_end: bytes) -> None:
        anthropic = pytest.importorskip("anthropic")
        body = WHOLE.replace(b"\n", line_end)
        blank = line_end * 2
        all_events, no_error = self.seen(body)
        assert no_error is None and len(all_events) == 8
        for cut in range(len(body)):
            part = body[:cut]
            ours = read([part])
            events, error = self.seen(part + ours.closing(json.dumps(ERROR).encode()))
            # A CR at the end already ends the blank line, before its LF has come.
            done = part + b"\n" if part.endswith(b"\r") else part
            whole = [event for event in done.split(blank)[:-1] if not event.startswith(b"event: ping")]
            assert events == all_events[: len(whole)], cut
            if ours.answer.is_whole:
                assert error is None
            else:
                assert isinstance(error, anthropic.APIStatusError), (cut, error)
                assert (error.type, error.error_code) == ("api_error", "cut")


@settings(max_examples=300, deadline=None)
@given(st.text(min_size=1, max_size=3), st.integers(1, 3))
def test_a_split_character_is_completed_to_valid_utf8(words: str, dropped: int) -> None:
    try:
        half = b"data: " + words.encode()[:-dropped]
    except UnicodeEncodeError:  # a lone surrogate cannot be sent
        return
    (half + StreamReading.closing(read([half]), b"")).decode("utf-8")


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_message_stop_without_its_blank_line_is_still_the_end(end: bytes) -> None:
    ours = StreamReading()
    ours.feed(b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n')
    ours.feed(b'event: message_stop\ndata: {"type":"message_stop"}' + end)
    ours.finish()
    assert ours.answer.is_whole
    assert ours.closing(b"{}") == b""


def test_a_message_stop_cut_in_its_middle_is_not_the_end() -> None:
    ours = StreamReading()
    ours.feed(b'event: message_stop\ndata: {"type":"message_st')
    ours.finish()
    assert not ours.answer.is_whole
    assert ours.closing(b"{}").endswith(b"event: error\ndata: {}\n\n")


def test_no_more_output_is_guessed_than_was_asked_for() -> None:
    delta = 'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":%s}\n\n'
    words = (delta % json.dumps({"type": "text_delta", "text": "word " * 200})).encode()
    usage = b'{"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1}}}'
    start = b"event: message_start\ndata: %b\n\n" % usage
    guesses = []
    for most in (None, 50, 10_000):
        ours = StreamReading(most)
        ours.feed(start + words)
        usage = ours.estimated_usage()
        assert usage is not None
        guesses.append(usage.output_tokens)
    assert guesses[0] == guesses[2] > 200 and guesses[1] == 50
