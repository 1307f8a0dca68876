"""A database that fails is a page that says so, not a bare error."""

from __future__ import annotations

import pytest
from place import Place

from penstock.dashboard.app import PAGES


@pytest.mark.parametrize("path", [path for path, _ in PAGES])
def test_a_database_that_fails_is_told_with_what_to_do(place: Place, path: str) -> None:
    client = place.client()
    client.get(place.pages.login_link())
    place.data.mkdir()
    (place.data / "penstock.db").write_bytes(b"this is no database" * 100)
    answer = client.get(f"/penstock/{path}")
    assert answer.status_code == 503 and "cannot be read now" in answer.text and "not a database" in answer.text
