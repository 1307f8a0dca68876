"""Rules about messages: who may speak when, what may stand where, and which tool calls are answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..catalogue import Model
from ..problems import Problem, invalid

_EMPTY = "all messages must have non-empty content except for the optional final assistant message"
_PREFILL = "This model does not support assistant message prefill. The conversation must end with a user message."
_NO_SYSTEM = (
    'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an '
    "input message role."
)
_FIRST_SYSTEM = (
    "messages.0: use the top-level 'system' parameter for the initial system prompt; the directive-only form "
    "(content: [] with output_config) is accepted at any position"
)
#: Which blocks belong to one role alone.
_ROLE_OF = {"tool_use": "assistant", "tool_result": "user"}
_SYSTEM_BLOCKS = ("text", "tool_addition", "tool_removal")


@dataclass(slots=True)
class _Turn:
    """A turn as the model sees it: messages in a row of the same role are one (§2.1)."""

    role: str
    blocks: list[dict[str, Any]] = field(default_factory=list)


def check_turns(request: dict[str, Any], model: Model) -> None:
    """Raises Problem 400."""
    messages = request["messages"]
    if not messages:
        raise invalid("messages: at least one message is required")
    _check_roles(messages, model)
    for at, message in enumerate(messages):
        _check_content(message, at, is_last=at == len(messages) - 1)
    _check_texts("system", request.get("system"))
    turns = _merged(messages)
    _check_pairs(turns)
    _check_server_tools(turns)
    if messages[-1]["role"] == "assistant":
        _check_prefill(messages[-1]["content"], model)


def _check_roles(messages: list[dict[str, Any]], model: Model) -> None:
    for at, message in enumerate(messages):
        if message["role"] != "system":
            continue
        if not model.hears_system_turns:
            raise invalid("role 'system' is not supported on this model" if model.version >= (4, 7) else _NO_SYSTEM)
        if at == 0 and message["content"]:
            raise invalid(_FIRST_SYSTEM)


def _check_content(message: dict[str, Any], at: int, *, is_last: bool) -> None:
    role, content = message["role"], message["content"]
    if (
        not content
        and not (role == "system" and message.get("output_config"))
        and not (is_last and role == "assistant")
    ):
        raise invalid(f"messages.{at}: {_EMPTY}")
    _check_texts("messages", content, f"messages.{at}.content.")
    for place, block in enumerate(content if isinstance(content, list) else ()):
        owner = _ROLE_OF.get(block["type"], role)
        if owner != role:
            raise invalid(f"messages.{at}.content.{place}: `{block['type']}` blocks can only be in `{owner}` messages")
        if role == "system" and block["type"] not in _SYSTEM_BLOCKS:
            raise invalid(
                f"messages.{at}.content.{place}: Input tag '{block['type']}' found using 'type' does not match any of "
                "the expected tags: 'text'"
            )
        inner = block.get("content") if block["type"] == "tool_result" and block.get("is_error") else None
        if isinstance(inner, list) and any(one.get("type") != "text" for one in inner):
            here = f"messages.{at}.content.{place}.tool_result"
            raise invalid(f"{here}: all content must be type `text` if `is_error` is true")


def _check_texts(name: str, content: Any, place: str = "system.") -> None:
    """No text block may be empty or blank; an empty one with a cache mark is faulted for the mark."""
    if isinstance(content, str):
        if content and not content.strip():
            raise invalid(f"{name}: text content blocks must contain non-whitespace text")
        return
    for at, block in enumerate(content or ()):
        if block.get("type") != "text" or block["text"].strip():
            continue
        if block.get("cache_control") and not block["text"]:
            tag = "" if name == "system" else ".text"
            raise invalid(f"{place}{at}{tag}: cache_control cannot be set for empty text blocks")
        if not block["text"]:
            raise invalid(f"{name}: text content blocks must be non-empty")
        raise invalid(f"{name}: text content blocks must contain non-whitespace text")


def _merged(messages: list[dict[str, Any]]) -> list[_Turn]:
    turns: list[_Turn] = []
    for message in messages:
        content = message["content"]
        if not turns or turns[-1].role != message["role"]:
            turns.append(_Turn(message["role"]))
        turns[-1].blocks += [{"type": "text", "text": content}] if isinstance(content, str) else content
    return turns


def _check_pairs(turns: list[_Turn]) -> None:
    """Each `tool_use` is answered once, at the beginning of the next user turn; system turns between do not count.

    Words behind the calls in their own turn keep the results from being immediately after (recorded).
    """
    awaited: dict[str, int] = {}
    for at, turn in enumerate(turns):
        if turn.role == "system":
            continue
        if awaited and not (turn.role == "user" and turn.blocks and turn.blocks[0]["type"] == "tool_result"):
            raise _unanswered(awaited)
        answered: set[str] = set()
        last = ""
        for place, block in enumerate(turn.blocks):
            here = f"messages.{at}.content.{place}"
            if block["type"] == "tool_use":
                if block["id"] in awaited:
                    raise invalid(f"{here}: `tool_use` ids must be unique")
                awaited[block["id"]] = at
            elif block["type"] == "tool_result":
                if awaited and last not in ("", "tool_result"):
                    raise _unanswered(awaited)
                _answer(block["tool_use_id"], awaited, answered, here)
            last = block["type"]
        if awaited and (turn.role == "user" or last == "text"):
            raise _unanswered(awaited)
    if awaited:
        raise _unanswered(awaited)


def _answer(id: str, awaited: dict[str, int], answered: set[str], here: str) -> None:
    if id in answered:
        raise invalid(
            f"{here}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
        )
    if awaited.pop(id, None) is None:
        raise invalid(
            f"{here}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have "
            "a corresponding `tool_use` block in the previous message."
        )
    answered.add(id)


def _unanswered(awaited: dict[str, int]) -> Problem:
    at = min(awaited.values())
    ids = ", ".join(id for id, place in awaited.items() if place == at)
    return invalid(
        f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}. Each "
        "`tool_use` block must have a corresponding `tool_result` block in the next message."
    )


def _check_server_tools(turns: list[_Turn]) -> None:
    """Results of server tools follow their calls.

    A call may be left open in the last turn, which was paused (§3.2), and beside a call of a client's tool, for which
    the server's waits (recorded).
    """
    called: dict[str, tuple[int, str]] = {}
    seen: set[str] = set()
    for at, turn in enumerate(turns):
        may_wait = any(block["type"] == "tool_use" for block in turn.blocks)
        for place, block in enumerate(turn.blocks):
            kind = block["type"]
            if kind == "server_tool_use":
                seen.add(block["id"])
                if not may_wait:
                    called[block["id"]] = (at, block["name"])
            elif kind.endswith("_tool_result") and kind != "mcp_tool_result":
                if block.get("tool_use_id") not in seen:
                    raise invalid(
                        f"messages.{at}.content.{place}: unexpected `tool_use_id` found in `{kind}` blocks: "
                        f"{block.get('tool_use_id')}. Each `{kind}` block must have a corresponding `server_tool_use` "
                        "block before it."
                    )
                called.pop(block["tool_use_id"], None)
    for id, (at, name) in called.items():
        if at < len(turns) - 1:
            kind = "tool_search" if name.startswith("tool_search_") else name
            raise invalid(
                f"messages.{at}: `{name}` tool use with id `{id}` was found without a corresponding "
                f"`{kind}_tool_result` block"
            )


def _check_prefill(content: Any, model: Model) -> None:
    """A turn paused in a server tool is sent back as it is, which is no prefill."""
    last = content[-1] if isinstance(content, list) and content else {}
    kind = str(last.get("type"))
    if not model.may_be_prefilled and kind != "server_tool_use" and not kind.endswith("_tool_result"):
        raise invalid(_PREFILL)
    words = content if isinstance(content, str) else last.get("text", "")
    if words != words.rstrip():
        raise invalid("messages: final assistant content cannot end with trailing whitespace")
