"""Which requests and answers are kept as they were, and for how long: `bodies` in `[records]`."""

from __future__ import annotations

from dataclasses import dataclass

from .keys import Section, key


@dataclass(frozen=True, slots=True)
class BodiesConfig(Section):
    """Samples of requests and answers, scrubbed of personal data and credentials: `[records.bodies]`."""

    errors: bool = key(True, "whether those of calls that failed are kept")
    percent: int = key(
        5, "of so many of the others too; a feature may have its own `bodies_percent`", least=0, most=100
    )
    keep_days: int = key(7, "how long they are kept", least=1, most=36_500)
    mb_max: int = key(500, "and how much of them at most, compressed; the oldest go first", least=1, most=1_000_000)
