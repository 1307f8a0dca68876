"""The pytest fixture, in a run of its own, as a user's project has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

THEIRS = """
import anthropic
import pytest
from penstock.simulator import Faults

ASK = {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}

pytestmark = pytest.mark.claude_simulator(seed=5)

def test_the_sdk_finds_it_by_itself(claude_simulator):
    client = anthropic.Anthropic()
    assert client.messages.create(**ASK).content
    assert claude_simulator.requests[-1].path == "/v1/messages"

@pytest.mark.claude_simulator(faults=Faults(overloaded=1.0))
def test_it_breaks_as_told(claude_simulator):
    with pytest.raises(anthropic.APIStatusError) as caught:
        anthropic.Anthropic(max_retries=0).messages.create(**ASK)
    assert caught.value.status_code == 529

def test_each_test_has_its_own(claude_simulator):
    assert claude_simulator.requests == []
"""


def test_a_project_gets_the_fixture_by_installing_penstock(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "ANTHROPIC"))}
    argv = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", "test_theirs.py"]
    done = subprocess.run(argv, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr


def test_loading_it_costs_other_projects_nothing(tmp_path: Path) -> None:
    listed = "[name for name in sys.modules if name.startswith(('uvicorn', 'msgspec', 'penstock.simulator'))]"
    code = f"import sys, penstock.pytest_plugin; print({listed})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
