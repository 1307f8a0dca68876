"""A Messages event stream put together again to the message it told, as the API gives it without a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

#: Where the text of a delta goes in its content block.
_ADDED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def assembled(stream: bytes) -> dict[str, Any]:
    """The message as far as the stream tells it; with `error`, where it told one. What is unknown is passed over."""
    message: dict[str, Any] = {}
    blocks: dict[Any, dict[str, Any]] = {}
    inputs: dict[Any, str] = {}
    for event in _events(stream):
        match event.get("type"):
            case "message_start":
                message = dict(_table(event.get("message")))
            case "content_block_start":
                blocks[event.get("index")] = dict(_table(event.get("content_block")))
            case "content_block_delta":
                _add(blocks.setdefault(event.get("index"), {}), inputs, event)
            case "message_delta":
                message |= _table(event.get("delta"))
                message["usage"] = {**_table(message.get("usage")), **_table(event.get("usage"))}
            case "error":
                message["error"] = event.get("error")
            case _:
                pass
    for index, written in inputs.items():
        try:
            blocks[index]["input"] = msgspec.json.decode(written or "{}")
        except msgspec.DecodeError:
            blocks[index]["input"] = written  # the stream ended within it
    if blocks:
        message["content"] = list(blocks.values())
    return message


def _add(block: dict[str, Any], inputs: dict[Any, str], event: dict[str, Any]) -> None:
    delta, index = _table(event.get("delta")), event.get("index")
    kind = delta.get("type")
    if kind == "input_json_delta":
        inputs[index] = inputs.get(index, "") + str(delta.get("partial_json", ""))
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta.get("citation")]
    elif kind in _ADDED:
        name = _ADDED[kind]
        block[name] = str(block.get(name, "")) + str(delta.get(name, ""))


def _events(stream: bytes) -> Iterator[dict[str, Any]]:
    for event in stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n"):
        data = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
        try:
            decoded = msgspec.json.decode(b"\n".join(data)) if data else None
        except msgspec.DecodeError:
            continue  # cut off within it
        if isinstance(decoded, dict):
            yield decoded


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
