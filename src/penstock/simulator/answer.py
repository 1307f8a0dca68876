"""An answer ready to be sent, and the whole-answer faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .accounts import Caller
from .buckets import Bucket, shown
from .dice import Dice
from .faults import Fault
from .headers import Header, Headers
from .limits import CONCURRENT, TIERS, refusal, tokens_text
from .problems import Problem, error_body
from .spend import own_cap, tier_cap

_UPSTREAM_503 = b"upstream connect error or disconnect/reset before headers. reset reason: connection termination"
_HTML_413 = (
    b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n"
    b"<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n"
    b"</html>\r\n"
)
_HTML_502 = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)
#: Answers of the edge by itself: status, content type, text.
_EDGE = {
    "html_502": (502, b"text/html", _HTML_502),
    "unavailable_503": (503, b"text/plain", _UPSTREAM_503),
    "too_large_413": (413, b"text/html", _HTML_413),
}
_MODEL = "claude-sonnet-4-6"


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
    model: str = ""
    delay_s: float = 0.0
    began: Callable[[], None] = _nothing
    ended: Callable[[float], None] = _nothing_left


def problem_answer(problem: Problem, headers: Headers, request_id: str, dice: Dice, caller: Caller | None) -> Answer:
    """An error of the API itself. Only 401 leaves the organization unnamed."""
    body = error_body(problem.kind, problem.message, request_id, problem.code)
    made = headers.problem(request_id, dice, caller, problem.may_retry)
    return Answer(problem.status, [*made, *problem.headers], [body], has_length=True)


def fault_answer(fault: Fault, headers: Headers, request_id: str, dice: Dice, caller: Caller, now_s: float) -> Answer:
    """A fault that is a whole answer by itself."""
    edge = _EDGE.get(fault.name)
    if edge is not None:
        status, kind, text = edge
        return Answer(status, headers.edge(kind, dice), [text], has_length=True)
    if fault.name in ("overloaded", "retry_lie"):
        made = headers.problem(request_id, dice, caller, fault.name == "overloaded")
        return Answer(529, made, [error_body("overloaded_error", "Overloaded", None)], has_length=True)
    return problem_answer(_problem(fault, caller, now_s), headers, request_id, dice, caller)


def _problem(fault: Fault, caller: Caller, now_s: float) -> Problem:
    """The answer's words and fields, as where the real cause is at work."""
    if fault.name == "error_500":
        return Problem(500, "api_error", "Internal server error")
    if fault.name == "error_504":
        return Problem(504, "timeout_error", "Request timed out.", may_retry=True)
    if fault.name == "spend_cap":
        return tier_cap(now_s)
    if fault.name == "own_cap":
        return own_cap(now_s)
    if fault.name == "crowded":
        return refusal(CONCURRENT)
    shown_headers = _used_up(now_s)
    if fault.name == "ramp_limited":
        text = tokens_text("maximum usage increase rate for input tokens per minute", caller, _MODEL)
        return refusal(text, shown_headers, wait_s=fault.number(30), code="ramp_limit_exceeded")
    text = tokens_text("rate limit of 2,000,000 input tokens per minute", caller, _MODEL)
    if fault.name == "over_limit":
        return refusal(text, shown_headers, may_retry=False)
    return refusal(text, shown_headers, wait_s=fault.number(1))


def _used_up(now_s: float) -> list[Header]:
    """The rate limit headers of an organization that has no input tokens left."""
    requests, inputs, outputs = (Bucket(limit, now_s) for limit in TIERS["start"])
    inputs.take(inputs.limit, now_s)
    return shown(requests, inputs, outputs, now_s)
