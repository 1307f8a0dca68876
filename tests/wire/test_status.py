"""What the provider's status page says of the API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.wire.status import incident

API = {"id": "k8w3r06qmzrp", "name": "Claude API (api.anthropic.com)", "status": "operational"}
CODE = {"id": "yyzkbfz2thpt", "name": "Claude Code", "status": "major_outage"}


def page(*components: dict[str, Any], incidents: tuple[dict[str, Any], ...] = ()) -> bytes:
    status = {"indicator": "none", "description": "All Systems Operational"}
    said = {"page": {"id": "tymt9n04zgry", "name": "Claude"}, "status": status}
    return json.dumps({**said, "components": components, "incidents": incidents}).encode()


def test_only_what_touches_the_api_counts() -> None:
    assert incident(page(API, CODE)) is None
    assert incident(page(API, incidents=({"name": "Login", "status": "investigating", "components": [CODE]},))) is None
    broken = {"name": "Elevated errors on Opus", "status": "investigating", "components": [API]}
    assert incident(page(API, incidents=(broken,))) == "Elevated errors on Opus"
    assert incident(page(API, incidents=({**broken, "status": "resolved"},))) is None
    assert incident(page({**API, "status": "partial_outage"})) == "Claude API (api.anthropic.com): partial outage"


@pytest.mark.parametrize("body", [b"", b"<html>Just a moment...</html>", b"[]", b'{"components": 5}'])
def test_what_is_no_summary_says_so(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a status summary"):
        incident(body)
