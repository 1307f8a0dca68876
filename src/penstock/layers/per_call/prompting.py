"""Prompting: a call that brings no instructions of its own gets those of its feature's prompt.

So callers hold no prompts: they name the feature, and the values of the prompt's variables where it has some. Which
version a user gets is the registry's to say. A call with a system prompt, or that says what prompt it was made of, is
left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from ...call import Call, Fact
from ...config.features import ByFeature, FeatureConfig
from ...errors import ConfigError, Refused
from ...layer import Next
from ...prompts import Prompts, Rendered
from ...record import Record
from ...reply import Reply
from ...wire.adapting.splice import Spliced
from ...wire.messages import read_request

#: The header field with the values of a prompt's variables: a JSON object.
VALUES = b"x-penstock-values"

_VALUES = msgspec.json.Decoder(dict[str, Any])


class Prompted(Fact, frozen=True):
    """The call was given its feature's prompt: instructions, and so many turns before its own."""

    prompt: str
    prompt_hash: str | None
    turns: int = 0

    def mark(self, record: Record) -> None:
        record.prompt, record.prompt_hash = self.prompt, self.prompt_hash

    def told(self) -> str:
        turns = f", with {self.turns} turns before its own" if self.turns else ""
        return f"It was given the prompt {self.prompt}{turns}."


class Prompting:
    """Puts prompts into calls. Raises ConfigError for a prompt that is not there, or that no feature can have."""

    def __init__(self, features: Mapping[str, FeatureConfig], prompts: Prompts | None) -> None:
        self._prompts = prompts
        self._named = ByFeature(features, lambda _, feature: feature.prompt)
        for name, feature in features.items():
            if feature.prompt is not None:
                assert prompts is not None, "a face reads the prompts where a feature has one"
                _check(prompts, name, *_parted(feature.prompt))

    async def __call__(self, call: Call, onward: Next) -> Reply:
        request = call.request
        if request is None or call.endpoint.name not in ("messages", "count_tokens"):
            return await onward(call)
        named = self._named(call.tags.feature)
        has_own = bool(request.system) or call.tags.prompt is not None
        if named is not None and not has_own:
            call = self._prompted(call, named)
        elif VALUES in call.fields:
            why = "the call has instructions of its own" if named is not None else "its feature has no prompt"
            said = f"Values for a prompt are given, and {why}."
            raise _refusal(said, "Leave one of them out.", code="unused_values")
        return await onward(call)

    def _prompted(self, call: Call, named: str) -> Call:
        """Raises Refused."""
        made = self._rendered(call, named)
        try:
            body = Spliced(call.body)
            body.put("system", msgspec.json.encode(made.system))
            if made.messages:
                turns = msgspec.json.encode(made.messages)
                own = body["messages"].lstrip()
                if own[:1] != b"[":
                    raise ValueError("`messages` is no list")
                body.put("messages", turns[:-1] + (b"" if own[1:].lstrip()[:1] == b"]" else b",") + own[1:])
        except (ValueError, KeyError, msgspec.DecodeError) as fault:
            said = f"The body cannot be edited: {fault}."
            raise _refusal(said, "Give each field once.", code="malformed_body") from fault
        request = read_request(body.text)
        call.trail.append(Prompted(made.tag, request.prompt_hash(), len(made.messages)))
        tags = replace(call.tags, prompt=made.tag)
        return replace(call, body=body.text, request=request, tags=tags)

    def _rendered(self, call: Call, named: str) -> Rendered:
        assert self._prompts is not None
        name, version = _parted(named)
        try:
            values = _VALUES.decode(call.fields[VALUES]) if VALUES in call.fields else {}
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            said = f"Header {VALUES.decode()} is no JSON object: {fault}."
            raise _refusal(said, 'Send such as {"tone": "brief"}.', code="bad_values") from fault
        try:
            return self._prompts.render(name, values, version=version, user=call.tags.user)
        except ConfigError as fault:
            raise _refusal(f"{VALUES.decode()}: {fault.message}", fault.fix, code="bad_values") from fault


def _parted(named: str) -> tuple[str, str | None]:
    """`support@3` as name and version; without a version, None."""
    name, _, version = named.partition("@")
    return name, version or None


def _check(prompts: Prompts, feature: str, name: str, version: str | None) -> None:
    """Raises ConfigError where a version that a call may get cannot be a feature's."""
    numbers = prompts.shares.get(name) if version is None else None
    for wanted in numbers or (version or "released",):
        prompt = prompts.get(name, wanted)
        if not prompts.is_sealed(name, prompt.version):
            fault = "was never released, and could change any time"
        elif any(variable.is_untrusted for variable in prompt.variables.values()):
            fault = "has a variable for text from outside, which belongs into the caller's own turns"
        elif prompt.turns[-1].role == "user":
            fault = "ends in a user's turn, and the caller's own follow"
        else:
            continue
        raise ConfigError(
            f"Prompt {name} {prompt.version}, which [features.{feature}] has, {fault}.",
            code="prompt_not_for_feature",
            fix="Let callers render it themselves, or make a prompt of instructions and examples for the feature.",
            place=prompt.file,
        )


def _refusal(message: str, fix: str, *, code: str) -> Refused:
    return Refused(message, layer="prompting", code=code, fix=fix, status=400, type="invalid_request_error")
