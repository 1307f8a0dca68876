"""`penstock simulator`: a local Claude API, and what can be asked of one that runs."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ...errors import ConfigError
from .options import JsonOption

if TYPE_CHECKING:
    from ...simulator import Options

app = typer.Typer(help="Run a local Claude API, and break it on purpose.", invoke_without_command=True)

_URL = "http://127.0.0.1:8788"
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)?")
_SPAN_S = {None: 1, "s": 1, "m": 60, "h": 3600}
UrlOption = Annotated[str, typer.Option(metavar="URL", help="The running simulator.")]
ControlKeyOption = Annotated[
    str | None, typer.Option(metavar="KEY", help="Its control key, where it runs on another machine.")
]


@app.callback()
def simulator(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes any free one.")] = 8788,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Options in TOML: faults, limits, answers, keys, …")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed and requests give the same bytes.")] = None,
    key: Annotated[str | None, typer.Option(help="The API key it takes. Default: any.")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", help="`overloaded 30% from 10s to 40s`; may be given again."),
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Recorded answers, HAR or JSON lines, before all others.")
    ] = None,
    pace: Annotated[
        float | None,
        typer.Option(metavar="SCALE", help="As fast as measured of each model, times SCALE. Default: at once."),
    ] = None,
    allow_fault_headers: Annotated[
        bool, typer.Option("--allow-fault-headers", help="Let requests ask for a fault: `x-simulator-fault: NAME[:N]`.")
    ] = False,
    lean: Annotated[bool, typer.Option("--lean", help="Answers made once, for load: no checks, no books.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print {url, key} once it answers.")] = False,
) -> None:
    """Run a local Claude API that needs no key and costs nothing, until Ctrl-C.

    While it runs: `penstock simulator trigger overloaded --share 0.3 --for 60s`, `penstock simulator books`.
    """
    if context.invoked_subcommand is not None:
        return
    from ...simulator import serve
    from ...simulator.server import Running

    flags = {"seed": seed, "key": key, "is_lean": lean or None, "allow_fault_headers": allow_fault_headers or None}
    options = _options(config, flags, fault or [], replay, pace)

    def ready(running: Running) -> None:
        shown = "any" if options.get("accept_any") else running.key
        if as_json:
            print(json.dumps({"url": running.url, "key": running.key}), flush=True)
        else:
            print(f"The simulator answers at {running.url}; API key: {shown}. Ctrl-C ends it.", flush=True)

    try:
        serve(host, port, ready, **options)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror}.",
            code="cannot_listen",
            fix="Choose another with --port (0 takes any free one).",
        ) from error


def _options(
    config: Path | None, flags: dict[str, Any], faults: list[str], replay: Path | None, pace: float | None
) -> Options:
    """What the file says, and over it what the command line says. Raises ConfigError."""
    from ...simulator import Pace, read_cassette, read_rule, read_setup

    options: Options = read_setup(config) if config is not None else {}
    given = {**flags, "replay": read_cassette(replay) if replay is not None else None}
    try:
        given["schedule"] = [*options.get("schedule", ()), *map(read_rule, faults)] or None
        given["pace"] = None if pace is None else Pace.measured(pace)
    except ValueError as error:
        said = str(error)
        fix = "See `penstock simulator --help`."
        raise ConfigError(f"{said[0].upper()}{said[1:]}.", code="bad_option", fix=fix) from error
    options.update({name: value for name, value in given.items() if value is not None})  # type: ignore[typeddict-item]
    if "key" not in options:
        options.setdefault("accept_any", True)
    return options


@app.command("faults")
def faults(as_json: JsonOption = False) -> None:
    """List the faults there are."""
    from ...simulator.faults import KINDS

    if as_json:
        print(json.dumps([{"name": k.name, "when": k.when, "says": k.says, "number": k.number} for k in KINDS]))
        return
    table = Table("fault", "what happens", "number after a colon", box=None, pad_edge=False)
    for kind in KINDS:
        table.add_row(kind.name, kind.says, kind.number)
    Console(soft_wrap=True).print(table)


@app.command("trigger")
def trigger(
    fault: Annotated[str, typer.Argument(help="NAME or NAME:NUMBER, of `penstock simulator faults`.")],
    share: Annotated[float, typer.Option(help="The share of requests it befalls.")] = 1.0,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="SPAN", help="How long: 60s, 5m. Default: one request.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="How many requests at most.")] = None,
    model: Annotated[str, typer.Option(help="Only requests for models that begin so.")] = "",
    url: UrlOption = _URL,
    control_key: ControlKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a running simulator fail: `trigger overloaded --share 0.3 --for 60s`."""
    asked: dict[str, Any] = {"fault": fault, "share": share, "count": count, "model": model}
    asked["for_s"] = None if lasting is None else _seconds(lasting)
    told = _ask("POST", url, "/simulator/faults", control_key, asked)
    if as_json:
        print(json.dumps(told))
    else:
        print(f"{len(told['rules'])} rule(s) at work; `penstock simulator clear` ends them.")


@app.command("clear")
def clear(url: UrlOption = _URL, control_key: ControlKeyOption = None) -> None:
    """Let a running simulator fail no more, but for the shares it was started with."""
    _ask("DELETE", url, "/simulator/faults", control_key)
    print("No rules are left.")


@app.command("books")
def books(url: UrlOption = _URL, control_key: ControlKeyOption = None, as_json: JsonOption = False) -> None:
    """Show what a running simulator has served, charged, cached and refused."""
    told = _ask("GET", url, "/simulator/books", control_key)
    if as_json:
        print(json.dumps(told))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in told["totals"].items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    Console(soft_wrap=True).print(table)


def _seconds(text: str) -> float:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"--for {text!r} is no span of time.", code="bad_option", fix="Say `60s`, `5m` or `1h`.")
    return float(found[1]) * _SPAN_S[found[2]]


def _ask(method: str, url: str, path: str, key: str | None, body: dict[str, Any] | None = None) -> Any:
    """Ask a running simulator. Raises ConfigError where it says no, or is not there."""
    data = None if body is None else json.dumps({name: v for name, v in body.items() if v is not None}).encode()
    request = urllib.request.Request(url.rstrip("/") + path, data, method=method)
    if key is not None:
        request.add_header("x-simulator-key", key)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = json.load(error)["error"]["message"]
        raise ConfigError(f"The simulator says: {said}.", code="bad_option", fix="See `--help`.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        print(f"penstock: No simulator answers at {url}: {reason}.", file=sys.stderr)
        raise typer.Exit(1) from error
