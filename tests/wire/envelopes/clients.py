"""The official SDK's clients as the oracle: what each would send for the same call, caught before it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from anthropic import Anthropic, AnthropicBedrock, AnthropicBedrockMantle, AnthropicFoundry, AnthropicVertex

from penstock.wire.envelopes import Dressed, Headers

#: 2026-11-20T08:09:10Z
NOW_S = 1_795_162_150.75
KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJH=="

Send = Callable[[Any], Any]


@dataclass(frozen=True)
class Sent:
    method: str
    url: str
    path: str
    query: str
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def field(self, name: str) -> str | None:
        return field(self.headers, name)


def field(headers: Headers, name: str) -> str | None:
    found = [value.decode() for each, value in headers if each == name.encode()]
    assert len(found) < 2, f"{name} stands there {len(found)} times"
    return found[0] if found else None


class _Caught(Exception):
    pass


def sent(client: type[Any], send: Send, **options: Any) -> Sent:
    """What a client sends for a call."""
    caught: list[httpx2.Request] = []

    def catch(request: httpx2.Request) -> httpx2.Response:
        caught.append(request)
        raise _Caught

    http = httpx2.Client(transport=httpx2.MockTransport(catch))
    try:
        send(client(http_client=http, max_retries=0, **options))
    except Exception:
        if not caught:
            raise
    request = caught[0]
    headers = tuple((name.lower(), value) for name, value in request.headers.raw)
    path, _, query = request.url.raw_path.decode().partition("?")
    return Sent(request.method, str(request.url), path, query, headers, request.read())


def first_party(send: Send) -> Sent:
    return sent(Anthropic, send, api_key="sk-ant-api03-callers-own", base_url="https://gateway.example")


def bedrock(send: Send, **options: Any) -> Sent:
    return sent(AnthropicBedrock, send, aws_region="us-east-1", **options)


def mantle(send: Send, **options: Any) -> Sent:
    return sent(AnthropicBedrockMantle, send, aws_region="us-east-1", **options)


def google(send: Send, region: str = "us-east5") -> Sent:
    return sent(AnthropicVertex, send, region=region, project_id="my-project", access_token="ya29.token")


def foundry(send: Send, **options: Any) -> Sent:
    return sent(AnthropicFoundry, send, resource="my-resource", **options)


def dressed(envelope: Any, ours: Sent, secret: str | None, now_s: float = NOW_S) -> Dressed:
    given = envelope.dress(ours.method, ours.path, ours.query, ours.headers, ours.body, secret=secret, now_s=now_s)
    assert isinstance(given, Dressed)
    return given


MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "Grüße, 世界 🌍 and \"quotes\" \\ {model: 'x'}"}]
TOOLS: list[dict[str, Any]] = [
    {
        "name": "lookup",
        "description": "Looks things up",
        "input_schema": {"type": "object", "properties": {"model": {"type": "string"}, "stream": {"type": "boolean"}}},
    }
]


def create(model: str, **more: Any) -> Send:
    return lambda client: client.messages.create(model=model, max_tokens=64, messages=MESSAGES, **more)


def beta_create(model: str, betas: list[str], **more: Any) -> Send:
    return lambda client: client.beta.messages.create(
        model=model, max_tokens=64, messages=MESSAGES, betas=betas, **more
    )


def count(model: str, **more: Any) -> Send:
    return lambda client: client.messages.count_tokens(model=model, messages=MESSAGES, **more)


#: Calls of `messages.create`, each made of a model.
CALLS: Mapping[str, Callable[[str], Send]] = {
    "plain": create,
    "stream": lambda model: create(model, stream=True),
    "tools": lambda model: create(model, tools=TOOLS, tool_choice={"type": "any"}, system="Be brief."),
    "thinking": lambda model: create(model, thinking={"type": "adaptive"}, output_config={"effort": "low"}),
    "unknown field": lambda model: create(model, extra_body={"a field of 2027": {"deep": [1, 2.5, None]}}),
    "own version": lambda model: create(model, extra_body={"anthropic_version": "2027-01-01"}),
    "betas": lambda model: beta_create(model, ["context-1m-2025-08-07", "compact-2026-09-04"]),
    "beta stream": lambda model: beta_create(model, ["compact-2026-09-04"], stream=True, tools=TOOLS),
}
