"""The sums per feature, prompt and model, and what it all comes to in money."""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict, defaultdict

import msgspec

from ...wire.messages import Usage
from ...wire.prices import PriceBook
from .causes import CAUSES
from .entries import HOUR_US, Entry
from .judging import Miss
from .result import Finding, Patient
from .rows import Group, Seen

_EXAMPLES = 3
_EXPLAINED_MAX = 50_000
#: Causes by which the very call that missed has written what none will read.
_IN_VAIN = ("volatile", "misplaced")


class _Tally(msgspec.Struct):
    """One cause in one group. `examples` are the dearest, as (nano-dollars, call id, where)."""

    calls: int = 0
    tokens: int = 0
    nano: int = 0
    examples: list[tuple[int, str, str]] = []
    wheres: set[str] = msgspec.field(default_factory=set)
    gaps_us: tuple[int, int] | None = None
    hourly: int = 0
    said: Counter[str] = msgspec.field(default_factory=Counter)


class _Sum(msgspec.Struct):
    calls: int = 0
    judged: int = 0
    hits: int = 0
    chances: int = 0
    read_tokens: int = 0
    could_tokens: int = 0
    prompt_tokens: int = 0
    lost_nano: int = 0
    unread_tokens: int = 0
    unread_nano: int = 0
    tallies: defaultdict[str, _Tally] = msgspec.field(default_factory=lambda: defaultdict(_Tally))


class Sums:
    """Counts calls, misses, and entries that are over."""

    def __init__(self, prices: PriceBook) -> None:
        self._prices = prices
        self._sums: defaultdict[Group, _Sum] = defaultdict(_Sum)
        self._explained: OrderedDict[str, None] = OrderedDict()

    def count(self, call: Seen) -> None:
        """A call; without a fingerprint it cannot be judged."""
        own = self._sums[call.group]
        own.calls += 1
        own.prompt_tokens += call.prompt_tokens
        own.read_tokens += call.read_tokens
        own.could_tokens += call.read_tokens
        own.hits += call.read_tokens > 0
        own.chances += call.read_tokens > 0
        own.judged += call.prompt is not None

    def missed(self, miss: Miss) -> None:
        """A miss that is settled."""
        call, own = miss.call, self._sums[miss.call.group]
        nano = self._lost_nano(call, miss.tokens)
        own.could_tokens += miss.tokens
        own.chances += miss.tokens > 0 and not call.read_tokens
        own.lost_nano += nano
        tally = own.tallies[miss.cause]
        _add(tally, call.call_id, miss.tokens, nano, miss.where)
        if call.said is not None:
            tally.said[call.said.reason] += 1
        if miss.gap_us is not None:
            short, long = tally.gaps_us or (miss.gap_us, miss.gap_us)
            tally.gaps_us = min(short, miss.gap_us), max(long, miss.gap_us)
            tally.hourly += miss.gap_us < HOUR_US
        if miss.before is not None:
            self._explain(miss.before.call_id)
        if miss.cause in _IN_VAIN:
            self._explain(call.call_id)

    def ended(self, entry: Entry) -> None:
        """An entry that is over. What was written for it and never read was written in vain."""
        if entry.is_read:
            return
        call, own = entry.writer, self._sums[entry.writer.group]
        written = Usage()
        if entry.lifetime == "1h":
            written.cache_write_1h_tokens = entry.own_tokens
        else:
            written.cache_write_5m_tokens = entry.own_tokens
        nano = self._nano(call, written) - self._nano(call, Usage(input_tokens=entry.own_tokens))
        own.unread_tokens += entry.own_tokens
        own.unread_nano += nano
        if call.call_id not in self._explained:
            _add(own.tallies["never_read"], call.call_id, entry.own_tokens, nano, "")

    def patients(self) -> tuple[Patient, ...]:
        """Those that lose most first."""
        made = [_patient(group, own) for group, own in self._sums.items()]
        return tuple(sorted(made, key=lambda one: (-one.lost_nano - one.unread_nano, one.group)))

    def _explain(self, call_id: str) -> None:
        self._explained[call_id] = None
        if len(self._explained) > _EXPLAINED_MAX:
            self._explained.popitem(last=False)

    def _lost_nano(self, call: Seen, tokens: int) -> int:
        """What tokens have cost that come right behind those read, beyond what reading them would have."""
        usage = call.usage
        long = min(tokens, usage.cache_write_1h_tokens)
        short = min(tokens - long, usage.cache_write_5m_tokens)
        new = min(tokens - long - short, usage.input_tokens)
        paid = Usage(new, cache_write_5m_tokens=short, cache_write_1h_tokens=long)
        return max(0, self._nano(call, paid) - self._nano(call, Usage(cache_read_tokens=new + short + long)))

    def _nano(self, call: Seen, usage: Usage) -> int:
        """At the prices of the call; 0 where they are not known."""
        own = call.usage
        usage.service_tier, usage.inference_geo, usage.speed = own.service_tier, own.inference_geo, own.speed
        return self._prices.price(usage, call.group.model, call.at_us).nano or 0


def _add(tally: _Tally, call_id: str, tokens: int, nano: int, where: str) -> None:
    tally.calls += 1
    tally.tokens += tokens
    tally.nano += nano
    if len(tally.wheres) < 2:
        tally.wheres.add(where)
    example = nano, call_id, where
    if len(tally.examples) < _EXAMPLES:
        tally.examples = [*tally.examples, example]
        heapq.heapify(tally.examples)
    elif example > tally.examples[0]:
        heapq.heapreplace(tally.examples, example)


def _patient(group: Group, own: _Sum) -> Patient:
    findings = [_finding(cause, tally) for cause, tally in own.tallies.items()]
    names = ("calls", "judged", "hits", "chances", "read_tokens", "could_tokens", "prompt_tokens")
    money = ("lost_nano", "unread_tokens", "unread_nano")
    return Patient(
        group=group,
        findings=tuple(
            sorted(findings, key=lambda one: (CAUSES[one.cause].is_waste, -one.nano, -one.calls, one.cause))
        ),
        **{name: getattr(own, name) for name in names + money},
    )


def _finding(cause: str, tally: _Tally) -> Finding:
    examples = sorted(tally.examples, reverse=True)
    return Finding(
        cause=cause,
        calls=tally.calls,
        tokens=tally.tokens,
        nano=tally.nano,
        where=examples[0][2],
        is_everywhere=len(tally.wheres) == 1,
        call_ids=tuple(call_id for _, call_id, _ in examples),
        gaps_us=tally.gaps_us,
        hourly_calls=tally.hourly,
        said=tuple(sorted(tally.said.items())),
    )
