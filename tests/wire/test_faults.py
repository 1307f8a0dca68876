from __future__ import annotations

import pytest

from penstock.wire import faults


def test_every_class_is_the_one_the_sdk_raises() -> None:
    classes = pytest.importorskip("anthropic._error_classes")
    httpx2 = pytest.importorskip("httpx2")
    named = {kind.__name__ for kind in classes.ERROR_CLASSES.values()}
    codes = {code for _, code in classes.ERROR_CLASSES} | {"a_new_code"}
    request = httpx2.Request("POST", "http://test/")
    for status in (200, *range(400, 600)):
        response = httpx2.Response(status, request=request)
        for code in codes:
            body = {"error": {"details": {"error_code": code}}}
            theirs = type(classes.make_status_error("", body=body, response=response))
            ours = faults.error_class(status, code)
            # An SDK newer than the table has classes of its own for codes that are new, below the one we name.
            is_new = theirs.__name__ in named and (status, code) not in faults.CODES
            assert ours in ([one.__name__ for one in theirs.__mro__] if is_new else [theirs.__name__]), (status, code)


@pytest.mark.parametrize(
    ("status", "error_type", "code", "message", "kind"),
    [
        (429, "rate_limit_error", None, "Number of requests", "rate_limit"),
        (429, "rate_limit_error", "ramp_limit_exceeded", "", "ramp_limit"),
        (429, "rate_limit_error", "enforced_spend_limit_reached", "", "spend_limit"),
        (400, "invalid_request_error", None, "You have reached your specified API usage limits. …", "spend_limit"),
        (400, "invalid_request_error", None, "messages: Field required", "invalid_request"),
        (529, "overloaded_error", None, "Overloaded", "overloaded"),
        (503, None, None, None, "api"),
        (418, "new_error", None, None, "other"),
    ],
)
def test_kind_names_what_to_do_about_it(
    status: int, error_type: str | None, code: str | None, message: str | None, kind: str
) -> None:
    assert faults.kind(status, error_type, code, message) == kind
