"""Conversations held with the simulator through the context layer, as an application would hold them."""

from __future__ import annotations

import base64
import copy
import json
import re
import struct
import zlib
from typing import Any

from penstock.call import Call, Tags
from penstock.config.context import ContextConfig
from penstock.config.features import FeatureConfig
from penstock.config.schema import Config
from penstock.drive import run
from penstock.layers.per_attempt.context import Context
from penstock.reply import Reply
from penstock.simulator import Simulator
from penstock.simulator.api import Served
from penstock.simulator.delivery import Head, Piece
from script import Played, a_call, a_reply, play, ports

BOUND, FREE = "claude-sonnet-5-5", "claude-sonnet-4-6"
TOOLS = [
    {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}},
    {"type": "web_search_20250305", "name": "web_search"},
]
_ROUNDS = re.compile(r"\[(\d) rounds of (\d)\]")


def png(side: int = 8) -> str:
    """A grey picture, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x80" * side) * side
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    file = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(file).decode()


def image(side: int = 8) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png(side)}}


def document(title: str | None = None, words: int = 20) -> dict[str, Any]:
    source = {"type": "text", "media_type": "text/plain", "data": "river " * words}
    return {"type": "document", "source": source, **({"title": title} if title else {})}


def _acts(request: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Calls of tools, as often as the user's last words want, and as many at once."""
    messages, done = request["messages"] if request.get("tools") else [], 0
    while len(messages) > 1 and messages[-1]["role"] == "user" and "tool_result" in json.dumps(messages[-1]):
        messages, done = messages[:-2], done + 1
    wanted = _ROUNDS.search(json.dumps(messages[-1])) if messages else None
    if wanted is None or done >= int(wanted[1]):
        return None
    return [{"type": "tool_use", "name": "look", "input": {"at": f"place {at}"}} for at in range(int(wanted[2]))]


class Upstream:
    """A simulator answered from without sockets. `sent` are the bodies it got, asides too."""

    def __init__(self) -> None:
        self.simulator = Simulator(clock=lambda: 1_790_000_000.0, answers=[_acts])
        self.sent: list[dict[str, Any]] = []

    def answered(self, call: Call) -> Reply:
        headers = {"x-api-key": self.simulator.key, "anthropic-version": "2023-06-01"}
        betas = call.fields.get(b"anthropic-beta", b"").decode()
        served = Served("POST", call.path, {**headers, **({"anthropic-beta": betas} if betas else {})}, call.body)
        steps = list(self.simulator.exchange(served)[1])
        status = next(step.status for step in steps if isinstance(step, Head))
        self.sent.append(json.loads(call.body))
        return a_reply(call, status, b"".join(step.data for step in steps if isinstance(step, Piece)))


class Talk:
    """One conversation. It is the caller's: it holds every turn as it was."""

    def __init__(self, config: ContextConfig | None, upstream: Upstream | None = None, **request: Any) -> None:
        self.upstream = upstream or Upstream()
        self.configure(config)
        self.request = {"model": FREE, "max_tokens": 2_000, "system": "Be brief.", "tools": TOOLS, **request}
        self.messages: list[dict[str, Any]] = []
        self.played: list[Played] = []
        #: The turns that went with each call.
        self.came: list[list[dict[str, Any]]] = []

    def configure(self, config: ContextConfig | None) -> None:
        """Another process, or one with another config."""
        self.config = config or ContextConfig()
        features = {"default": FeatureConfig(context=self.config)}
        self.layer = Context(Config(features=features), ports().clock)

    def body(self) -> dict[str, Any]:
        return {**self.request, "messages": self.messages}

    def call(self, path: str = "/v1/messages", body: dict[str, Any] | None = None) -> Played:
        """Send it as it is. The answer is left out of it."""
        request = a_call(copy.deepcopy(body or self.body()), path=path, tags=Tags(feature="default"))
        played = play(run, self.layer, request, self.upstream.answered)
        self.played.append(played)
        self.came.append(json.loads(request.body)["messages"])
        return played

    def say(self, content: Any) -> dict[str, Any]:
        """The user says something, and tools are answered until the model has said its last word to it."""
        self.messages.append({"role": "user", "content": content})
        while True:
            answer = self.answered()
            self.messages.append({"role": "assistant", "content": answer["content"]})
            calls = [block for block in answer["content"] if block["type"] == "tool_use"]
            if not calls:
                return answer
            self.messages.append({"role": "user", "content": [self.result(block["id"]) for block in calls]})

    def answered(self) -> dict[str, Any]:
        played = self.call()
        assert played.error is None and played.reply is not None, played.error
        answer: dict[str, Any] = json.loads(played.body or b"")
        assert played.reply.status == 200, answer
        return answer

    def result(self, id: str) -> dict[str, Any]:
        """What a tool answers."""
        return {"type": "tool_result", "tool_use_id": id, "content": "It is wet there. " * 5}

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The turns of the last call that went out."""
        turns: list[dict[str, Any]] = self.upstream.sent[-1]["messages"]
        return turns
