"""CPU per call of a wrapped SDK client against the bare one, in one run.

    python bench/in_process.py [--rounds N] [--calls N] [--streams N] [--json]

A stub in a process of its own answers canned bytes; rounds of bare and wrapped alternate, and the medians are compared.
Where the machine has two cores or more, stub and client are kept on one each. Ledger and everything else is as
`penstock.wrap` sets it up by default, with a fresh data folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

GOALS = {"blocking": 0.80, "async": 0.70, "stream": 0.65, "async stream": 0.65}

_USAGE = (
    '"usage":{"input_tokens":420,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
    '"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},'
    '"output_tokens":%d,"service_tier":"standard","inference_geo":"global"}'
)
_MESSAGE = (
    '{"model":"claude-sonnet-4-6","id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant",'
    '"content":%s,"stop_reason":%s,"stop_sequence":null,' + _USAGE + "}"
)
_HEADERS = (
    "request-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\nanthropic-organization-id: 00000000-0000-4000-8000-000000000000\r\n"
    "anthropic-ratelimit-requests-limit: 4000\r\nanthropic-ratelimit-requests-remaining: 3999\r\n"
    "anthropic-ratelimit-input-tokens-limit: 2000000\r\nanthropic-ratelimit-input-tokens-remaining: 2000000\r\n"
    "cf-cache-status: DYNAMIC\r\nserver: cloudflare\r\nvia: 1.1 google\r\n"
)


def whole_answer() -> bytes:
    text = json.dumps([{"type": "text", "text": "A penstock is the gate and pipe of a turbine. " * 4}])
    body = (_MESSAGE % (text, '"end_turn"', 64)).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{_HEADERS}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def streamed_answer(deltas: int = 100) -> bytes:
    """One event per HTTP chunk, all in one burst."""
    events = [
        ("message_start", '{"type":"message_start","message":' + _MESSAGE % ("[]", "null", 1) + "}"),
        (
            "content_block_start",
            '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        ),
        ("ping", '{"type": "ping"}'),
    ]
    delta = (
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" some five words of text %d"} }'
    )
    events += [("content_block_delta", delta % number) for number in range(deltas)]
    events += [
        ("content_block_stop", '{"type":"content_block_stop","index":0 }'),
        (
            "message_delta",
            '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
            '"usage":{"input_tokens":420,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":512}}',
        ),
        ("message_stop", '{"type":"message_stop"}'),
    ]
    chunks = [f"event: {name}\ndata: {data}\n\n".encode() for name, data in events]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{_HEADERS}transfer-encoding: chunked\r\n\r\n"
    return head.encode() + framed + b"0\r\n\r\n"


class Stub(asyncio.Protocol):
    """Answers every POST with canned bytes: the stream where the body asks for one."""

    whole, streamed = whole_answer(), streamed_answer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = body[length:]
        is_stream = b'"stream":true' in body or b'"stream": true' in body
        self._transport.write(self.streamed if is_stream else self.whole)


def serve(pipe: Connection, core: int | None) -> None:
    pin(core)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def pin(core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})


def request() -> dict[str, object]:
    return {
        "model": "claude-sonnet-4-6",
        "max_tokens": 1024,
        "system": [{"type": "text", "text": "You are terse. " * 60, "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is a penstock? " * 20}]}],
        "metadata": {"user_id": "u1"},
    }


def cpu_us(work: Callable[[int], None], count: int) -> float:
    began = time.process_time_ns()
    work(count)
    return (time.process_time_ns() - began) / 1000 / count


def blocking_works(client: object) -> dict[str, Callable[[int], None]]:
    def whole(count: int) -> None:
        for _ in range(count):
            client.messages.create(**request())  # type: ignore[attr-defined]

    def stream(count: int) -> None:
        for _ in range(count):
            for _event in client.messages.create(**request(), stream=True):  # type: ignore[attr-defined]
                pass

    return {"blocking": whole, "stream": stream}


def async_works(client: object, runner: asyncio.Runner) -> dict[str, Callable[[int], None]]:
    async def whole(count: int) -> None:
        for _ in range(count):
            await client.messages.create(**request())  # type: ignore[attr-defined]

    async def stream(count: int) -> None:
        for _ in range(count):
            async for _event in await client.messages.create(**request(), stream=True):  # type: ignore[attr-defined]
                pass

    return {"async": lambda n: runner.run(whole(n)), "async stream": lambda n: runner.run(stream(n))}


def measure(url: str, rounds: int, calls: int, streams: int, data: Path) -> dict[str, dict[str, float]]:
    import anthropic

    import penstock

    runner = asyncio.Runner()
    sides: dict[str, dict[str, Callable[[int], None]]] = {}
    for side in ("bare", "wrapped"):
        blocking = anthropic.Anthropic(base_url=url, api_key="bench", max_retries=0)
        looped = anthropic.AsyncAnthropic(base_url=url, api_key="bench", max_retries=0)
        if side == "wrapped":
            blocking, looped = penstock.wrap(blocking, data=data), penstock.wrap(looped, data=data)
        sides[side] = {**blocking_works(blocking), **async_works(looped, runner)}
    results: dict[str, dict[str, float]] = {}
    for name in GOALS:
        count = streams if "stream" in name else calls
        seen: dict[str, list[float]] = {"bare": [], "wrapped": []}
        for side in seen:
            sides[side][name](max(10, count // 10))
        for number in range(rounds):
            for side in ("bare", "wrapped") if number % 2 else ("wrapped", "bare"):
                seen[side].append(cpu_us(sides[side][name], count))
        bare, wrapped = statistics.median(seen["bare"]), statistics.median(seen["wrapped"])
        results[name] = {"bare_us": bare, "wrapped_us": wrapped, "ratio": wrapped / bare, "goal": GOALS[name]}
    runner.close()
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=300, help="calls per round")
    parser.add_argument("--streams", type=int, default=60, help="streams of 106 events per round")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    stub = context.Process(target=serve, args=(theirs, cores[1] if len(cores) > 1 else None), daemon=True)
    stub.start()
    pin(cores[0] if len(cores) > 1 else None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            url = f"http://127.0.0.1:{ours.recv()}"
            results = measure(url, options.rounds, options.calls, options.streams, Path(folder))
    finally:
        stub.terminate()
        stub.join()
    if options.json:
        json.dump(results, sys.stdout, indent=2)
        print()
    else:
        print(f"{'CPU per call':<14}{'bare us':>10}{'wrapped us':>12}{'ratio':>8}{'goal':>8}")
        for name, row in results.items():
            print(f"{name:<14}{row['bare_us']:>10.0f}{row['wrapped_us']:>12.0f}{row['ratio']:>8.2f}{row['goal']:>8.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
