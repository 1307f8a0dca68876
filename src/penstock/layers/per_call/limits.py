"""Limits: may this caller go now? Messages and counts per minute, and calls under way, of users and keys, by tier."""

from __future__ import annotations

from collections.abc import Mapping

from ...call import Call, Fact
from ...config.features import TierConfig
from ...errors import Refused, StoreFailed
from ...layer import Next
from ...ports import Ports
from ...reply import Ending, Reply, Tap

_COUNTED = ("messages", "count_tokens")


class Uncounted(Fact, frozen=True):
    """The counts could not be kept, and the call went on without."""

    message: str

    def told(self) -> str:
        return f"Its tier's limits could not be counted: {self.message}"


class Limits:
    """Refuses what is more than the caller's tier allows."""

    def __init__(self, tiers: Mapping[str, TierConfig], ports: Ports) -> None:
        self._tiers, self._ports = tiers, ports

    async def __call__(self, call: Call, onward: Next) -> Reply:
        named = (call.caller.tier if call.caller is not None else None) or "default"
        tier = self._tiers.get(named)
        if tier is None or call.endpoint.name not in _COUNTED:
            return await onward(call)
        environment = call.caller.environment if call.caller is not None else ""
        key = (call.caller.key_id if call.caller is not None else None) or "process"
        user = call.tags.user
        who = f"{environment}/{named}/user/{key}/{user}" if user is not None else f"{environment}/{named}/key/{key}"
        shown = f"user {user!r}" if user is not None else f"key {key}"
        await self._count(call, who, tier.requests_per_minute, named, shown)
        await self._count(call, f"{environment}/{named}/all/{key}", tier.key_requests_per_minute, named, f"key {key}")
        if not tier.concurrency_max:
            return await onward(call)
        if not self._ports.quotas.enter(who, tier.concurrency_max):
            raise _too_many_at_once(tier.concurrency_max, named, shown)
        try:
            reply = await onward(call)
        except BaseException:
            self._ports.quotas.leave(who)
            raise
        return reply.tap(_Leaving(self._ports, who))

    async def _count(self, call: Call, name: str, per_minute: int, tier: str, shown: str) -> None:
        """Raises Refused where the minute is full. A store that fails refuses nobody."""
        if not per_minute:
            return
        try:
            wait_s = await self._ports.quotas.take(name, per_minute)
        except StoreFailed as failure:
            call.trail.append(Uncounted(failure.message))
            return
        if wait_s:
            raise Refused(
                f"More than {per_minute} calls per minute of {shown}, the limit of tier {tier!r}.",
                layer="limits",
                code="too_many_requests",
                fix=f"Come back in {wait_s:.0f} s, or raise `requests_per_minute` under [tiers.{tier}].",
                status=429,
                type="rate_limit_error",
                retry_after_s=wait_s,
            )


class _Leaving(Tap):
    """Gives a caller's place back when the reply has ended."""

    __slots__ = ("_ports", "_who")

    def __init__(self, ports: Ports, who: str) -> None:
        self._ports, self._who = ports, who

    async def ended(self, ending: Ending) -> None:
        self._ports.quotas.leave(self._who)


def _too_many_at_once(most: int, tier: str, shown: str) -> Refused:
    return Refused(
        f"{shown[0].upper()}{shown[1:]} has {most} calls under way, as many as tier {tier!r} allows at once.",
        layer="limits",
        code="too_many_at_once",
        fix=f"Wait for one to end, or raise `concurrency_max` under [tiers.{tier}].",
        status=429,
        type="rate_limit_error",
        retry_after_s=1.0,
    )
