"""Bodies of the Messages API, checked in the order of the API: JSON, shape, version, model, then all that needs one.

That a bad shape is found before an unknown model is taken from how such servers are built; no recording shows it.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ..catalogue import Model, find_model
from ..problems import Problem, invalid
from .betas import Betas
from .marks import check_marks
from .notation import shapes
from .parameters import check_limit, check_parameters, check_version
from .shape import EXTRA, Wrong
from .sizes import check_sizes
from .tools import check_tools
from .turns import check_turns

#: Faults of JSON in the words of the API's parser, by the beginning of those of the standard library's.
_WORDS = {
    "Invalid control character": "unexpected control character in string",
    "Unterminated string": "unexpected end of data",
    "Extra data": "unexpected content after document",
    "Invalid \\": "invalid escaped character in string",
    "Expecting": "unexpected character",
}


def parse(body: bytes) -> dict[str, Any]:
    """The body as an object. Raises Problem 400."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid(f"The request body is not valid JSON: {_json_fault(body)}") from None
    except RecursionError:
        raise invalid("The request body is not valid JSON: Recursion limit reached") from None
    if not isinstance(request, dict):
        raise invalid("Input should be a valid dictionary or object to extract fields from")
    return request


def _json_fault(body: bytes) -> str:
    if not body:
        return "Input is a zero-length, empty document: line 1 column 1 (char 0)"
    try:
        json.loads(body)
    except UnicodeDecodeError:
        return "str is not valid UTF-8: surrogates not allowed: line 1 column 1 (char 0)"
    except json.JSONDecodeError as fault:
        text = next((ours for theirs, ours in _WORDS.items() if fault.msg.startswith(theirs)), fault.msg)
        text = "unexpected end of data" if fault.pos >= len(fault.doc) else text
        return f"{text}: line {fault.lineno} column {fault.colno} (char {fault.pos})"
    except (ValueError, RecursionError):
        return "Recursion limit reached"
    return "no low surrogate in string: line 1 column 1 (char 0)"


def check_thread(request: dict[str, Any], betas: str) -> None:
    """That a request which names a thread may: before its conversation is looked for. Raises Problem 400."""
    if "thread" in request and not Betas(betas).has(*shapes().file.betas["thread"]):
        raise invalid(f"thread: {EXTRA}")


def check_message(
    request: dict[str, Any], version: str, betas: str, now_s: float | None = None, *, is_batch: bool = False
) -> Model:
    """Validate a Messages body and give its model.

    `betas` is the header, `now_s` Unix time, from which models are retired; `is_batch`: it is an item of a batch.
    Raises Problem: 404 where the model is not there, else 400.
    """
    named = Betas(betas)
    model = _shaped(request, "message", named, version, now_s)
    check_limit(request, model, named, is_batch=is_batch)
    _check(request, model, named)
    return model


def check_count(request: dict[str, Any], version: str, betas: str, now_s: float | None = None) -> Model:
    """Validate a count_tokens body and give its model. Raises Problem as `check_message`."""
    named = Betas(betas)
    model = _shaped(request, "count", named, version, now_s)
    _check(request, model, named)
    return model


def _shaped(request: dict[str, Any], name: str, betas: Betas, version: str, now_s: float | None) -> Model:
    try:
        shapes().check(name)(request, betas)
    except Wrong as wrong:
        raise invalid(str(wrong)) from None
    except RecursionError:
        raise _too_deep() from None
    check_version(request, version)
    return find_model(request["model"], now_s)


def _check(request: dict[str, Any], model: Model, betas: Betas) -> None:
    check_sizes(request, model)
    check_turns(request, model)
    check_parameters(request, model, betas)
    check_tools(request, model)
    check_marks(request)


def _too_deep() -> Problem:
    return invalid("The request body is not valid JSON: Recursion limit reached")
