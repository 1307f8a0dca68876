"""What a failed attempt calls for: whose fault it is, how often trying again is worth it, and from which wait on.

One table for answers, errors within streams and broken connections. Kinds of answers are those of `faults.kind`; the
numbers follow the API's guidance (docs.claude.com, errors; rate limits): many retries for what passes by itself, two
for what may, none for what will not.
"""

from __future__ import annotations

import msgspec

from . import faults


class Remedy(msgspec.Struct, frozen=True):
    """`owner` is caller, operator, upstream or network; `tries_max` counts the first try, `wait_s` is the first wait.

    `is_outage` says whether it speaks against the upstream's health.
    """

    kind: str
    owner: str
    tries_max: int
    wait_s: float = 1.0
    is_outage: bool = False

    @property
    def may_hop(self) -> bool:
        """Whether another model or upstream may do better: not where the fault is in the request itself."""
        return self.owner != "caller" or self.kind in ("not_found", "over_limit")


_ANSWERS = {
    remedy.kind: remedy
    for remedy in (
        Remedy("overloaded", "upstream", 7, is_outage=True),
        Remedy("rate_limit", "operator", 7),
        Remedy("ramp_limit", "operator", 7, wait_s=5.0),
        Remedy("over_limit", "caller", 1),
        Remedy("spend_limit", "operator", 1),
        Remedy("api", "upstream", 3, is_outage=True),
        Remedy("timeout", "upstream", 2, is_outage=True),
        Remedy("unavailable", "upstream", 3, is_outage=True),
        Remedy("authentication", "operator", 1),
        Remedy("billing", "operator", 1),
        Remedy("permission", "operator", 1),
        Remedy("invalid_request", "caller", 1),
        Remedy("not_found", "caller", 1),
        Remedy("conflict", "caller", 1),
        Remedy("too_large", "caller", 1),
        Remedy("other", "caller", 1),
    )
}

#: By the code of UpstreamFailed. A request that timed out may have been worked on, and paid for: once more is enough.
_FAILURES = {
    "connect_failed": Remedy("unreachable", "network", 3, is_outage=True),
    "connect_timeout": Remedy("unreachable", "network", 3, is_outage=True),
    "reset": Remedy("reset", "network", 3, is_outage=True),
    "cut": Remedy("cut", "upstream", 3, is_outage=True),
    "bad_answer": Remedy("bad_answer", "upstream", 2, is_outage=True),
    "first_byte_timeout": Remedy("timeout", "upstream", 2, is_outage=True),
    "idle_timeout": Remedy("timeout", "upstream", 2, is_outage=True),
    "total_timeout": Remedy("timeout", "upstream", 1, is_outage=True),
    "closed": Remedy("closed", "operator", 1),
}

#: The upstream's own limits leave no room in time.
BUSY = Remedy("busy", "operator", 1)
#: The model declined, and the feature asks the next one then.
REFUSAL = Remedy("refusal", "upstream", 1)
#: The answer is not of the form that is wanted, and the feature asks the next one then.
INVALID = Remedy("invalid", "upstream", 1)

#: Answers without an error type: of the edge, which is not the API, or of services that only speak its format.
_UNTYPED = {
    401: "authentication",
    403: "permission",
    413: "too_large",
    429: "rate_limit",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
    529: "overloaded",
}


def of_answer(
    status: int,
    error_type: str | None,
    error_code: str | None,
    message: str | None,
    should_retry: bytes | None,
) -> Remedy:
    """The remedy for an error answer. `should_retry` is its `x-should-retry`, which has the last word as in the SDK."""
    kind = faults.kind(status, error_type, error_code, message)
    if error_type is None:
        kind = _UNTYPED.get(status, kind)
    if kind == "rate_limit" and should_retry == b"false":
        kind = "over_limit"  # recorded since 2026-02: this request alone is more than the limit
    remedy = _ANSWERS[kind]
    if should_retry == b"false":
        return msgspec.structs.replace(remedy, tries_max=1)
    if should_retry == b"true" and remedy.tries_max == 1 and kind != "spend_limit":
        return msgspec.structs.replace(remedy, tries_max=3)
    return remedy


def of_failure(code: str) -> Remedy:
    """The remedy for an attempt that got no answer, or not a whole one."""
    return _FAILURES[code]


def retry_after_s(milliseconds: bytes | None, seconds: bytes | None, now_s: float) -> float | None:
    """How long an answer asks to wait, None if it does not: `retry-after-ms`, or `retry-after` in seconds or as a date.

    `now_s` is Unix time.
    """
    for value, unit in ((milliseconds, 1000.0), (seconds, 1.0)):
        if value is None:
            continue
        try:
            asked = float(value) / unit
        except ValueError:
            asked = _until(value, now_s) if unit == 1.0 else -1.0
        if 0 < asked < 4_294_967:
            return asked
    return None


def _until(value: bytes, now_s: float) -> float:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value.decode("latin-1")).timestamp() - now_s
    except (ValueError, TypeError, OverflowError):
        return -1.0
