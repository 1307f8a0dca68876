"""How fast answers come: at a fixed pace, or as measured of each model (`recordings.md` §4 and annex)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from .dice import Dice

_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
#: Milliseconds to a stream's headers at those shares of streams, and milliseconds for each output token.
_MEASURED = {
    "claude-haiku-4-5": ((307, 374, 475, 632, 1_372), 11.4),
    "claude-sonnet-4-5": ((714, 1_218, 1_692, 2_024, 3_417), 24.7),
    "claude-sonnet-4-6": ((401, 605, 951, 1_124, 2_738), 12.9),
    "claude-opus-4-7": ((1_031, 1_226, 1_360, 1_760, 2_332), 9.6),
    "claude-opus-4-1": ((1_163, 1_163, 2_656, 3_128, 10_421), 34.8),
}
#: A model that was not measured is as fast as the newest measured one of its family; Fable and Mythos as Opus.
_NEWEST = {
    "haiku": "claude-haiku-4-5",
    "sonnet": "claude-sonnet-4-6",
    "opus": "claude-opus-4-7",
    "fable": "claude-opus-4-7",
    "mythos": "claude-opus-4-7",
}


@dataclass(frozen=True, slots=True)
class Pace:
    """Time to the first byte, and tokens per second after it; 0 is at once."""

    first_token_ms: float = 0.0
    tokens_per_s: float = 0.0

    def drawn(self, model_id: str, dice: Dice) -> Pace:
        """The pace of one answer."""
        return self

    @staticmethod
    def measured(scale: float = 1.0) -> MeasuredPace:
        """As measured of each model; 0.1 is ten times as fast. Raises ValueError for a scale of 0 or less."""
        return MeasuredPace(scale)


@dataclass(frozen=True, slots=True)
class MeasuredPace:
    """Draws each answer's pace from what was measured of its model."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.scale < 1_000:
            raise ValueError(f"a pace's scale is {self.scale}; it lies above 0, where 0 would be no Pace at all")

    def drawn(self, model_id: str, dice: Dice) -> Pace:
        heads_ms, token_ms = _MEASURED[_like(model_id)]
        at = dice.random.random()
        if at <= _SHARES[0]:
            head_ms = float(heads_ms[0])
        elif at >= _SHARES[-1]:
            head_ms = float(heads_ms[-1])
        else:
            after = next(index for index, share in enumerate(_SHARES) if share >= at)
            within = (at - _SHARES[after - 1]) / (_SHARES[after] - _SHARES[after - 1])
            head_ms = heads_ms[after - 1] + within * (heads_ms[after] - heads_ms[after - 1])
        return Pace(head_ms * self.scale, 1_000 / (token_ms * self.scale))


@cache
def _like(model_id: str) -> str:
    for name in _MEASURED:
        if model_id.startswith(name):
            return name
    return next((name for family, name in _NEWEST.items() if f"-{family}-" in model_id), _NEWEST["sonnet"])
