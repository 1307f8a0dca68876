"""Closed-loop load by wrk: as many requests as the subject answers, over a fixed number of connections."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .machine import Unmeasurable, child, cores, program
from .subjects import Subject
from .traffic import request_headers

_SCRIPT = """
wrk.method = "POST"
wrk.path = "/v1/messages"
local file = io.open({body}, "rb")
wrk.body = file:read("*a")
file:close()
wrk.headers = {{{headers}}}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {{"requests": %d, "wall_us": %d, "errors": %d, "p50_us": %d, "p99_us": %d}}\\n', summary.requests,
    summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """One window of load on one subject."""

    requests: int
    wall_s: float
    subject_cpu_s: float

    @property
    def per_s(self) -> float:
        return self.requests / self.wall_s

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the subject for each request."""
        return self.subject_cpu_s * 1e6 / self.requests

    @property
    def core_share(self) -> float:
        return self.subject_cpu_s / self.wall_s


def load(subject: Subject, body: bytes, seconds: float, *, connections: int = 32) -> Load:
    """Load a subject for some seconds. Raises Unmeasurable, also where calls fail: errors are fast."""
    where = program("wrk")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        place, script = Path(folder, "body"), Path(folder, "load.lua")
        place.write_bytes(body)
        script.write_text(script_text(place, request_headers(subject.key)))
        argv = [where, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s", "-s", str(script)]
        url = f"http://127.0.0.1:{subject.port}"
        began, used = time.monotonic(), subject.cpu_s()
        with child([*argv, url], cores()[1]) as process:
            result = parse(process.output(seconds + 60))
            wall, used = time.monotonic() - began, subject.cpu_s() - used
            if result is None:
                raise Unmeasurable(f"wrk failed: {process.last_words()}")
    if result["errors"] or not result["requests"]:
        raise Unmeasurable(f"{subject.name} failed {result['errors']} of {result['requests']} calls under load")
    return Load(result["requests"], wall, used)


def script_text(body: Path, headers: dict[str, str]) -> str:
    fields = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
    return _SCRIPT.format(body=json.dumps(str(body)), headers=fields)


def parse(output: str) -> dict[str, int] | None:
    """The result line of the script in wrk's output."""
    for line in output.splitlines():
        if line.startswith("RESULT "):
            result: dict[str, int] = json.loads(line.removeprefix("RESULT "))
            return result
    return None
