"""A batch's `results_url` leads through the gateway again, and nothing else in the answer changes."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import drive
from penstock.faces.gateway.readdress import Readdressed, readdress
from script import JSON, a_call, a_reply

URL = b"https://api.anthropic.com/v1/messages/batches/msgbatch_1/results"


def passed(body: bytes, *, path: str = "/v1/messages/batches", **fields: bytes) -> tuple[bytes, Any]:
    headers = tuple((name.replace("_", "-").encode(), value) for name, value in fields.items())
    call = a_call(b"", path=path, method="GET", headers=headers)
    reply = a_reply(call, 200, body, JSON)
    readdress(call, reply)
    return drive.run(reply.read()), call.trail.last(Readdressed)


def test_the_address_becomes_the_one_the_caller_used() -> None:
    body, fact = passed(b'{"id": "msgbatch_1", "results_url":"' + URL + b'" , "x": 1}', host=b"gateway:8787")
    assert body == (
        b'{"id": "msgbatch_1", "results_url":"http://gateway:8787/v1/messages/batches/msgbatch_1/results" , "x": 1}'
    )
    assert fact == Readdressed(1)


def test_behind_a_tls_terminator_the_scheme_is_its() -> None:
    body, _ = passed(
        b'{"results_url":"' + URL + b'"}', host=b"inner", x_forwarded_proto=b"https", x_forwarded_host=b"ai.example"
    )
    assert b'"https://ai.example/v1/messages/batches/msgbatch_1/results"' in body


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"results_url":null}', {"host": b"gateway"}),
        (b'{"data":[],"has_more":false}', {"host": b"gateway"}),
        (b'{"results_url":"' + URL + b'"}', {}),
        (b'{"results_url":"' + URL + b'"}', {"host": b'evil", "x": "'}),
    ],
)
def test_all_else_passes_byte_for_byte(body: bytes, fields: dict[str, bytes]) -> None:
    assert passed(body, **fields) == (body, None)


def test_a_message_that_speaks_of_such_an_address_is_not_touched() -> None:
    body = b'{"results_url":"' + URL + b'"}'
    assert passed(body, path="/v1/files", host=b"gateway") == (body, None)
