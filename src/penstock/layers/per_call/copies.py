"""Copies: of some calls, another model is asked the same beside them, and nobody gets its answer.

Outermost, so that what is onward is the whole core, and a copy leaves a row of its own as any call does. The caller's
call is passed on untouched; its copy is begun when its answer has, and never waited for.
"""

from __future__ import annotations

from ...call import Call
from ...choosing.copies import Copied, Drawn, Uncopied, copy_of
from ...config.features import ByFeature
from ...config.schema import Config
from ...errors import PenstockError
from ...layer import Next
from ...ports import Ports
from ...reply import Reply


class Copies:
    """Begins the copies that routing has drawn, as many at once as their feature allows."""

    def __init__(self, config: Config, ports: Ports) -> None:
        self._environment, self._ports = config.environment, ports
        self._most = ByFeature(config.features, lambda _, feature: feature.shadow.concurrency_max)
        self._is_used = any(feature.shadow.share_percent for feature in config.features.values())

    async def __call__(self, call: Call, onward: Next) -> Reply:
        reply = await onward(call)
        if self._is_used:
            drawn = call.trail.last(Drawn)
            if drawn is not None:
                self._begin(call, drawn, reply, onward)
        return reply

    def _begin(self, call: Call, drawn: Drawn, reply: Reply, onward: Next) -> None:
        if reply.status >= 400 or any(fact.is_free() for fact in call.trail):
            call.trail.append(Uncopied("no model answered it"))
            return
        name = f"copies/{drawn.feature or ''}"
        if not self._ports.quotas.enter(name, self._most(drawn.feature)):
            call.trail.append(Uncopied("too many copies are under way"))
            return
        copy = copy_of(call, drawn, self._environment, self._ports)
        call.trail.append(Copied(copy.id, drawn.model))
        self._ports.tasks.beside(lambda: self._read(copy, onward, name))

    async def _read(self, copy: Call, onward: Next, name: str) -> None:
        """Read a copy's answer to its end, which is all that is wanted of it: its row says what it came to."""
        try:
            reply = await onward(copy)
            try:
                async for _ in reply:
                    pass
            finally:
                await reply.aclose()
        except PenstockError:
            return
        finally:
            self._ports.quotas.leave(name)
