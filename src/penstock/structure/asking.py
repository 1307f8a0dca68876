"""How a form is asked for: of the API itself, and of the model again where its answer is wrong.

Both add to a request and change nothing in it, so prompt caches and preserved thinking hold. The prompt is left alone:
a schema that the API cannot be asked for is not put into it, but told where an answer turned out wrong.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from ..call import Call, Fact
from ..form import Flaw, Form
from ..wire.adapting.splice import Spliced
from ..wire.messages import read_request
from ..wire.traits import traits_of
from .said import Said


class Formatted(Fact, frozen=True):
    """The request was changed to ask the API for the form, by `output_config.format`."""

    def told(self) -> str:
        return "The API was asked to hold the answer to the form's schema."


class _Turn(msgspec.Struct, frozen=True):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw(b"")


#: As targets are called where the SDK's client for another cloud is wrapped. What these take is not known.
_CLOUDS = frozenset({"bedrock", "vertex", "google_cloud", "foundry"})
_TURNS = msgspec.json.Decoder(list[_Turn])


def may_want(call: Call) -> bool:
    """Whether an answer to the call can be of a form: not where the caller began it, or asks for none at all.

    A last turn of the assistant's with tools of the API in it is an answer that paused, and goes on.
    """
    request = call.request
    if request is None or request.max_tokens == 0:
        return False
    try:
        turns = _TURNS.decode(request.messages)
    except msgspec.DecodeError:
        return False
    return bool(turns) and (turns[-1].role != "assistant" or b'"server_tool_use"' in bytes(turns[-1].content))


def formatted(call: Call, form: Form) -> Call:
    """The call with the form asked of the API, where its model and upstream take that and the caller asks for none."""
    request, plan = call.request, call.plan
    assert request is not None and plan is not None, "admission and routing stand above"
    traits, target = traits_of(request.model or ""), plan.candidates[0].target
    if form.format is None or traits is None or not traits.takes_formats:
        return call
    if target.envelope is not None or target.name in _CLOUDS:
        return call
    if b'"citations"' in call.body or b'"output_format"' in call.body:  # the API refuses one beside it
        return call
    try:
        fields = Spliced(call.body)
        has_config = "output_config" in fields and fields["output_config"] != b"null"
        config = Spliced(fields["output_config"] if has_config else b"{}")
        if not config.is_object or ("format" in config and config["format"] != b"null"):
            return call
    except (ValueError, msgspec.DecodeError):
        return call
    config.put("format", form.format)
    fields.put("output_config", config.text)
    if call.trail.last(Formatted) is None:  # said once, however often it is tried
        call.trail.append(Formatted())
    return replace(call, body=fields.text)


def asked_again(call: Call, said: Said, flaws: tuple[Flaw, ...], form: Form) -> Call:
    """The call with the wrong answer and its errors behind it. Raises ValueError where the body cannot be edited."""
    fields = Spliced(call.body)
    messages = Spliced(fields["messages"])
    turns = _TURNS.decode(fields["messages"])
    added = [b'{"role":"assistant","content":' + said.content + b"}"] if said.content else []
    has_format = form.format is not None and form.format in call.body
    added.append(msgspec.json.encode({"role": "user", "content": _words(flaws, None if has_format else form.schema)}))
    for place, turn in enumerate(added, len(turns)):
        messages.put(place, turn)
    fields.put("messages", messages.text)
    return replace(call, body=fields.text, request=read_request(fields.text))


def _words(flaws: tuple[Flaw, ...], schema: bytes | None) -> str:
    listed = "\n".join(f"- {flaw}" for flaw in flaws)
    told = "" if schema is None else f"It must fit this JSON Schema:\n{schema.decode()}\n"
    return (
        f"Your answer is not of the form that is wanted:\n{listed}\n{told}Give the whole answer again, corrected: "
        "one JSON value, and nothing before or behind it."
    )
