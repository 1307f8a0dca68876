"""Where prompts are, and how users are split among their versions: `[prompts]` and `[prompts.named.NAME]`."""
# ruff: noqa: RUF009  (`key` and `table` make dataclass fields)

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .keys import BadValue, Section, check, key, shown, table

_VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class PromptConfig(Section):
    """What is decided for one prompt: `[prompts.named.NAME]`."""

    split: Mapping[str, int] = table(dict, "the weights of versions that users are split among, each keeping its own")

    def __post_init__(self) -> None:
        for version, weight in self.split.items() if isinstance(self.split, Mapping) else ():
            if not isinstance(version, str) or not _VERSION.fullmatch(version):
                raise BadValue("PromptConfig", "split", f"names {shown(version)}", 'Write { "3" = 90, "4" = 10 }.')
            if type(weight) is not int or not 0 <= weight <= 1_000_000:
                fix = "Give a whole number from 0 to 1,000,000."
                raise BadValue("PromptConfig", f"split.{version}", f"is {shown(weight)}", fix)
        check(self)
        if self.split and not any(self.split.values()):
            raise BadValue("PromptConfig", "split", "leaves nothing to any version", "Give one of them a weight.")

    @property
    def shares(self) -> dict[int, int]:
        """The weights by number of version."""
        return {int(version): weight for version, weight in self.split.items()}


@dataclass(frozen=True, slots=True)
class PromptsConfig(Section):
    """The registry of prompts: `[prompts]`."""

    folder: Path = key(Path("prompts"), "the folder of the prompts, beside this file unless absolute")
    named: Mapping[str, PromptConfig] = table(dict, "what is decided for single prompts, by name")
