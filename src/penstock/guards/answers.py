"""The guards of an answer that is whole: looked at and changed where it stands, all else byte for byte."""

from __future__ import annotations

import msgspec

from ..wire import lenient
from ..wire.adapting.splice import Spliced
from .output import Sifting
from .parts import rewritten


class _Block(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""
    input: msgspec.Raw = msgspec.Raw(b"")


class _Message(msgspec.Struct, frozen=True):
    content: list[msgspec.Raw] = []


_MESSAGE = msgspec.json.Decoder(_Message)
_BLOCK = msgspec.json.Decoder(_Block)


def sifted(body: bytes, sifting: Sifting) -> bytes:
    """The message as the caller may have it.

    Raises ValueError, RecursionError or msgspec.DecodeError where it cannot be looked at, or names a value twice that
    is to be changed.
    """
    edits: dict[int, bytes] = {}
    for place, raw in enumerate(_MESSAGE.decode(body).content):
        block = lenient.decode(_BLOCK, raw)
        if block.type == "text":
            spans = sifting.spans(sifting.noted(block.text))
            if spans:
                level = Spliced(bytes(raw))
                level.put("text", rewritten(level["text"], spans))
                edits[place] = level.text
        elif sifting.guards_inputs and bytes(block.input):
            given = bytes(block.input)
            kept = sifting.inputs(given)
            if kept != given:
                level = Spliced(bytes(raw))
                level.put("input", kept)
                edits[place] = level.text
    if not edits:
        return body
    message = Spliced(body)
    content = Spliced(message["content"])
    for place, edited in edits.items():
        content.put(place, edited)
    message.put("content", content.text)
    return message.text
