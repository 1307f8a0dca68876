"""Estimates of input tokens that learn from what the API then counted, by model, as this process has seen it."""

from __future__ import annotations

from typing import NamedTuple

from ..wire.messages import Request
from ..wire.tokens import Estimate, estimate

#: Of so many requests of a model the ratios are kept.
_SEEN = 128
#: Fewer say nothing about what is to be expected; a single one says enough about the most.
_LEAST = 16
#: Shorter prompts are mostly frame, and teach nothing about texts.
_SHORTEST_TOKENS = 50
#: Where the most is so many times what is expected, the request holds what cannot be weighed: pages that lie
#: elsewhere, tools of the API. What it came to says nothing about other requests.
_WIDEST = 10
#: How far an estimate is corrected. What is further off is no matter of texts, but of something not known here.
_EXPECTED_BOUNDS = (0.5, 3.0)
_MOST_MAX = 4.0
#: Added to the highest ratio seen, as the next may be higher.
_MARGIN = 1.1


class Calibrated(Estimate, frozen=True):
    """An estimate corrected by what was learned. `shipped` is the one before, from which more is learned."""

    shipped: Estimate


class _Learned(NamedTuple):
    """Of one model: counted tokens over `expected` and over `most` of its last requests, and the factors from them."""

    expected: tuple[float, ...] = ()
    most: tuple[float, ...] = ()
    factor: float = 1.0
    factor_most: float = 1.0


_NOTHING = _Learned()


class Calibration:
    """Corrects estimates. Of two threads that learn at once, one may not be heard."""

    def __init__(self) -> None:
        self._learned: dict[str, _Learned] = {}

    def of(self, request: Request, model: str, body: bytes = b"") -> Estimate:
        """The estimate of a request to `model`; give the `body` it was read from, as for `penstock.wire.tokens`.

        `expected` is corrected by the median of what was seen, up or down; `most` by the highest, and only up.
        """
        shipped, learned = estimate(request, model, body), self._learned.get(model, _NOTHING)
        expected = max(1, round(shipped.expected * learned.factor))
        most = max(expected, round(shipped.most * learned.factor_most))
        return Calibrated(expected, most, shipped)

    def learn(self, model: str, estimate: Estimate, counted: int) -> None:
        """A request of this estimate was counted as so many input tokens, those read from and written to caches too."""
        shipped = estimate.shipped if isinstance(estimate, Calibrated) else estimate
        if counted < _SHORTEST_TOKENS or shipped.most > _WIDEST * shipped.expected:
            return
        before = self._learned.get(model, _NOTHING)
        expected = (*before.expected[1 - _SEEN :], counted / shipped.expected)
        most = (*before.most[1 - _SEEN :], counted / shipped.most)
        low, high = _EXPECTED_BOUNDS
        median = sorted(expected)[len(expected) // 2] if len(expected) >= _LEAST else 1.0
        highest = max(most)
        self._learned[model] = _Learned(
            expected,
            most,
            factor=min(high, max(low, median)),
            factor_most=min(_MOST_MAX, highest * _MARGIN) if highest > 1.0 else 1.0,
        )
