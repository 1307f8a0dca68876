"""What the parts of a conversation weigh, in tokens: estimated turn by turn, corrected by what the API then counted.

A turn weighs the same each time it comes, so that what was decided about a conversation is decided again as it grows.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec.structs import replace

from ..wire.adapting.splice import without
from ..wire.messages import Request, Usage
from ..wire.overheads import SERVER_TOOLS
from ..wire.tokens import estimate

#: Turns whose weight is remembered, so that a conversation that comes again is not weighed again.
_KNOWN_MAX = 50_000
#: The correction of a model is the highest of so many ratios, so that limits hold.
_SEEN = 32
#: It goes up in steps of this, and down by two at once at least: each move may cost a cached prefix.
_STEP = 0.05
_BOUNDS = (0.8, 2.0)
#: Shorter prompts are mostly frame, and teach nothing about texts.
_SHORTEST_TOKENS = 500

_BARE = msgspec.Raw(b"[]")


class _Tool(msgspec.Struct, frozen=True):
    type: str | None = None


_TOOLS = msgspec.json.Decoder(list[_Tool])


class Weights:
    """Weighs turns by model. Of two threads that learn at once, one may not be heard."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self._ratios: dict[str, tuple[float, ...]] = {}
        self._factors: dict[str, float] = {}

    def turn(self, raw: bytes, model: str) -> int:
        """Tokens of one turn as it came."""
        key = hash((raw, model))
        known = self._known.get(key)
        if known is None:
            known = estimate(Request(messages=msgspec.Raw(b"[%b]" % raw)), model).expected
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[key] = known
        return known

    def block(self, block: dict[str, Any], model: str) -> int:
        """Tokens of one block of a user's turn."""
        return self.turn(msgspec.json.encode({"role": "user", "content": [block]}), model)

    def frame(self, request: Request, body: bytes, model: str) -> int:
        """Tokens of all but the turns: instructions, tools, the form of the answer.

        Tools that the API runs are left out: they are estimated with what their results may add to the call.
        """
        return estimate(replace(request, messages=_BARE, tools=_own(request.tools)), model, body).expected

    def factor(self, model: str) -> float:
        """What weights of a model are to be multiplied by, going by what the API counted so far."""
        return self._factors.get(model, 1.0)

    def learn(self, model: str, weight: int, usage: Usage) -> None:
        """A request of this weight was counted so."""
        counted = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_5m_tokens
        counted += usage.cache_write_1h_tokens
        # Tools of the API's own make it read several times: that is not what the request weighs.
        if weight < _SHORTEST_TOKENS or not counted or usage.web_searches or len(usage.iterations) > 1:
            return
        ratios = (*self._ratios.get(model, ())[1 - _SEEN :], counted / weight)
        self._ratios[model] = ratios
        low, high = _BOUNDS
        wanted = min(high, max(low, math.ceil(max(ratios) / _STEP) * _STEP))
        now = self.factor(model)
        if wanted > now or (len(ratios) == _SEEN and wanted < now - 1.5 * _STEP):
            self._factors[model] = wanted


def _own(tools: msgspec.Raw) -> msgspec.Raw:
    """Tools without those that the API runs."""
    if not any(name.encode() in bytes(tools) for name in SERVER_TOOLS):
        return tools
    try:
        kinds = [one.type for one in _TOOLS.decode(tools)]
    except msgspec.DecodeError:
        return tools
    served = [at for at, kind in enumerate(kinds) if kind is not None and kind.startswith(SERVER_TOOLS)]
    left = without(bytes(tools), served) if served else bytes(tools)
    return msgspec.Raw(left or b"")
