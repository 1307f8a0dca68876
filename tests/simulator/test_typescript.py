"""The TypeScript SDK against the simulator, endpoint by endpoint, where Node.js can be had."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.simulator import running

sys.path.insert(0, str(Path(__file__).parents[1]))

from clients.matrix import CACHE, CLIENTS, HERE, NotInstalled, Skipped, prepared

CASES = ("message", "stream", "tool", "thinking", "count_tokens", "models", "batch", "file", "error")


@pytest.mark.weighty
def test_every_endpoint_parses_in_the_typescript_sdk() -> None:
    client = next(one for one in CLIENTS if one.name == "@anthropic-ai/sdk")
    try:
        program, _ = prepared(client)
    except (Skipped, NotInstalled) as reason:
        pytest.skip(f"the TypeScript SDK cannot be had here: {reason}")
    folder = CACHE / "anthropic-ai-sdk"
    shutil.copy(HERE / "scripts" / "simulator.mjs", folder / "simulator.mjs")
    with running(seed=9) as sim:
        env = {"PATH": os.environ["PATH"], "CLIENT_URL": sim.url, "CLIENT_KEY": sim.key}
        env["CLIENT_MODEL"] = "claude-sonnet-4-6"
        argv = [*program, str(folder / "simulator.mjs")]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
    said = {line["name"]: line["fault"] for line in map(json.loads, done.stdout.splitlines())}
    assert said == dict.fromkeys(CASES), done.stderr[-500:]
