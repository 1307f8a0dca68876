"""What a call's time went to: its attempts, and the waits before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..record import Record

_WAITS = {"Paced": "limits of the upstream", "Retried": "another try", "Slowed": "budget"}


class Part(NamedTuple):
    """An attempt, or a wait, which has none: `attempt` is the fact. Times in Unix microseconds.

    `tries` counts the attempts before it, but for those that layers made for themselves.
    """

    name: str
    began_us: int
    ended_us: int
    attempt: dict[str, Any] | None = None
    tries: int = 0


def parts(record: Record, facts: Sequence[dict[str, Any]]) -> Iterator[Part]:
    """The attempts of a call, and the waits before them, in the order they happened."""
    began, ended, tries, waits = record.began_at_us, record.began_at_us + record.total_us, 0, []
    attempts = [fact for fact in facts if fact["type"] in ("Answered", "Broken")]
    for fact in facts:
        kind = fact["type"]
        if kind in _WAITS and fact.get("wait_us"):
            waits.append((_WAITS[kind], int(fact["wait_us"])))
        elif kind in ("Answered", "Broken"):
            sent_us = began + int(fact["sent_us"])
            yield from _waited(waits, sent_us)
            waits = []
            is_last = fact is attempts[-1]
            until_us = began + int(fact.get("broken_us", fact.get("head_us", 0)))
            name = f"{fact.get('aside') or 'attempt'} at {fact.get('upstream')}"
            lasts_us = max(until_us, ended) if is_last and kind == "Answered" else until_us
            yield Part(name, sent_us, lasts_us, fact, tries)
            tries += fact.get("aside") is None
    yield from _waited(waits, ended)


def _waited(waits: Sequence[tuple[str, int]], until_us: int) -> Iterator[Part]:
    at_us = until_us - sum(wait_us for _, wait_us in waits)
    for what, wait_us in waits:
        yield Part(f"wait for {what}", at_us, at_us + wait_us)
        at_us += wait_us
