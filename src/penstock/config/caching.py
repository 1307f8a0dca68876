"""Whether prompts are cached, and for how long: `cache` in `[features.NAME]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .keys import Section, key


@dataclass(frozen=True, slots=True)
class CacheConfig(Section):
    """The prompt cache for one feature's calls: `[features.NAME.cache]`."""

    marks: Literal["auto", "off"] = key(
        "auto",
        'whether marks are placed in calls that have none of their own: "auto" where a prefix has come before',
        one_of=("auto", "off"),
    )
    ttl: Literal["auto", "5m", "1h"] = key(
        "auto",
        "how long what is marked stays cached: by the gaps between calls, or always so",
        one_of=("auto", "5m", "1h"),
    )
