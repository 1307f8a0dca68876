"""A circuit breaker: an upstream and model that only fails is left alone for a while.

| state | a call | leads to |
|---|---|---|
| closed | goes | open, after so many failures in a row, if nearly all of the last tries failed, or after a longer run |
| open | does not go | half-open, once its time is over: `open_s`, doubled with each opening up to `open_max_s` |
| half-open | goes if it is the only one, as a probe | closed where the probe succeeds; open again where it fails |

The evidence is each process's own and costs a counter; what is open is known to all of them, through the store.
What only tells of the caller (400, 401, 413, refusals, rate limits) is no evidence either way.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ..config.schema import ResilienceConfig
from ..errors import StoreFailed
from ..ports import Circuit, Ports


class Verdict(Enum):
    """Whether a call may go."""

    CLOSED = "closed"
    PROBE = "probe"
    OPEN = "open"


class Permit(NamedTuple):
    """The verdict on one try, and its number among those of its circuit."""

    verdict: Verdict
    number: int = 0


class _Evidence:
    """The tries begun and those failed, by second, and the failures in a row.

    A failure counts when it is known, a try when it begins: failures are often known long before a success would be,
    and what only counts the ends sees nothing but failures at first. A run begins with a try, and is of those begun
    after it: how those before it ended says nothing of the time since.
    """

    __slots__ = ("_begun", "_failed", "_run", "_run_from", "_run_to", "_second", "_total", "in_a_row")

    def __init__(self) -> None:
        self.in_a_row = self._run = self._run_from = self._run_to = 0
        self._total = self._second = 0
        self._begun: dict[int, int] = {}
        self._failed: dict[int, int] = {}

    def began(self, now: float, window_s: float) -> int:
        second = int(now)
        if second != self._second:
            self._second = second
            for counts in (self._begun, self._failed):
                for old in [at for at in counts if at + 1 <= now - window_s]:
                    del counts[old]
        self._begun[second] = self._begun.get(second, 0) + 1
        self._total += 1
        return self._total

    def failed(self, number: int, now: float) -> None:
        self._failed[int(now)] = self._failed.get(int(now), 0) + 1
        self.in_a_row += 1
        if not self._run:
            self._run_from = self._run_to = number
        if number >= self._run_from:
            self._run += 1
            self._run_to = max(self._run_to, number)

    def succeeded(self, number: int) -> None:
        self.in_a_row = 0
        if number >= self._run_from:
            self._run = 0

    def share(self) -> float:
        """The failures of the window, over the tries begun in it."""
        return sum(self._failed.values()) / max(1, sum(self._begun.values()))

    def run(self) -> tuple[int, float]:
        """How many tries of the run failed, and their share of those begun from its first to its last: later ones have
        not had as much time to fail."""
        return self._run, self._run / max(1, self._run_to - self._run_from + 1)


class Breaker:
    """All circuits of one pipeline, by name. A store that fails is taken for a closed circuit."""

    def __init__(self, config: ResilienceConfig, ports: Ports) -> None:
        self._config, self._ports = config, ports
        self._evidence: dict[str, _Evidence] = {}

    async def permit(self, name: str, lease_s: float) -> Permit:
        """Whether a try may go; it begins then. It must be followed by `succeeded`, `failed` or, where it tells nothing
        of the upstream, neither: a probe's lease runs out."""
        try:
            circuit = await self._ports.circuits.find(name)
            verdict = Verdict.CLOSED if circuit is None else await self._half_open(name, circuit, lease_s)
        except StoreFailed:
            verdict = Verdict.CLOSED
        if verdict is Verdict.OPEN:
            return Permit(verdict)
        return Permit(verdict, self._of(name).began(self._ports.clock.now(), self._config.breaker_window_s))

    async def _half_open(self, name: str, circuit: Circuit, lease_s: float) -> Verdict:
        now_us = self._ports.clock.wall_us()
        if circuit.until_us > now_us:
            return Verdict.OPEN
        is_ours = await self._ports.circuits.probe(name, now_us, now_us + round(lease_s * 1e6))
        return Verdict.PROBE if is_ours else Verdict.OPEN

    def _of(self, name: str) -> _Evidence:
        known = self._evidence.get(name)
        if known is None:
            known = self._evidence[name] = _Evidence()
        return known

    async def opens_in_s(self, name: str) -> float:
        """How long until a call may go again."""
        try:
            circuit = await self._ports.circuits.find(name)
        except StoreFailed:
            return 0.0
        if circuit is None:
            return 0.0
        return max(0.0, (max(circuit.until_us, circuit.probed_until_us) - self._ports.clock.wall_us()) / 1e6)

    def succeeded(self, name: str, permit: Permit) -> bool:
        """A try succeeded. True where it was a probe, and the circuit is to be closed."""
        self._of(name).succeeded(permit.number)
        return permit.verdict is Verdict.PROBE

    async def close(self, name: str) -> None:
        try:
            await self._ports.circuits.close(name)
        except StoreFailed:
            return  # its lease runs out, and the next probe closes it

    async def failed(self, name: str, permit: Permit) -> bool:
        """A try failed. True where the circuit is open from now on."""
        evidence, verdict = self._of(name), permit.verdict
        evidence.failed(permit.number, self._ports.clock.now())
        if not self._config.breaker_failures or not (verdict is Verdict.PROBE or self._is_enough(evidence)):
            return False
        try:
            await self._open(name, verdict)
        except StoreFailed:
            return False
        return True

    def _is_enough(self, evidence: _Evidence) -> bool:
        """A busy upstream that dies has a window full of successes, which a long run outweighs."""
        config, share = self._config, self._config.breaker_share_percent / 100
        if evidence.in_a_row >= config.breaker_failures and evidence.share() >= share:
            return True
        length, run_share = evidence.run()
        return 0 < config.breaker_run <= length and run_share >= share

    async def _open(self, name: str, verdict: Verdict) -> None:
        known = await self._ports.circuits.find(name)
        now_us = self._ports.clock.wall_us()
        if known is not None and (known.until_us > now_us or verdict is not Verdict.PROBE):
            return  # another call was quicker
        opens = 1 if known is None else known.opens + 1
        config = self._config
        open_s = min(config.breaker_open_max_s, config.breaker_open_s * 2.0 ** min(opens - 1, 16))
        await self._ports.circuits.open(name, Circuit(now_us + round(open_s * 1e6), opens))
