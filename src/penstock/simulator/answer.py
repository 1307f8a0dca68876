"""An answer ready to be sent, and the whole-answer faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .accounts import Caller
from .buckets import Bucket, shown
from .dice import Dice
from .faults import Fault
from .headers import Header, Headers
from .limits import TIERS
from .problems import Problem, error_body
from .spend import tier_cap

_UPSTREAM_503 = b"upstream connect error or disconnect/reset before headers. reset reason: connection termination"
_HTML_502 = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)
_RATE_LIMITED = (
    "This request would exceed your organization's rate limit of 2,000,000 input tokens per minute (org: {org}). "
    "For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the response headers for current "
    "usage. Please reduce the prompt length or the maximum tokens requested, or try again later. You may also contact "
    "sales at https://www.anthropic.com/contact-sales to discuss your options for a rate limit increase."
)


def _nothing() -> None:
    """An answer that changes nothing when it begins."""


def _nothing_left(share: float) -> None:
    """An answer that changes nothing when it ends."""


@dataclass(slots=True)
class Answer:
    """Status, headers and body. The body is a list of parts: a stream's events, or a JSON body in one part.

    `has_length` says whether the body goes with a content-length or in chunks, `is_verbatim` that the parts are
    sent as they are, one chunk each. `began` is called when the head leaves, if it does; `ended` once, at the end
    or where the answer broke off, with the share of the body that had left.
    """

    status: int
    headers: list[Header]
    parts: list[bytes] = field(default_factory=list)
    is_stream: bool = False
    has_length: bool = False
    is_verbatim: bool = False
    output_tokens: int = 0
    began: Callable[[], None] = _nothing
    ended: Callable[[float], None] = _nothing_left


def problem_answer(problem: Problem, headers: Headers, request_id: str, dice: Dice, caller: Caller | None) -> Answer:
    """An error of the API itself. Only 401 leaves the organization unnamed."""
    body = error_body(problem.kind, problem.message, request_id, problem.code)
    made = headers.problem(request_id, dice, caller, problem.may_retry)
    return Answer(problem.status, [*made, *problem.headers], [body], has_length=True)


def fault_answer(fault: Fault, headers: Headers, request_id: str, dice: Dice, caller: Caller, now_s: float) -> Answer:
    """A fault that is a whole answer by itself."""
    if fault.name == "html_502":
        return Answer(502, headers.edge(b"text/html", dice), [_HTML_502], has_length=True)
    if fault.name == "unavailable_503":
        return Answer(503, headers.edge(b"text/plain", dice), [_UPSTREAM_503], has_length=True)
    if fault.name == "overloaded":
        made = headers.problem(request_id, dice, caller, True)
        return Answer(529, made, [error_body("overloaded_error", "Overloaded", None)], has_length=True)
    if fault.name == "error_500":
        made = headers.problem(request_id, dice, caller, False)
        body = error_body("api_error", "Internal server error", request_id)
        return Answer(500, made, [body], has_length=True)
    if fault.name == "spend_cap":
        return problem_answer(tier_cap(now_s), headers, request_id, dice, caller)
    wait_s = max(0, round(fault.number(1)))
    made = headers.problem(request_id, dice, caller, True)
    made += [(b"retry-after", str(wait_s).encode()), *_used_up(now_s)]
    body = error_body("rate_limit_error", _RATE_LIMITED.format(org=caller.organization_id), request_id)
    return Answer(429, made, [body], has_length=True)


def _used_up(now_s: float) -> list[Header]:
    """The rate limit headers of an organization that has no input tokens left."""
    requests, inputs, outputs = (Bucket(limit, now_s) for limit in TIERS["start"])
    inputs.take(inputs.limit, now_s)
    return shown(requests, inputs, outputs, now_s)
