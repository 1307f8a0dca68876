"""What a model takes, by its family and version: the rules that a request meets when it goes to another model.

docs.claude.com: errors, extended and adaptive thinking, effort, and the migration guides, as of November 2026. Effort
levels up to 4.7 and turns of the role `system` are from recorded traffic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from .models import shipped

_NAME = re.compile(r"claude-([a-z]+)-(\d+)(?:-(\d)(?!\d))?")


class Traits:
    """Properties of a `family` and a `version`, major and minor, so that rules can say "4.7 and later"."""

    __slots__ = ()

    family: str
    version: tuple[int, int]

    @property
    def thinks_always(self) -> bool:
        return self.family in ("fable", "mythos") or (self.family == "opus" and self.version >= (5, 5))

    @property
    def thinks_unasked(self) -> bool:
        """Whether a request without `thinking` is one with adaptive thinking: from Claude 5 on."""
        return self.version >= (5, 0)

    @property
    def preserves_thinking(self) -> bool:
        """Whether thinking is bound to all that came before it, and good in its own conversation alone."""
        if self.family in ("fable", "mythos"):
            return self.version >= (5, 1)
        return self.version >= (5, 5)

    @property
    def thinking_types(self) -> dict[str, bool]:
        """Which `thinking.type` a request may have."""
        return {
            "enabled": self.version < (4, 7),
            "adaptive": self.version >= (4, 6),
            "disabled": not self.thinks_always,
            "between_tools": (self.family, self.version) == ("sonnet", (5, 5)),
        }

    @property
    def efforts(self) -> tuple[str, ...]:
        """Levels of `output_config.effort`, lowest first; empty where the model has none."""
        if (self.version == (4, 5) and self.family != "opus") or self.version < (4, 5):
            return ()
        levels = ("low", "medium", "high", "xhigh", "max")
        if self.version >= (4, 7):
            return levels
        return tuple(level for level in levels if level != "xhigh" and (level != "max" or self.version >= (4, 6)))

    @property
    def needs_thinking_for_top_efforts(self) -> bool:
        """Whether `xhigh` and `max` are refused where thinking is off."""
        return self.version >= (4, 8)

    @property
    def takes_sampling(self) -> bool:
        """Whether `temperature`, `top_p` and `top_k` may be other than the default."""
        return self.version < (4, 7)

    @property
    def may_force_tools(self) -> bool:
        if self.family in ("fable", "mythos"):
            return self.version < (5, 1)
        return self.family == "haiku" or self.version < (5, 5)

    @property
    def may_be_prefilled(self) -> bool:
        return self.version < (4, 6)

    @property
    def takes_formats(self) -> bool:
        """Whether `output_config.format` may ask for JSON: recorded for models from 4.5 on, refused by 3.5."""
        return self.version >= (4, 5)

    @property
    def hears_system_turns(self) -> bool:
        """Whether messages may have the role `system`: recorded from Opus 4.8 on, refused by 4.7 and earlier."""
        return self.version >= (4, 8)

    @property
    def may_compact(self) -> bool:
        return self.version >= (4, 6)

    def takes_tool(self, kind: str) -> bool:
        """Whether a tool may have this `type`.

        Of the computer tools a model takes one: 2025-01 up to the 4.5 models but Opus, 2025-11 from there to Claude 5.
        Seen for Sonnet 4.6, which refuses 2025-01, and for the 5.5 models, which refuse 2025-11. The tools of 2024-10
        belong to models that are retired.
        """
        if kind.endswith("_20241022"):
            return False
        is_newer = self.version >= (4, 6) or (self.family == "opus" and self.version == (4, 5))
        if kind == "computer_20250124":
            return not is_newer
        if kind == "computer_20251124":
            return is_newer and self.version < (5, 5)
        return True


def family_and_version(name: str) -> tuple[str, tuple[int, int]]:
    """`claude-opus-4-5-20251101` as ("opus", (4, 5)); ("", (0, 0)) for what is named otherwise."""
    found = _NAME.match(name)
    family, major, minor = found.groups() if found else ("", "0", None)
    return family, (int(major), int(minor or 0))


@dataclass(frozen=True, slots=True)
class Known(Traits):
    """The traits of a model that Penstock knows, and its sizes."""

    id: str
    family: str
    version: tuple[int, int]
    output_tokens_max: int
    context_tokens: int
    has_geo: bool
    may_be_fast: bool


@lru_cache(256)
def traits_of(name: str) -> Known | None:
    """The traits of an id or alias; None for a model that is not known."""
    model = shipped().find(name)
    if model is None:
        return None
    family, version = family_and_version(model.id)
    return Known(
        model.id,
        family,
        version,
        model.output_tokens_max,
        model.context_tokens,
        model.has_geo,
        model.may_be_fast,
    )
