"""The most that an attempt can cost, and what it will in all likelihood.

Input is taken to be read by no cache and written to it wherever the request asks for that, at the longest lifetime it
names; output has `max_tokens`. All else that moves the price (geography, speed, steps by length) is priced as asked.
"""

from __future__ import annotations

import msgspec

from ..wire.messages import Request, Usage, read_request
from ..wire.models import shipped
from ..wire.prices import PriceBook
from ..wire.tokens import Estimate
from .calibration import Calibration

#: Searches of a server tool that names no `max_uses`; the API ends a turn's loop of tools after ten rounds.
_SEARCHES = 10


class Ceiling:
    """Weighs requests by a table of prices, and by estimates that learn."""

    def __init__(self, prices: PriceBook) -> None:
        self._prices, self.calibration = prices, Calibration()

    def most(self, request: Request, body: bytes, model: str, at_us: int, estimate: Estimate) -> int | None:
        """The most a message of `model` can cost, in nano-dollars; None where no price is known."""
        return self._weighed(request, body, model, at_us, estimate.most, output_most(request, model))

    def expected(
        self, request: Request, body: bytes, model: str, at_us: int, estimate: Estimate, output_tokens: int
    ) -> int | None:
        """The same for the input that is likely and so much output."""
        return self._weighed(request, body, model, at_us, estimate.expected, output_tokens)

    def batch(self, body: bytes, at_us: int) -> int | None:
        """The most that a batch can cost; None where no price is known for one of its requests."""
        total = 0
        for entry in _requests(body):
            try:
                request = read_request(bytes(entry))
            except ValueError:
                continue  # the API will not take it, and charges nothing
            if request.model is None:
                continue
            nano = self._weighed(
                request,
                bytes(entry),
                request.model,
                at_us,
                self.calibration.of(request, request.model, bytes(entry)).most,
                output_most(request, request.model),
                is_batch=True,
            )
            if nano is None:
                return None
            total += nano
        return total

    def _weighed(
        self,
        request: Request,
        body: bytes,
        model: str,
        at_us: int,
        input_tokens: int,
        output_tokens: int,
        *,
        is_batch: bool = False,
    ) -> int | None:
        usage = Usage(
            output_tokens=output_tokens,
            web_searches=_searches(request),
            inference_geo=request.inference_geo,
            speed=request.speed,
        )
        if b'"cache_control"' not in body:
            usage.input_tokens = input_tokens
        elif b'"1h"' in body:
            usage.cache_write_1h_tokens = input_tokens
        else:
            usage.cache_write_5m_tokens = input_tokens
        nano = self._prices.price(usage, model, at_us, is_batch=is_batch).nano
        if nano is None or b'"fallbacks"' not in body:
            return nano
        others = [self._weighed_at(usage, name, at_us) for name in _fallbacks(body)]
        return None if None in others else nano + sum(filter(None, others))

    def _weighed_at(self, usage: Usage, model: str, at_us: int) -> int | None:
        return self._prices.price(usage, model, at_us).nano


def output_most(request: Request, model: str) -> int:
    """The most output tokens an answer can have."""
    if request.max_tokens is not None:
        return max(0, request.max_tokens)
    known = shipped().find(model)
    return known.output_tokens_max if known is not None else 128_000


class _Tool(msgspec.Struct, frozen=True):
    type: str = ""
    max_uses: int | None = None


class _Fallback(msgspec.Struct, frozen=True):
    model: str = ""


class _Server(msgspec.Struct, frozen=True):
    model: str = ""
    fallbacks: str | list[_Fallback] | None = None


class _Entry(msgspec.Struct, frozen=True):
    params: msgspec.Raw = msgspec.Raw(b"{}")


class _Batch(msgspec.Struct, frozen=True):
    requests: list[_Entry] = []


_TOOLS = msgspec.json.Decoder(list[_Tool])
_FALLBACKS = msgspec.json.Decoder(_Server)
_BATCH = msgspec.json.Decoder(_Batch)


def _searches(request: Request) -> int:
    if b'"web_search_' not in bytes(request.tools):
        return 0
    try:
        tools = _TOOLS.decode(request.tools)
    except msgspec.DecodeError:
        return _SEARCHES
    return sum(
        _SEARCHES if tool.max_uses is None else tool.max_uses for tool in tools if tool.type.startswith("web_search_")
    )


def _fallbacks(body: bytes) -> list[str]:
    """The models that may go on with an answer. Which ones "default" means is the API's to know: one, and no dearer."""
    try:
        asked = _FALLBACKS.decode(body)
    except msgspec.DecodeError:
        return []
    if isinstance(asked.fallbacks, list):
        return [entry.model for entry in asked.fallbacks]
    return [asked.model] if asked.fallbacks else []


def _requests(body: bytes) -> list[msgspec.Raw]:
    try:
        return [entry.params for entry in _BATCH.decode(body).requests]
    except msgspec.DecodeError:
        return []
