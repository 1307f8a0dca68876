"""The command line: one file per verb group, and here only how they hang together.

Results go to stdout, everything else to stderr. Exit codes: 0 done; 1 done, and the answer is no (no such call);
2 it cannot be done as asked: the message names the fault, the place and the fix.
"""

from __future__ import annotations

import sys
from typing import Annotated, cast

import typer

from ...errors import PenstockError
from ...version import VERSION
from . import (
    advise,
    alerts,
    audit,
    budgets,
    cache,
    check,
    compare,
    config,
    dashboard,
    explain,
    export,
    keys,
    mix,
    prompts,
    reconcile,
    report,
    serve,
    simulator,
    sums,
    tail,
)

app = typer.Typer(
    name="penstock",
    help="The production layer for the Claude API.",
    epilog="Start with `penstock serve`: without a key it runs against a built-in simulator of the API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("dashboard")(dashboard.dashboard)
app.command("report")(report.report)
app.command("explain")(explain.explain)
app.command("tail")(tail.tail)
app.command("compare")(compare.compare)
app.command("mix")(mix.mix)
app.command("advise")(advise.advise)
app.command("reconcile")(reconcile.reconcile)
app.command("export")(export.export)
app.add_typer(simulator.app, name="simulator")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(budgets.app, name="budgets")
app.add_typer(alerts.app, name="alerts")
app.add_typer(cache.app, name="cache")
app.add_typer(prompts.app, name="prompts")
app.add_typer(config.app, name="config")
app.add_typer(check.app, name="check")
app.add_typer(sums.app, name="sums")


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        print(f"penstock {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Say which Penstock this is.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """The production layer for the Claude API."""


#: The option parser's own error, of which it gives out only the more special kinds.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)


def main() -> None:
    """Run the verb named on the command line, and exit."""
    try:
        sys.exit(app(prog_name="penstock", standalone_mode=False) or 0)
    except _UsageError as error:
        sys.exit(_refuse(error))
    except PenstockError as error:
        print(f"penstock: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _refuse(error: Exception) -> int:
    """Say in one line what was wrong with the command; where nothing was asked, say all there is to ask."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return 2
    context = getattr(error, "ctx", None)
    said = getattr(error, "format_message", error.__str__)().rstrip(".")
    verb = context.command_path if context is not None else "penstock"
    print(f"penstock: {said}. See `{verb} --help`.", file=sys.stderr)
    return 2
