"""What fires and what fired, who was told, from which values on; and acknowledging."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..config.alerts import AlertsConfig
from ..config.keys import rule
from ..observe.alerts.measures import shown
from ..stores.alerts import Alert, Delivery
from .access import Visitor
from .desk import Desk
from .view import View
from .wording import age, moment

HISTORY_MAX = 100
#: Keys of `[alerts]` that say when and to whom, and are no thresholds.
_ABOUT = frozenset({"sinks", "every_s", "tells_cleared", "remind_s", "timezone", "quiet_from", "quiet_until"})


def alerts(desk: Desk, view: View) -> dict[str, Any]:
    """What the template shows: alerts that fire and those that are over, sinks, thresholds."""
    own = desk.config.alerts
    found = desk.alerts.history(limit=HISTORY_MAX)
    told = [(one, _told(one, view.now_us)) for one in sorted(found, key=_grave)]
    return {
        "firing": [said for one, said in told if one.cleared_at_us is None],
        "over": [said for one, said in told if one.cleared_at_us is not None],
        "is_cut": len(found) == HISTORY_MAX,
        "sinks": own.sinks,
        "every_s": own.every_s,
        "quiet": None if own.quiet_from is None else f"{own.quiet_from} to {own.quiet_until}, {own.timezone}",
        "thresholds": _thresholds(own),
    }


def acknowledge(desk: Desk, visitor: Visitor, form: Mapping[str, str]) -> None:
    """Note that a visitor sees to the alert whose number the form has. One that is not there is passed over."""
    number = form.get("id", "")
    if number.isascii() and number.isdigit() and len(number) < 16:
        desk.alerts.ack(int(number), desk.clock.wall_us(), visitor.key_id or visitor.name)


def _grave(one: Alert) -> bool:
    """What sorts the gravest of those that fire first."""
    return one.cleared_at_us is None and one.severity != "critical"


def _told(one: Alert, now_us: int) -> dict[str, Any]:
    ended_us = now_us if one.cleared_at_us is None else one.cleared_at_us
    return {
        "id": one.id,
        "name": shown(one.identity),
        "severity": one.severity,
        "said": one.said,
        "fix": one.fix,
        "since_us": one.since_us,
        "lasted": age(ended_us - one.since_us),
        "cleared_at_us": one.cleared_at_us,
        "acked_at_us": one.acked_at_us,
        "deliveries": [{"sink": each.sink, "event": each.event, **_outcome(each)} for each in one.deliveries],
    }


def _outcome(one: Delivery) -> dict[str, str]:
    if one.is_delivered and one.ended_at_us is not None:
        return {"state": "good", "outcome": f"told {moment(one.ended_at_us)}"}
    if one.ended_at_us is not None:
        return {"state": "bad", "outcome": f"given up after {one.tries} tries: {one.error}"}
    if one.error is None:
        return {"state": "", "outcome": f"due {moment(one.due_us)}"}
    return {"state": "warning", "outcome": f"tried {one.tries} times, again {moment(one.due_us)}: {one.error}"}


def _thresholds(own: AlertsConfig) -> list[dict[str, Any]]:
    """What is watched and from which value on: keys, values and meanings, as the config has them."""
    return [
        {"key": field.name, "value": _value(getattr(own, field.name)), "meaning": rule(field).meaning}
        for field in dataclasses.fields(own)
        if field.name not in _ABOUT
    ]


def _value(value: object) -> str:
    if value is None or value is False or (value == 0 and not isinstance(value, bool)):
        return "off"
    if isinstance(value, int | float):
        return "on" if value is True else f"{value:,.10g}"
    return str(value)
