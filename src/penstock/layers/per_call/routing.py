"""Routing: where the call may go, in order.

For now a pass-through plan: the target the face named, or else the upstream the config makes the default.
"""

from __future__ import annotations

import msgspec

from ...call import Call, Fact, Plan, Target
from ...layer import Next
from ...reply import Reply


class Routed(Fact, frozen=True):
    """The upstreams the call may go to, in order of preference."""

    upstreams: tuple[str, ...]

    def told(self) -> str:
        return f"Planned for {', then '.join(self.upstreams)}."


class Routing:
    """Makes the plan that resilience walks."""

    def __init__(self, default: Target) -> None:
        self._plan = Plan((default,))
        self._routed = Routed((default.name,))

    async def __call__(self, call: Call, onward: Next) -> Reply:
        if call.target is None:
            call.trail.append(self._routed)
            return await onward(msgspec.structs.replace(call, plan=self._plan))
        call.trail.append(Routed((call.target.name,)))
        return await onward(msgspec.structs.replace(call, plan=Plan((call.target,))))
