"""A simulator without sockets, on a clock that the test turns: requests answered at once, or held before they begin."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

from penstock.simulator import Simulator
from penstock.simulator.api import Served
from penstock.simulator.delivery import Head, Piece, Step

BEGAN_S = 1_790_000_000.0
MODEL = "claude-sonnet-4-6"
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


class Held:
    """A request that was taken in. `begin` lets its answer's head leave; `finish` all of it."""

    def __init__(self, steps: Generator[Step, None, None]) -> None:
        self._steps = steps
        self.status = 0

    def begin(self) -> None:
        for step in self._steps:
            if isinstance(step, Head):
                self.status = step.status
                return

    def finish(self) -> bytes:
        if not self.status:
            self.begin()
        body = b"".join(step.data for step in self._steps if isinstance(step, Piece))
        self._steps.close()
        return body

    def leave(self) -> None:
        """The caller goes."""
        self._steps.close()


class Desk:
    """Requests to one simulator, as Messages bodies; `now_s` is its time."""

    def __init__(self, **options: Any) -> None:
        self.now_s = BEGAN_S
        self.simulator = Simulator(clock=lambda: self.now_s, **options)

    def hold(self, body: dict[str, Any], key: str | None = None, betas: str = "") -> Held:
        headers = {"x-api-key": key or self.simulator.key, "anthropic-version": "2023-06-01"}
        if betas:
            headers["anthropic-beta"] = betas
        served = Served("POST", "/v1/messages", headers, json.dumps(body).encode())
        return Held(self.simulator.exchange(served)[1])

    def ask(self, body: dict[str, Any], key: str | None = None, betas: str = "") -> dict[str, Any]:
        """The answer's body."""
        held = self.hold(body, key, betas)
        answer: dict[str, Any] = json.loads(held.finish())
        assert held.status == 200, answer
        return answer

    def usage(self, body: dict[str, Any], key: str | None = None) -> tuple[int, int, int, int]:
        """Tokens read, written for 5 minutes, written for an hour, and neither."""
        usage = self.ask(body, key)["usage"]
        made = usage["cache_creation"]
        read, short, long = (
            usage["cache_read_input_tokens"],
            made["ephemeral_5m_input_tokens"],
            made["ephemeral_1h_input_tokens"],
        )
        assert usage["cache_creation_input_tokens"] == short + long
        return read, short, long, usage["input_tokens"]


def text(words: int, name: str = "word", **more: Any) -> dict[str, Any]:
    """A text block; a word is a token to the models up to 4.6."""
    return {"type": "text", "text": f"{name} " * words, **more}


def ask_of(*turns: Any, model: str = MODEL, **more: Any) -> dict[str, Any]:
    """A body of user and assistant turns in alternation, each a text, a block or a list of blocks."""
    roles = ("user", "assistant")
    messages = [
        {"role": roles[at % 2], "content": [turn] if isinstance(turn, dict) else turn} for at, turn in enumerate(turns)
    ]
    return {"model": model, "max_tokens": 20, "messages": messages, **more}
