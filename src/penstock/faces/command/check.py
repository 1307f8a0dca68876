"""`penstock check`: whether what is configured would hold, before it is needed."""

from __future__ import annotations

import json
from typing import Annotated

import msgspec
import typer

from ...config.faults import is_candidate
from ...config.load import Loaded, open_config
from ...errors import ConfigError, PenstockError
from ...tools.asking import asked
from ...tools.fallbacks import Hop, dry_run, newest
from ...tools.routes import choices
from .. import compose
from .options import ConfigOption, DataOption, JsonOption

app = typer.Typer(help="Check that what is configured would hold, before it is needed.", no_args_is_help=True)

ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="MODEL", help="The model calls ask for. Default: the newest.")
]
FeatureOption = Annotated[
    str | None, typer.Option("--feature", metavar="NAME", help="Only this feature's. Default: all.")
]
SendOption = Annotated[
    bool, typer.Option("--send", help="Ask each hop for one token too: proves keys and names, costs next to nothing.")
]


@app.command("fallbacks")
def fallbacks(
    model: ModelOption = None,
    feature: FeatureOption = None,
    send: SendOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try requests of every kind at every hop of every `fallback`, without sending them: what would be changed, what
    would be skipped, and why. Exit code 1 if a hop is of no use."""
    loaded = open_config(config, overrides={"data": data})
    settings = loaded.config
    if feature is not None and feature not in settings.features:
        known = ", ".join(settings.features) or "none"
        raise ConfigError(f"There is no feature {feature!r}.", code="bad_option", fix=f"There are: {known}.")
    compose.routes(loaded, no_key=None)  # raises where a key or a text is not there
    source = model or newest()
    hops = list(dry_run(settings, source, None if feature is None else [feature]))
    sent = {hop.entry: _sent(loaded, hop) for hop in hops if is_candidate(hop.entry)} if send else {}
    is_sound = all(hop.is_useful and sent.get(hop.entry) in (None, 200) for hop in hops)
    if as_json:
        told = [{**msgspec.to_builtins(hop), "is_useful": hop.is_useful, "sent": sent.get(hop.entry)} for hop in hops]
        print(json.dumps({"ok": is_sound, "hops": told}))
    elif not hops:
        print("No feature has a `fallback`. See docs/layers/routing.md for how to give it one.")
    else:
        print("\n".join(line for hop in hops for line in _told(hop, sent.get(hop.entry))))
    if not is_sound:
        raise typer.Exit(1)


@app.command("routes")
def routes(
    feature: FeatureOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which models each feature's calls go to, by which rules and splits, and what is copied, in words. Exit code 1 if
    a model is retired or has no price, or the top tier is used and nobody said why."""
    settings = open_config(config, overrides={"data": data}).config
    found = [one for one in choices(settings, compose.price_book(settings)) if feature in (None, one.feature)]
    is_sound = not any(one.faults for one in found)
    if as_json:
        print(json.dumps({"ok": is_sound, "features": msgspec.to_builtins(found)}))
    elif not found:
        print("No feature chooses models. See docs/layers/routing.md for how to have it do so.")
    for one in found if not as_json else ():
        print(f"{one.feature}:")
        print("\n".join([*(f"  {said}" for said in one.says), *(f"  FAULT: {fault}" for fault in one.faults)]))
    if not is_sound:
        raise typer.Exit(1)


def _told(hop: Hop, sent: int | str | None) -> list[str]:
    """One hop in words."""
    lines = [f"{hop.feature}: {hop.source} to {hop.entry}: {'of use' if hop.is_useful else 'OF NO USE'}"]
    lines += [f"  fault: {fault}" for fault in hop.faults] + [f"  note: {warning}" for warning in hop.warnings]
    for one in hop.samples:
        if one.skipped is not None:
            lines.append(f"  {one.sample}: skipped, {one.skipped}")
        elif one.changes:
            lines.append(f"  {one.sample}: {'; '.join(one.changes)}")
    if unchanged := [one.sample for one in hop.samples if one.skipped is None and not one.changes]:
        lines.append(f"  as they are: {', '.join(unchanged)}")
    if sent is not None:
        lines.append(f"  asked for one token: {'answered' if sent == 200 else sent}")
    return lines


def _sent(loaded: Loaded, hop: Hop) -> int | str:
    """The status of one small call to that hop, or why there was none."""
    model, _, named = hop.entry.partition("@")
    name = named or loaded.config.default_upstream
    if name is None:
        return "there is no upstream"
    body = {"model": model or hop.source, "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    try:
        status, text = asked(loaded, name, loaded.config.upstreams[name], "/v1/messages", body)
    except PenstockError as error:
        return str(error)
    return 200 if status == 200 else f"{status}: {text}"
