"""`penstock keys`: the virtual keys that callers hold."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ...errors import ConfigError
from ...ports import Key
from ...ports.blocking import BlockingClock, SystemChance
from ...secret import masked
from ...stores.keys import DEFAULT_SCOPES, SCOPES, KeyStore
from .options import ConfigOption, DataOption, JsonOption, listed, moment_us, opened, span_us

app = typer.Typer(help="Make, list and revoke the virtual keys that callers hold.", no_args_is_help=True)

Wanted = Annotated[str, typer.Argument(metavar="KEY", help="The key's id or name.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What to call it: the application or service that will hold it.")],
    environment: Annotated[str | None, typer.Option(help="dev, staging or prod. Default: the config's own.")] = None,
    scopes: Annotated[
        str | None, typer.Option(help=f"With commas, of {', '.join(sorted(SCOPES))}. Default: least privilege.")
    ] = None,
    tier: Annotated[str | None, typer.Option(help="The caller's tier, for records and later for limits.")] = None,
    models: Annotated[str | None, typer.Option(help="The only models it may use, with commas. Default: any.")] = None,
    features: Annotated[str | None, typer.Option(help="The only features it may name. Default: any.")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: `90d` or a date. Default: never.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    settings = opened(config, data)
    clock = BlockingClock()
    chance = SystemChance()
    key, secret = KeyStore(settings.data, clock).create(
        name,
        chance=chance,
        token=chance.token,
        environment=environment or settings.environment,
        scopes=listed(scopes) or DEFAULT_SCOPES,
        tier=tier,
        models=listed(models) or None,
        features=listed(features) or None,
        expires_at_us=_expiry(expires, clock.wall_us()),
    )
    if as_json:
        print(json.dumps({"key": secret.reveal(), "id": key.id}))
        return
    print(secret.reveal())
    print(f"{key.id}, for {key.environment}, scopes {', '.join(sorted(key.scopes))}. Shown once.", file=sys.stderr)


@app.command("list")
def list_keys(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """All keys, oldest first, revoked ones included."""
    clock = BlockingClock()
    found = KeyStore(opened(config, data).data, clock).list()
    if as_json:
        print(json.dumps([_shown(key, clock.wall_us()) for key in found], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "name", "key", "environment", "scopes", "created", "state"):
        table.add_column(heading, no_wrap=heading != "scopes")
    for key in found:
        shown = _shown(key, clock.wall_us())
        scopes = ", ".join(shown["scopes"])
        table.add_row(key.id, key.name, key.shown, key.environment, scopes, shown["created_at"][:10], shown["state"])
    Console().print(table)


@app.command("show")
def show(wanted: Wanted, config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """What a key may do. The key itself is not kept and cannot be shown."""
    clock = BlockingClock()
    found = [_shown(key, clock.wall_us()) for key in KeyStore(opened(config, data).data, clock).find(wanted)]
    if not found:
        _not_there(wanted)
    if as_json:
        print(json.dumps(found[0], indent=2))
        return
    for name, value in found[0].items():
        if value is not None:
            print(f"{name:<13}{', '.join(value) if isinstance(value, list) else value}")


@app.command("revoke")
def revoke(wanted: Wanted, config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """End a key, in every process that shares the data folder, within a second."""
    clock = BlockingClock()
    store = KeyStore(opened(config, data).data, clock)
    found = [key for key in store.find(wanted) if key.id == wanted or key.revoked_at_us is None]
    if not found:
        _not_there(wanted)
    if len(found) > 1:
        raise ConfigError(
            f"{len(found)} live keys are named {wanted!r}.",
            code="ambiguous_key",
            fix=f"Name one by its id: {', '.join(key.id for key in found)}.",
        )
    ended = store.revoke(found[0].id)
    assert ended is not None, "it was found just now"
    if as_json:
        print(json.dumps(_shown(ended, clock.wall_us()), indent=2))
    else:
        print(f"Revoked {ended.id} ({ended.name}, {ended.shown}).")


def _not_there(wanted: str) -> None:
    shown = masked(wanted) if wanted.startswith(("pk_", "sk-")) else wanted  # a key itself, given for its id
    print(f"penstock: there is no key {shown!r}. `penstock keys list` shows all.", file=sys.stderr)
    raise typer.Exit(1)


def _expiry(text: str | None, now_us: int) -> int | None:
    if text is None:
        return None
    span = span_us(text)
    at_us = now_us + span if span is not None else moment_us(text, "--expires")
    if at_us <= now_us:
        raise ConfigError(f"--expires {text!r} is in the past.", code="bad_option", fix="Name a time to come.")
    return at_us


def _shown(key: Key, now_us: int) -> dict[str, Any]:
    expired = key.expires_at_us is not None and key.expires_at_us <= now_us
    return {
        "id": key.id,
        "name": key.name,
        "key": key.shown,
        "environment": key.environment,
        "scopes": sorted(key.scopes),
        "tier": key.tier,
        "models": None if key.models is None else sorted(key.models),
        "features": None if key.features is None else sorted(key.features),
        "created_at": _time(key.created_at_us),
        "expires_at": None if key.expires_at_us is None else _time(key.expires_at_us),
        "revoked_at": None if key.revoked_at_us is None else _time(key.revoked_at_us),
        "state": "revoked" if key.revoked_at_us is not None else "expired" if expired else "live",
    }


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
