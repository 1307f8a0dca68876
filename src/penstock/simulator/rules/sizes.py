"""How much a request may hold: messages, text, images, pages (`claude-api.md` §1.4)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Any

from ...wire.images import size_of
from ..catalogue import Model
from ..problems import invalid

#: Bytes of a body. The edge refuses larger ones before the API sees them.
BODY_BYTES_MAX = 32 * 1024 * 1024
BATCH_BODY_BYTES_MAX = 256 * 1024 * 1024
#: The edge's whole answer (seen in issues of the SDK and of Claude Code): no `type` beside `error`, no request id.
TOO_LARGE = b'{"error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}'

MESSAGES_MAX = 100_000
#: Recorded: "too many total text bytes: 10000002 > 9000000".
TEXT_BYTES_MAX = 9_000_000
IMAGE_BYTES_MAX = 10 * 1024 * 1024
SIDE_MAX, SIDE_MAX_OF_MANY, MANY_IMAGES = 8_000, 2_000, 20
#: Images, and pages of PDF, in one request, by context window.
IMAGES_MAX, IMAGES_MAX_SMALL = 600, 100

_PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_HEADS = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)


def check_sizes(request: dict[str, Any], model: Model) -> None:
    """Raises Problem 400."""
    count = len(request["messages"])
    if count > MESSAGES_MAX:
        raise invalid(f"messages: List should have at most {MESSAGES_MAX} items after validation, not {count}")
    total = sum(len(text.encode("utf-8", "surrogatepass")) for text in _texts(request))
    if total > TEXT_BYTES_MAX:
        raise invalid(f"too many total text bytes: {total} > {TEXT_BYTES_MAX}")
    most = IMAGES_MAX_SMALL if model.window_tokens < 1_000_000 else IMAGES_MAX
    media = [(place, block) for place, block in _blocks(request) if block.get("type") in ("image", "document")]
    images = [(place, block) for place, block in media if block["type"] == "image"]
    if len(images) > most:
        # The sources give the limit and no words for it (?).
        raise invalid(f"messages: Too many images: {len(images)} > {most} maximum")
    for place, block in images:
        _check_image(f"{place}.image.source.base64", block, is_one_of_many=len(images) > MANY_IMAGES)
    pages = sum(_pages(place, block) for place, block in media if block["type"] == "document")
    if pages > most:
        raise invalid(f"A maximum of {most} PDF pages may be provided.")


def _texts(request: dict[str, Any]) -> Iterator[str]:
    for content in (request.get("system"), *(turn["content"] for turn in request["messages"])):
        if isinstance(content, str):
            yield content
        for block in content if isinstance(content, list) else ():
            for value in (block.get("text"), block.get("content")):
                if isinstance(value, str):
                    yield value


def _blocks(request: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All blocks of messages, those in tool results too, with their places."""
    for at, turn in enumerate(request["messages"]):
        for number, block in enumerate(turn["content"] if isinstance(turn["content"], list) else ()):
            place = f"messages.{at}.content.{number}"
            yield place, block
            if block.get("type") == "tool_result" and isinstance(block.get("content"), list):
                for within, inner in enumerate(block["content"]):
                    yield f"{place}.tool_result.content.{within}", inner


def _check_image(place: str, block: dict[str, Any], *, is_one_of_many: bool) -> None:
    source = block["source"]
    if source.get("type") != "base64":
        return
    file = _decoded(source["data"], place)
    if len(source["data"]) > IMAGE_BYTES_MAX:
        raise invalid(f"{place}: image exceeds 10 MB maximum: {len(source['data'])} bytes > {IMAGE_BYTES_MAX} bytes")
    kind = next((kind for head, kind in _HEADS if file.startswith(head)), None)
    if kind is None:
        raise invalid("Could not process image")
    if kind != source["media_type"]:
        raise invalid(f"{place}.data: Image does not match the provided media type {source['media_type']}")
    longest = max(size_of(file) or (0, 0))
    if (block.get("transformations") or {}).get("oversized_image") == "downsize":
        return
    side, among = (SIDE_MAX_OF_MANY, " for many-image requests") if is_one_of_many else (SIDE_MAX, "")
    if longest > side:
        raise invalid(
            f"{place}.data: At least one of the image dimensions exceed max allowed size{among}: {side} pixels"
        )


def _pages(place: str, block: dict[str, Any]) -> int:
    """Pages of a PDF that lies in the request, as far as they can be seen without unpacking it. Raises Problem 400."""
    source = block["source"]
    if source.get("type") != "base64":
        return 0
    place = f"{place}.document.source.base64"
    file = _decoded(source["data"], place)
    if b"%PDF" not in file[:1024]:
        raise invalid(f"{place}.data: The PDF specified was not valid.")
    return len(_PAGE.findall(file))


def _decoded(data: str, place: str) -> bytes:
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError):
        raise invalid(f"{place}.data: Invalid base64 data") from None
