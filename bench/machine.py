"""The machine the benches run on: its cores, and what its processes use."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_VERSIONS = ("uvloop", "httptools", "msgspec", "uvicorn")


class Unmeasurable(Exception):
    """A bench cannot run here. Says what is missing and how to get it."""


@functools.cache
def cores() -> tuple[int, int]:
    """The core for what is measured and the core for what measures it; one and the same on a machine with one.

    To be asked before this process pins itself.
    """
    if not hasattr(os, "sched_setaffinity") or not Path("/proc/self/stat").exists():
        raise Unmeasurable("the benches pin processes and read /proc, so they need Linux")
    usable = os.sched_getaffinity(0)
    return min(usable), max(usable)


def line() -> str:
    """The machine in one line: for whoever compares figures."""
    found = [f"Python {platform.python_version()}"]
    for package in _VERSIONS:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    if nginx := shutil.which("nginx"):
        words = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False).stderr
        found.append("nginx " + words.strip().rpartition("/")[2])
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({_model()}), Linux {platform.release()}, {', '.join(found)}; load before: {load:.1f}."
    )


def _model() -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def cpu_s(pid: int) -> float:
    """The CPU seconds, user and system, that all threads of a process have used so far."""
    return parse_cpu_s(Path(f"/proc/{pid}/stat").read_text())


def parse_cpu_s(stat: str) -> float:
    # the second field is the name in brackets, and may itself hold blanks and brackets
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_mib(pid: int, field: str = "VmRSS") -> float:
    """The memory of a process: `VmRSS` now, `VmHWM` at its peak."""
    return parse_rss_mib(Path(f"/proc/{pid}/status").read_text(), field)


def parse_rss_mib(status: str, field: str = "VmRSS") -> float:
    match = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    if match is None:
        raise ValueError(f"no {field} in the process's status")
    return int(match[1]) / 1024


class Neighbours:
    """How much of the machine others used meanwhile: figures from a busy machine are not to be trusted."""

    def __init__(self) -> None:
        self._began, self._busy, self._ours = time.monotonic(), _busy_s(), _ours_s()

    def cores(self) -> float:
        """Cores used since by processes that are neither this one nor children it has reaped."""
        busy, ours = _busy_s() - self._busy, _ours_s() - self._ours
        return max(0.0, busy - ours) / (time.monotonic() - self._began)


def _busy_s() -> float:
    # soft interrupts count: what the network does for a process is in that process's own time, too
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split(None, 8)[1:8])
    return (user + nice + system + irq + softirq) / _TICKS_PER_S


def _ours_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Child:
    """A process of the bench. What it says on stderr goes to a file, so that it never waits for a reader."""

    def __init__(self, argv: Sequence[str], core: int, env: Mapping[str, str] | None) -> None:
        self.name = Path(argv[0]).name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by `end`
        self.process = subprocess.Popen(
            argv,
            env=env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self, wait_s: float) -> str:
        """All it printed, once it has ended."""
        return self.process.communicate(timeout=wait_s)[0]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def last_words(self) -> str:
        """The last line on stderr."""
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        self._errors.close()


@contextmanager
def child(argv: Sequence[str], core: int, *, env: Mapping[str, str] | None = None) -> Iterator[Child]:
    """A process pinned to a core, told to end when the block does."""
    started = Child(argv, core, env)
    try:
        yield started
    finally:
        started.end()


def program(name: str) -> str:
    """Where a program is. Raises Unmeasurable with how to install it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Unmeasurable(f"{name} is not installed (apt-get install {name}, or brew install {name})")
    return found


def python(*args: str) -> list[str]:
    return [sys.executable, *args]
