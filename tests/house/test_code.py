"""Rules about the code, so that style is never a review comment. DESIGN's numbers."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "penstock"
FILES = sorted(SOURCE.rglob("*.py"))
CODE = [*FILES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "bench").rglob("*.py"))]

FILE_LINES_MAX = 400
LAYER_LINES_MAX = 250
FUNCTION_LINES_MAX = 60


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_there_is_code_to_judge() -> None:
    assert len(FILES) > 30


@pytest.mark.parametrize("path", CODE, ids=_name)
def test_a_file_is_short_enough_to_read(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    limit = LAYER_LINES_MAX if "layers" in path.parts and "src" in path.parts else FILE_LINES_MAX
    assert lines <= limit, f"{_name(path)} has {lines} lines; split it by meaning"


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    long = [
        f"{node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in _functions(ast.parse(path.read_text()))
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long


def test_no_module_level_state_is_rebound() -> None:
    found = [
        f"{_name(path)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Global)
    ]
    assert not found


CLOCK_READS = re.compile(
    r"\btime\.(time|monotonic|perf_counter|time_ns|monotonic_ns)\b|\bdatetime\.(now|utcnow|today)\b"
    r"|\brandom\.(random|randint|choice|Random)\b|\buuid\.uuid|\bsecrets\.token|\bos\.urandom\b"
)
#: The simulator is a server of its own, below no pipeline; it takes its clock and seed as arguments.
MAY_READ_CLOCKS = ("ports/", "simulator/")


def test_clock_and_chance_come_from_ports_alone() -> None:
    found = [
        f"{_name(path)}:{number}: {line.strip()}"
        for path in FILES
        if not str(path.relative_to(SOURCE)).startswith(MAY_READ_CLOCKS)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if CLOCK_READS.search(line)
    ]
    assert not found


def test_the_environment_is_read_in_one_place() -> None:
    found = [
        f"{_name(path)}:{number}"
        for path in FILES
        if path != SOURCE / "config" / "load.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\bos\.(environ|getenv)\b", line)
    ]
    assert not found


UNCLEAR_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|misc|manager|base|v\d+)(_|$)", re.IGNORECASE)


def test_names_say_what_a_thing_is() -> None:
    modules = [_name(path) for path in FILES if UNCLEAR_NAMES.search(path.stem)]
    classes = [
        f"{_name(path)}: {node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and re.search(r"Manager$|^Base|Utils?$|Helper$", node.name)
    ]
    assert not modules + classes


def test_broad_excepts_only_where_an_ending_must_be_seen() -> None:
    """Elsewhere a broad `except` must raise again; bugs are not to be swallowed."""
    found = []
    for path in FILES:
        where = str(path.relative_to(SOURCE))
        if where == "reply.py" or where.startswith("faces/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ExceptHandler):
                continue
            names = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"bare"}
            is_broad = bool(names & {"Exception", "BaseException", "bare"})
            is_raised = any(isinstance(n, ast.Raise) for n in ast.walk(node))
            is_waived = "BLE001" in path.read_text().splitlines()[node.lineno - 1]
            if is_broad and not is_raised and not is_waived:
                found.append(f"{_name(path)}:{node.lineno}")
    assert not found


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
    found = [
        f"{_name(path)}:{number}"
        for path in CODE
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert not found


def test_every_module_says_what_it_is() -> None:
    assert not [
        _name(p) for p in FILES if p.read_text().strip() and ast.get_docstring(ast.parse(p.read_text())) is None
    ]


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.weighty
def test_mypy_strict_has_nothing_to_say() -> None:
    done = _run("mypy")
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_has_nothing_to_say() -> None:
    for words in (("ruff", "check", "."), ("ruff", "format", "--check", ".")):
        done = _run(*words)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.weighty
def test_who_may_import_whom_is_kept() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["penstock", "penstock.faces.command", "penstock.faces.gateway.app"])
def test_starting_up_never_imports_the_sdk(module: str) -> None:
    """The official SDK takes seconds to import; neither the command line nor the gateway needs it."""
    program = f"import sys, {module}; print(sorted({{'anthropic', 'httpx', 'httpx2', 'pydantic'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_few_and_documented() -> None:
    import penstock

    assert len(penstock.__all__) <= 25
    for name in penstock.__all__:
        public = getattr(penstock, name)
        if isinstance(public, type) or inspect.isfunction(public):
            assert public.__doc__, name


def test_what_is_tested_is_the_built_wheel() -> None:
    """`make test` installs the wheel; a source tree on the path would hide a file missing from it."""
    import penstock

    where = Path(penstock.__file__)
    if SOURCE in where.parents:
        pytest.skip("run from the source tree by hand; `make test` tests the wheel")
    packed = {str(p.relative_to(where.parent)) for p in where.parent.rglob("*") if "__pycache__" not in p.parts}
    kept = {str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*") if "__pycache__" not in p.parts}
    assert kept <= packed
