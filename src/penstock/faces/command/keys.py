"""`penstock keys`: the virtual keys that callers hold."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from ...config.environments import ENVIRONMENTS
from ...config.money import PERIODS, nano_of
from ...config.schema import Config
from ...errors import ConfigError
from ...ports import Key
from ...ports.blocking import BlockingClock, SystemChance
from ...secret import masked
from ...stores.keys import DEFAULT_SCOPES, SCOPES, KeyStore
from ...tools import keys as tool
from ...tools import leak
from . import key_rotation, key_words
from .options import ConfigOption, DataOption, JsonOption, listed, moment_us, opened, span_us

app = typer.Typer(help="Make, list, rotate and revoke the virtual keys that callers hold.", no_args_is_help=True)
app.command("rotate")(key_rotation.rotate)

Wanted = Annotated[str, typer.Argument(metavar="KEY", help="The key's id or name.")]
#: How far back the report of a revocation looks.
_LEAK_US = 48 * 3_600_000_000


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What to call it: the application or service that will hold it.")],
    environment: Annotated[str | None, typer.Option(help="dev, staging or prod. Default: the config's own.")] = None,
    scopes: Annotated[
        str | None, typer.Option(help=f"With commas, of {', '.join(sorted(SCOPES))}. Default: least privilege.")
    ] = None,
    tier: Annotated[str | None, typer.Option(help="The caller's tier, which decides its limits.")] = None,
    limit_usd: Annotated[str | None, typer.Option(help="What it may spend in a period, in dollars: 0.05.")] = None,
    period: Annotated[str | None, typer.Option(help=f"{', '.join(PERIODS)} of its limit. Default: month.")] = None,
    models: Annotated[str | None, typer.Option(help="The only models it may use, with commas. Default: any.")] = None,
    features: Annotated[str | None, typer.Option(help="The only features it may name. Default: any.")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: `90d` or a date. Default: never.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    settings = opened(config, data)
    clock, chance = BlockingClock(), SystemChance()
    limit_nano = _limit(limit_usd, period)
    key, secret = KeyStore(settings.data, clock).create(
        name,
        chance=chance,
        token=chance.token,
        environment=_one_of(environment or settings.environment, ENVIRONMENTS, "--environment"),
        scopes=listed(scopes) or DEFAULT_SCOPES,
        tier=tier,
        models=listed(models) or None,
        features=listed(features) or None,
        expires_at_us=_expiry(expires, clock.wall_us()),
        limit_nano=limit_nano,
        period=period or "month",
    )
    for warning in _unknown(settings, key):
        print(f"penstock: {warning}", file=sys.stderr)
    if as_json:
        print(json.dumps({"key": secret.reveal(), "id": key.id}))
        return
    print(secret.reveal())
    print(f"{key.id}, for {key.environment}, scopes {', '.join(sorted(key.scopes))}. Shown once.", file=sys.stderr)


@app.command("list")
def list_keys(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """All keys, oldest first, revoked ones included: what each may spend and has spent, its age and its last use."""
    settings, clock = opened(config, data), BlockingClock()
    found = tool.listed(settings, clock, KeyStore(settings.data, clock).list())
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        key_words.print_keys(found)


@app.command("show")
def show(wanted: Wanted, config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """What a key may do and has spent. The key itself is not kept and cannot be shown."""
    settings, clock = opened(config, data), BlockingClock()
    found = KeyStore(settings.data, clock).find(wanted)
    if not found:
        _not_there(wanted)
    (shown,) = tool.listed(settings, clock, found[:1])
    if as_json:
        print(json.dumps(shown, indent=2))
        return
    for name, value in shown.items():
        if value is not None:
            print(f"{name:<14}{', '.join(value) if isinstance(value, list) else value}")


@app.command("spent")
def spent(
    wanted: Wanted,
    since: Annotated[str, typer.Option(help="From when: `48h`, `7d`, `2026-11-01`.")] = "48h",
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a key was used for, by feature, user, model and upstream, and whether anyone tries it since its end."""
    settings, clock = opened(config, data), BlockingClock()
    key, now_us = _one(KeyStore(settings.data, clock), wanted), clock.wall_us()
    span = span_us(since)
    since_us = now_us - span if span is not None else moment_us(since, "--since")
    found = leak.used(settings.data, key, since_us=since_us, now_us=now_us)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        key_words.print_use(found)


@app.command("revoke")
def revoke(
    wanted: Wanted,
    replace: Annotated[
        bool, typer.Option("--replace", help="Make one with the same rights in its place, and print that.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key, in every process that shares the data folder, within a second. Says what it spent in the last 48 h."""
    settings, clock = opened(config, data), BlockingClock()
    store = KeyStore(settings.data, clock)
    key = _one(store, wanted)
    made = key_rotation.succeed(store, key.id, grace_us=0)[1:] if replace else None
    ended = store.revoke(key.id)
    assert ended is not None, "it was found just now"
    now_us = clock.wall_us()
    use = leak.used(settings.data, ended, since_us=now_us - _LEAK_US, now_us=now_us)
    if as_json:
        (shown,) = tool.listed(settings, clock, [ended])
        instead: dict[str, Any] = {} if made is None else {"replacement": {"key": made[1].reveal(), "id": made[0].id}}
        print(json.dumps({**shown, "spent": use, **instead}, indent=2))
        return
    print(f"Revoked {ended.id} ({ended.name}, {ended.shown}) at {tool.moment(ended.revoked_at_us)}.")
    key_words.print_use(use)
    if made is not None:
        print(f"In its place {made[0].id}. Shown once:\n{made[1].reveal()}")


def _one(store: KeyStore, wanted: str) -> Key:
    """The key of that id, or the one live key of that name, or else the newest of it. Raises ConfigError and Exit."""
    every = store.find(wanted)
    now_us = BlockingClock.wall_us()
    found = [key for key in every if key.id == wanted or tool.state(key, now_us) == "live"] or every[:1]
    if not found:
        _not_there(wanted)
    if len(found) > 1:
        raise ConfigError(
            f"{len(found)} live keys are named {wanted!r}.",
            code="ambiguous_key",
            fix=f"Name one by its id: {', '.join(key.id for key in found)}.",
        )
    return found[0]


def _not_there(wanted: str) -> None:
    shown = masked(wanted) if wanted.startswith(("pk_", "sk-")) else wanted  # a key itself, given for its id
    print(f"penstock: there is no key {shown!r}. `penstock keys list` shows all.", file=sys.stderr)
    raise typer.Exit(1)


def _limit(limit_usd: str | None, period: str | None) -> int | None:
    """The limit in nano-dollars. Raises ConfigError for an amount or a period that is none."""
    if period is not None:
        _one_of(period, PERIODS, "--period")
    if limit_usd is None:
        if period is not None:
            raise ConfigError(
                "--period says nothing without a limit.", code="bad_option", fix="Add --limit-usd, or leave it out."
            )
        return None
    try:
        return nano_of(limit_usd)
    except ValueError as fault:
        raise ConfigError(
            f"--limit-usd {limit_usd!r} {fault}.", code="bad_option", fix="Give dollars, such as 250 or 0.05."
        ) from None


def _one_of(value: str, choices: tuple[str, ...], option: str) -> str:
    if value not in choices:
        raise ConfigError(
            f"{option} {value!r} is unknown.", code="bad_option", fix=f"Choose from {', '.join(choices)}."
        )
    return value


def _unknown(settings: Config, key: Key) -> list[str]:
    """What the config does not know of a key's tier and features: they may come later, or be misspelt."""
    said = []
    if key.tier is not None and key.tier not in settings.tiers:
        known = ", ".join(settings.tiers) or "none"
        said.append(f"the config has no tier {key.tier!r}, so no limits of a tier hold for it. There are: {known}.")
    for feature in sorted(key.features or ()):
        if feature not in settings.features:
            known = ", ".join(settings.features) or "none"
            said.append(f"the config has no feature {feature!r}. There are: {known}.")
    return said


def _expiry(text: str | None, now_us: int) -> int | None:
    if text is None:
        return None
    span = span_us(text)
    at_us = now_us + span if span is not None else moment_us(text, "--expires")
    if at_us <= now_us:
        raise ConfigError(f"--expires {text!r} is in the past.", code="bad_option", fix="Name a time to come.")
    return at_us
