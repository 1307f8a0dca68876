"""`make clients`: clients that no one here wrote, by base URL alone, through a gateway to the simulator.

Each has an environment of its own under `.cache/clients`, because their needs conflict. What cannot be had here is
skipped with the reason. The table goes into docs/clients.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from gateways import Process, gateway  # noqa: E402
from penstock.record import Record  # noqa: E402
from penstock.simulator import Running, Served, running  # noqa: E402

CACHE = ROOT / ".cache" / "clients"
PAGE = ROOT / "docs" / "clients.md"
BEGIN, END = "<!-- matrix: written by `make clients` -->", "<!-- end of matrix -->"
MODEL = "claude-sonnet-4-6"
CASES = ("plain", "streaming", "tools", "cut stream")
SCRIPT_S = 300.0


@dataclass(frozen=True)
class Client:
    """A client: what to install, which of its packages to name, and the script that uses it."""

    name: str
    packages: tuple[str, ...]
    script: str

    @property
    def is_node(self) -> bool:
        return self.script.endswith(".mjs")


CLIENTS = (
    Client("langchain-anthropic", ("langchain-anthropic>=1.7,<2",), "langchain.py"),
    Client("pydantic-ai", ("pydantic-ai-slim[anthropic]>=2.60,<3",), "pydantic_ai_.py"),
    Client("instructor", ("instructor[anthropic]>=1.17,<2",), "instructor_.py"),
    Client("litellm", ("litellm>=1.100,<2", "mcp"), "litellm_.py"),
    Client("@anthropic-ai/sdk", ("@anthropic-ai/sdk@1",), "typescript.mjs"),
    Client("@ai-sdk/anthropic", ("@ai-sdk/anthropic@3", "ai@6"), "vercel.mjs"),
    Client("@anthropic-ai/claude-code", ("@anthropic-ai/claude-code@2",), "claude_code.mjs"),
)


@dataclass
class Tried:
    """What became of one client. `reason` says why it was skipped or what failed."""

    name: str
    version: str = ""
    api_version: str = ""
    credential: str = ""
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: int = 0
    requests: int = 0
    reason: str = ""

    @property
    def is_ok(self) -> bool:
        return all(self.cases.get(name, {}).get("ok") for name in CASES) and not self.reason


class Skipped(Exception):
    """This client cannot be tried here; the message says why."""


class NotInstalled(Exception):
    """What a client needs could not be installed, which is a failure; the message says why."""


def prepared(client: Client) -> tuple[list[str], str]:
    """The client's environment, made if need be: the program that runs its script, and its version.

    Raises Skipped where this machine lacks Node.js, NotInstalled where its packages cannot be had.
    """
    folder = CACHE / re.sub(r"\W+", "-", client.name).strip("-")
    stamp = folder / "packages.txt"
    if not stamp.exists() or stamp.read_text() != repr(client.packages):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _install_node(client, folder) if client.is_node else _install_python(client, folder)
        stamp.write_text(repr(client.packages))
    if client.is_node:
        manifest = json.loads((folder / "node_modules" / client.name / "package.json").read_text())
        return ["node"], str(manifest["version"])
    python = str(folder / "bin" / "python")
    asked = f"import importlib.metadata as m; print(m.version({client.packages[0].split('[')[0].split('>')[0]!r}))"
    return [python], subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()


def _install_python(client: Client, folder: Path) -> None:
    install([sys.executable, "-m", "venv", str(folder)], "venv")
    install([str(folder / "bin" / "pip"), "install", "--quiet", *client.packages], "pip")


def _install_node(client: Client, folder: Path) -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Skipped("Node.js and npm are not on this machine")
    install(["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder), *client.packages], "npm")


def install(words: list[str], what: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalled(f"{what} could not install it: {said[-1] if said else done.returncode}")


def tried(client: Client, process: Process, simulator: Running) -> Tried:
    """Run the client's script through the gateway, and hold what it saw against the ledger."""
    outcome = Tried(client.name)
    try:
        program, outcome.version = prepared(client)
    except Skipped as reason:
        outcome.reason = f"skipped: {reason}"
        return outcome
    except NotInstalled as reason:
        outcome.reason = f"not installed: {reason}"
        return outcome
    folder = CACHE / re.sub(r"\W+", "-", client.name).strip("-")
    script = HERE / "scripts" / client.script
    if client.is_node:  # Node looks for packages beside the script
        for one in ("cases.mjs", client.script):
            shutil.copy(HERE / "scripts" / one, folder / one)
        script = folder / client.script
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "CLIENT_URL": process.url, "CLIENT_KEY": process.key}
    env |= {"CLIENT_MODEL": MODEL, "CLIENT_PROGRAM": str(folder / "node_modules" / ".bin" / "claude")}
    faults = [_script_run([*program, str(script)], env, CASES[:3], outcome)]
    whole = len(_served(simulator))
    simulator.trigger("truncate:6", count=20)
    faults.append(_script_run([*program, str(script)], env, CASES[3:], outcome))
    served = _served(simulator)
    rows = [row for row in process.records(len(simulator.requests)) if row.path.startswith("/v1/messages")]
    outcome.requests, outcome.rows = len(served), len(rows)
    faults += (
        [f"{len(served)} requests and {len(rows)} rows"] if len(rows) != len(served) else ledger_faults(rows, whole)
    )
    outcome.reason = "; ".join(fault for fault in faults if fault)
    if served:
        outcome.api_version = served[0].headers.get("anthropic-version", "")
        outcome.credential = "Bearer" if "authorization" in served[0].headers else "x-api-key"
    return outcome


def _served(simulator: Running) -> list[Served]:
    return [request for request in simulator.requests if request.path.startswith("/v1/messages")]


def _script_run(words: list[str], env: dict[str, str], cases: Sequence[str], outcome: Tried) -> str:
    """Run some cases and keep what they say; returns why one of them said nothing, or nothing."""
    asked = {**env, "CLIENT_CASES": ",".join(cases)}
    try:
        done = subprocess.run(words, env=asked, capture_output=True, text=True, timeout=SCRIPT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"its script did not end within {SCRIPT_S:.0f} s"
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            case = json.loads(line)
            outcome.cases[case["case"]] = case
    silent = [name for name in cases if name not in outcome.cases]
    if not silent:
        return ""
    return f"its script ended with {done.returncode} before {', '.join(silent)}: {done.stderr.strip()[-300:]}"


def ledger_faults(rows: Sequence[Record], whole: int) -> list[str]:
    """What is wrong with the rows: the first `whole` must be complete with usage and exact cost, the rest truncated."""
    faults = []
    if whole < len(CASES[:3]) or whole == len(rows):
        faults = [f"{whole} requests before the cut and {len(rows) - whole} of it; each case must make one"]
    for number, row in enumerate(rows):
        if (wanted := "complete" if number < whole else "truncated") != row.ending:
            faults.append(f"row {number + 1} is {row.ending}, not {wanted}")
        elif wanted == "complete" and row.endpoint == "messages":
            prompt = row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens + row.cache_write_1h_tokens
            if not prompt or not row.output_tokens:
                faults.append(f"row {number + 1} has {prompt} prompt and {row.output_tokens} output tokens")
            if row.cost_basis != "exact" or not row.cost_nano:
                faults.append(f"row {number + 1} costs {row.cost_nano} nano-dollars, {row.cost_basis}")
    return faults


def all_tried(only: str | None) -> Iterator[Tried]:
    for client in CLIENTS:
        if only is not None and only not in client.name:
            continue
        print(f"{client.name} ...", end=" ", file=sys.stderr, flush=True)
        with running(seed=1) as simulator, gateway(simulator.url, ANTHROPIC_API_KEY=simulator.key) as process:
            outcome = tried(client, process, simulator)
        verdict = outcome.reason or ("ok" if outcome.is_ok else "FAILED")
        print(verdict, file=sys.stderr, flush=True)
        yield outcome


def table(outcomes: list[Tried]) -> str:
    """The outcomes as a Markdown table, and what each saw of a stream cut behind the gateway."""
    lines = [
        "| client | version | anthropic-version | credential | plain | streaming | tools | a cut stream becomes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in outcomes:
        if not one.cases:
            lines.append(f"| {one.name} | {one.version} | | | {one.reason} | | | |")
            continue
        marks = ["yes" if one.cases.get(c, {}).get("ok") else "**no**" for c in CASES[:3]]
        cut = one.cases.get("cut stream", {}).get("seen", "not tried").replace("|", "/")
        lines.append(
            f"| {one.name} | {one.version} | {one.api_version} | {one.credential} | {' | '.join(marks)} | {cut[:70]} |"
        )
    return "\n".join(lines)


def write(page: Path, text: str, day: str) -> None:
    """Put the table between its marks, and leave the rest of the page as it is."""
    head, _, rest = page.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    page.write_text(f"{head}{BEGIN}\n\nTried on {day}.\n\n{text}\n\n{END}{tail}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make clients", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="only clients whose name contains NAME")
    parser.add_argument("--json", action="store_true", help="print what was seen as JSON")
    words = parser.parse_args()
    outcomes = list(all_tried(words.only))
    if words.json:
        print(json.dumps([vars(one) for one in outcomes], indent=2))
    else:
        print(table(outcomes))
    if words.only is None:
        write(PAGE, table(outcomes), f"{datetime.now(UTC):%Y-%m-%d}")
    return 0 if all(one.is_ok or one.reason.startswith("skipped") for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
