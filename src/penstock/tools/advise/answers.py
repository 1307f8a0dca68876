"""A cap on answers: what the few that run away cost. A cap lowers what budgets hold; it saves only what is cut off."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ...config.features import FeatureConfig
from .change import Key, Tally, Words
from .rows import Row
from .survey import Answers

#: Of fewer answers the 99th percentile says little.
CALLS_MIN = 100


class Cap:
    """Answers cut at the 99th percentile of their feature, where the longest is more than twice that."""

    kind = "max_tokens"

    def __init__(self, answers: Mapping[str | None, Answers], feature: Callable[[str | None], FeatureConfig]) -> None:
        self._answers, self._feature = answers, feature

    def of(self, row: Row) -> tuple[str, Row] | None:
        own = self._answers.get(row.feature)
        if own is None or own.calls < CALLS_MIN or own.most <= 2 * own.p99:
            return None
        if row.is_unpaid or row.usage.output_tokens <= own.p99:
            return None
        return "", msgspec.structs.replace(row, usage=msgspec.structs.replace(row.usage, output_tokens=own.p99))

    def words(self, key: Key, tally: Tally) -> Words:
        own = self._answers[key.feature]
        cap = self._feature(key.feature).max_tokens_most
        return Words(
            "low",
            "Always low: an answer that is cut off is often asked for again.",
            f"Answers have {own.p50:,} tokens (p50), {own.p95:,} (p95), {own.p99:,} (p99) and {own.most:,} at most; "
            f"the cap is {'that of each call' if cap is None else f'{cap:,}'}. {tally.calls:,} are longer than p99.",
            "They would be cut off. Thinking counts as output: where it is long there may be no answer left.",
            f"Set `max_tokens = {own.p99}` in `[features.{key.feature or 'default'}]`; budgets hold less then, too.",
        )
