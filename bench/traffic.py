"""What goes over the wire in the benches: calls as the official SDK sends them, answers as the API gives them."""

from __future__ import annotations

import json

DELTAS = 100

#: Looks like a real upstream key, is none. Built from parts so that no scanner takes it for one.
UPSTREAM_KEY = "sk-ant-" + "api03-" + "bench" * 12

_SDK_HEADERS = {
    "accept": "application/json",
    "content-type": "application/json",
    "anthropic-version": "2023-06-01",
    "user-agent": "Anthropic/Python 2.11.0",
    "x-stainless-lang": "python",
    "x-stainless-package-version": "2.11.0",
    "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600",
    "x-penstock-feature": "bench",
}

_ANSWER_HEADERS = (
    "date: Fri, 20 Nov 2026 12:00:00 GMT\r\n"
    "request-id: req_011CVLbenchbenchbenchbench\r\n"
    "anthropic-organization-id: 5f0c1c9a-0000-4000-8000-00000000be7c\r\n"
    "anthropic-ratelimit-requests-limit: 4000\r\n"
    "anthropic-ratelimit-requests-remaining: 3999\r\n"
    "anthropic-ratelimit-requests-reset: 2026-11-20T12:00:00Z\r\n"
    "anthropic-ratelimit-input-tokens-limit: 400000\r\n"
    "anthropic-ratelimit-input-tokens-remaining: 399000\r\n"
    "anthropic-ratelimit-input-tokens-reset: 2026-11-20T12:00:00Z\r\n"
    "anthropic-ratelimit-output-tokens-limit: 80000\r\n"
    "anthropic-ratelimit-output-tokens-remaining: 80000\r\n"
    "anthropic-ratelimit-output-tokens-reset: 2026-11-20T12:00:00Z\r\n"
    "strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n"
    "server: cloudflare\r\n"
    "cf-ray: 9a1b2c3d4e5f6a7b-FRA\r\n"
    "cf-cache-status: DYNAMIC\r\n"
    "x-robots-tag: none\r\n"
)

_USAGE = {
    "input_tokens": 412,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 1024,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 57,
    "service_tier": "standard",
    "inference_geo": "global",
}

_MESSAGE = {
    "id": "msg_01BenchBenchBenchBenchBe",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "A penstock takes a river safely into a turbine. " * 3}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": _USAGE,
}


def request_body(size: int = 2_000, *, is_stream: bool = False) -> bytes:
    """A Messages request of about `size` bytes: a cached system prompt, one user turn, metadata."""
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 1024,
        **({"stream": True} if is_stream else {}),
        "system": [{"type": "text", "text": _prose(700), "cache_control": {"type": "ephemeral"}}],
        "metadata": {"user_id": "user-1842"},
        "messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}],
    }
    bare = len(_compact(body))
    body["messages"] = [{"role": "user", "content": [{"type": "text", "text": _prose(size - bare)}]}]
    return _compact(body)


def request_headers(key: str) -> dict[str, str]:
    return {**_SDK_HEADERS, "x-api-key": key}


def request(host: str, key: str, body: bytes) -> bytes:
    """The whole of a call as bytes."""
    fields = {"host": host, **request_headers(key), "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST /v1/messages HTTP/1.1\r\n{head}\r\n".encode() + body


def answer() -> bytes:
    """A whole JSON answer, head included."""
    body = _compact(_MESSAGE)
    head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"HTTP/1.1 200 OK\r\n{_ANSWER_HEADERS}{head}\r\n".encode() + body


def stream_head() -> bytes:
    """The head of a streamed answer."""
    head = "content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n"
    return f"HTTP/1.1 200 OK\r\n{_ANSWER_HEADERS}{head}\r\n".encode()


def stream_start() -> bytes:
    """`message_start`, `content_block_start` and a ping, each a chunk of its own, as the API sends them."""
    started = {**_MESSAGE, "content": [], "stop_reason": None, "usage": {**_USAGE, "output_tokens": 1}}
    block = {"type": "text", "text": ""}
    return (
        _event("message_start", message=started)
        + _event("content_block_start", index=0, content_block=block)
        + _event("ping")
    )


def delta(text: str) -> bytes:
    return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def stream_end() -> bytes:
    """The last three events and the end of the body."""
    return (
        _event("content_block_stop", index=0)
        + _event(
            "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 505}
        )
        + _event("message_stop")
        + b"0\r\n\r\n"
    )


def burst() -> bytes:
    """A whole streamed answer of 100 deltas, head included."""
    return stream_head() + stream_start() + delta(" and so on through the") * DELTAS + stream_end()


def _event(kind: str, **fields: object) -> bytes:
    frame = b"event: %b\ndata: %b\n\n" % (kind.encode(), _compact({"type": kind, **fields}))
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def _prose(size: int) -> str:
    sentence = "Every call has one row, one price and one ending, whatever happens to it on the way. "
    return (sentence * (size // len(sentence) + 1))[: max(size, 0)]


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
