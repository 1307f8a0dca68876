"""The docs and the code say the same."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from gateways import command, environment, gateway
from penstock.simulator import running

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "penstock"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"`([a-z_]+)`")
BLOCK = re.compile(r"(<!-- not run: [^>]+ -->\n)?```(\w*)\n(.*?)```", re.DOTALL)
#: Functions that take a code by place, and classes whose default it is.
BY_PLACE = {"_refusal": 1, "_refused": 1, "failure": 0}


def _text_of(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def codes_in_source() -> set[str]:
    """Every error code written in the source: as `code=`, by place, or as a default."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        if "simulator" in path.parts:
            continue  # those are the API's
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                found |= {_text_of(word.value) for word in node.keywords if word.arg in ("code", "fault_code")}
                place = BY_PLACE.get(name)
                if place is not None and len(node.args) > place:
                    found.add(_text_of(node.args[place]))
            elif isinstance(node, ast.FunctionDef):
                named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                found |= {_text_of(default) for argument, default in named if argument.arg == "code"}
    return {code for code in found if code}


def test_every_error_code_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    documented = {code for row in rows for code in CODE.findall(row)}
    in_source = {code for code in codes_in_source() if re.fullmatch(r"[a-z_]+", code)}
    assert in_source - documented == set(), "codes without a row in docs/errors.md"
    assert documented - in_source == set(), "rows for codes that do not exist"


def test_every_layer_has_a_page_and_a_place_in_the_pipeline() -> None:
    modules = {path.stem for path in (SOURCE / "layers").rglob("*.py")} - {"__init__"}
    pages = {path.stem for path in (ROOT / "docs" / "layers").glob("*.md")} - {"README"}
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "layers").rglob("test_*.py")}
    pipeline = (SOURCE / "pipeline.py").read_text()
    assert modules == pages == tests
    assert all(re.search(rf"import .*\b{name.capitalize()}\b", pipeline) for name in modules)


def test_every_verb_has_a_page() -> None:
    groups = {path.stem for path in (SOURCE / "faces" / "command").glob("*.py")}
    verbs = groups - {"__init__", "options", "first_key", "key_rotation", "key_words", "pages"}
    assert {path.stem for path in (ROOT / "docs" / "verbs").glob("*.md")} - {"README"} == verbs


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    broken = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not broken


def _command_lines() -> list[str]:
    lines = set()
    for page in PAGES:
        for _, kind, block in BLOCK.findall(page.read_text()):
            if kind in ("", "sh", "bash"):
                lines |= {
                    line.strip() for line in block.splitlines() if re.match(r"\s*(\.venv/bin/)?penstock \w", line)
                }
    return sorted(lines)


def test_command_lines_shown_exist() -> None:
    """Each verb and option on the pages is one the verb's own help knows."""
    helps: dict[tuple[str, ...], str] = {}
    lines = _command_lines()
    groups = ("alerts", "audit", "budgets", "cache", "check", "config", "keys", "prompts", "sums")
    assert len(lines) > 15
    for line in lines:
        words = shlex.split(line.split("#")[0].split("|")[0])[1:]
        verb = tuple(words[:2]) if words[0] in groups else tuple(words[:1])
        if verb not in helps:
            done = command(*verb, "--help", COLUMNS="200")
            assert done.returncode == 0, line
            helps[verb] = done.stdout
        unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in helps[verb]]
        assert not unknown, line


def _python_blocks() -> list[tuple[str, str]]:
    return [
        (f"{page.relative_to(ROOT)}:{number}", block)
        for page in PAGES
        for number, (waived, kind, block) in enumerate(BLOCK.findall(page.read_text()))
        if kind == "python" and not waived
    ]


@pytest.mark.weighty
def test_python_on_the_pages_runs(tmp_path: Path) -> None:
    blocks = _python_blocks()
    assert len(blocks) >= 3
    with running(seed=1) as simulator:
        env = environment(ANTHROPIC_BASE_URL=simulator.url, ANTHROPIC_API_KEY=simulator.key)
        for place, block in blocks:
            done = subprocess.run(
                [sys.executable, "-c", block],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, f"{place}: {done.stderr}"


def test_the_first_success_of_the_readme_works(tmp_path: Path) -> None:
    """The curl of the README, word by word but for address and key, against a gateway as `make run` starts it."""
    text = (ROOT / "README.md").read_text()
    (shown,) = [block for _, _, block in BLOCK.findall(text) if block.startswith("curl ")]
    with gateway(data=tmp_path / "data") as process:
        line = shown.replace("http://127.0.0.1:8787", process.url).replace("pk_…", process.key)
        words = shlex.split(line.replace("\\\n", " "))
        headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
        answer = httpx2.post(words[1], headers=headers, content=words[words.index("-d") + 1])
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-penstock-cost-usd"]
        process.record(answer.headers["x-penstock-call-id"])
        told = json.loads(command("report", "--by", "feature", "--json", "--data", str(process.data)).stdout)
        assert [group["feature"] for group in told["groups"]] == ["hello"]


def test_nothing_in_the_project_names_the_machine_it_was_made_on() -> None:
    """The working place of the developers is not the users'."""
    places = re.compile("|".join(("/" + "work/", "/" + "root/", r"\." + "library/", "py" + "pi.org/simple")))
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not listed:
        pytest.skip("not a git checkout")
    named = []
    for name in listed:
        path = ROOT / name
        if path.is_file() and places.search(path.read_bytes().decode("utf-8", "replace")):
            named.append(name)
    assert not named, os.linesep.join(named)
