"""Real gateways for tests: `penstock serve` in its own process, on a free port, with a data folder to look into."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.record import Record
from penstock.stores.reading import LedgerReader

READY_S = 30.0

#: A config for tests in which a failure must reach the caller as it came: nothing is tried again.
ONCE = "[resilience]\ntries_max = 1\nbreaker_failures = 0\n[pacing]\nlearns = false\n"


@dataclass
class Process:
    """One running gateway."""

    url: str
    key: str
    data: Path
    child: subprocess.Popen[bytes]
    log: Path

    def records(self, count: int | None = None, *, wait_s: float = 10.0) -> list[Record]:
        """What the ledger holds, oldest first; waits until there are at least `count` rows."""
        ends = time.monotonic() + wait_s
        while True:
            with LedgerReader(self.data) as ledger:
                found = list(ledger.calls())[::-1]
            if count is None or len(found) >= count or time.monotonic() > ends:
                return found
            time.sleep(0.02)

    def record(self, call_id: str) -> Record:
        return self._awaited(lambda ledger: ledger.call(call_id), call_id)

    def record_of(self, **labels: str) -> Record:
        """The newest call with these labels, which must be its own."""
        return self._awaited(lambda ledger: next(ledger.calls(where=labels, limit=1), None), str(labels))

    def _awaited(self, find: Callable[[LedgerReader], Record | None], what: str) -> Record:
        ends = time.monotonic() + 10.0
        while time.monotonic() < ends:
            with LedgerReader(self.data) as ledger:
                found = find(ledger)
            if found is not None:
                return found
            time.sleep(0.02)
        raise AssertionError(f"no record of {what}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.child.send_signal(number)
        return self.child.wait(30)


def environment(**more: str) -> dict[str, str]:
    """This process's environment, less what would name an upstream."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "PENSTOCK_"))}
    return {**kept, **more}


def command(*words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end."""
    return subprocess.run(
        [sys.executable, "-m", "penstock", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
        env=environment(**env),
    )


@contextlib.contextmanager
def gateway(
    upstream: str | None = None, *, data: Path | None = None, config: str | None = None, **env: str
) -> Iterator[Process]:
    """A gateway before `upstream`, or before the built-in simulator."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = data or place / "data"
        ready, log = place / "ready.json", place / "log"
        words = ["serve", "--port", "0", "--data", str(data), "--ready-file", str(ready)]
        if upstream is not None:
            words += ["--upstream", upstream]
        if config is not None:
            (place / "penstock.toml").write_text(config)
            words += ["--config", str(place / "penstock.toml")]
        with log.open("wb") as out:
            child = subprocess.Popen(
                [sys.executable, "-m", "penstock", *words],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=place,
                env=environment(**env),
            )
        try:
            said = _wait(child, ready, log)
            yield Process(said["url"], said["key"], data, child, log)
        finally:
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(15)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()


def _wait(child: subprocess.Popen[bytes], ready: Path, log: Path) -> dict[str, Any]:
    ends = time.monotonic() + READY_S
    while time.monotonic() < ends:
        if ready.exists():
            said: dict[str, Any] = json.loads(ready.read_text())
            return said
        if child.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(f"the gateway did not start: {log.read_text()}")
