"""Alerts as rows: one of what several processes see, messages in order, leases, keys' ages."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from penstock.config.alerts import AlertsConfig
from penstock.config.schema import Config
from penstock.observe.alerts.readings import Readings
from penstock.observe.alerts.sinks import Sinks
from penstock.observe.alerts.watching import Alerts
from penstock.ports.simulated import EPOCH_US, World
from penstock.secret import Secret
from penstock.stores.alerts import KEPT_US, LEASE_US, AlertStore
from penstock.stores.recent import Ended
from penstock.stores.schema import connect

MINUTE_US = 60_000_000
SINKS = ("env:A", "env:B")


def alerts_of(data: Path, **config: object) -> tuple[Alerts, AlertStore]:
    """Alerts that are judged by readings given to them; nothing is sent."""
    own = AlertsConfig(sinks=SINKS, hold_s=0.0, **config)  # type: ignore[arg-type]
    settings, store = Config(data=data, alerts=own), AlertStore(data)
    sinks = Sinks({name: Secret("json://127.0.0.1:9/") for name in SINKS})
    return Alerts(lambda: settings, World(0), None, store, sinks), store  # type: ignore[arg-type]


def failing(minute: int, failed: int) -> Readings:
    return Readings(at_us=EPOCH_US + minute * MINUTE_US, ended=Ended(1000, failed))


def _watch(data: str) -> None:
    alerts, _ = alerts_of(Path(data))
    for minute in range(1, 41):
        alerts.judge(failing(minute, 20 * (minute % 2)))


def test_four_processes_that_see_the_same_tell_it_once(tmp_path: Path) -> None:
    """Each is ahead of the others now and then: what it measured before theirs was written is no news."""
    connect(tmp_path).close()
    workers = [multiprocessing.get_context("spawn").Process(target=_watch, args=(str(tmp_path),)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    history = AlertStore(tmp_path).history()
    assert len(history) == 20
    for alert in history:
        assert [(one.event, one.sink) for one in alert.deliveries] == [
            (event, sink) for event in ("fired", "cleared") for sink in SINKS
        ]
        assert alert.cleared_at_us == alert.since_us + MINUTE_US


def test_a_sink_hears_of_an_alert_in_order(tmp_path: Path) -> None:
    alerts, store = alerts_of(tmp_path)
    alerts.judge(failing(1, 20))
    alerts.judge(failing(2, 0))
    now_us = EPOCH_US + 3 * MINUTE_US
    first, other = store.take(now_us), store.take(now_us)
    assert first is not None and other is not None
    assert [(one.event, one.sink, one.tries) for one in (first, other)] == [
        ("fired", "env:A", 1),
        ("fired", "env:B", 1),
    ]
    assert store.take(now_us) is None, "that it is over waits for that it fired"
    store.settle(first.id, now_us, error=None)
    after = store.take(now_us)
    assert after is not None and (after.event, after.sink) == ("cleared", "env:A")
    store.settle(other.id, now_us, error="no", due_us=now_us + 5)
    assert store.take(now_us) is None
    again = store.take(now_us + 5)
    assert again is not None and (again.id, again.tries, again.error) == (other.id, 2, "no")
    store.settle(again.id, now_us, error="no")
    given_up = store.history()[0].deliveries[1]
    assert (given_up.is_delivered, given_up.ended_at_us, given_up.error) == (False, now_us, "no")


def test_what_a_dead_process_was_at_is_due_again_after_its_lease(tmp_path: Path) -> None:
    alerts, store = alerts_of(tmp_path)
    alerts.judge(failing(1, 20))
    now_us = EPOCH_US + 2 * MINUTE_US
    taken = [store.take(now_us), store.take(now_us)]
    assert store.take(now_us + LEASE_US - 1) is None
    again = store.take(now_us + LEASE_US)
    assert again is not None and taken[0] is not None and (again.id, again.tries) == (taken[0].id, 2)


def test_what_is_critical_does_not_wait_behind_what_waits_for_the_morning(tmp_path: Path) -> None:
    alerts, store = alerts_of(tmp_path, quiet_from="00:00", quiet_until="06:00")
    alerts.judge(failing(1, 20))
    now_us = EPOCH_US + 2 * MINUTE_US
    assert store.take(now_us) is None
    alerts.judge(failing(2, 60))
    told = []
    while (one := store.take(now_us)) is not None:
        told.append((one.event, one.severity, one.sink))
        store.settle(one.id, now_us, error=None)
    assert sorted(told) == [
        (event, severity, sink)
        for event, severity in (("fired", "warning"), ("worsened", "critical"))
        for sink in SINKS
    ]


def test_acknowledged_alerts_are_not_reminded_of(tmp_path: Path) -> None:
    alerts, store = alerts_of(tmp_path, remind_s=600.0)
    alerts.judge(failing(1, 20))
    assert [one.event for one in alerts.judge(failing(11, 20))] == ["reminded"]
    (alert,) = store.history(firing_only=True)
    assert store.ack(alert.id, EPOCH_US, "me") is not None and store.ack(alert.id + 1, EPOCH_US, "me") is None
    assert alerts.judge(failing(30, 20)) == []
    assert [one.event for one in alerts.judge(failing(31, 60))] == ["worsened"]


def test_who_does_not_want_to_know_that_it_is_over_is_not_told(tmp_path: Path) -> None:
    alerts, store = alerts_of(tmp_path, tells_cleared=False)
    alerts.judge(failing(1, 20))
    alerts.judge(failing(2, 0))
    assert {one.event for one in store.history()[0].deliveries} == {"fired"}


def test_old_alerts_are_forgotten(tmp_path: Path) -> None:
    alerts, store = alerts_of(tmp_path)
    alerts.judge(failing(1, 20))
    alerts.judge(failing(2, 0))
    alerts.judge(failing(3 + KEPT_US // MINUTE_US, 20))
    assert [alert.cleared_at_us for alert in store.history()] == [None]


def test_an_upstreams_key_is_as_old_as_its_value_is_known(tmp_path: Path) -> None:
    store = AlertStore(tmp_path)
    assert store.seen([("env:A", b"1"), ("env:B", b"2")], 5) == {"env:A": 5, "env:B": 5}
    assert store.seen([("env:A", b"1"), ("env:B", b"3")], 9) == {"env:A": 5, "env:B": 9}
    assert store.seen([], 9) == {}
