"""What your application does with the API, and for whom: `[features.NAME]` and `[tiers.NAME]`."""
# ruff: noqa: RUF009  (`key` and `table` make dataclass fields)

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from . import faults
from .caching import CacheConfig
from .context import ContextConfig
from .form import FormConfig
from .guards import InputConfig, OutputConfig
from .keys import Section, key, table
from .routes import QUALITIES, TASKS, RouteConfig, ShadowConfig, SplitConfig

DAY_S = 86_400.0
#: The most characters of one message to a feature whose task is chat.
CHAT_CHARACTERS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class FeatureConfig(Section):
    """One thing your application does with the API: `[features.NAME]`, and `[features.default]` for calls without."""

    model: str | None = key(None, "the model of calls that name `feature:NAME` as theirs; such callers hold no model")
    quality: Literal["top", "balanced", "fast"] | None = key(
        None, "instead of a `model`: that of this tier in `[quality]`", one_of=QUALITIES
    )
    chooses: Literal["named", "all"] = key(
        "named",
        'whose model it chooses: "named", of calls that name `feature:NAME`; "all", of all of its calls',
        one_of=("named", "all"),
    )
    reason: str | None = key(None, "why this one and no smaller, for whoever reads the config")
    prompt: str | None = key(
        None,
        "the prompt of calls that bring none: its name in the registry, or `NAME@VERSION`; see [prompts](prompts.md)",
        fault=faults.of_prompt,
    )
    timeout_s: float | None = key(
        None,
        "how long a call may take, tries and waits included; without it `transport.total_s`",
        least=0.1,
        most=DAY_S,
    )
    lane: Literal["interactive", "background"] = key(
        "interactive",
        "whether somebody waits; background calls wait longer and go last",
        one_of=("interactive", "background"),
    )
    fallback: tuple[str, ...] = key(
        (),
        'what to do where the one asked fails: "MODEL", "@UPSTREAM", "MODEL@UPSTREAM", "cached:SECONDS", "static:FILE"',
        fault=faults.of_fallback,
    )
    on_refusal: Literal["return", "hop", "server"] = key(
        "return",
        'when a model declines: "return" says so, "hop" asks the next of `fallback`, "server" lets the API go on first',
        one_of=("return", "hop", "server"),
    )
    single_flight: bool = key(False, "whether identical calls of one caller under way at once are one call")
    reuse_s: float = key(0.0, "how long an answer is given again to identical calls of one caller", least=0, most=DAY_S)
    reuse_tools: bool = key(False, "whether both hold for calls with tools too")
    hedge_after_s: float | None = key(
        None, "begin a second, paid try where none has begun to answer by then; never with tools", least=0.05
    )
    task: Literal["classification", "summary", "chat"] | None = key(
        None,
        "what kind of answers it wants, for a `max_tokens` of 50, 500 or 2,048",
        one_of=tuple(TASKS),
    )
    max_tokens: int | None = key(None, "the most an answer may have; without it that of `task`", least=1)
    over_max_tokens: Literal["clamp", "refuse"] = key(
        "clamp", "what becomes of a call that asks for more", one_of=("clamp", "refuse")
    )
    bodies_percent: int | None = key(
        None, "of how many of its calls bodies are kept; without it `records.bodies.percent`", least=0, most=100
    )
    hold: Literal["most", "expected"] = key(
        "most",
        "what budgets hold for a call under way: the most it can cost, or what nineteen of twenty stay below",
        one_of=("most", "expected"),
    )
    may_trim: bool = key(False, "whether `max_tokens` may be lowered to what a budget has left")
    downgrade: str | None = key(None, "the model that calls go to where a budget wants it")
    input: InputConfig = table(InputConfig, "what is looked for in what it sends: see [guards](guards.md)")
    output: OutputConfig = table(OutputConfig, "what is looked for in what it gets: see [guards](guards.md)")
    context: ContextConfig = table(
        ContextConfig, "how much of a conversation is sent: see [context](layers/context.md)"
    )
    cache: CacheConfig = table(CacheConfig, "the prompt cache: see [caching](layers/caching.md)")
    form: FormConfig = table(FormConfig, "what its answers must be like: see [structure](layers/structure.md)")

    routes: tuple[RouteConfig, ...] = table(
        tuple, "rules for other models, the first that fits: see [routing](layers/routing.md)"
    )
    split: SplitConfig = table(SplitConfig, "models compared on its calls: see [routing](layers/routing.md)")
    shadow: ShadowConfig = table(ShadowConfig, "copies of its calls to another model: see [routing](layers/routing.md)")

    @property
    def guards(self) -> InputConfig:
        """The guards of its input, with the limit that its task has."""
        if self.input.characters_max is not None or self.task != "chat":
            return self.input
        return replace(self.input, characters_max=CHAT_CHARACTERS_MAX)

    @property
    def max_tokens_most(self) -> int | None:
        """The most an answer may have; None for what the model can."""
        return self.max_tokens if self.max_tokens is not None else TASKS[self.task] if self.task is not None else None


T = TypeVar("T")


class ByFeature(Generic[T]):
    """What is made once of each feature: of calls without, and of those of an unknown one, it is that of `default`."""

    def __init__(self, features: Mapping[str, FeatureConfig], made: Callable[[str, FeatureConfig], T]) -> None:
        self._made = {name: made(name, feature) for name, feature in features.items()}
        self._usual = self._made["default"] if "default" in self._made else made("default", FeatureConfig())

    def __call__(self, name: str | None) -> T:
        return self._usual if name is None else self._made.get(name, self._usual)


@dataclass(frozen=True, slots=True)
class TierConfig(Section):
    """What callers of one tier may do: `[tiers.NAME]`, and `[tiers.default]` for keys without. 0 is no limit."""

    requests_per_minute: int = key(0, "messages and counts of one user; of one key where no user is named", least=0)
    key_requests_per_minute: int = key(0, "messages and counts of one key, all its users together", least=0)
    concurrency_max: int = key(0, "calls of one user, or else of one key, under way at once in one process", least=0)
