from __future__ import annotations

import pytest

from penstock.wire import faults


def test_every_class_is_the_one_the_sdk_raises() -> None:
    classes = pytest.importorskip("anthropic._error_classes")
    httpx2 = pytest.importorskip("httpx2")
    codes = {code for _, code in classes.ERROR_CLASSES} | {"a_new_code"}
    request = httpx2.Request("POST", "http://test/")
    for status in (200, *range(400, 600)):
        response = httpx2.Response(status, request=request)
        for code in codes:
            body = {"error": {"details": {"error_code": code}}}
            theirs = type(classes.make_status_error("", body=body, response=response)).__name__
            assert faults.error_class(status, code) == theirs, (status, code)


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
