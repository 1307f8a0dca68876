"""`penstock prompts`: prompts kept as files: what there is, what changed, what is released, and what renders."""

from __future__ import annotations

import dataclasses
import difflib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ...config.load import open_config
from ...errors import ConfigError
from ...ports.blocking import BlockingClock
from ...prompts.folder import folder_of, open_prompts
from ...prompts.folder import release as released
from ...prompts.folder import rollback as rolled_back
from ...prompts.prompt import Prompt, shown
from ...prompts.registry import Prompts
from ...prompts.rendering import Rendered
from ...prompts.variables import from_text
from .options import ConfigOption, JsonOption

app = typer.Typer(help="List, compare, check, release and render prompts kept as files.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The prompt's name.")]
VersionHelp = "A number, `released` or `latest`."


@app.command("list")
def list_prompts(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Every prompt: its versions, the released one, its hash, how users are split, what was edited since release."""
    prompts = open_prompts(open_config(config))
    rows = [_row(prompts, name) for name in sorted({*prompts.versions, *prompts.lock.prompts})]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("prompt", "versions", "released", "hash", "split", "edited since release", "description"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        split = ", ".join(f"{version}: {weight}" for version, weight in row["split"].items())
        edited = ", ".join(map(str, row["changed"]))
        versions, digest = ", ".join(map(str, row["versions"])), (row["hash"] or "")[:12]
        told = [versions, str(row["released"] or ""), digest, split, edited]
        table.add_row(row["name"], *(cell or "-" for cell in told), row["description"])
    console = Console(markup=False)
    if not console.is_terminal:
        console.width = 400  # a pipe has no edge to fold at
    console.print(table)


def _row(prompts: Prompts, name: str) -> dict[str, Any]:
    """One prompt as `list --json` tells it; hash and description are of the released version, else of the latest."""
    versions, history = prompts.versions.get(name, {}), prompts.lock.prompts.get(name)
    number = history.released if history is not None else max(versions)
    version = versions.get(number)
    prompt = version.prompt if version is not None else None
    sealed = sorted(history.versions) if history is not None else []
    return {
        "name": name,
        "versions": sorted(versions),
        "released": history.released if history is not None else None,
        "hash": history.versions[number].hash if history is not None else prompt.hash if prompt is not None else None,
        "split": {str(one): weight for one, weight in sorted(prompts.shares.get(name, {}).items())},
        "changed": [one for one in sealed if prompts.change(name, one) is not None],
        "ever_released": sealed,
        "description": prompt.description if prompt is not None else "",
    }


@app.command("diff")
def diff(
    name: NameArgument,
    a: Annotated[str, typer.Argument(metavar="A", help=VersionHelp)],
    b: Annotated[str, typer.Argument(metavar="B", help=VersionHelp)],
    config: ConfigOption = None,
) -> None:
    """What renders otherwise in B than in A, with all parts put in. Exit code 1 if anything does."""
    prompts = open_prompts(open_config(config))
    before, after = _readable(prompts, name, a), _readable(prompts, name, b)
    titles = [f"{side.name}/{side.version}" for side in (before, after)]
    found = list(
        difflib.unified_diff(shown(before).splitlines(), shown(after).splitlines(), titles[0], titles[1], lineterm="")
    )
    print("\n".join(found) if found else "They render the same.")
    raise typer.Exit(1 if found else 0)


def _readable(prompts: Prompts, name: str, wanted: str) -> Prompt:
    """A version to be looked at, though it was edited since its release: to see that is what `diff` is for."""
    number = prompts.number(name, wanted)
    version = prompts.versions.get(name, {}).get(number)
    if version is None or version.prompt is None:
        return prompts.get(name, number)  # raises
    return version.prompt


@app.command("check")
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Judge every file: untrusted text among instructions, variables, parts, edits after release. Exit code 1 if
    anything is found."""
    loaded = open_config(config)
    prompts = open_prompts(loaded)
    findings = prompts.findings()
    count = sum(map(len, prompts.versions.values()))
    if as_json:
        told = [_told(one) for one in findings]
        print(json.dumps({"ok": not findings, "versions": count, "findings": told}, indent=2))
    else:
        _print(findings)
        print(f"{count} versions of {len(prompts.versions)} prompts in {folder_of(loaded)}: {len(findings)} findings.")
    raise typer.Exit(1 if findings else 0)


@app.command("release")
def release(
    name: NameArgument,
    version: Annotated[str, typer.Argument(metavar="[VERSION]", help=VersionHelp)] = "latest",
    config: ConfigOption = None,
) -> None:
    """Put a version in use and seal it: from now on an edit to it, or to a part it has, is an error. Exit code 1 if
    something is wrong with it."""
    loaded = open_config(config)
    prompts = open_prompts(loaded)
    number, findings = released(loaded, name, version, _now())
    if findings:
        _print(findings)
        print(f"{name} {number} is not released: {len(findings)} findings.")
        raise typer.Exit(1)
    print(_moved(prompts, name, number))


@app.command("rollback")
def rollback(
    name: NameArgument,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="One that was released before.")],
    config: ConfigOption = None,
) -> None:
    """Put a version in use again that was released before. What came after it stays, and stays sealed."""
    loaded = open_config(config)
    prompts = open_prompts(loaded)
    print(_moved(prompts, name, rolled_back(loaded, name, version, _now())))


@app.command("render")
def render(
    name: NameArgument,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help=f"{VersionHelp} Default: released.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="The version this user gets.")] = None,
    var: Annotated[
        list[str] | None, typer.Option("--var", metavar="NAME=VALUE", help="A value; of a list, as often as needed.")
    ] = None,
    var_file: Annotated[
        list[str] | None, typer.Option("--var-file", metavar="NAME=FILE", help="A value that is a file's text.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a prompt comes to with these values, as it would be sent."""
    prompts = open_prompts(open_config(config))
    prompt = prompts.get(name, prompts.version_for(name, user) if version is None else version)
    texts: dict[str, list[str]] = {}
    for one in var or ():
        key, value = _pair(one, "--var")
        texts.setdefault(key, []).append(value)
    for one in var_file or ():
        key, value = _pair(one, "--var-file")
        texts.setdefault(key, []).append(_text_of(Path(value)))
    known = prompt.variables
    values = {key: from_text(known[key], given) if key in known else given for key, given in texts.items()}
    ready = prompts.render(name, values, version=prompt.version)
    print(json.dumps(dataclasses.asdict(ready), indent=2, ensure_ascii=False) if as_json else _read_out(ready))


def _read_out(ready: Rendered) -> str:
    said = [f"{ready.name} {ready.version}, {ready.hash[:12]}"]
    if ready.system:
        said += ["", "--- system", ready.system]
    for message in ready.messages:
        said += ["", f"--- {message['role']}", message["content"]]
    return "\n".join(said)


def _pair(text: str, option: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ConfigError(f"{option} lacks a name or a `=`.", code="bad_option", fix=f"Write {option} NAME=VALUE.")
    return key, value


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(
            f"--var-file: {file} cannot be read: {said}.", code="bad_option", fix="Name a text file in UTF-8."
        ) from None


def _moved(before: Prompts, name: str, number: int) -> str:
    """What a release or a rollback came to, from how it was before."""
    history = before.lock.prompts.get(name)
    if history is not None and history.released == number:
        said = f"{name} {number} is in use already. Nothing was changed."
    else:
        said = f"{name} {number} is in use" + (f", {history.released} was before." if history is not None else ".")
    shares = ", ".join(map(str, sorted(before.shares.get(name, ()))))
    return f"{said} The config still splits users among {shares}." if shares else said


def _now() -> str:
    return datetime.fromtimestamp(BlockingClock.wall_us() // 1_000_000, UTC).isoformat()


def _told(finding: ConfigError) -> dict[str, str]:
    return {"place": finding.place, "code": finding.code, "message": finding.message, "fix": finding.fix}


def _print(findings: list[ConfigError]) -> None:
    for one in findings:
        print(one)
