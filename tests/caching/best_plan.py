"""The cheapest that a script of calls can be had for: every way to mark every call, tried out.

By section 8 of the API facts, with calls one after another, each answered before the next is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from penstock.caching.plan import Ratios
from penstock.simulator.catalogue import find_model
from penstock.simulator.prefix import laid_out

Script = Sequence[tuple[float, dict[str, Any]]]
_LIFE_S = {"5m": 300.0, "1h": 3600.0}
# Prefix, when it ends, and how long each read makes it live.
_Entry = tuple[bytes, float, float]
# When a call is made, the prefixes of its prompt with their tokens, its input tokens, which may be marked.
_Call = tuple[float, list[tuple[bytes, int]], int, list[int]]


def best(script: Script, ratios: Ratios, *, may_foresee: bool) -> float:
    """The cost of all input, in tokens at their plain price.

    Without `may_foresee` a call is marked only where an earlier one began the same, and at the end of one that goes on
    from an earlier one: that is all that can be known of what comes again.
    """
    calls = [_call(at_s, body) for at_s, body in script]
    least = find_model(script[0][1]["model"]).cacheable_tokens
    ways = [_ways(calls, number, least, may_foresee=may_foresee) for number in range(len(calls))]
    later: list[set[bytes]] = [set() for _ in calls]
    for number in range(len(calls) - 2, -1, -1):
        later[number] = later[number + 1] | {prefix for prefix, _ in calls[number + 1][1]}
    states: dict[frozenset[_Entry], float] = {frozenset(): 0.0}
    for number, call in enumerate(calls):
        after: dict[frozenset[_Entry], float] = {}
        next_s = calls[number + 1][0] if number + 1 < len(calls) else call[0]
        for state, spent in states.items():
            for marks in ways[number]:
                price, entries = _asked(call, marks, state, ratios)
                kept = frozenset(one for one in entries if one[0] in later[number] and one[1] > next_s)
                total = spent + price
                if total < after.get(kept, float("inf")):
                    after[kept] = total
        states = after
    return min(states.values())


def _call(at_s: float, body: dict[str, Any]) -> _Call:
    prompt = laid_out(body, find_model(body["model"]), "here")
    may_bear = [number for number, place in enumerate(prompt.places) if place.tokens]
    return at_s, [(place.prefix, place.tokens) for place in prompt.places], prompt.tokens, may_bear


def _ways(calls: list[_Call], number: int, least: int, *, may_foresee: bool) -> list[list[tuple[int, str]]]:
    _, places, _, bearers = calls[number]
    # Of blocks that the same calls have, only the last can be the best to mark, as all costs are linear in between.
    having = [{other for other, call in enumerate(calls) if (prefix, tokens) in call[1]} for prefix, tokens in places]
    parting = [at for at in bearers if at + 1 == len(places) or having[at] != having[at + 1]]
    able = [at for at in parting if places[at][1] >= least and max(having[at]) >= number and len(having[at]) > 1]
    if not may_foresee:
        before = [{prefix for prefix, _ in call[1]} for call in calls[:number]]
        ends = {call[1][-1][0] for call in calls[:number]}
        goes_on = any(prefix in ends for prefix, _ in places)
        able = [at for at in able if any(places[at][0] in one for one in before) or (goes_on and at == bearers[-1])]
    return [list(zip(chosen, lives, strict=True)) for chosen in _some(able) for lives in _lives(len(chosen))]


def _some(places: list[int]) -> Iterator[tuple[int, ...]]:
    for count in range(min(4, len(places)) + 1):
        yield from combinations(places, count)


def _lives(count: int) -> Iterator[list[str]]:
    for hours in range(count + 1):
        yield ["1h"] * hours + ["5m"] * (count - hours)


def _asked(
    call: _Call, marks: list[tuple[int, str]], state: frozenset[_Entry], ratios: Ratios
) -> tuple[float, list[_Entry]]:
    """What it costs, and what is cached after it."""
    at_s, places, total, _ = call
    if not marks:
        return float(total), list(state)
    alive = {prefix: (ends_s, life_s) for prefix, ends_s, life_s in state if ends_s > at_s}
    hits = set()
    for mark, _ in marks:
        found = next((at for at in range(mark, max(-1, mark - 20), -1) if places[at][0] in alive), None)
        if found is not None:
            hits.add(found)
    hit = max(hits, default=-1)
    read = places[hit][1] if hits else 0
    hour = max((places[mark][1] for mark, life in marks if life == "1h" and mark > hit), default=read)
    last = max(read, places[marks[-1][0]][1])
    for at in hits:
        alive[places[at][0]] = (at_s + alive[places[at][0]][1], alive[places[at][0]][1])
    for mark, life in marks:
        if mark > hit:
            alive[places[mark][0]] = (at_s + _LIFE_S[life], _LIFE_S[life])
    cost = total - last + ratios.read * read + ratios.write_1h * (hour - read) + ratios.write_5m * (last - hour)
    return cost, [(prefix, ends_s, life_s) for prefix, (ends_s, life_s) in alive.items()]
