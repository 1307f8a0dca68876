"""`penstock alerts`: what fires, what fired, and whether those who should be told can be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import msgspec
import typer

from ...config.load import Loaded, open_config
from ...errors import ConfigError
from ...observe.alerts.measures import shown
from ...observe.alerts.reading import Reading, Sources
from ...observe.alerts.sinks import Sinks
from ...observe.alerts.watching import Alerts
from ...ports.blocking import BlockingClock
from ...stores import audit
from ...stores.alerts import Alert, AlertStore, Delivery
from ...stores.recent import Recent, accounts
from ...stores.shared import SharedDatabase, SqliteCircuits
from .options import ConfigOption, DataOption, JsonOption, opened

app = typer.Typer(help="Show what fires, look once, or try those who are told.", no_args_is_help=True)

_TEST = "This is a test of `penstock alerts test`. Nothing is wrong."


@app.command("list")
def list_alerts(
    every: Annotated[bool, typer.Option("--all", help="Those that are over too, for 90 days.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """What fires now, since when, what to do, and who was told."""
    alerts = AlertStore(opened(config, data).data).history(firing_only=not every)
    if as_json:
        print(json.dumps([_plain(alert) for alert in alerts], indent=2))
        return
    _show(alerts)
    if not alerts:
        print("No alerts yet." if every else "Nothing fires.")


@app.command("check")
def check(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Look once and deliver what is due: for cron, where no gateway runs. Exit code 1 if something fires."""
    loaded = open_config(config, overrides={"data": data})
    settings = loaded.config
    if settings.stores.ledger == "memory":
        raise ConfigError(
            "Alerts are computed from the ledger, and `stores.ledger` is kept in memory.",
            fix="Keep it in SQLite, or run the check within that process.",
        )
    sinks = Sinks({name: loaded.secrets.resolve(name) for name in settings.alerts.sinks})
    clock, shared, store = BlockingClock(), SharedDatabase(settings.data), AlertStore(settings.data)
    known = Sources(
        Recent(settings.data, adopts=True),
        store,
        SqliteCircuits(shared, clock),
        partial(accounts, shared),
        partial(_digests, loaded),
    )
    alerts = Alerts(lambda: settings, clock, Reading(lambda: settings, clock, known), store, sinks)
    alerts.evaluate()
    tried = alerts.deliver()
    firing = store.history(firing_only=True)
    if as_json:
        told = [{**_plain_delivery(one), "error": error} for one, error in tried]
        print(json.dumps({"firing": [_plain(alert) for alert in firing], "tried": told}, indent=2))
    else:
        _show(firing)
        for one, error in tried:
            print(f"{one.sink}: {one.title}: {'told' if error is None else f'not told, {error}'}")
        if not firing:
            print("Nothing fires.")
    raise typer.Exit(1 if firing else 0)


@app.command("test")
def test(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Send one message to each sink and say which could not be told, and why. Exit code 1 if one could not."""
    loaded = open_config(config, overrides={"data": data})
    references = loaded.config.alerts.sinks
    if not references:
        raise ConfigError(
            "There is nobody to tell: `alerts.sinks` is empty.", fix='Set it, such as ["env:SLACK_ALERT_URL"].'
        )
    results = [_tested(loaded, reference) for reference in references]
    if as_json:
        print(json.dumps(results, indent=2))
    else:
        for one in results:
            what = f"{one['sink']} ({one['service']})" if one["service"] else one["sink"]
            print(f"{what}: {'told' if one['error'] is None else one['error']}")
    raise typer.Exit(1 if any(one["error"] is not None for one in results) else 0)


@app.command("ack")
def ack(
    alert_id: Annotated[int, typer.Argument(metavar="ID", help="Its number, as `penstock alerts list` shows it.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Note that somebody sees to an alert: it is not reminded of. That it worsens or is over is still told."""
    found = AlertStore(opened(config, data).data).ack(alert_id, BlockingClock.wall_us(), audit.operator())
    if found is None:
        raise ConfigError(
            f"There is no alert {alert_id}.", code="bad_option", fix="`penstock alerts list` shows what there is."
        )
    print(f"{shown(found.identity)}: {'acknowledged' if found.cleared_at_us is None else 'is over already'}")


def _tested(loaded: Loaded, reference: str) -> dict[str, Any]:
    service = None
    try:
        sinks = Sinks({reference: loaded.secrets.resolve(reference)})
        service = sinks.services[reference]
        title = f"Penstock ({loaded.config.environment}): test"
        error = sinks.send(reference, title, _TEST, severity="test", extras={"event": "test"})
    except ConfigError as fault:
        error = str(fault)
    return {"sink": reference, "service": service, "error": error}


def _digests(loaded: Loaded) -> Mapping[str, tuple[str, bytes]]:
    """Each reference to a key of an upstream that can be followed: of which one, and the SHA-256 of the key."""
    found = {}
    for name, upstream in loaded.config.upstreams.items():
        for reference in filter(None, (*upstream.keys, upstream.admin_key)):
            try:
                key = loaded.secrets.resolve(reference).reveal()
            except ConfigError:
                continue  # a key that is not there has no age, and whoever makes calls is told of it
            found[reference] = (f"upstream {name}", hashlib.sha256(key.encode()).digest())
    return found


def _show(alerts: list[Alert]) -> None:
    """Each alert in a few lines: a table would have to cut what matters."""
    for alert in alerts:
        state = "over since " + _time(alert.cleared_at_us) if alert.cleared_at_us is not None else alert.severity
        acked = ", acknowledged" if alert.acked_at_us is not None and alert.cleared_at_us is None else ""
        print(f"{alert.id}  {shown(alert.identity)}: {state}{acked}, since {_time(alert.since_us)}")
        print(f"    {alert.said}\n    {alert.fix}")
        for one in alert.deliveries:
            print(f"    {one.event}, {one.sink}: {_outcome(one)}")


def _outcome(one: Delivery) -> str:
    if one.is_delivered:
        return f"told {_time(one.ended_at_us)}"
    if one.ended_at_us is not None:
        return f"given up {_time(one.ended_at_us)} after {one.tries} tries: {one.error}"
    if one.error is None:
        return f"due {_time(one.due_us)}"
    return f"tried {one.tries} times, again {_time(one.due_us)}: {one.error}"


def _plain(alert: Alert) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(alert)
    return {**made, "deliveries": [_plain_delivery(one) for one in alert.deliveries]}


def _plain_delivery(one: Delivery) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(one)
    return made


def _time(at_us: int | None) -> str:
    return "-" if at_us is None else f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"
