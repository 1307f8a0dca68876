"""What only tunes an answer: brought within the target's bounds, or left out, and said.

docs.claude.com: effort, the migration guides, fast mode, context editing; `models.toml` names a source for each bound.
"""

from __future__ import annotations

import msgspec

from ..models import Model, shipped
from .edit import Edit
from .splice import Spliced, without

#: From this version on sampling parameters are refused at any value (docs, migration guide of the version).
_VERSION_WITHOUT_SAMPLING = "2026-10-21"
_SAMPLING = {"temperature": 1, "top_p": None, "top_k": None}
_LEVELS = ("low", "medium", "high", "xhigh", "max")
_WINDOW_TOKENS_LARGE = 1_000_000


def fit_max_tokens(edit: Edit, target: Model) -> None:
    asked, most = edit.value("max_tokens"), target.output_tokens_max
    if target.batch_output_tokens_max and any(name.startswith("output-300k-") for name in edit.betas):
        most = target.batch_output_tokens_max
    if isinstance(asked, int) and asked > most:
        edit.put("max_tokens", b"%d" % most, f"max_tokens: {asked:,} became {most:,}")


def fit_effort(edit: Edit, target: Model) -> None:
    """The nearest lower level that the target has; none where there is no such."""
    effort, can = edit.table("output_config").get("effort"), target.capabilities
    taken = can.efforts if edit.thinks(target) else can.efforts_without_thinking
    if effort is None or effort in taken:
        return
    below = [level for level in taken if effort in _LEVELS[_LEVELS.index(level) :]]
    change = f"effort: {effort} became {below[-1]}" if below else "effort: left out"
    edit.set("output_config", change, effort=below[-1] if below else None)


def fit_sampling(edit: Edit, target: Model) -> None:
    for name, usual in _SAMPLING.items():
        if name not in edit.fields:
            continue
        is_refused = edit.value(name) != usual and not target.capabilities.takes_sampling
        if is_refused or edit.version >= _VERSION_WITHOUT_SAMPLING:
            edit.drop(name)


def fit_speed(edit: Edit, target: Model) -> None:
    """Where `speed` is open to a beta that the caller did not ask for, it goes too, whatever its value."""
    speed = edit.value("speed")
    is_closed = target.fast_beta is not None and target.fast_beta not in edit.betas
    if speed is not None and (is_closed or (speed == "fast" and not target.may_be_fast)):
        edit.drop("speed")


def fit_clearing(edit: Edit, target: Model) -> None:
    """To clear thinking is refused where thinking is off (seen in issues of Claude Code), and then nothing is lost."""
    given = edit.table("context_management").get("edits")
    edits = given if isinstance(given, list) else []
    clearing = [at for at, one in enumerate(edits) if isinstance(one, dict) and _clears_thinking(one)]
    if not clearing or edit.thinks(target):
        return
    left = without(Spliced(edit.fields["context_management"])["edits"], clearing)
    change = "context_management: clear_thinking left out"
    edit.set("context_management", change, edits=None if left is None else msgspec.Raw(left))


def fit_fallbacks(edit: Edit, target: Model) -> None:
    """A model cannot be its own fallback."""
    given = edit.value("fallbacks")
    if not isinstance(given, list):
        return
    own = [at for at, one in enumerate(given) if isinstance(one, dict) and _is_model(one.get("model"), target)]
    if not own:
        return
    left = without(edit.fields["fallbacks"], own)
    if left is None:
        edit.drop("fallbacks")
    else:
        edit.put("fallbacks", left, "fallbacks: the model itself left out")


def _clears_thinking(one: dict[str, object]) -> bool:
    return str(one.get("type")).startswith("clear_thinking_")


def _is_model(name: object, model: Model) -> bool:
    return isinstance(name, str) and shipped().find(name) is model


def betas_left(edit: Edit, target: Model, body: bytes) -> tuple[str, ...] | None:
    """The betas without those whose half in the body is gone, or that the target does not have; None where all stay.

    `body` is the request as it was.
    """
    was = Spliced(body)
    useless = {
        "context-1m-": target.context_tokens < _WINDOW_TOKENS_LARGE,
        "output-300k-": target.batch_output_tokens_max is None,
        "fast-mode-": "speed" in was and "speed" not in edit.fields,
        "interleaved-thinking-": _has_budget(was) and not _has_budget(edit.fields),
    }
    gone = tuple(begin for begin, is_useless in useless.items() if is_useless)
    left = tuple(name for name in edit.betas if not name.startswith(gone)) if gone else edit.betas
    if left == edit.betas:
        return None
    edit.changes += [f"beta: {name} left out" for name in edit.betas if name not in left]
    return left


def _has_budget(fields: Spliced) -> bool:
    thinking = msgspec.json.decode(fields["thinking"]) if "thinking" in fields else None
    return isinstance(thinking, dict) and thinking.get("type") == "enabled"
