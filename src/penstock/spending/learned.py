"""How long answers are, by feature and model, as this process has seen them."""

from __future__ import annotations

#: Of so many answers the longest are what is expected at most.
_SEEN = 256
#: Fewer say nothing.
_LEAST = 20
#: Nineteen of twenty answers are no longer.
SHARE = 0.95


class Lengths:
    """Output tokens of the last answers of each kind. Of two threads that learn at once, one may not be heard."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[int, ...]] = {}

    def learn(self, feature: str, model: str, output_tokens: int) -> None:
        seen = self._seen.get((feature, model), ())
        self._seen[feature, model] = (*seen[1 - _SEEN :], output_tokens)

    def expected(self, feature: str, model: str) -> int | None:
        """What nineteen of twenty answers stay below; None while too few are known."""
        seen = self._seen.get((feature, model), ())
        return None if len(seen) < _LEAST else sorted(seen)[int(len(seen) * SHARE)]
