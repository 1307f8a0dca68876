"""What the guards of answers cost a stream: time of the process, and delay for who reads along."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator

from penstock.config.guards import InputConfig, OutputConfig
from penstock.errors import Refused
from penstock.guards.events import EventGate
from penstock.guards.output import Sieve, Sifting
from penstock.guards.parts import parts
from penstock.guards.screen import Looked, Screen
from penstock.reply import Ending

from .report import Plan, Row, Spread, Target

#: How fast a model writes, and how much of prose a token is.
_TOKENS_PER_S, _CHARACTERS_PER_TOKEN = 60, 4
_DENY = (r"(?i)project\s{1,4}nightingale", r"\b[A-Z]{3}-\d{4,8}\b")
_GUARDS = {
    "personal data": OutputConfig(pii="scrub"),
    "two expressions": OutputConfig(deny=_DENY, denied="scrub"),
    "both": OutputConfig(pii="scrub", deny=_DENY, denied="scrub"),
}
#: Expressions that make others slow, on texts that make them so.
_SLOW = OutputConfig(pii="scrub", deny=(r"(?:a{1,20}){1,20}b", r"(?:x?){50}x{50}"), denied="tag")
_HOSTILE = {
    "digits apart": "1 ",
    "the expressions' own worst": "a",
    "addresses begun": "a@",
    "a key without end": "Xq7",
}


def rows(plan: Plan, answers: list[str], sentence: str, hostile: dict[str, str]) -> Iterator[Row]:
    """Figures of `answers`, which have personal data in them, and of texts made of one piece again and again."""
    texts = answers[: 100 if plan.is_quick else 1500]
    for name, config in _GUARDS.items():
        cost = Spread.of([_event_us(config, texts) for _ in range(plan.rounds)])
        yield Row(f"stream, {name}: CPU", "µs/event", (cost,), Target(100))
        held, most = _held(config, texts)
        yield Row(f"stream, {name}: held back, mean and most", "characters", (held, most))
        per_character_ms = 1000 / _TOKENS_PER_S / _CHARACTERS_PER_TOKEN
        delays = [Spread.of([one.median * per_character_ms]) for one in (held, most)]
        yield Row(f"stream, {name}: the same at {_TOKENS_PER_S} tokens/s", "ms", tuple(delays), Target(100))
    size = 5_000 if plan.is_quick else 20_000
    for what, piece in {"prose": sentence, **_HOSTILE}.items():
        ratio = _doubled(piece, size)
        yield Row(f"stream of {what}, twice as long: time", "times", (Spread.of([ratio]),), Target(2.3))
    for what, piece in {"prose": sentence, **hostile}.items():
        stretch = Spread.of([_stretch_us((piece * 500_000)[:500_000]) for _ in range(plan.rounds)])
        yield Row(f"input, 500 KB of {what}: longest at one go", "µs", (stretch,))


def _events(text: str) -> Iterator[bytes]:
    for at in range(0, len(text), _CHARACTERS_PER_TOKEN):
        delta = {"type": "text_delta", "text": text[at : at + _CHARACTERS_PER_TOKEN]}
        data = json.dumps({"type": "content_block_delta", "index": 0, "delta": delta})
        yield f"event: content_block_delta\ndata: {data}\n\n".encode()


def _gate(sieve: Sieve) -> EventGate:
    def refusal() -> Refused:
        raise AssertionError("nothing is blocked here")

    return EventGate(Sifting(sieve), refusal, lambda gate: None)


def _event_us(config: OutputConfig, texts: list[str]) -> float:
    sieve, events = Sieve(config), [list(_events(text)) for text in texts]
    began = time.process_time_ns()
    for answer in events:
        gate = _gate(sieve)
        for event in answer:
            gate.passed(event)
        gate.flushed(Ending("complete"))
    return (time.process_time_ns() - began) / sum(map(len, events)) / 1000


def _held(config: OutputConfig, texts: list[str]) -> tuple[Spread, Spread]:
    """Characters held back whenever a token had come: their mean, and the most."""
    sieve, held = Sieve(config), []
    for text in texts:
        matcher = Sifting(sieve).matcher()
        for at in range(0, len(text), _CHARACTERS_PER_TOKEN):
            matcher.feed(text[at : at + _CHARACTERS_PER_TOKEN])
            held.append(matcher.held)
    return Spread.of([statistics.fmean(held)]), Spread.of([max(held)])


def _stream_s(config: OutputConfig, text: str) -> float:
    events, gate = list(_events(text)), _gate(Sieve(config))
    began = time.process_time_ns()
    for event in events:
        gate.passed(event)
    gate.flushed(Ending("complete"))
    return (time.process_time_ns() - began) / 1e9


def _doubled(piece: str, size: int) -> float:
    """How many times as long a text takes that is twice as long."""
    once, twice = (min(_stream_s(_SLOW, (piece * long)[:long]) for _ in range(3)) for long in (size, 2 * size))
    return twice / once


def _stretch_us(text: str) -> float:
    """The longest time for which nothing else goes on while a text is looked through."""
    screen = Screen(InputConfig(characters_max=10_000_000, injection="tag", untrusted=("user",), pii="scrub"))
    longest, began = 0, time.process_time_ns()
    for _ in screen.steps(parts([{"role": "user", "content": text}]), Looked()):
        now = time.process_time_ns()
        longest, began = max(longest, now - began), now
    return max(longest, time.process_time_ns() - began) / 1000
