"""Makes a request for one model acceptable to another, or says why that cannot be.

What only tunes an answer is changed or left out, and said; what the caller relies on (a forced tool, a beginning of the
answer, a region) is never left out: then the request cannot go there. Values that stay keep their bytes.
Rules: `traits`, and for thinking docs.claude.com, preserved thinking: removing blocks by hand is a documented way out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .traits import Known, traits_of

_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SAMPLING = ("temperature", "top_p", "top_k")
_THINKING = ("thinking", "redacted_thinking")
#: `budget_tokens` up to which an effort stands for it, and the budget an effort stands for.
_EFFORT_OF = ((4096, "low"), (16_384, "medium"), (1 << 62, "high"))
_BUDGET_OF = {"low": 2048, "medium": 8192}
_BUDGET, _BUDGET_MIN = 16_384, 1024
_IMAGES_MAX_SMALL = 100
#: Whose thinking else a model can read on the same account.
_READS = {"claude-fable-5-1": ("claude-opus-5", "claude-opus-5-5")}


class Adapted(msgspec.Struct, frozen=True):
    """The body as the other model takes it, and what was changed for that, a few words each."""

    body: bytes
    changes: tuple[str, ...] = ()


class Unadaptable(ValueError):
    """The request cannot go there. The message says why, as the end of a sentence."""


def adapted(body: bytes, *, from_model: str, to_model: str, is_same_account: bool) -> Adapted:
    """A Messages or count_tokens body for `to_model`; the very same bytes where nothing has to change.

    `is_same_account`: the credential and the upstream stay. Raises Unadaptable.
    """
    if from_model == to_model and is_same_account:
        return Adapted(body)
    try:
        fields = _RAW.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unadaptable("its body cannot be read") from error
    edit = _Edit(fields, from_model, to_model, is_same_account=is_same_account)
    for rule in _RULES:
        rule(edit)
    if not edit.is_changed:
        return Adapted(body)
    parts = [msgspec.json.encode(name) + b":" + bytes(value) for name, value in edit.fields.items()]
    return Adapted(b"{" + b",".join(parts) + b"}", tuple(edit.changes))


class _Edit:
    """One request on its way. `get` decodes a field, `put` and `drop` change it."""

    def __init__(
        self, fields: dict[str, msgspec.Raw], from_model: str, to_model: str, *, is_same_account: bool
    ) -> None:
        self.fields, self.from_model, self.to_model = fields, from_model, to_model
        self.is_same_account = is_same_account
        self.target: Known | None = traits_of(to_model)
        self.changes: list[str] = []
        self.is_changed = False

    def get(self, name: str) -> Any:
        value = self.fields.get(name)
        if value is None:
            return None
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unadaptable(f"its `{name}` cannot be read") from error

    def table(self, name: str) -> dict[str, Any]:
        value = self.get(name)
        return value if isinstance(value, dict) else {}

    def blocks(self) -> list[dict[str, Any]]:
        """All content blocks of the messages, those of tool results too."""
        found: list[dict[str, Any]] = []
        left = [turn.get("content") for turn in self.turns()]
        while left:
            for block in _dicts(left.pop()):
                found.append(block)
                left.append(block.get("content"))
        return found

    def turns(self) -> list[dict[str, Any]]:
        return _dicts(self.get("messages"))

    def put(self, name: str, value: Any, change: str = "") -> None:
        self.fields[name] = msgspec.Raw(msgspec.json.encode(value))
        self._note(change)

    def drop(self, name: str, change: str = "") -> None:
        del self.fields[name]
        self._note(change or f"without `{name}`")

    def _note(self, change: str) -> None:
        self.is_changed = True
        if change:
            self.changes.append(change)


def _model(edit: _Edit) -> None:
    if edit.to_model != edit.from_model:
        edit.put("model", edit.to_model)


def _place(edit: _Edit) -> None:
    """What lives in one account, or in one conversation with one model."""
    if "thread" in edit.fields:
        raise Unadaptable("its conversation is kept by the upstream as a thread")
    if edit.is_same_account:
        return
    if isinstance(edit.get("container"), str) or edit.table("container").get("id"):
        raise Unadaptable("its container is of another account")
    if any(_is_file(block) for block in edit.blocks()):
        raise Unadaptable("it refers to a file of another account")


def _max_tokens(edit: _Edit) -> None:
    asked, target = edit.get("max_tokens"), edit.target
    if target is not None and isinstance(asked, int) and asked > target.output_tokens_max:
        most = target.output_tokens_max
        edit.put("max_tokens", most, f"`max_tokens` {most:,} instead of {asked:,}")


def _thinking(edit: _Edit) -> None:
    thinking, target = edit.table("thinking"), edit.target
    kind = thinking.get("type")
    if target is None or target.thinking_types.get(str(kind), True):
        return
    rest = {name: value for name, value in thinking.items() if name not in ("type", "budget_tokens")}
    if kind == "enabled":
        edit.put("thinking", {"type": "adaptive", **rest}, "adaptive thinking instead of a budget")
        budget = thinking.get("budget_tokens")
        if isinstance(budget, int) and target.efforts and "effort" not in edit.table("output_config"):
            effort = next(effort for most, effort in _EFFORT_OF if budget <= most)
            edit.put("output_config", {**edit.table("output_config"), "effort": effort}, f"effort {effort}")
    elif kind == "adaptive":
        _give_budget(edit, rest)
    elif target.thinking_types["disabled"]:
        edit.put("thinking", {"type": "disabled"}, "thinking off")
    else:
        edit.drop("thinking", "thinking as the model does it")


def _give_budget(edit: _Edit, rest: dict[str, Any]) -> None:
    """Adaptive thinking for a model that wants a budget, if `max_tokens` leaves room for one and no tool is forced."""
    effort, room = edit.table("output_config").get("effort"), edit.get("max_tokens")
    budget = _BUDGET_OF.get(str(effort), _BUDGET)
    if isinstance(room, int):
        budget = min(budget, room - 1)
    if budget < _BUDGET_MIN or edit.table("tool_choice").get("type") in ("any", "tool"):
        edit.drop("thinking", "thinking off")
        return
    edit.put("thinking", {"type": "enabled", "budget_tokens": budget, **rest}, f"a thinking budget of {budget:,}")


def _budget(edit: _Edit) -> None:
    """A budget must be less than `max_tokens`, which may have become less."""
    thinking, room = edit.table("thinking"), edit.get("max_tokens")
    budget = thinking.get("budget_tokens")
    if edit.is_changed and isinstance(budget, int) and isinstance(room, int) and budget >= room:
        if room - 1 < _BUDGET_MIN:
            edit.drop("thinking", "thinking off")
        else:
            edit.put("thinking", {**thinking, "budget_tokens": room - 1}, f"a thinking budget of {room - 1:,}")


def _foreign_thinking(edit: _Edit) -> None:
    """Thinking that the model cannot read, or whose account is another, goes; what it had led to stays."""
    target, source = edit.target, traits_of(edit.from_model)
    is_same_model = target is not None and source is not None and target.id == source.id
    if edit.to_model == edit.from_model or is_same_model:
        is_bound = source is None or source.preserves_thinking
        if edit.is_same_account or not is_bound:
            return
    elif target is not None and source is not None and edit.is_same_account and source.id in _READS.get(target.id, ()):
        return
    turns = edit.turns()
    kept: list[dict[str, Any]] = []
    for turn in turns:
        content = turn.get("content")
        if turn.get("role") == "assistant" and isinstance(content, list):
            left = [block for block in content if not (isinstance(block, dict) and block.get("type") in _THINKING)]
            if len(left) < len(content):
                turn = {**turn, "content": left}
            if not left and content:
                continue  # the turns around it become one
        kept.append(turn)
    if kept == turns:
        return
    edit.put("messages", kept, "the thinking of another model or account left out")
    is_open = bool(kept) and any(block.get("type") == "tool_result" for block in _dicts(kept[-1].get("content")))
    if is_open and edit.table("thinking").get("type") == "enabled":
        # Within a loop of tools a turn must begin with the thinking that led to it, where thinking has a budget.
        edit.drop("thinking", "thinking off")


def _effort(edit: _Edit) -> None:
    config, target = edit.table("output_config"), edit.target
    effort = config.get("effort")
    if target is None or effort is None:
        return
    levels = ("low", "medium", "high", "xhigh", "max")
    kind = edit.table("thinking").get("type")
    is_off = kind in ("disabled", "between_tools") or (kind is None and not target.thinks_unasked)
    fit = [level for level in target.efforts if effort not in levels or levels.index(level) <= levels.index(effort)]
    if is_off and target.needs_thinking_for_top_efforts:
        fit = [level for level in fit if level not in ("xhigh", "max")]
    if effort in fit:
        return
    rest = {name: value for name, value in config.items() if name != "effort"}
    if fit:
        edit.put("output_config", {**rest, "effort": fit[-1]}, f"effort {fit[-1]} instead of {effort}")
    elif rest:
        edit.put("output_config", rest, "without `effort`")
    else:
        edit.drop("output_config", "without `effort`")


def _sampling(edit: _Edit) -> None:
    if edit.target is not None and not edit.target.takes_sampling:
        for name in _SAMPLING:
            if name in edit.fields:
                edit.drop(name)


def _speed_and_region(edit: _Edit) -> None:
    target = edit.target
    if target is None:
        return
    if edit.get("speed") == "fast" and not target.may_be_fast:
        edit.drop("speed")
    elif edit.get("speed") is not None and target.may_be_fast and target.version < (5, 2):
        edit.drop("speed")  # open to a beta alone, which the caller may not have asked for
    if edit.get("inference_geo") is not None and not target.has_geo:
        raise Unadaptable("the model cannot be kept to a region")


def _tools(edit: _Edit) -> None:
    target = edit.target
    if target is None:
        return
    if edit.table("tool_choice").get("type") in ("any", "tool") and not target.may_force_tools:
        raise Unadaptable("the model cannot be made to use a tool")
    for tool in _dicts(edit.get("tools")):
        kind = tool.get("type")
        if isinstance(kind, str) and not target.takes_tool(kind):
            raise Unadaptable(f"the model does not have the tool {kind}")


def _conversation(edit: _Edit) -> None:
    target, turns = edit.target, edit.turns()
    if target is None or not turns:
        return
    if not target.hears_system_turns and any(turn.get("role") == "system" for turn in turns):
        raise Unadaptable("the model does not take turns of the system within a conversation")
    if turns[-1].get("role") == "assistant" and not target.may_be_prefilled:
        last = (_dicts(turns[-1].get("content")) or [{}])[-1].get("type")
        is_paused = last == "server_tool_use" or str(last).endswith("_tool_result")
        if not is_paused:
            raise Unadaptable("the model does not go on with a beginning given to it")
    edits = _dicts(edit.table("context_management").get("edits"))
    if not target.may_compact and any(one.get("type") == "compact_20260112" for one in edits):
        raise Unadaptable("the model does not summarise its own context")
    if target.context_tokens < 1_000_000:
        images = sum(block.get("type") == "image" for block in edit.blocks())
        if images > _IMAGES_MAX_SMALL:
            raise Unadaptable(f"{images} images are more than the model takes")


def _fallbacks(edit: _Edit) -> None:
    """A model cannot be its own fallback."""
    given = edit.get("fallbacks")
    if not isinstance(given, list):
        return
    kept = [one for one in given if not (isinstance(one, dict) and one.get("model") == edit.to_model)]
    if not kept:
        edit.drop("fallbacks")
    elif len(kept) < len(given):
        edit.put("fallbacks", kept, "one of `fallbacks` less")


_RULES: tuple[Callable[[_Edit], None], ...] = (
    _model,
    _place,
    _conversation,
    _tools,
    _max_tokens,
    _foreign_thinking,
    _thinking,
    _budget,
    _effort,
    _sampling,
    _speed_and_region,
    _fallbacks,
)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _is_file(block: dict[str, Any]) -> bool:
    source = block.get("source")
    return block.get("type") == "container_upload" or (isinstance(source, dict) and source.get("type") == "file")
