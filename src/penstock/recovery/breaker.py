"""A circuit breaker: an upstream and model that only fails is left alone for a while.

| state | a call | leads to |
|---|---|---|
| closed | goes | open, after so many failures in a row, if so large a share of the last tries failed too |
| open | does not go | half-open, once its time is over: `open_s`, doubled with each opening up to `open_max_s` |
| half-open | goes if it is the only one, as a probe | closed where the probe succeeds; open again where it fails |

The evidence is each process's own and costs a counter; what is open is known to all of them, through the store.
What only tells of the caller (400, 401, 413, refusals, rate limits) is no evidence either way.
"""

from __future__ import annotations

from enum import Enum

from ..config.schema import ResilienceConfig
from ..errors import StoreFailed
from ..ports import Circuit, Ports


class Verdict(Enum):
    """Whether a call may go."""

    CLOSED = "closed"
    PROBE = "probe"
    OPEN = "open"


class _Evidence:
    """What came of the last tries: failures in a row, and counts by second."""

    __slots__ = ("failures", "in_a_row", "second", "tries")

    def __init__(self) -> None:
        self.in_a_row = 0
        self.second = 0
        self.tries: dict[int, int] = {}
        self.failures: dict[int, int] = {}

    def note(self, now: float, window_s: float, *, is_failure: bool) -> None:
        second = int(now)
        if second != self.second:
            self.second = second
            oldest = now - window_s
            for counts in (self.tries, self.failures):
                for old in [at for at in counts if at + 1 <= oldest]:
                    del counts[old]
        self.tries[second] = self.tries.get(second, 0) + 1
        if is_failure:
            self.in_a_row += 1
            self.failures[second] = self.failures.get(second, 0) + 1
        else:
            self.in_a_row = 0

    def share(self) -> float:
        """The failed share of the tries within the window."""
        tries = sum(self.tries.values())
        return sum(self.failures.values()) / tries if tries else 0.0


class Breaker:
    """All circuits of one pipeline, by name. A store that fails is taken for a closed circuit."""

    def __init__(self, config: ResilienceConfig, ports: Ports) -> None:
        self._config, self._ports = config, ports
        self._evidence: dict[str, _Evidence] = {}

    async def verdict(self, name: str, lease_s: float) -> Verdict:
        """Whether a call may go. A probe must be followed by `succeeded`, `failed` or, within the lease, nothing."""
        try:
            circuit = await self._ports.circuits.find(name)
            if circuit is None:
                return Verdict.CLOSED
            now_us = self._ports.clock.wall_us()
            if circuit.until_us > now_us:
                return Verdict.OPEN
            is_ours = await self._ports.circuits.probe(name, now_us, now_us + round(lease_s * 1e6))
            return Verdict.PROBE if is_ours else Verdict.OPEN
        except StoreFailed:
            return Verdict.CLOSED

    async def opens_in_s(self, name: str) -> float:
        """How long until a call may go again."""
        try:
            circuit = await self._ports.circuits.find(name)
        except StoreFailed:
            return 0.0
        if circuit is None:
            return 0.0
        return max(0.0, (max(circuit.until_us, circuit.probed_until_us) - self._ports.clock.wall_us()) / 1e6)

    async def succeeded(self, name: str, verdict: Verdict) -> None:
        evidence = self._evidence.get(name)
        if evidence is None:
            evidence = self._evidence[name] = _Evidence()
        evidence.note(self._ports.clock.now(), self._config.breaker_window_s, is_failure=False)
        if verdict is Verdict.PROBE:
            try:
                await self._ports.circuits.close(name)
            except StoreFailed:
                return  # its lease runs out, and the next probe closes it

    async def failed(self, name: str, verdict: Verdict) -> bool:
        """A try failed. True where the circuit is open from now on."""
        evidence = self._evidence.setdefault(name, _Evidence())
        config = self._config
        evidence.note(self._ports.clock.now(), config.breaker_window_s, is_failure=True)
        if not config.breaker_failures:
            return False
        is_enough = (
            evidence.in_a_row >= config.breaker_failures and evidence.share() * 100 >= config.breaker_share_percent
        )
        if verdict is not Verdict.PROBE and not is_enough:
            return False
        try:
            await self._open(name, verdict)
        except StoreFailed:
            return False
        return True

    async def _open(self, name: str, verdict: Verdict) -> None:
        known = await self._ports.circuits.find(name)
        now_us = self._ports.clock.wall_us()
        if known is not None and (known.until_us > now_us or verdict is not Verdict.PROBE):
            return  # another call was quicker
        opens = 1 if known is None else known.opens + 1
        config = self._config
        open_s = min(config.breaker_open_max_s, config.breaker_open_s * 2.0 ** min(opens - 1, 16))
        await self._ports.circuits.open(name, Circuit(now_us + round(open_s * 1e6), opens))
