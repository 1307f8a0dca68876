from __future__ import annotations

import pytest

from penstock.errors import UpstreamFailed
from penstock.wire import remedies

CROWDED = "Number of concurrent connections has exceeded your rate limit. …"
CAPPED = "You have reached your specified API usage limits. …"
TOO_FAST = "This request would exceed your organization's rate limit of 30,000 input tokens per minute (org: …)."


@pytest.mark.parametrize(
    ("status", "type", "code", "message", "should_retry", "kind", "owner", "tries"),
    [
        (529, "overloaded_error", None, "Overloaded", b"true", "overloaded", "upstream", 7),
        (200, "overloaded_error", None, "Overloaded", None, "overloaded", "upstream", 7),
        (429, "rate_limit_error", None, TOO_FAST, b"true", "rate_limit", "operator", 7),
        (429, "rate_limit_error", None, TOO_FAST, None, "rate_limit", "operator", 7),
        (429, "rate_limit_error", None, TOO_FAST, b"false", "over_limit", "caller", 1),
        (
            429,
            "rate_limit_error",
            None,
            CROWDED,
            b"true",
            "rate_limit",
            "operator",
            7,
        ),
        (429, "rate_limit_error", "ramp_limit_exceeded", "…", None, "ramp_limit", "operator", 7),
        (429, "rate_limit_error", "enforced_spend_limit_reached", "…", None, "spend_limit", "operator", 1),
        (429, "rate_limit_error", "contract_spend_limit_reached", "…", b"true", "spend_limit", "operator", 1),
        (
            400,
            "invalid_request_error",
            None,
            CAPPED,
            None,
            "spend_limit",
            "operator",
            1,
        ),
        (400, "invalid_request_error", None, "messages: Field required", b"false", "invalid_request", "caller", 1),
        (401, "authentication_error", None, "invalid x-api-key", b"false", "authentication", "operator", 1),
        (402, "billing_error", None, "…", None, "billing", "operator", 1),
        (403, "permission_error", None, "…", None, "permission", "operator", 1),
        (404, "not_found_error", None, "model: claude-none", b"false", "not_found", "caller", 1),
        (409, "conflict_error", None, "…", b"true", "conflict", "caller", 3),
        (413, "request_too_large", None, "…", None, "too_large", "caller", 1),
        (500, "api_error", None, "Internal server error", None, "api", "upstream", 3),
        (500, "api_error", None, "Internal server error", b"false", "api", "upstream", 1),
        (504, "timeout_error", None, "…", None, "timeout", "upstream", 2),
        (529, None, None, None, None, "overloaded", "upstream", 7),
        (429, None, None, None, None, "rate_limit", "operator", 7),
        (502, None, None, None, None, "unavailable", "upstream", 3),
        (503, None, None, None, None, "unavailable", "upstream", 3),
        (418, "new_error", None, "…", None, "other", "caller", 1),
        (599, "new_error", None, "…", None, "api", "upstream", 3),
    ],
)
def test_every_answer_has_its_remedy(
    status: int,
    type: str | None,
    code: str | None,
    message: str | None,
    should_retry: bytes | None,
    kind: str,
    owner: str,
    tries: int,
) -> None:
    remedy = remedies.of_answer(status, type, code, message, should_retry)
    assert (remedy.kind, remedy.owner, remedy.tries_max) == (kind, owner, tries)
    assert remedy.is_outage == (kind in ("overloaded", "api", "timeout", "unavailable"))


def test_every_failure_of_a_connection_has_its_remedy() -> None:
    wanted = {
        "connect_failed": 3,
        "connect_timeout": 3,
        "first_byte_timeout": 2,
        "idle_timeout": 2,
        "total_timeout": 1,
        "reset": 3,
        "cut": 3,
        "bad_answer": 2,
        "closed": 1,
    }
    assert all(code in (UpstreamFailed.__doc__ or "") for code in wanted)
    assert {code: remedies.of_failure(code).tries_max for code in wanted} == wanted


@pytest.mark.parametrize(
    ("milliseconds", "seconds", "wait_s"),
    [
        (None, None, None),
        (None, b"7", 7.0),
        (b"1500", b"7", 1.5),
        (b"junk", b"7", 7.0),
        (None, b"0", None),
        (None, b"-3", None),
        (None, b"soon", None),
        (None, b"99999999", None),
        (None, b"Fri, 20 Nov 2026 00:00:30 GMT", 30.0),
        (None, b"Thu, 19 Nov 2026 00:00:30 GMT", None),
    ],
)
def test_the_wait_asked_for_is_read_as_the_sdk_reads_it(
    milliseconds: bytes | None, seconds: bytes | None, wait_s: float | None
) -> None:
    assert remedies.retry_after_s(milliseconds, seconds, 1_795_132_800.0) == wait_s
