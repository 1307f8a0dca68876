"""Streams through a gate: however they are cut, nothing gets through that is looked for, and all else does."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config.guards import PII_KINDS, OutputConfig
from penstock.errors import Refused
from penstock.guards.events import EventGate
from penstock.guards.output import Sieve, Sifting
from penstock.reply import Ending
from script import STREAM

BODY = "Xq7Rt2Lw9Zk4"
DENY = (r"(?i)project\s{1,9}nightingale", r"\bfo{1,50}\b", r"\p{Greek}{3,12}", r"[[:upper:]]{4}-\d{2,6}", r"naïve\z")
SCRUBBED = Sieve(OutputConfig(deny=DENY, denied="scrub", pii="scrub", allow=(r".*@ours\.example",)))
TAGGED = Sieve(OutputConfig(deny=DENY, denied="tag", pii="tag"))
BLOCKED = Sieve(OutputConfig(deny=DENY, pii="scrub", allow=(r".*@ours\.example",)))
#: What is looked for: each kind of personal data, each expression; beginnings of such; and what is around.
PLANTED = [
    *("jane@example.com", "4111 1111 1111 1111", "DE89370400440532013000", "602-272-9781", "+49 30 901820"),
    *("536-90-4399", "203.0.113.77", "2001:db8::8a2e:370:7334", "AKIA" + "Q7RT2LW9ZK4XABCD", "sk-ant-" + BODY * 9),
    *("Project  Nightingale", "fooo", "ἀλήθεια και", "ΩΩΩ", "ABCD-1234", "naïve", "12345678Z", "ghp_" + BODY * 4),
]
AROUND = [
    *("jane@exam", "@", "4111 1111 1111 1112", "project ", "foo", " ", "a", ".", "é", "\n", "\r", "x" * 70, "ABCD-"),
    *("Hello there. ", '"', "\\", "\\u0041", "🦉", "\u2028", "sk-", "me@ours.example", "</answer>", "data: x\n\n", "{"),
]
TEXT = st.lists(st.sampled_from(PLANTED + AROUND), max_size=9).map("".join)
PLAIN = st.lists(st.sampled_from(AROUND[:-1]), max_size=9).map("".join)


@dataclass
class Written:
    """An answer as it is sent: each event with the bytes it is sent as, and what the caller is to get of it."""

    events: list[tuple[dict[str, Any], bytes]]


def an_event(data: dict[str, Any], dice: random.Random, end: str) -> bytes:
    said = json.dumps(data, ensure_ascii=dice.random() < 0.5, separators=dice.choice([(",", ":"), (", ", ": ")]))
    space = dice.choice(["", " "])
    lines = [f"event:{space}{data['type']}", f"data:{space}{said}"]
    if dice.random() < 0.1:
        lines.insert(dice.randrange(3), ": a comment")
    if dice.random() < 0.05:
        lines.reverse()
    return (end.join(lines) + end + end).encode()


def an_answer(texts: list[str], inputs: list[Any], seed: int) -> Written:
    """Blocks of text and calls of tools, cut into deltas by chance, with pings and thinking between."""
    dice, made = random.Random(seed), Written([])
    end = dice.choice(["\n", "\n", "\r\n", "\r"])
    plain: list[dict[str, Any]] = [{"type": "message_start", "message": {"usage": {"input_tokens": 8}}}]
    blocks: list[tuple[str, str]] = [("text", text) for text in texts]
    blocks += [("tool_use", json.dumps(one, ensure_ascii=dice.random() < 0.5)) for one in inputs]
    for index, (kind, said) in enumerate(blocks):
        given = {"type": kind, "text": ""} if kind == "text" else {"type": kind, "name": "t", "input": {}}
        plain.append({"type": "content_block_start", "index": index, "content_block": given})
        at = 0
        while at < len(said):
            size = dice.choice([1, 2, 3, 5, 8, 40, 300])
            part = {"text": said[at : at + size]} if kind == "text" else {"partial_json": said[at : at + size]}
            delta = {"type": "text_delta" if kind == "text" else "input_json_delta", **part}
            plain.append({"type": "content_block_delta", "index": index, "delta": delta})
            at += size
            if dice.random() < 0.1:
                plain.append({"type": "ping"})
            if dice.random() < 0.05:
                cited = {"type": "citations_delta", "citation": {"cited_text": "jane@example.com"}}
                plain.append({"type": "content_block_delta", "index": index, "delta": cited})
        plain.append({"type": "content_block_stop", "index": index})
    plain += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}]
    made.events = [(data, an_event(data, dice, end)) for data in plain]
    return made


def cut(body: bytes, seed: int) -> list[bytes]:
    """The bytes in chunks: of one byte, of a few, of many, without a look at what they are."""
    dice, chunks, at = random.Random(seed), [], 0
    while at < len(body):
        size = dice.choice([1, 1, 2, 7, 30, 200, 1500])
        chunks.append(body[at : at + size])
        at += size
    return chunks


def through(sieve: Sieve, chunks: list[bytes], ending: str = "complete") -> tuple[list[bytes], EventGate, Sifting]:
    sifting = Sifting(sieve)

    def refusal() -> Refused:
        return Refused("No.", layer="x", code="output_blocked", fix="", status=403, type="permission_error")

    gate = EventGate(sifting, refusal, lambda gate: None)
    out = []
    for chunk in chunks:
        out.append(gate.passed(chunk))
        if gate.shut is not None:
            break
    out.append(gate.flushed(Ending(ending if gate.shut is None else "refused")))  # type: ignore[arg-type]
    return out, gate, sifting


def read(body: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """The events of a stream as a client reads them, by the letter of the WHATWG, with their bytes."""
    found, fields, at = [], [], 0
    start = 0
    body = body.removeprefix(b"\xef\xbb\xbf")
    for line in re.finditer(rb"([^\r\n]*)(\r\n|\r|\n)", body):
        at = line.end()
        if line[1]:
            fields.append(line[1])
            continue
        data = b"\n".join(f[5:].removeprefix(b" ") for f in fields if f.startswith(b"data:"))
        if data:
            found.append((json.loads(data), body[start:at]))
        fields, start = [], at
    assert at == len(body) and not fields, "the stream ends with an event"
    return found


def shown(events: list[tuple[dict[str, Any], bytes]]) -> tuple[dict[int, str], list[bytes]]:
    """What each block says, and the bytes of the events that say nothing of it."""
    said: dict[int, str] = {}
    others = []
    for data, raw in events:
        delta = data.get("delta", {})
        if delta.get("type") in ("text_delta", "input_json_delta"):
            said[data["index"]] = said.get(data["index"], "") + delta.get("text", delta.get("partial_json"))
        else:
            others.append(raw)
    return said, others


def scrubbed(text: str) -> str:
    out, at = "", 0
    for span in SCRUBBED.finder.spans(text):
        if not SCRUBBED.is_allowed(span, text[span.start : span.end]):
            out += text[at : span.start] + f"[{span.kind.upper()}]"
            at = span.end
    return out + text[at:]


def each_string(value: Any) -> Any:
    if isinstance(value, dict):
        return {scrubbed(name): each_string(one) for name, one in value.items()}
    if isinstance(value, list):
        return [each_string(one) for one in value]
    return scrubbed(value) if isinstance(value, str) else value


INPUT = st.recursive(
    TEXT | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
SEEDS = st.integers(0, 2**32)
SPLITS = 8


@settings(max_examples=700, deadline=None)
@given(st.lists(TEXT, max_size=3), st.lists(INPUT, max_size=2), SEEDS)
def test_however_a_stream_is_cut_nothing_gets_through_and_all_else_does(
    texts: list[str], inputs: list[Any], seed: int
) -> None:
    """5,600 splits in all, of events into deltas and of bytes into chunks."""
    written = an_answer(texts, inputs, seed)
    body = b"".join(raw for _, raw in written.events)
    before, others = shown(written.events)
    expected = {at: scrubbed(text) for at, text in enumerate(texts) if scrubbed(text)}
    for split in range(SPLITS):
        out, gate, _ = through(SCRUBBED, cut(body, seed + split))
        said, after = shown(read(b"".join(out)))
        assert gate.shut is None and after == others
        assert {at: text for at, text in said.items() if at < len(texts)} == expected
        for at, one in enumerate(inputs, len(texts)):
            assert json.loads(said[at]) == each_string(one)
            if each_string(one) == one:
                assert said[at] == before[at]


@settings(max_examples=250, deadline=None)
@given(st.lists(TEXT, max_size=3), st.lists(INPUT, max_size=2), SEEDS)
def test_what_is_only_noted_is_not_changed(texts: list[str], inputs: list[Any], seed: int) -> None:
    written = an_answer(texts, inputs, seed)
    out, _, sifting = through(TAGGED, cut(b"".join(raw for _, raw in written.events), seed))
    assert shown(read(b"".join(out))) == shown(written.events)
    found = sum(sum(1 for _ in TAGGED.finder.spans(text)) for text in texts)
    assert sum(sifting.found.values()) >= found and not sifting.is_scrubbed


@settings(max_examples=400, deadline=None)
@given(PLAIN, st.sampled_from(["Project Nightingale", "fooo", "ABCD-1234", "ΩΩΩ"]), PLAIN, SEEDS)
def test_at_what_blocks_the_gate_shuts_before_a_character_of_it(before: str, what: str, behind: str, seed: int) -> None:
    written = an_answer([f"{before} {what} {behind}"], [], seed)
    out, gate, sifting = through(BLOCKED, cut(b"".join(raw for _, raw in written.events), seed))
    assert gate.shut is not None and sifting.found["denied"] >= 1
    said, _ = shown(read(b"".join(out)))
    assert scrubbed(f"{before} ").startswith(said.get(0, ""))


def test_pings_and_heads_pass_while_text_is_held() -> None:
    out, gate, _ = through(SCRUBBED, [*STREAM[:4], b'event: ping\ndata: {"type": "ping"}\n\n'])
    assert out[:3] == list(STREAM[:3])
    assert out[3] == b"" and out[4].startswith(b"event: ping") and gate.held_most == len("Hi there")


@pytest.mark.parametrize("ending", ["truncated", "failed"])
def test_a_stream_that_breaks_off_gives_what_was_held_and_no_half_event(ending: str) -> None:
    out, _, _ = through(SCRUBBED, [*STREAM[:4], STREAM[3][:70]], ending)
    assert b"".join(out) == b"".join(STREAM[:3]) + (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
        b'{"type":"text_delta","text":"Hi there"}}\n\n'
    )


def test_a_last_event_without_its_blank_line_counts() -> None:
    out, _, _ = through(SCRUBBED, [b"".join(STREAM).rstrip(b"\n")])
    assert [data["type"] for data, _ in read(b"".join(out) + b"\n\n")][-2:] == ["message_delta", "message_stop"]


def sent(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def test_what_other_servers_write_is_looked_at_too() -> None:
    """Events without a name, blocks that begin with something in them, an input that comes with its block."""
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "to jane@ex"}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ample.com."}}
    use = {"type": "tool_use", "input": {"to": "jane@example.com", "n": 1}}
    tool = {"type": "content_block_start", "index": 1, "content_block": use}
    out, _, _ = through(SCRUBBED, [sent(start, delta, {"type": "message_stop"}, tool)])
    events = [data for data, _ in read(b"".join(out))]
    assert events[0]["content_block"] == {"type": "text", "text": ""}
    assert shown([(data, b"") for data in events])[0] == {0: "to [EMAIL]."}
    assert events[-1]["content_block"]["input"] == {"to": "[EMAIL]", "n": 1}


def test_what_cannot_be_read_shuts_the_gate() -> None:
    for broken in (b'{"type":"content_block_delta","index":0,"delta"', b"\xff", b"[1]"):
        _, gate, _ = through(SCRUBBED, [b"event: content_block_delta\ndata: " + broken + b"\n\n"])
        assert gate.shut is not None
    out, gate, _ = through(SCRUBBED, [b"event: news\ndata: \xff\n\n"])
    assert gate.shut is None and out[0] == b"event: news\ndata: \xff\n\n"


@pytest.mark.parametrize("rest", ['x@example.com, and "', "x@example.com\\u00", "x@example.com\\", 'x@example.com\\"'])
def test_an_input_that_breaks_off_is_looked_at_as_far_as_it_came(rest: str) -> None:
    said = '{"a": "jane ' + rest
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": said}}
    out, _, sifting = through(SCRUBBED, [sent(delta, {"type": "content_block_stop", "index": 0})])
    (text,) = shown(read(b"".join(out)))[0].values()
    assert "example" not in text and text.startswith('{"a": "jane [EMAIL]') and sifting.found == {"email": 1}


@pytest.mark.parametrize("kind", PII_KINDS)
def test_each_kind_of_personal_data_is_among_what_is_planted(kind: str) -> None:
    assert any(span.kind == kind for text in PLANTED for span in SCRUBBED.finder.spans(text))


def test_every_expression_is_among_what_is_planted() -> None:
    for pattern in DENY:
        alone = Sieve(OutputConfig(deny=(pattern,), streams="whole"))
        assert any(True for text in PLANTED for _ in alone.finder.spans(text)), pattern
