"""`penstock keys rotate`: a virtual key, or the key of an upstream."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ...config.load import open_config
from ...errors import ConfigError
from ...ports import Key
from ...ports.blocking import BlockingClock, SystemChance
from ...secret import Secret
from ...stores.keys import KeyStore
from ...tools.fallbacks import newest
from ...tools.keys import moment
from ...tools.rotation import Asked, Step, walk
from .options import ConfigOption, DataOption, JsonOption, opened, span_us


def rotate(
    wanted: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="The virtual key's id or name; of a name, the newest.")
    ] = None,
    grace: Annotated[str, typer.Option(help="How long the old virtual key works on: `24h`, `7d`, `0m`.")] = "24h",
    upstream: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead of a virtual key: the upstream whose key is rotated.")
    ] = None,
    new: Annotated[str | None, typer.Option(metavar="REFERENCE", help="Where its new key is: `env:NEW_KEY`.")] = None,
    old: Annotated[
        str | None, typer.Option(metavar="REFERENCE", help="Where its old key is, if it has several.")
    ] = None,
    pid: Annotated[int | None, typer.Option(help="A running gateway, to read its config again.")] = None,
    retire: Annotated[bool, typer.Option("--retire", help="See whether the old key may be deleted.")] = False,
    unused_for: Annotated[str, typer.Option(help="How long it must have been unused for that.")] = "1h",
    model: Annotated[str | None, typer.Option(help="What to ask the upstream for. Default: the newest.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a new key in the place of an old one, both working for a while.

    A virtual key gets a successor with the same rights, printed once. The key of an upstream, which is made and
    deleted at the provider's console, is walked through step by step: run it again after each. Exit code 1 where a
    step is still to be done.
    """
    if upstream is None:
        if wanted is None or new is not None or old is not None or pid is not None or retire:
            raise ConfigError(
                "What to rotate is not clear.",
                code="bad_option",
                fix="Name a virtual key, or give --upstream NAME --new REFERENCE and what belongs to these.",
            )
        _rotate_virtual(KeyStore(opened(config, data).data, BlockingClock()), wanted, _span(grace, "--grace"), as_json)
        return
    if wanted is not None or new is None:
        raise ConfigError(
            "An upstream's key is rotated to a new one, by reference.",
            code="bad_option",
            fix="Give --upstream NAME --new env:NEW_KEY, and no virtual key.",
        )
    asked = Asked(upstream, new, model or newest(), old, pid, retire, _span(unused_for, "--unused-for"))
    _walk(config, data, asked, as_json)


def succeed(store: KeyStore, key_id: str, *, grace_us: int) -> tuple[Key, Key, Secret]:
    """Put a new key in the place of that one: the old, the new, and its secret. Raises ConfigError and StoreFailed."""
    chance = SystemChance()
    return store.rotate(key_id, chance=chance, token=chance.token, grace_us=grace_us)


def _rotate_virtual(store: KeyStore, wanted: str, grace_us: int, as_json: bool) -> None:
    found = [key for key in store.find(wanted) if key.id == wanted or key.revoked_at_us is None]
    if not found:
        print(f"penstock: there is no live key {wanted!r}. `penstock keys list` shows all.", file=sys.stderr)
        raise typer.Exit(1)
    families = {key.lineage or key.id: key.id for key in reversed(found)}
    if len(families) > 1:
        raise ConfigError(
            f"{len(families)} keys are named {wanted!r} that did not come from one another.",
            code="ambiguous_key",
            fix=f"Name one by its id: {', '.join(families.values())}.",
        )
    old, key, secret = succeed(store, found[0].id, grace_us=grace_us)
    if as_json:
        told = {"key": secret.reveal(), "id": key.id, "old_id": old.id, "old_ends_at": moment(old.expires_at_us)}
        print(json.dumps(told))
        return
    print(secret.reveal())
    print(
        f"{key.id} takes the place of {old.id}, which works until {moment(old.expires_at_us)}. Shown once.",
        file=sys.stderr,
    )


def _walk(config: Path | None, data: Path | None, asked: Asked, as_json: bool) -> None:
    loaded = open_config(config, overrides={} if data is None else {"data": data})
    steps: list[Step] = []
    for step in walk(loaded, BlockingClock(), asked):
        steps.append(step)
        if not as_json:
            print(f"{'done ' if step.is_done else 'TO DO'}  {step.name}: {step.told}")
    is_done = all(step.is_done for step in steps)
    if as_json:
        named = {"upstream": asked.upstream, "new": asked.new, "ok": is_done}
        print(json.dumps({**named, "steps": msgspec.to_builtins(steps)}, indent=2))
    if not is_done:
        raise typer.Exit(1)


def _span(text: str, option: str) -> int:
    span = span_us(text)
    if span is None:
        raise ConfigError(f"{option} {text!r} is no span of time.", code="bad_option", fix="Say `90m`, `24h` or `7d`.")
    return span
