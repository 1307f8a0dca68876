"""How long pages take to be made over a ledger of a million calls, or of as many as `--rows` says."""

from __future__ import annotations

import http.client
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from penstock.dashboard.app import PAGES
from penstock.record import Record
from penstock.stores.folding import fold
from penstock.stores.schema import connect
from penstock.stores.sums import DAY_US, roll

from .report import Plan, Row, Section, Spread, Target

_ABOUT = (
    "Each page as a browser gets it from `penstock dashboard`, over {rows:,} calls of 30 days from six features, three "
    "models, six keys and some thousands of users, summed: from the request to the last byte, 20 requests each."
)
_DAYS, _REQUESTS, _TOGETHER = 30, 20, 5000
#: Up to a million calls in half a second, and any number in two.
_MILLION, _TARGET_MS, _TARGET_LARGE_MS = 1_000_000, 500.0, 2000.0
_VIEWS = ("?range=30d&compare=1", "?range=24h")


def measure(plan: Plan) -> Section:
    subjects = ("30 days, p95", "p50", "24 hours, p95", "p50")
    section = Section("dashboard", "Dashboard: how long pages take", _ABOUT.format(rows=plan.rows), subjects)
    requests = 3 if plan.is_quick else _REQUESTS
    target = Target(_TARGET_MS if plan.rows <= _MILLION else _TARGET_LARGE_MS)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        fold_s, roll_s = fill(data, plan.rows)
        size = sum(file.stat().st_size for file in data.iterdir() if file.is_file())
        with _served(data) as (connection, cookie):
            for path, name in PAGES:
                figures = []
                for view in _VIEWS:
                    taken = sorted(_taken_ms(connection, cookie, f"/penstock/{path}{view}") for _ in range(requests))
                    figures += [_one(taken[round(0.95 * (requests - 1))]), _one(statistics.median(taken))]
                section.rows.append(Row(name, "ms", tuple(figures), target))
    section.notes.append(
        f"The ledger was {size / 1e6:,.0f} MB; rows went into it at {fold_s / plan.rows * 1e6:.1f} µs and were summed "
        f"at {roll_s / plan.rows * 1e6:.1f} µs each."
    )
    return section


def _one(figure: float) -> Spread:
    return Spread(figure, figure, figure)


def fill(data: Path, rows: int) -> tuple[float, float]:
    """Make a ledger of so many calls that began in the last days; how long rows and their sums took, in seconds."""
    draw, now_us = random.Random(1), time.time_ns() // 1000
    connection = connect(data)
    step_us, batch, fold_s = _DAYS * DAY_US / rows, [], 0.0
    for number in range(rows):
        batch.append(_record(draw, number, now_us - round((rows - number) * step_us)))
        if len(batch) == _TOGETHER or number == rows - 1:
            began = time.perf_counter()
            fold(connection, batch)
            fold_s += time.perf_counter() - began
            batch = []
    began = time.perf_counter()
    while roll(connection):
        pass
    roll_s = time.perf_counter() - began
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return fold_s, roll_s


def _record(draw: random.Random, number: int, began_at_us: int) -> Record:
    model, price = draw.choices(
        (("claude-haiku-4-5", 1000), ("claude-sonnet-4-6", 3000), ("claude-opus-5", 5000)), (7, 3, 1)
    )[0]
    ending = draw.choices(("complete", "failed", "refused", "truncated"), (950, 15, 30, 5))[0]
    is_well, total_us = ending in ("complete", "truncated"), round(draw.lognormvariate(14.5, 0.7))
    tokens, answer = int(draw.expovariate(0.002)), int(draw.expovariate(0.005))
    read = int(draw.expovariate(0.001)) if number % 3 else 0
    return Record(
        call_id=f"call_{number:026x}",
        began_at_us=began_at_us,
        face="gateway",
        method="POST",
        path="/v1/messages",
        endpoint="messages",
        upstream="anthropic",
        upstream_request_id=f"req_{number:024x}",
        key_id=f"key_{number % 6}",
        environment="prod",
        feature=("support-chat", "search", "summaries", "mail", "agents", None)[draw.randrange(6)],
        user=f"u{int(draw.paretovariate(1.1)) % 20_000}",
        session=f"s{number // 7}",
        segment=("acme", "initech", "globex")[number % 3],
        model_asked=model,
        model_served=model,
        is_stream=bool(number % 2),
        status=200 if is_well else 529,
        ending=ending,
        error_type=None if is_well else "overloaded_error",
        error_layer="limits" if ending == "refused" else None,
        stop_reason="end_turn" if is_well else None,
        input_tokens=tokens if is_well else 0,
        cache_read_tokens=read if is_well else 0,
        output_tokens=answer if is_well else 0,
        cost_nano=(tokens + read // 10 + 5 * answer) * price if is_well else 0,
        cost_basis="exact" if is_well else "free",
        attempts=0 if ending == "refused" else 1 + (number % 50 == 0),
        total_us=total_us if is_well else 30_000,
        upstream_us=total_us - 2000 if is_well else None,
        first_token_us=total_us // 3 if is_well else None,
        request_bytes=2000,
        response_bytes=900,
        trail=b"[]",
    )


@contextmanager
def _served(data: Path) -> Iterator[tuple[http.client.HTTPConnection, str]]:
    """The pages of a folder in a process of their own, and a session there."""
    words = [sys.executable, "-m", "penstock", "dashboard", "--port", "0", "--data", str(data)]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        link = next(found[0] for line in child.stdout if (found := re.search(r"http://\S+link=\S+", line)))
        place = urlsplit(link)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
        connection.request("GET", f"{place.path}?{place.query}")
        answer = connection.getresponse()
        answer.read()
        yield connection, (answer.getheader("set-cookie") or "").partition(";")[0]
        connection.close()
    finally:
        child.terminate()
        child.wait(30)


def _taken_ms(connection: http.client.HTTPConnection, cookie: str, path: str) -> float:
    began = time.perf_counter()
    connection.request("GET", path, headers={"cookie": cookie})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}")
    return 1000 * (time.perf_counter() - began)
