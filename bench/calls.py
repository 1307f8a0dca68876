"""Calls for benches that send them through layers of the core, without a face."""

from __future__ import annotations

from typing import Any

from penstock.call import Call, Candidate, Plan, Target, Trail
from penstock.wire.messages import endpoint, read_request

_MESSAGES = endpoint("POST", "/v1/messages")


def a_call(body: bytes, **more: Any) -> Call:
    """A message of one body, planned for one upstream; `more` are further fields."""
    usual: dict[str, Any] = {
        "id": "call_1",
        "face": "client",
        "method": "POST",
        "path": "/v1/messages",
        "query": "",
        "headers": (),
        "fields": {},
        "body": body,
        "endpoint": _MESSAGES,
        "request": read_request(body),
        "began": 0.0,
        "began_at_us": 0,
        "trail": Trail(),
        "plan": Plan((Candidate(Target("bench", "http://127.0.0.1:1")),)),
    }
    return Call(**(usual | more))
