"""How much of a conversation goes to the model: `context` in `[features.NAME]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .keys import BadValue, Section, check, key

_BEYOND = ("drop", "importance", "summarise", "server", "refuse")


@dataclass(frozen=True, slots=True)
class ContextConfig(Section):
    """The limits of a feature's conversations: `[features.NAME.context]`. Off unless one of the first four is given."""

    turns: int | None = key(
        None, "the last exchanges that are sent: a user's words and all that followed; without it, any number", least=1
    )
    tokens: int | None = key(
        None,
        "the most input tokens of a call, instructions and tools included; without it, what the model's window holds",
        least=1_000,
    )
    attachments_max: int | None = key(
        None, "the most images and documents that are sent; without it, any number", least=0
    )
    beyond: Literal["drop", "importance", "summarise", "server", "refuse"] | None = key(
        None, "what becomes of the rest; without it, it is dropped, the oldest first", one_of=_BEYOND
    )
    keep_first: int = key(0, "so many exchanges at the beginning always stay", least=0)
    step_percent: int = key(
        20, "how much more than needed is taken out at once, so that prompt caches hold for longer", least=0, most=90
    )
    summary_model: str = key("claude-haiku-4-5", "the model that writes summaries")

    def __post_init__(self) -> None:
        check(self)
        if self.beyond == "server" and not (self.turns is None and self.attachments_max is None):
            raise BadValue(
                "ContextConfig",
                "beyond",
                'is "server", which counts neither turns nor attachments',
                "Leave `turns` and `attachments_max` out, or choose another.",
            )

    @property
    def is_on(self) -> bool:
        return any(given is not None for given in (self.turns, self.tokens, self.attachments_max, self.beyond))
