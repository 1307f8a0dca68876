"""Admission: is the call well-formed and within size, before anything is spent on it.

Of itself it judges only what every version of the API rejects: a body that is no JSON object, or names no model. All
else is the API's to judge, in its own words. What a feature's guards are to find in its input is looked for here too.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from ...call import Call, Fact
from ...config.features import ByFeature, FeatureConfig
from ...config.schema import Config
from ...errors import ConfigError, Refused
from ...guards.parts import edited, parts, parts_of_items, read_turns
from ...guards.screen import Looked, Screen
from ...guards.unwanted import check
from ...layer import Next
from ...ports import Clock, Ports
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


class Screened(Fact, frozen=True):
    """The guards of the feature's input ran.

    `characters` is how many they looked at, `longest` how many one user turn has at most. `signs` of injection,
    `personal` data and matches of `deny`: how often which was found; never what.
    """

    guards: tuple[str, ...]
    characters: int
    longest: int
    signs: dict[str, int] = msgspec.field(default_factory=dict)
    personal: dict[str, int] = msgspec.field(default_factory=dict)
    denied: int = 0
    is_scrubbed: bool = False

    def told(self) -> str:
        found = [f"{count} {name}" for name, count in self.personal.items()]
        found += [f"sign of injection: {name} ({count})" for name, count in self.signs.items()]
        found += [f"{self.denied} denied"] if self.denied else []
        said = f"{'; '.join(found)}{', scrubbed' if self.is_scrubbed else ''}" if found else "nothing"
        seen = f"{self.characters:,} characters" + (f", {self.longest:,} in one" if "length" in self.guards else "")
        return f"Guards of the input ({', '.join(self.guards)}) looked at {seen}: {said}."


class _Thinking(msgspec.Struct, frozen=True):
    budget_tokens: int = 0


class _Thinker(msgspec.Struct, frozen=True):
    thinking: _Thinking = _Thinking()


class _Batch(msgspec.Struct, frozen=True):
    requests: msgspec.Raw = msgspec.Raw(b"")


_THINKING = msgspec.json.Decoder(_Thinker)
_BATCH = msgspec.json.Decoder(_Batch)


class Admission:
    """Refuses what cannot be a call, and where the config wants it what no price is known for; caps answers."""

    def __init__(self, config: Config, prices: PriceBook, ports: Ports) -> None:
        self._config, self._prices, self._clock = config.admission, prices, ports.clock
        self._refuses_unpriced = config.prices.unknown_model == "refuse"
        self._caps = {
            name: (feature.max_tokens_most, feature.over_max_tokens == "refuse")
            for name, feature in config.features.items()
            if feature.max_tokens_most is not None
        }
        self._screen_of = ByFeature(config.features, _screen)

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
        screen = self._screen_of(call.tags.feature)
        is_batch = name == "batches" and call.method == "POST" and bool(call.body)
        if screen.guards and (call.request is not None or is_batch):
            return await _screened(call, screen, self._clock, onward)
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


def _screen(feature: str, config: FeatureConfig) -> Screen:
    """The guards of a feature. Raises ConfigError where its patterns cannot be used."""
    try:
        return Screen(config.guards)
    except ImportError:
        raise ConfigError(
            f"The patterns of [features.{feature}.input] need RE2, which is not installed.",
            code="extra_missing",
            fix="Run `pip install 'penstock[guards]'`, or leave `deny` and `allow` out.",
        ) from None


async def _screened(call: Call, screen: Screen, clock: Clock, onward: Next) -> Reply:
    """The call's reply, once its input has been looked at, or that of all the calls of a batch. Raises Refused."""
    name = "requests" if call.request is None else "messages"
    looked = Looked()
    try:
        said = lenient.decode(_BATCH, call.body).requests if call.request is None else call.request.messages
        texts = parts_of_items(read_turns(said)) if call.request is None else parts(read_turns(said))
        for _ in screen.steps(texts, looked):
            await clock.sleep(0)  # others have a turn while a long text is looked through
    except msgspec.DecodeError as fault:
        raise _malformed(f"The {name} cannot be looked through: {fault}.", "Send them as JSON.") from fault
    is_scrubbed = screen.config.pii == "scrub" and bool(looked.edits)
    found = (dict(looked.signs), dict(looked.personal), looked.denied)
    call.trail.append(Screened(screen.guards, looked.characters, looked.longest, *found, is_scrubbed))
    check(call.tags.feature or "default", screen.config, looked)
    if is_scrubbed:
        try:
            body = Spliced(call.body)
            body.put(name, edited(body[name], looked.edits))
        except (ValueError, msgspec.DecodeError) as fault:
            raise _malformed(f"The body cannot be edited: {fault}.", "Give each field once.") from fault
        call = replace(call, body=body.text, request=call.request and read_request(body.text))
    reply = await onward(call)
    if looked.signs and screen.config.injection == "warn":
        reply.headers = (*reply.headers, (b"x-penstock-warning", b"injection"))
    return reply
