"""Makes a request for one model acceptable to another, or says why that cannot be.

What only tunes an answer is changed or left out, and said (`tuning`, `thoughts`); what the caller relies on (a forced
tool, a beginning of the answer, a region) is never left out: then the request cannot go there (`reliance`). Whatever
stays keeps its bytes (`splice`). What a model takes is data of `models.toml`; window and price are not judged here.
"""

from __future__ import annotations

import msgspec

from .edit import Edit, Unadaptable
from .reliance import check_place, check_reliance
from .thoughts import fit_thinking, leave_foreign
from .tuning import betas_left, fit_clearing, fit_effort, fit_fallbacks, fit_max_tokens, fit_sampling, fit_speed

__all__ = ["Adapted", "Unadaptable", "adapted"]

#: In this order: thinking looks at the room for it, effort and clearing at whether there is thinking.
_FITS = (fit_max_tokens, fit_thinking, fit_effort, fit_sampling, fit_speed, fit_clearing, fit_fallbacks)


class Adapted(msgspec.Struct, frozen=True):
    """The request as the other model takes it.

    `beta` is what the header `anthropic-beta` must name now, nothing for a header to be left out; None where it stays.
    `changes` says what was done beside the model's name, in a few words each: "thinking: enabled became adaptive".
    """

    body: bytes
    beta: tuple[str, ...] | None = None
    changes: tuple[str, ...] = ()


def adapted(
    body: bytes,
    betas: bytes = b"",
    version: str = "2023-06-01",
    *,
    to_model: str,
    from_model: str,
    is_same_account: bool,
) -> Adapted:
    """A Messages or count_tokens body for `to_model`; the very same bytes where nothing has to change.

    `betas` is the value of `anthropic-beta`, `version` that of `anthropic-version`. `is_same_account`: credential and
    upstream stay. For a model that is not known only the name and foreign thinking are changed.

    Raises Unadaptable where the target lacks what the caller relies on: a forced tool, a beginning of the answer, turns
    of the system, a region, a versioned tool, its own compaction, so many images; and for a thread, and for files,
    containers and skills of another account.
    """
    if from_model == to_model and is_same_account:
        return Adapted(body)
    try:
        return _made(
            body,
            Edit(body, betas, version, to_model=to_model, from_model=from_model, is_same_account=is_same_account),
        )
    except Unadaptable:
        raise
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Unadaptable("its body cannot be read") from error


def _made(body: bytes, edit: Edit) -> Adapted:
    target, beta = edit.target, None
    if edit.value("model") != edit.to_model:
        edit.put("model", msgspec.json.encode(edit.to_model))
    check_place(edit)
    if target is not None and not edit.is_same_model:
        check_reliance(edit, target)
    leave_foreign(edit)
    if target is not None and not edit.is_same_model:
        for fit in _FITS:
            fit(edit, target)
        beta = betas_left(edit, target, body)
    made = edit.fields.text
    return Adapted(body if made == body else made, beta, tuple(edit.changes))
