"""The page of alerts: what fires, who was told, and acknowledging by those who may."""

from __future__ import annotations

import re

from place import NOW_US, Place
from starlette.testclient import TestClient

from penstock.stores import audit
from penstock.stores.alerts import AlertStore, Change, Message

SAID = "5.0 % of 200 calls failed."


def fire(place: Place, identity: str = "error rate") -> int:
    store = AlertStore(place.data)
    message = Message("env:SLACK_ALERT_URL", "Penstock", SAID, NOW_US)
    change = Change(
        identity=identity,
        event="fired",
        kind="error_rate",
        severity="critical",
        said=SAID,
        fix="Look.",
        messages=(message,),
    )
    store.round(NOW_US - 60_000_000, lambda known: [change])
    (fired,) = [one for one in store.history() if one.identity == identity]
    store.close()
    return fired.id


def acked_at(place: Place, alert_id: int) -> int | None:
    store = AlertStore(place.data)
    (one,) = [one for one in store.history() if one.id == alert_id]
    store.close()
    return one.acked_at_us


def token(client: TestClient) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get("/penstock/alerts").text)
    assert found is not None
    return found[1]


def acknowledge(client: TestClient, alert_id: object, said: str) -> int:
    fields = {"id": str(alert_id), "token": said}
    return client.post("/penstock/alerts/acknowledge", data=fields).status_code


def test_what_fires_is_shown_with_who_was_told(place: Place) -> None:
    fire(place)
    text = place.visitor("view").get("/penstock/alerts").text
    assert SAID in text and "env:SLACK_ALERT_URL" in text and "due 2026-11-20" in text
    assert "/alerts/acknowledge" not in text  # a viewer sees no button


def test_an_admin_acknowledges_and_the_audit_log_knows_who(place: Place) -> None:
    alert_id, visitor = fire(place), place.visitor()
    assert acknowledge(visitor, alert_id, token(visitor)) == 303
    assert acked_at(place, alert_id) == NOW_US
    *_, entry = audit.entries(place.data)
    assert (entry.action, entry.subject) == ("alert.acknowledge", "error rate")
    assert entry.who in {key.id for key in place.keys.list()}
    text = visitor.get("/penstock/alerts").text
    assert "Acknowledged 2026-11-20" in text and "/alerts/acknowledge" not in text
    count = len(list(audit.entries(place.data)))
    assert acknowledge(visitor, alert_id, token(visitor)) == 303  # the second time changes nothing
    assert len(list(audit.entries(place.data))) == count


def test_a_viewer_may_not_and_neither_may_another_site_or_a_stranger(place: Place) -> None:
    alert_id, admin, viewer = fire(place), place.visitor(), place.visitor("view")
    assert acknowledge(viewer, alert_id, token(viewer)) == 403
    assert acknowledge(admin, alert_id, token(viewer)) == 403
    assert acknowledge(admin, alert_id, "") == 403
    fields = {"id": str(alert_id), "token": token(admin)}
    forged = admin.post("/penstock/alerts/acknowledge", data=fields, headers={"sec-fetch-site": "cross-site"})
    assert forged.status_code == 403
    answer = place.client().post("/penstock/alerts/acknowledge", data=fields)
    assert answer.status_code == 303 and answer.headers["location"] == "/penstock/login"
    assert admin.get("/penstock/alerts/acknowledge").status_code == 405
    assert acked_at(place, alert_id) is None


def test_an_alert_that_is_not_there_is_passed_over(place: Place) -> None:
    alert_id, visitor = fire(place), place.visitor()
    said = token(visitor)
    for wrong in ("", "no", "-1", "0", "999", "9" * 400, "١"):
        assert acknowledge(visitor, wrong, said) == 303
    assert acked_at(place, alert_id) is None


def test_what_is_over_stays_in_the_history(place: Place) -> None:
    fire(place)
    store = AlertStore(place.data)
    store.round(NOW_US, lambda known: [Change(identity="error rate", event="cleared")])
    store.close()
    text = place.visitor("view").get("/penstock/alerts").text
    assert "Nothing fires." in text and SAID in text and "after 60 s" in text


def test_thresholds_are_those_in_force(placed: object, place: Place) -> None:
    text = place.visitor("view").get("/penstock/alerts").text
    assert "error_percent" in text and "of calls that fail" in text
    assert "tells_cleared" not in text


def test_the_gravest_that_fires_comes_first(place: Place) -> None:
    fire(place, "first, and critical")
    store = AlertStore(place.data)
    store.round(NOW_US, lambda known: [Change(identity="later", event="fired", severity="warning", said="Hm.")])
    store.close()
    text = place.visitor("view").get("/penstock/alerts").text
    assert text.index("first, and critical") < text.index("later")
