"""The simulator as an upstream port: the same code without sockets, in whatever time its clock keeps.

In a simulated world a pause is virtual, and a caller that hangs up is seen where it closes the body.
"""

from __future__ import annotations

from collections.abc import Generator

from ..call import Timeouts
from ..errors import UpstreamFailed
from ..ports import Clock, Incoming, Outgoing
from .api import Served
from .app import Simulator
from .delivery import Head, Pause, Piece, Step, Stop

#: How long a silence lasts where nobody hangs up, in seconds: longer than any deadline.
_FOREVER_S = 1e9


class SimulatorUpstream:
    """Sends requests to a `Simulator` built with `clock=lambda: ports_clock.wall_us() / 1e6`."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self._simulator, self._clock = simulator, clock

    async def send(self, request: Outgoing) -> Incoming:
        """Raises UpstreamFailed as a pool does: `reset`, `first_byte_timeout`, `total_timeout`."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        served = Served(request.method, request.path, headers, request.body)
        _, steps = self._simulator.exchange(served)
        body = _Body(steps, self._clock, request.timeouts)
        try:
            head = await body.head(request.timeouts.first_byte_s)
        except BaseException:
            await body.aclose()
            raise
        fields = list(head.headers)
        if head.length is not None:
            fields.append((b"content-length", b"%d" % head.length))
        return Incoming(head.status, tuple(fields), body)

    async def aclose(self) -> None:
        return None


class _Body:
    """The steps after the head as a body's chunks."""

    def __init__(self, steps: Generator[Step, None, None], clock: Clock, timeouts: Timeouts) -> None:
        self._steps, self._clock, self._idle_s = steps, clock, timeouts.idle_s
        self._ends = clock.now() + timeouts.total_s
        self._ahead: Step | None = None
        self._pause_s = self._waited_s = 0.0
        self._is_over = False

    async def head(self, first_byte_s: float) -> Head:
        step = await self._next(first_byte_s, "first_byte_timeout")
        if isinstance(step, Head):
            return step
        next(self._steps, None)
        raise _failure("reset")

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        step, self._ahead = self._ahead or await self._next(self._idle_s, "idle_timeout"), None
        if isinstance(step, Piece) and not step.is_last:
            return step.data
        self._is_over = True
        next(self._steps, None)  # to its end: closed instead, it would take the caller for gone
        if isinstance(step, Piece):
            return step.data
        if step is Stop.END:
            raise StopAsyncIteration
        raise _failure("reset" if step is Stop.RESET else "cut")

    async def within(self, seconds: float) -> bytes | None:
        """The next chunk; None where none comes in that time. Ends and raises as `__anext__`."""
        if not self._is_over and self._ahead is None:
            self._ahead = await self._next(self._idle_s, "idle_timeout", seconds)
            if self._ahead is None:
                return None
        return await self.__anext__()

    async def aclose(self) -> None:
        self._is_over = True
        self._steps.close()

    async def _next(self, limit_s: float, code: str, patience_s: float = _FOREVER_S) -> Step | None:
        """The next step that is no pause; a pause longer than `limit_s` ends in the failure `code`.

        None where it takes longer than `patience_s`: the rest of the pause is for the next time.
        """
        clock, began = self._clock, self._clock.now()
        while True:
            if self._pause_s <= 0:
                step = next(self._steps, Stop.END)
                if step is Stop.SILENCE:
                    step = Pause(_FOREVER_S)
                if not isinstance(step, Pause):
                    self._waited_s = 0.0
                    return step
                self._pause_s = step.seconds
            left_s = self._ends - clock.now()
            wait_s = min(self._pause_s, limit_s - self._waited_s, left_s, patience_s - (clock.now() - began))
            await clock.sleep(max(0.0, wait_s))
            self._pause_s -= wait_s
            self._waited_s += wait_s
            is_over_time = clock.now() >= self._ends - 1e-9
            if self._waited_s >= limit_s or is_over_time:
                await self.aclose()
                raise _failure("total_timeout" if is_over_time else code)
            if self._pause_s > 0:
                return None


def _failure(code: str) -> UpstreamFailed:
    return UpstreamFailed(f"The simulated upstream failed: {code}.", code=code)
