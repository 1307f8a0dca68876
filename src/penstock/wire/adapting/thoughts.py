"""Thinking: that of earlier turns, which another model or account cannot read, and how the target is asked to think.

docs.claude.com: preserved thinking (removing blocks by hand is a documented way out), extended and adaptive thinking.
"""

from __future__ import annotations

from typing import Any

from ..models import Model
from .edit import THOUGHTS, Edit, Unadaptable, tables
from .splice import Spliced, without

_KINDS = ("enabled", "adaptive", "disabled", "between_tools")
#: `budget_tokens` up to which an effort stands for it, beyond them high; and the budget an effort stands for.
_EFFORT_OF = ((4096, "low"), (16_384, "medium"))
_BUDGET_OF = {"low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 32_768}
_BUDGET_TOKENS_MIN = 1024


def leave_foreign(edit: Edit) -> None:
    """Take out the thinking of earlier turns that the target cannot read; what it had led to stays.

    A turn that was nothing else goes: the turns around it are one to the API. Raises Unadaptable where no user's turn
    would be left to begin with.
    """
    if _is_readable(edit):
        return
    given = edit.value("messages")
    turns = given if isinstance(given, list) else []
    foreign = [at for at, turn in enumerate(turns) if _thoughts(turn)]
    if not foreign:
        return
    messages = Spliced(edit.fields["messages"])
    for at in foreign:
        turn = Spliced(messages[at])
        content = without(turn["content"], _thoughts(turns[at]))
        if content is None:
            messages.drop(at)
        else:
            turn.put("content", content)
            messages.put(at, turn.text)
    edit.put("messages", messages.text, "messages: thinking of another model or account left out")
    left = edit.turns()
    if not left or (left[0].get("role") == "system") > (turns[0].get("role") == "system"):
        raise Unadaptable("nothing would be left of it without the thinking of another model")


def _is_readable(edit: Edit) -> bool:
    """In doubt, no: an account may be held to prefixes that the other did not check, and of most models no source says
    whose thinking they read."""
    if not edit.is_same_account:
        return edit.is_same_model and edit.target is not None and not edit.target.capabilities.preserves_thinking
    if edit.is_same_model:
        return True
    return edit.target is not None and edit.source is not None and edit.source.id in edit.target.reads_thinking_of


def _thoughts(turn: Any) -> list[int]:
    """Places of the thinking blocks in a turn of the assistant."""
    content = turn.get("content") if isinstance(turn, dict) and turn.get("role") == "assistant" else None
    blocks = content if isinstance(content, list) else []
    return [at for at, block in enumerate(blocks) if isinstance(block, dict) and block.get("type") in THOUGHTS]


def fit_thinking(edit: Edit, target: Model) -> None:
    """Ask for thinking as the target knows it: a budget, adaptive, or none."""
    kind = edit.table("thinking").get("type")
    if kind not in _KINDS:
        return
    wanted = _wanted(edit, str(kind), target)
    if wanted == "enabled":
        _give_budget(edit, str(kind), target)
    elif wanted == "adaptive" and edit.value("max_tokens") != 0:
        if kind == wanted:
            return
        budget = edit.table("thinking").get("budget_tokens")
        edit.set("thinking", f"thinking: {kind} became adaptive", type="adaptive", budget_tokens=None)
        _give_effort(edit, budget, target)
    elif wanted != kind:
        _turn_off(edit, str(kind), target)


def _wanted(edit: Edit, kind: str, target: Model) -> str:
    types = target.capabilities.thinking_types
    if kind in types:
        return kind
    if kind == "between_tools":  # without tools it is none at all
        return "adaptive" if edit.value("tools") and "adaptive" in types else "disabled"
    if kind == "disabled":
        return "absent"
    return "adaptive" if kind == "enabled" else "enabled"


def _give_budget(edit: Edit, kind: str, target: Model) -> None:
    """A budget below `max_tokens`: half of it at most where the caller gave no budget that fits. With interleaved
    thinking a budget is for all turns of a loop, and may be more.

    Thinking goes off where a tool is forced, where there is no room, and within a loop of tools whose own thinking is
    gone: with a budget, the turn that made the calls must begin with it.
    """
    given, effort = edit.table("thinking").get("budget_tokens"), edit.table("output_config").get("effort")
    budget = given if isinstance(given, int) else _BUDGET_OF.get(str(effort), _BUDGET_OF["high"])
    room = edit.value("max_tokens")
    is_interleaved = bool(edit.value("tools")) and any(name.startswith("interleaved-thinking-") for name in edit.betas)
    if isinstance(room, int) and not (given == budget and (budget < room or is_interleaved)):
        budget = min(budget, room // 2)
    if budget < _BUDGET_TOKENS_MIN or edit.forces_tools or _is_headless_loop(edit.turns()):
        _turn_off(edit, kind, target)
    elif budget != given:
        change = "" if kind == "enabled" else f"{kind} became enabled with "
        edit.set("thinking", f"thinking: {change}a budget of {budget:,}", type="enabled", budget_tokens=budget)


def _turn_off(edit: Edit, kind: str, target: Model) -> None:
    if "disabled" in target.capabilities.thinking_types:
        edit.put("thinking", b'{"type":"disabled"}', f"thinking: {kind} became disabled")
    else:
        edit.drop("thinking", f"thinking: {kind} left out")


def _give_effort(edit: Edit, budget: object, target: Model) -> None:
    """The effort that stands for a budget, where the caller named none."""
    has_effort = edit.table("output_config").get("effort") is not None
    if not isinstance(budget, int) or has_effort or not target.capabilities.efforts:
        return
    effort = next((effort for most, effort in _EFFORT_OF if budget <= most), "high")
    edit.set("output_config", f"effort: {effort} for the budget of {budget:,}", effort=effort)


def _is_headless_loop(turns: list[dict[str, Any]]) -> bool:
    """Whether the last turn answers calls of tools, and the turn that made them does not begin with thinking."""
    said, answers = list(turns), []
    while said and said[-1].get("role") == "user":
        answers += tables(said.pop().get("content"))
    if not said or not any(block.get("type") == "tool_result" for block in answers):
        return False
    first = (tables(said[-1].get("content")) or [{}])[0]
    return first.get("type") not in THOUGHTS
