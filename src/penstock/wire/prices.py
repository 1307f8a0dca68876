"""What an answer costs, in whole nano-dollars.

Rates are pico-dollars per token, so every product is exact; one rounding, half up, is made at the end, from pico to
nano. The rules, of Anthropic's pricing page:

* four disjoint kinds of input, each at its own rate; cache writes by lifetime; output with thinking included;
* where `iterations` is given, each entry at its own model, for the counts above it leave some out;
* `service_tier: batch` halves every token rate, and excludes fast;
* `speed: fast` doubles them, on the models that have it; `inference_geo: us` adds a tenth, from Claude 4.6 on;
* a prompt over a model's step moves the whole request to the higher rates;
* web searches are $10 per 1,000, never discounted; web fetches are free;
* an answer refused before its first output is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import msgspec

from .messages import Iteration, Usage
from .models import Model, Models, Period, Rates, rates, shipped

SEARCH_PICO = 10_000_000_000  # $10 per 1,000


class Line(msgspec.Struct, frozen=True):
    """One term of a sum: `quantity` at `unit_pico` pico-dollars each is `amount_pico`."""

    label: str
    quantity: int
    unit_pico: int
    amount_pico: int


class Price(msgspec.Struct, frozen=True):
    """What an answer costs. `nano` is None where `basis` is "unpriced": the model, or a rate it needs, is unknown.

    `basis`: exact | free | unpriced. `lines` only from `arithmetic`.
    """

    nano: int | None
    basis: str
    lines: tuple[Line, ...] = ()


FREE = Price(0, "free")
UNPRICED = Price(None, "unpriced")

_KINDS = ("input", "cache read", "cache write 5m", "cache write 1h", "output")
_Units = tuple[int | None, int | None, int | None, int | None, int | None]


class _Span(NamedTuple):
    """A period's rates with batch, speed and geography worked in."""

    from_us: int
    until_us: int
    prompt_tokens: int
    units: _Units
    above: _Units


class PriceBook:
    """Prices usage by a table of models. `overrides` are dollars per million tokens by kind, for a model id or alias.

    An override replaces all of a model's own prices, or adds a model. Raises ValueError where one is not a price.
    """

    def __init__(self, models: Models | None = None, overrides: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._models = models if models is not None else shipped()
        self._overrides = {
            self._id(name): rates(usd, f"prices.models.{name}") for name, usd in (overrides or {}).items()
        }
        self._spans: dict[tuple[str, bool, bool, bool], tuple[_Span, ...]] = {}

    def price(
        self, usage: Usage, model: str, at_us: int, *, is_batch: bool = False, is_early_refusal: bool = False
    ) -> Price:
        """What `usage` costs on `model` (id or alias) at a time, in Unix microseconds.

        `is_batch` also follows from the usage's own service tier. An unknown model is unpriced, never free.
        """
        if is_early_refusal:
            return FREE
        if usage.iterations:
            return self._by_line(usage, model, at_us, is_batch)
        units = self._units(usage, model, at_us, is_batch, usage)
        if units is None:
            return UNPRICED
        new, read, short, long, out = units
        if new is None or read is None or short is None or long is None or out is None:
            return self._by_line(usage, model, at_us, is_batch)
        total = (
            usage.input_tokens * new
            + usage.cache_read_tokens * read
            + usage.cache_write_5m_tokens * short
            + usage.cache_write_1h_tokens * long
            + usage.output_tokens * out
            + usage.web_searches * SEARCH_PICO
        )
        return Price((total + 500) // 1000, "exact")

    def arithmetic(
        self, usage: Usage, model: str, at_us: int, *, is_batch: bool = False, is_early_refusal: bool = False
    ) -> Price:
        """The same price, with its lines."""
        return FREE if is_early_refusal else self._by_line(usage, model, at_us, is_batch)

    def _id(self, name: str) -> str:
        model = self._models.find(name)
        return model.id if model is not None else name

    def _by_line(self, usage: Usage, model: str, at_us: int, is_batch: bool) -> Price:
        lines: list[Line] = []
        for part in _charged(usage):
            own = part.model if isinstance(part, Iteration) and part.model is not None else model
            units = self._units(part, own, at_us, is_batch, usage)
            if units is None:
                return UNPRICED
            kind = f"{own} {part.type.removesuffix('_message')} " if isinstance(part, Iteration) else ""
            for label, quantity, unit in zip(_KINDS, _counts(part), units, strict=True):
                if not quantity:
                    continue
                if unit is None:
                    return UNPRICED
                lines.append(Line(kind + label, quantity, unit, quantity * unit))
        if usage.web_searches:
            lines.append(Line("web search", usage.web_searches, SEARCH_PICO, usage.web_searches * SEARCH_PICO))
        total = sum(line.amount_pico for line in lines)
        return Price((total + 500) // 1000, "exact", tuple(lines))

    def knows(self, model: str) -> bool:
        """Whether there is any price for `model`, id or alias."""
        return bool(self._spread(model, False, False, False))

    def _units(self, part: Usage | Iteration, model: str, at_us: int, is_batch: bool, usage: Usage) -> _Units | None:
        is_batch = is_batch or usage.service_tier == "batch"
        key = (model, is_batch, usage.speed == "fast" and not is_batch, usage.inference_geo == "us")
        spans = self._spans.get(key)
        if spans is None:
            spans = self._spread(*key)
        for span in spans:
            if span.from_us <= at_us < span.until_us:
                prompt = (
                    part.input_tokens + part.cache_read_tokens + part.cache_write_5m_tokens + part.cache_write_1h_tokens
                )
                return span.above if prompt > span.prompt_tokens else span.units
        return None

    def _spread(self, name: str, is_batch: bool, is_fast: bool, is_us: bool) -> tuple[_Span, ...]:
        """The spans of a model under one set of conditions; kept, unless the model is unknown."""
        model = self._models.find(name)
        override = self._overrides.get(model.id if model is not None else name)
        periods = (Period(override),) if override is not None else model.prices if model is not None else ()
        if not periods:
            return ()
        has_geo, has_fast = _conditions(model)
        times = 2 if is_fast and has_fast else 1
        tenths = 11 if is_us and has_geo else 10
        divisor = 20 if is_batch else 10

        def spread(given: Rates) -> _Units:
            new, read, short, long, out = (
                None if rate is None else rate * times * tenths // divisor
                for rate in (
                    given.input,
                    given.cache_read,
                    given.cache_write_5m,
                    given.cache_write_1h,
                    given.output,
                )
            )
            return new, read, short, long, out

        spans = tuple(
            _Span(
                period.from_us,
                period.until_us,
                period.prompt_tokens,
                spread(period.rates),
                spread(period.above if period.above is not None else period.rates),
            )
            for period in periods
        )
        self._spans[name, is_batch, is_fast, is_us] = spans
        return spans


def _conditions(model: Model | None) -> tuple[bool, bool]:
    return (model.has_geo, model.may_be_fast) if model is not None else (True, True)


def _counts(part: Usage | Iteration) -> tuple[int, int, int, int, int]:
    return (
        part.input_tokens,
        part.cache_read_tokens,
        part.cache_write_5m_tokens,
        part.cache_write_1h_tokens,
        part.output_tokens,
    )


def _charged(usage: Usage) -> tuple[Usage | Iteration, ...]:
    """What is to be paid: the iterations where they are given, or else the whole.

    Where a fallback model served the answer, the attempts that declined before their first output are free.
    """
    entries = usage.iterations
    if not entries:
        return (usage,)
    if all(entry.type != "fallback_message" for entry in entries):
        return entries
    return tuple(entry for entry in entries if entry.type != "message" or entry.output_tokens)


@cache
def _shipped_book() -> PriceBook:
    return PriceBook()


def price(usage: Usage, model: str, at_us: int, *, is_batch: bool = False, is_early_refusal: bool = False) -> Price:
    """`PriceBook.price` by the shipped table."""
    return _shipped_book().price(usage, model, at_us, is_batch=is_batch, is_early_refusal=is_early_refusal)


def arithmetic(
    usage: Usage, model: str, at_us: int, *, is_batch: bool = False, is_early_refusal: bool = False
) -> Price:
    """`PriceBook.arithmetic` by the shipped table."""
    return _shipped_book().arithmetic(usage, model, at_us, is_batch=is_batch, is_early_refusal=is_early_refusal)


def usd(nano: int) -> str:
    """Nano-dollars as dollars: exact, never an exponent, at least two decimals and no zeros after those."""
    sign = "-" if nano < 0 else ""
    whole, rest = divmod(abs(nano), 1_000_000_000)
    decimals = f"{rest:09d}".rstrip("0")
    return f"{sign}{whole}.{decimals:0<2}"
