"""`penstock config`: is it right, and what does it come to."""

from __future__ import annotations

import json

import typer

from ...config.gateway import check_for_gateway
from ...config.load import open_config
from ...config.show import describe, toml
from ...guards.runnable import sieve_of
from .options import ConfigOption, DataOption, JsonOption

app = typer.Typer(help="Check the config, or show what it comes to.", no_args_is_help=True)


@app.command("check")
def check(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Read the config, follow its references, try its guards, and say what is wrong and the fix. Exit code 2 if so."""
    loaded = open_config(config, overrides={"data": data})
    check_for_gateway(loaded.config)
    for name, feature in loaded.config.features.items():
        sieve_of(name, feature)
    admins = [upstream.admin_key for upstream in loaded.config.upstreams.values() if upstream.admin_key is not None]
    keys = [key for upstream in loaded.config.upstreams.values() for key in upstream.keys]
    for reference in (*keys, *admins, *loaded.config.alerts.sinks):
        loaded.secrets.resolve(reference)
    place = str(loaded.file) if loaded.file else None
    if as_json:
        print(json.dumps({"ok": True, "file": place, "upstreams": list(loaded.config.upstreams)}))
    else:
        goes = ", ".join(loaded.config.upstreams) or "none yet: `penstock serve` will use the built-in simulator"
        print(f"{place or 'No config file: all defaults'}. Sound. Upstreams: {goes}.")


@app.command("show")
def show(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """The config as it is in force, defaults included. Secrets are shown as the references they are."""
    settings = open_config(config, overrides={"data": data}).config
    print(json.dumps(describe(settings), indent=2) if as_json else toml(settings))
