"""`penstock simulator`: a local Claude API."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from ...errors import ConfigError


def simulator(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes any free one.")] = 8788,
    seed: Annotated[int, typer.Option(help="The same seed and requests give the same bytes.")] = 0,
    key: Annotated[str | None, typer.Option(help="The one API key it takes. Default: any.")] = None,
    allow_fault_headers: Annotated[
        bool, typer.Option("--allow-fault-headers", help="Let requests ask for a fault: `x-simulator-fault: NAME[:N]`.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print {url, key} once it answers.")] = False,
) -> None:
    """Run a local Claude API that needs no key and costs nothing, until Ctrl-C."""
    from ...simulator import serve
    from ...simulator.server import Running

    def ready(running: Running) -> None:
        shown = key or "any"
        if as_json:
            print(json.dumps({"url": running.url, "key": key or running.key}), flush=True)
        else:
            print(f"The simulator answers at {running.url}; API key: {shown}. Ctrl-C ends it.", flush=True)
            print("It is a first version: see docs/verbs/simulator.md for what it knows.", file=sys.stderr, flush=True)

    try:
        serve(host, port, ready, seed=seed, key=key, accept_any=key is None, allow_fault_headers=allow_fault_headers)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror}.",
            code="cannot_listen",
            fix="Choose another with --port (0 takes any free one).",
        ) from error
