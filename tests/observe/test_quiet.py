"""Quiet hours: over midnight, within a day, and where clocks change."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from penstock.config.alerts import AlertsConfig
from penstock.errors import ConfigError
from penstock.observe.alerts.quiet import due_us

NIGHT = AlertsConfig(quiet_from="22:00", quiet_until="07:00", timezone="Europe/Berlin")
NOON = AlertsConfig(quiet_from="12:00", quiet_until="13:30", timezone="Europe/Berlin")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("config", "now", "due"),
    [
        (NIGHT, "2026-11-20T21:59", "2026-11-20T21:59"),
        (NIGHT, "2026-11-20T22:00", "2026-11-21T07:00"),
        (NIGHT, "2026-11-21T06:59:59", "2026-11-21T07:00"),
        (NIGHT, "2026-11-21T07:00", "2026-11-21T07:00"),
        (NIGHT, "2026-10-24T23:00", "2026-10-25T07:00"),  # the clock goes back that night
        (NIGHT, "2026-03-28T23:00", "2026-03-29T07:00"),  # and forward
        (NOON, "2026-11-20T12:15", "2026-11-20T13:30"),
        (NOON, "2026-11-20T13:30", "2026-11-20T13:30"),
    ],
)
def test_what_is_not_critical_waits(config: AlertsConfig, now: str, due: str) -> None:
    assert due_us(config, "warning", at(now)) == at(due)
    assert due_us(config, "critical", at(now)) == at(now)


def test_without_quiet_hours_nothing_waits() -> None:
    assert due_us(AlertsConfig(), "warning", at("2026-11-20T23:00")) == at("2026-11-20T23:00")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"quiet_from": "22:00"}, "quiet_until` is missing"),
        ({"quiet_from": "24:00", "quiet_until": "07:00"}, 'is the string "24:00". Give a time of day'),
        ({"error_percent": 6}, "error_critical_percent` is less than"),
        ({"error_percent": "many"}, "from 0 to 100"),
        ({"error_percent": "nan"}, "from 0 to 100"),
        ({"sinks": ("https://hooks.example/x",)}, "holds a literal key"),
        ({"sinks": ("env:A", "env:A")}, "lists a key twice"),
        ({"day_usd": "x"}, "is not a decimal number"),
        ({"timezone": "Mars"}, "is no time zone"),
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AlertsConfig(**given)  # type: ignore[arg-type]
    assert said in str(caught.value)
