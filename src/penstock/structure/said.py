"""What an answer says, read whole: its content, to be repeated as it was, and the text that is the answer proper."""

from __future__ import annotations

from typing import Any

import msgspec

#: What each kind of delta adds to: the field of the block, and of the delta.
_ADDED = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("input", "partial_json"),
}


class Said(msgspec.Struct, frozen=True):
    """An answer's content as JSON, empty where it cannot be repeated; and its text after all that is no text.

    What stands before the last tool, or thought, is a remark on the way.
    """

    content: bytes
    text: str


class _Block(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""


class _Message(msgspec.Struct, frozen=True):
    content: msgspec.Raw = msgspec.Raw(b"[]")


class _Delta(msgspec.Struct, frozen=True):
    """A delta of any kind: one of the fields is set."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    citation: Any = None


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    index: int = 0
    content_block: dict[str, Any] = {}
    delta: _Delta = _Delta()


_MESSAGE = msgspec.json.Decoder(_Message)
_BLOCKS = msgspec.json.Decoder(list[_Block])
_EVENTS = msgspec.json.Decoder(list[_Event])


def read(body: bytes, *, is_stream: bool) -> Said:
    """What a whole answer says. Raises msgspec.DecodeError or ValueError where it is none."""
    content = _streamed(body) if is_stream else bytes(_MESSAGE.decode(body).content)
    blocks = _BLOCKS.decode(content)
    texts: list[str] = []
    for block in reversed(blocks):
        if block.type != "text":
            break
        texts.append(block.text)
    # The API takes back no text block that is empty.
    may_repeat = bool(blocks) and all(block.text.strip() for block in blocks if block.type == "text")
    return Said(content if may_repeat else b"", "".join(reversed(texts)))


def _streamed(body: bytes) -> bytes:
    """The content that the events of a stream add up to. Raises ValueError for a delta that is not known."""
    blocks: list[dict[str, Any]] = []
    pieces: dict[tuple[int, str], list[str]] = {}
    for event in _events(body):
        if event.type == "content_block_start":
            blocks.append(dict(event.content_block))
        elif event.type == "content_block_delta":
            _add(blocks[event.index], event.delta, event.index, pieces)
    for (index, name), parts in pieces.items():
        text = "".join(parts)
        if name == "input":
            blocks[index][name] = msgspec.json.decode(text) if text else {}
        else:
            blocks[index][name] = blocks[index].get(name, "") + text
    return msgspec.json.encode(blocks)


def _events(body: bytes) -> list[_Event]:
    """The events that add to the content, of data that stands in one line each, as the API writes it, or in several."""
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    told = [line[5:] for line in body.split(b"\n") if line.startswith(b"data:") and b'"content_block_' in line]
    try:
        return _EVENTS.decode(b"[" + b",".join(told) + b"]")
    except msgspec.DecodeError:
        return [_EVENTS.decode(b"[" + data + b"]")[0] for data in map(_data, body.split(b"\n\n")) if data]


def _data(event: bytes) -> bytes:
    data = b"\n".join(line[5:] for line in event.split(b"\n") if line.startswith(b"data:"))
    return data if b'"content_block_' in data else b""


def _add(block: dict[str, Any], delta: _Delta, index: int, pieces: dict[tuple[int, str], list[str]]) -> None:
    names = _ADDED.get(delta.type)
    if names is not None:
        pieces.setdefault((index, names[0]), []).append(getattr(delta, names[1]))
    elif delta.type == "signature_delta":  # which comes once, and whole
        block["signature"] = delta.signature
    elif delta.type == "citations_delta":
        block["citations"] = [*(block.get("citations") or []), delta.citation]
    else:
        raise ValueError(f"a delta of the kind {delta.type!r} is not known")
