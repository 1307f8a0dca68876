"""Half price for what nobody waits for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import msgspec

from ...config.features import FeatureConfig
from .change import Confidence, Key, Tally, Words, counted
from .rows import Row


class Batch:
    """Calls of features in the background lane as batches, but for those of sessions, where each waits for the last."""

    kind = "batch"

    def __init__(self, feature: Callable[[str | None], FeatureConfig]) -> None:
        self._feature = feature
        self._cached: dict[str | None, int] = defaultdict(int)
        self._left_out: dict[str | None, int] = defaultdict(int)

    def of(self, row: Row) -> tuple[str, Row] | None:
        usage = row.usage
        if row.is_unpaid or usage.speed == "fast" or usage.service_tier == "batch":
            return None
        if self._feature(row.feature).lane != "background":
            return None
        if row.session is not None:
            self._left_out[row.feature] += 1
            return None
        self._cached[row.feature] += usage.cache_read_tokens > 0
        return "", msgspec.structs.replace(row, is_batch=True)

    def words(self, key: Key, tally: Tally) -> Words:
        read = self._cached[key.feature]
        confidence: Confidence = "medium" if read else "high"
        left_out = self._left_out[key.feature]
        return Words(
            confidence,
            "High where the config says that nobody waits and no call read from cache, for the discount is on the "
            "price list; medium where some did, for batches find less in cache.",
            f"{counted(tally.calls, 'call')} in the background lane, {read:,} of them read from cache; "
            f"{left_out:,} left out, being turns of sessions.",
            "Most batches end within an hour, and they may take 24; none streams.",
            "Send them to `/v1/messages/batches` without `stream`.",
        )
