"""A round of alerts: take readings, judge them, keep what changes, deliver what is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from ...config.schema import Config
from ...ports import Clock
from ...stores.alerts import AlertStore, Change, Delivery, Firing, Message
from .measures import measured, shown
from .quiet import due_us
from .reading import Reading
from .readings import Readings
from .rules import Step, steps
from .sinks import Sinks

#: The wait before a message is tried again, doubled each time up to the other; given up after so many tries, some 24 h.
RETRY_FIRST_S = 15.0
RETRY_MAX_S = 900.0
TRIES_MAX = 100

_HEADS = {"fired": "{}", "worsened": "now {}", "reminded": "still {}", "cleared": "over"}


class Alerts:
    """The alerts of a data folder. Blocks; every method raises StoreFailed, and is used by one thread at a time."""

    def __init__(
        self, config: Callable[[], Config], clock: Clock, reading: Reading, store: AlertStore, sinks: Sinks
    ) -> None:
        self._config, self._clock = config, clock
        self._reading, self._store, self._sinks = reading, store, sinks

    def evaluate(self) -> list[Change]:
        """One round; what it changed. Every process of the folder may do this at once: each change is made once."""
        return self.judge(self._reading.take())

    def judge(self, now: Readings) -> list[Change]:
        """A round with readings that were taken."""
        own = self._config().alerts
        found = measured(own, now)

        def decide(firing: Mapping[str, Firing]) -> list[Change]:
            made = steps(found, firing, now.at_us, remind_us=round(own.remind_s * 1e6))
            return [self._change(step, firing.get(step.identity), now.at_us) for step in made]

        return self._store.round(now.at_us, decide)

    def _change(self, step: Step, known: Firing | None, at_us: int) -> Change:
        change = Change(identity=step.identity, event=step.event, level=step.level, below_since_us=step.below_since_us)
        one = step.measured
        if one is not None and step.event in ("fired", "worsened", "reminded"):
            severity = one.levels[step.level - 1].severity
            told = replace(change, severity=severity, kind=one.kind, said=one.said, fix=one.fix, hold_us=one.hold_us)
        else:
            assert known is not None
            told = replace(change, severity=known.severity, said=known.said)
        since_us = at_us if known is None else known.since_us
        return replace(told, messages=self._messages(told, since_us, at_us) if step.event is not None else ())

    def _messages(self, change: Change, since_us: int, at_us: int) -> tuple[Message, ...]:
        config = self._config()
        own, event = config.alerts, change.event or ""
        if event == "cleared" and not own.tells_cleared:
            return ()
        title = f"Penstock ({config.environment}): {shown(change.identity)}, {head(event, change.severity)}"
        since, at = (_time(one, own.timezone) for one in (since_us, at_us))
        if event == "cleared":
            body = f"It fired at {since} and was over at {at}. It had said: {change.said}"
        else:
            body = f"{change.said}\n{change.fix}\nSince {since}."
        due = due_us(own, change.severity, at_us)
        return tuple([Message(sink, title, body, due) for sink in self._sinks.hearing(event)])

    def deliver(self, is_over: Callable[[], bool] = lambda: False) -> list[tuple[Delivery, str | None]]:
        """Send what is due, once each, until `is_over`; each with why it could not be told, or None.

        A message that could not be delivered is due again later, whichever process is there then. One whose process
        dies between telling and noting it is told twice.
        """
        tried: list[tuple[Delivery, str | None]] = []
        while not is_over() and (one := self._store.take(self._clock.wall_us())) is not None:
            is_known = one.sink in self._sinks.services
            error = self._send(one) if is_known else "it is no sink of the config any more"
            again_us = self._again_us(one.tries) if is_known and error is not None else None
            self._store.settle(one.id, self._clock.wall_us(), error=error, due_us=again_us)
            tried.append((one, error))
        return tried

    def _send(self, one: Delivery) -> str | None:
        severity = "over" if one.event == "cleared" else one.severity
        extras = {"alert": one.alert_id, "event": one.event}
        return self._sinks.send(one.sink, one.title, one.body, severity=severity, extras=extras)

    def _again_us(self, tries: int) -> int | None:
        if tries >= TRIES_MAX:
            return None
        wait_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(tries - 1, 10))
        return self._clock.wall_us() + round(wait_s * 1e6)


def head(event: str, severity: str) -> str:
    """An event in words: critical, now critical, still warning, over."""
    return _HEADS[event].format(severity)


def _time(at_us: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(at_us // 1_000_000, ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"
