"""Admission: is the call well-formed and within size, before anything is spent on it.

It judges only what every version of the API rejects: a body that is no JSON object, or names no model. All else
is the API's to judge, in its own words.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from ...call import Call, Fact
from ...config.schema import Config
from ...errors import Refused
from ...layer import Next
from ...reply import Reply
from ...wire import lenient
from ...wire.adapting.splice import Spliced
from ...wire.messages import Malformed, read_request
from ...wire.prices import PriceBook


class Capped(Fact, frozen=True):
    """`max_tokens` was lowered to what the feature has, or given where it was missing."""

    asked: int | None
    max_tokens: int

    def told(self) -> str:
        before = "not given" if self.asked is None else f"{self.asked:,}"
        return f"`max_tokens` was {before}; the feature has {self.max_tokens:,}."


class _Thinking(msgspec.Struct, frozen=True):
    budget_tokens: int = 0


class _Thinker(msgspec.Struct, frozen=True):
    thinking: _Thinking = _Thinking()


_THINKING = msgspec.json.Decoder(_Thinker)


class Admission:
    """Refuses what cannot be a call, and where the config wants it what no price is known for; caps answers."""

    def __init__(self, config: Config, prices: PriceBook) -> None:
        self._config, self._prices = config.admission, prices
        self._refuses_unpriced = config.prices.unknown_model == "refuse"
        self._caps = {
            name: (feature.max_tokens_most, feature.over_max_tokens == "refuse")
            for name, feature in config.features.items()
            if feature.max_tokens_most is not None
        }

    async def __call__(self, call: Call, onward: Next) -> Reply:
        name = call.endpoint.name
        if name in ("messages", "count_tokens"):
            if len(call.body) > self._config.body_bytes_max:
                raise Refused(
                    f"The body has {len(call.body):,} bytes; at most {self._config.body_bytes_max:,} are allowed.",
                    layer="admission",
                    code="body_too_large",
                    fix="Send less, or raise `body_bytes_max` under [admission].",
                    status=413,
                    type="request_too_large",
                )
            if call.request is None:
                try:
                    read_request(call.body)
                except Malformed as fault:
                    raise _malformed(f"The body is not a JSON object: {fault}.", "Send a JSON object.") from fault
            elif call.request.model is None:
                raise _malformed("model: Field required.", "Name a model as a string.")
            elif self._refuses_unpriced and name == "messages" and not self._prices.knows(call.request.model):
                raise Refused(
                    f"No price is known for model {call.request.model!r}, and calls that cannot be priced are refused.",
                    layer="admission",
                    code="unpriced_model",
                    fix=f"Give its price under [prices.models.{call.request.model}], or use another model.",
                    status=403,
                    type="permission_error",
                )
            if self._caps and name == "messages":
                call = self._capped(call)
        return await onward(call)

    def _capped(self, call: Call) -> Call:
        """The call with no longer an answer than its feature wants. Raises Refused."""
        feature, request = call.tags.feature or "default", call.request
        most, refuses = self._caps.get(feature) or self._caps.get("default") or (None, False)
        if most is None or request is None or (request.max_tokens is not None and request.max_tokens <= most):
            return call
        if refuses and request.max_tokens is not None:
            raise _malformed(
                f"max_tokens: {request.max_tokens:,} is more than the {most:,} of feature {feature!r}.",
                f"Ask for at most {most}, or raise it under [features.{feature}].",
            )
        thought = 0
        if b'"budget_tokens"' in call.body:
            thought = lenient.decode(_THINKING, call.body).thinking.budget_tokens
        if thought >= most:
            raise _malformed(
                f"thinking.budget_tokens: {thought:,} leaves nothing of the {most:,} tokens of feature {feature!r}.",
                f"Think less, or raise `max_tokens` under [features.{feature}].",
            )
        try:
            fields = Spliced(call.body)
        except ValueError as fault:
            raise _malformed(f"The body cannot be edited: {fault}.", "Give each field once.") from fault
        fields.put("max_tokens", b"%d" % most)
        call.trail.append(Capped(request.max_tokens, most))
        return replace(call, body=fields.text, request=replace(request, max_tokens=most))


def _malformed(message: str, fix: str) -> Refused:
    return Refused(message, layer="admission", code="malformed_body", fix=fix, status=400, type="invalid_request_error")
