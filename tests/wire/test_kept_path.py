"""What records keep of a path: the API's own words and ids, nothing that may be a secret."""

from __future__ import annotations

import pytest

from penstock.wire.messages import kept_path


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/messages/batches",
        "/v1/messages/batches/msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d/results",
        "/v1/files/file_011CNha8iCJcU1wXNR6q4V8w/content",
        "/v1/models/claude-3-5-sonnet-20241022",
        "/v1/models/anthropic.claude-3-5-sonnet-20241022-v2:0",
        "/v1/organizations/workspaces/0d3adb33-0000-4000-8000-00000000beef/",
    ],
)
def test_a_path_of_the_api_is_kept_as_it_is(path: str) -> None:
    assert kept_path(path) == path


@pytest.mark.parametrize(
    "part",
    [
        "sk-ant-" + "api03-" + "Zq7" * 31 + "AA",
        "pk_" + "dev_" + "Zq7" * 14,
        "ghp_" + "Zq7" * 12,
        "AKIA" + "IOSFODNN7CANARY1",
        "eyJhbGciOiJIUzI1NiJ9.Zq7.q7Z",
        "0123456789abcdef" * 4,
        "user%3Apassword%40db",
        "…",
    ],
)
def test_what_may_be_a_secret_is_not(part: str) -> None:
    assert kept_path(f"/v1/files/{part}/content") == "/v1/files/…/content"
