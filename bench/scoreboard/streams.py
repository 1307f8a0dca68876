"""T5, T7, T15: streams that break, callers that vanish, and bytes that must stay as they are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
import urllib.request
from contextlib import ExitStack
from typing import Any

from ..latency import percentile
from .board import Line, Scale, at_least, at_most
from .raw import Play, close_delimited, doubled_index, oversized, raw, replayed
from .subjects import ASK, SUBJECTS, Subject, subjects
from .upstream import Upstream, upstream

_LONG = {
    **ASK,
    "max_tokens": 2000,
    "messages": [{"role": "user", "content": "Tell me of rivers in 900 words."}],
}
_QUICK = "[resilience]\ntries_max = 1\nhold_s = 0.2\n[transport]\nidle_s = 1.0\ntotal_s = 3.0\n"
_FAULTS = {
    "cut within its chunks": "cut:6",
    "ended early, cleanly": "truncate:6",
    "half an event": "truncate_half:6",
    "an error event": "error_mid:6",
    "nothing but pings": "ping_only:0.2",
}
_PLAYS: dict[str, Play] = {
    "ended by closing": close_delimited,
    "an index twice": doubled_index,
    "an event of 48 MB": oversized,
}
_HUNG_UP = 200


def broken(scale: Scale) -> list[Line]:
    """T5: whether a broken stream is an error of the SDK's own, and whether the record says it was complete."""
    del scale
    typed: dict[str, dict[str, float]] = {}
    complete = dict.fromkeys(SUBJECTS[:2], 0.0)
    for shape in (*_FAULTS, *_PLAYS):
        typed[shape] = {}
        with ExitStack() as exits:
            sim = exits.enter_context(raw(_PLAYS[shape]) if shape in _PLAYS else upstream())
            for subject in exits.enter_context(subjects(sim, _QUICK)):
                if shape in _FAULTS:
                    sim.fail(_FAULTS[shape], count=1)
                typed[shape][subject.name] = float(asyncio.run(_is_typed(subject)))
                if subject.data is not None and shape != "an index twice":
                    complete[subject.name] += _complete(subject)
    return [
        *(
            Line("T5", f"{shape}: an error of the SDK's (1: yes)", "", found, at_least(1))
            for shape, found in typed.items()
        ),
        Line("T5", "broken streams recorded as complete", "", complete, at_most(0)),
    ]


async def _is_typed(subject: Subject) -> bool:
    import anthropic

    async with subject.client(max_retries=0) as client:
        try:
            async with asyncio.timeout(8.0), client.messages.stream(**ASK) as events:
                await events.get_final_message()
        except anthropic.APIError:
            return True
        except Exception:
            return False
    return False


def _complete(subject: Subject) -> int:
    from penstock.stores.reading import LedgerReader

    assert subject.data is not None
    time.sleep(0.5)  # a record is folded into the database a moment after its call
    with LedgerReader(subject.data) as ledger:
        return sum(record.ending == "complete" for record in ledger.calls())


def hangups(scale: Scale) -> list[Line]:
    """T7."""
    del scale
    half, most, left = {}, {}, {}
    with upstream(pace={"first_token_ms": 50, "tokens_per_s": 2}) as sim, subjects(sim) as those:
        for subject in those:
            half[subject.name], most[subject.name], fds = asyncio.run(_vanished(subject, sim))
            if fds is not None:
                left[subject.name] = fds
    return [
        Line("T7", f"{_HUNG_UP} callers vanish: half of their requests are given up within", "ms", half, at_most(50)),
        Line("T7", "99 of 100 within", "ms", most, at_most(1000)),
        Line("T7", "connections left open after them", "", left, at_most(0)),
    ]


async def _vanished(subject: Subject, sim: Upstream) -> tuple[float, float, float | None]:
    before = _sockets(subject)
    async with subject.client(max_retries=0) as client:
        opened = await asyncio.gather(*(client.messages.create(stream=True, **_LONG) for _ in range(_HUNG_UP)))
        for stream in opened:
            await anext(aiter(stream))
        left: dict[str, float] = {}
        for stream in opened:
            left[stream.response.headers["request-id"]] = time.time()
            await stream.close()
        await asyncio.sleep(2.0)
    ended = {
        entry["request_id"]: entry["at_s"] + entry["took_s"]
        for entry in sim.books()["entries"]
        if entry["ending"] == "caller gone"
    }
    late_ms = [1000 * (ended[one] - at) if one in ended else 60_000.0 for one, at in left.items()]
    after = _sockets(subject)
    return percentile(late_ms, 50), percentile(late_ms, 99), None if before is None or after is None else after - before


def _sockets(subject: Subject) -> float | None:
    if subject.gateway is None:
        return None
    folder, count = f"/proc/{subject.gateway.process.pid}/fd", 0
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            count += os.readlink(f"{folder}/{name}").startswith("socket:")
    return float(count)


def fidelity(scale: Scale) -> list[Line]:
    """T15."""
    streams = _recorded(20 if scale.is_quick else 200)
    differ, first = {}, {}
    with raw(replayed(streams, seed=1)) as sim, subjects(sim) as those:
        for subject in those:
            differ[subject.name], first[subject.name] = asyncio.run(_fetched(subject, streams))
    added = {
        q: {name: percentile(first[name], q) - percentile(first["bare SDK"], q) for name in SUBJECTS[:2]}
        for q in (50, 99)
    }
    return [
        Line("T15", f"{len(streams)} streams cut anywhere: those whose bytes differ", "", differ, at_most(0)),
        Line("T15", "added to the first byte, median", "ms", added[50], at_most(2)),
        Line("T15", "added to the first byte, 99th percentile", "ms", added[99], at_most(5)),
    ]


def _recorded(count: int) -> list[bytes]:
    """Streams of the simulator's, each of another length."""
    found = []
    with upstream() as sim:
        for number in range(count):
            words = {"role": "user", "content": f"Tell me of river {number} in {5 + number} words."}
            body = json.dumps({**_LONG, "stream": True, "messages": [words]}).encode()
            headers = {"x-api-key": sim.key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
            request = urllib.request.Request(f"{sim.url}/v1/messages", body, headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                found.append(answer.read())
    return found


async def _fetched(subject: Subject, streams: list[bytes]) -> tuple[float, list[float]]:
    """How many came out otherwise, and the milliseconds to the first byte of each."""
    differ, first = 0, []
    async with subject.client() as client:
        for number, stream in [(0, streams[0]), *enumerate(streams)]:
            body: dict[str, Any] = {**ASK, "messages": [{"role": "user", "content": f"stream {number}"}]}
            began = time.monotonic()
            got: list[bytes] = []
            async with client.messages.with_streaming_response.create(stream=True, **body) as response:
                async for chunk in response.iter_bytes():
                    if not got:
                        first.append(1000 * (time.monotonic() - began))
                    got.append(chunk)
            differ += b"".join(got) != stream
    return float(differ), first[1:]
