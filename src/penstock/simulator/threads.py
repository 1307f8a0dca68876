"""Message threads (beta `message-threads-2026-08-12`): conversations the server holds between requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .problems import Problem, invalid

LIFETIME_S = 300
_FIXED = ("model", "system", "tools")


@dataclass(slots=True)
class _Thread:
    """What is held under a response's id: the fields that may not change, and all turns with the response."""

    fixed: dict[str, Any]
    turns: list[Any]
    expires_at: float
    is_continued: bool = False


class Threads:
    """All threads of one simulator, by the id of the response that ended their last turn."""

    def __init__(self) -> None:
        self._threads: dict[str, _Thread] = {}

    def whole(self, request: dict[str, Any], now_s: float) -> dict[str, Any]:
        """The request as if the caller had sent the whole conversation. Raises Problem where it cannot go on."""
        asked = request.get("thread")
        if asked is None:
            return request
        kind = asked.get("type") if isinstance(asked, dict) else None
        if kind == "create":
            return request
        if kind != "continue" or not isinstance(asked.get("previous_message_id"), str):
            raise invalid("thread.type: Input should be 'create' or 'continue' with `previous_message_id`")
        id = asked["previous_message_id"]
        thread = self._threads.get(id)
        if thread is None or thread.expires_at <= now_s:
            raise Problem(404, "not_found_error", f"No usable thread was found for {id}.", "thread_not_found")
        if thread.is_continued:
            raise _refused(f"{id} has already been continued.", "thread_already_continued")
        changed = [name for name in _FIXED if name in request and request[name] != thread.fixed.get(name)]
        if changed:
            fault = f"{', '.join(changed)} must stay the same across a thread's turns."
            raise _refused(fault, "thread_fingerprint_mismatch")
        turns = request.get("messages")
        if not isinstance(turns, list):
            raise invalid("messages: Input should be a valid list")
        return {**thread.fixed, **request, "messages": [*thread.turns, *turns]}

    def keep(self, request: dict[str, Any], id: str, blocks: list[dict[str, Any]], now_s: float) -> None:
        """Hold a whole request and its answer under the answer's id, where the request asks for a thread."""
        asked = request.get("thread")
        if asked is None:
            return
        if asked["type"] == "continue":
            self._threads[asked["previous_message_id"]].is_continued = True
        fixed = {name: request[name] for name in _FIXED if name in request}
        turns = [*request["messages"], {"role": "assistant", "content": blocks}]
        self._threads[id] = _Thread(fixed, turns, now_s + LIFETIME_S)


def _refused(message: str, code: str) -> Problem:
    return Problem(400, "invalid_request_error", message, code)
