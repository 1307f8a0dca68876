"""The models, from models.toml beside this file: names, life, sizes, what they take, and their prices as integers.

Prices are read as pico-dollars per token: one US dollar per million tokens is 1,000,000 of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib.resources import files

import msgspec

#: A rate must divide by this, so that batch (1/2) and geography (11/10) leave whole pico-dollars.
_STEP_PICO = 20
_DATED = re.compile(r"-\d{8}$")
_BYTES_PER_TOKEN = {"claude-3": 3.4, "claude-4.7": 2.5}


class Rates(msgspec.Struct, frozen=True):
    """Pico-dollars per token of each kind; None for a kind the model never had."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None


class Period(msgspec.Struct, frozen=True):
    """What held from `from_us` up to `until_us` (Unix microseconds); `above` for prompts over `prompt_tokens`."""

    rates: Rates
    from_us: int = -(1 << 63)
    until_us: int = 1 << 63
    prompt_tokens: int = 1 << 63
    above: Rates | None = None


class Capabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request to a model may ask for. The fields and their sources are described in models.toml."""

    thinking_types: tuple[str, ...]
    thinks_unasked: bool = False
    preserves_thinking: bool = False
    efforts: tuple[str, ...] = ()
    efforts_without_thinking: tuple[str, ...] = ()
    takes_sampling: bool = False
    may_be_prefilled: bool = False
    may_force_tools: bool = False
    hears_system_turns: bool = False
    may_compact: bool = False
    refused_tools: tuple[str, ...] = ()


class Model(msgspec.Struct, frozen=True):
    """One model. `state`: active | deprecated | retired. `retires_from` is the earliest, `retires` the settled day.

    `batch_output_tokens_max` is None where the beta output-300k does nothing, `fast_beta` where no beta is needed.
    """

    id: str
    context_tokens: int
    output_tokens_max: int
    tokenizer: str
    capabilities: Capabilities
    prices: tuple[Period, ...]
    batch_output_tokens_max: int | None = None
    aliases: tuple[str, ...] = ()
    state: str = "active"
    released: date | None = None
    retires_from: date | None = None
    retires: date | None = None
    cacheable_tokens_min: int | None = None
    has_geo: bool = False
    may_be_fast: bool = False
    fast_beta: str | None = None
    reads_thinking_of: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


class Models:
    """Models by id and alias. `as_of` is the day that what is known of them is of."""

    def __init__(self, models: Iterable[Model], as_of: date | None = None) -> None:
        self.all, self.as_of = tuple(models), as_of
        self._by_name = {name: model for model in self.all for name in (model.id, *model.aliases)}

    def find(self, name: str) -> Model | None:
        """The model of an id, an alias, or an id with a date behind it; None if unknown."""
        return self._by_name.get(name) or self._by_name.get(_DATED.sub("", name))


@cache
def shipped() -> Models:
    """The models this version of Penstock knows."""
    text = files(__package__).joinpath("models.toml").read_text("utf-8")
    file = msgspec.toml.decode(text, type=_File)
    return Models((_model(entry, file.capabilities[entry.capabilities]) for entry in file.model), file.as_of)


@lru_cache(256)
def bytes_per_token(name: str) -> float:
    """Bytes of plain English in one output token of a model; for an unknown one, of the newest tokenizer."""
    model = shipped().find(name)
    return _BYTES_PER_TOKEN[model.tokenizer if model is not None else "claude-4.7"]


def pico(usd: str, place: str) -> int:
    """US dollars per million tokens as pico-dollars per token. Raises ValueError naming `place`."""
    try:
        exact = Decimal(usd) * 1_000_000
        whole = int(exact)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f'{place}: "{usd}" is not a decimal number; write for instance "0.25".') from error
    if whole != exact or whole < 0 or whole % _STEP_PICO:
        raise ValueError(f'{place}: "{usd}" is not a price in steps of 0.00002 dollars per million tokens.')
    return whole


def rates(usd: Mapping[str, str], place: str) -> Rates:
    """Rates from dollars per million tokens by kind. Raises ValueError naming `place` and the kind."""
    kinds = Rates.__struct_fields__
    unknown = sorted(set(usd) - set(kinds))
    if unknown:
        raise ValueError(f"{place}: no such price: {', '.join(unknown)}. There are: {', '.join(kinds)}.")
    if "input" not in usd or "output" not in usd:
        raise ValueError(f"{place}: a price needs at least `input` and `output`.")
    return Rates(**{kind: pico(value, f"{place}.{kind}") for kind, value in usd.items()})


class _Above(msgspec.Struct):
    prompt_tokens: int
    input: str
    output: str
    cache_read: str | None = None
    cache_write_5m: str | None = None
    cache_write_1h: str | None = None


class _Price(msgspec.Struct, forbid_unknown_fields=True):
    usd: dict[str, str]
    since: date | None = msgspec.field(name="from", default=None)
    until: date | None = None
    above: _Above | None = None


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    context_tokens: int
    output_tokens_max: int
    tokenizer: str
    capabilities: str
    price: list[_Price]
    batch_output_tokens_max: int | None = None
    aliases: tuple[str, ...] = ()
    state: str = "active"
    released: date | None = None
    retires_from: date | None = None
    retires: date | None = None
    cacheable_tokens_min: int | None = None
    has_geo: bool = False
    may_be_fast: bool = False
    fast_beta: str | None = None
    reads_thinking_of: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    note: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    as_of: date
    capabilities: dict[str, Capabilities]
    model: list[_Entry]


def _model(entry: _Entry, capabilities: Capabilities) -> Model:
    same = {name: getattr(entry, name) for name in Model.__struct_fields__ if name not in ("prices", "capabilities")}
    return Model(**same, capabilities=capabilities, prices=tuple(_period(price, entry.id) for price in entry.price))


def _period(price: _Price, place: str) -> Period:
    given = {} if price.above is None else msgspec.structs.asdict(price.above)
    step: int | None = given.pop("prompt_tokens", None)
    above = {kind: usd for kind, usd in given.items() if usd is not None}
    open_ended = Period(rates(price.usd, place))
    return Period(
        rates=open_ended.rates,
        from_us=_day_us(price.since) if price.since is not None else open_ended.from_us,
        until_us=_day_us(price.until) if price.until is not None else open_ended.until_us,
        prompt_tokens=step if step is not None else open_ended.prompt_tokens,
        above=rates(above, place) if above else None,
    )


def _day_us(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
