"""Whether a failed attempt is followed by another one of the same kind, and after which wait."""

from __future__ import annotations

from typing import NamedTuple

from ..call import LEAST_S, Call
from ..config.schema import ResilienceConfig
from ..errors import UpstreamFailed
from ..ports import Ports
from ..wire.remedies import Remedy
from .attempts import Tried

#: Tries of one call while the provider reports an incident: it does not pass within seconds.
INCIDENT_TRIES = 2

#: What SDKs would try again though it does not help: a spent allowance looks like a rate limit, a missed deadline
#: like any 504.
_TRIED_BY_SDKS = frozenset({"spend_limit", "timeout"})

_NOT_SENT = frozenset({"connect_failed", "connect_timeout", "closed"})


class Count(NamedTuple):
    """How many attempts the call has had, how many of them this candidate, and how many of those failed alike."""

    attempts: int
    tries: int
    alike: int


class Patience:
    """Full jitter below a doubling bound, the upstream's own wait first; within tries, deadline and budget."""

    def __init__(self, config: ResilienceConfig, ports: Ports) -> None:
        self._config, self._ports = config, ports

    async def wait(
        self, call: Call, tried: Tried, count: Count, deadline: float, *, has_next: bool
    ) -> tuple[float, str, bool]:
        """How long to wait before the next attempt, or why there is none and whether the caller should not try either.

        `has_next`: another candidate follows.
        """
        remedy = tried.remedy
        assert remedy is not None, "a good attempt needs no other"
        if remedy.tries_max == 1:
            return 0.0, "that would not help", remedy.kind in _TRIED_BY_SDKS
        if isinstance(tried.failure, UpstreamFailed) and tried.failure.code not in _NOT_SENT and not _may_repeat(call):
            return 0.0, "it may have been done all the same", False
        tries_max, before = self._tries_max(call, remedy), _tried_before(call)
        if count.attempts + before >= tries_max:
            return 0.0, f"{tries_max} tries are all it gets", count.attempts > 1
        if count.alike + before >= remedy.tries_max:
            return 0.0, f"{remedy.tries_max} tries are all that failure gets", True
        if has_next and count.tries >= self._config.tries_before_hop:
            return 0.0, "another candidate follows", False
        wait_s = self._wait_s(call, remedy, tried.asked_s, count.tries)
        if has_next and wait_s > self._config.hop_wait_s:
            return 0.0, f"another candidate is there before {wait_s:.0f} s are over", False
        if self._ports.clock.now() + wait_s + LEAST_S > deadline:
            return 0.0, f"the {wait_s:.0f} s to wait are past its deadline", count.attempts > 1
        if not await self._ports.retries.take():
            return 0.0, "the retry budget is empty, as in an outage", True
        return wait_s, "", False

    def _tries_max(self, call: Call, remedy: Remedy) -> int:
        most = min(self._config.tries_max, call.tries_max or self._config.tries_max)
        is_incident = remedy.is_outage and self._ports.status.incident() is not None
        return min(most, INCIDENT_TRIES) if is_incident else most

    def _wait_s(self, call: Call, remedy: Remedy, asked_s: float | None, tries: int) -> float:
        config, uniform = self._config, self._ports.chance.uniform
        if asked_s is not None:
            return asked_s + uniform(0.0, 0.1 * asked_s)
        is_background = call.plan is not None and call.plan.policy.lane == "background"
        factor = config.background_factor if is_background else 1.0
        bound_s = min(config.wait_max_s, remedy.wait_s * config.wait_first_s * 2.0 ** (tries - 1))
        return uniform(0.0, bound_s * factor)


def _tried_before(call: Call) -> int:
    """How often the caller's SDK has tried this call already: it says so."""
    said = call.fields.get(b"x-stainless-retry-count", b"")
    return int(said) if said.isdigit() and len(said) < 4 else 0


def _may_repeat(call: Call) -> bool:
    """Whether doing it twice does no harm but cost: a message, a count, a read."""
    return call.method in ("GET", "HEAD") or call.endpoint.name in ("messages", "count_tokens")
