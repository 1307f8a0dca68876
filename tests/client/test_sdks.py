"""The oldest and newest supported SDK of each generation, each in an environment of its own.

The environments are made once, in the cache folder beside the tests, where pip can install; elsewhere these tests are
skipped with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.simulator import running

ROOT = Path(__file__).parents[2]
SESSION = Path(__file__).parent / "sdk_session.py"
#: The pin of instructor, the last on httpx; the first on httpx2; the first with Bearer and the 2026-10-21 API.
VERSIONS = ("0.93.0", "0.125.0", "1.0.0", "2.0.0")
#: What Penstock itself needs in process.
OURS = ("msgspec", "httptools", "python-dotenv")


def _environment(version: str) -> Path:
    """The Python of an environment with one SDK version in it. Skips where it cannot be made."""
    folder = ROOT / ".cache" / "sdks" / f"{sys.version_info.major}.{sys.version_info.minor}-{version}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed"
    if done.exists():
        return python
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    asked = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", f"anthropic=={version}", *OURS]
    try:
        subprocess.run(asked, check=True, capture_output=True, text=True, timeout=80)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as fault:
        said = getattr(fault, "stderr", None) or str(fault)
        pytest.skip(f"anthropic {version} cannot be installed here: {str(said).strip().splitlines()[-1]}")
    done.touch()
    return python


def _session(python: Path, data: Path, *, is_wrapped: bool) -> Any:
    with running(seed=7, allow_fault_headers=True, key="sk-ant-" + "sim", batch_s=0.0) as simulator:
        asked = [str(python), str(SESSION), simulator.url, simulator.key, str(data) if is_wrapped else ""]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60, cwd=data)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) | {"served": len(simulator.requests)}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_form_of_call_gives_what_that_sdk_gives_bare(version: str, tmp_path: Path) -> None:
    python = _environment(version)
    bare = _session(python, tmp_path, is_wrapped=False)
    wrapped = _session(python, tmp_path, is_wrapped=True)
    assert wrapped["version"] == version
    assert wrapped["is_fast"], "the SDK's decoder hook has changed"
    for one, other in zip(bare["seen"], wrapped["seen"], strict=True):
        assert other == one, one[0]
    assert len(bare["seen"]) > 30
    assert wrapped["rows"] == wrapped["served"] == bare["served"]


def test_a_cloud_client_of_an_sdk_without_middleware_is_refused_with_the_fix(tmp_path: Path) -> None:
    code = (
        "import anthropic, penstock\n"
        "client = anthropic.AnthropicVertex(region='us-east5', project_id='p', access_token='t')\n"
        "try:\n    penstock.wrap(client)\nexcept penstock.ConfigError as error:\n    print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [str(_environment("0.93.0")), "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert "0.93.0 does not have. Install anthropic>=0.108." in done.stdout, done.stderr
