"""The size of an image from the first bytes of its file, and what it costs in tokens."""

from __future__ import annotations

import binascii
import math
import struct
from typing import Any

#: An image of unknown size is taken for a square of this many pixels a side.
UNKNOWN = (1024, 1024)
_LOOKED_AT = (64, 65_536)
"""Characters of base64 that are decoded, in turn: a JPEG's size comes after its metadata, all others' at once."""


def size_of(file: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG, GIF, WebP or JPEG file; None for anything else, or where it is cut short."""
    try:
        if file.startswith(b"\x89PNG"):
            return struct.unpack(">II", file[16:24])
        if file.startswith(b"GIF8"):
            return struct.unpack("<HH", file[6:10])
        if file[:4] == b"RIFF" and file[8:12] == b"WEBP":
            return _webp(file)
        return _jpeg(file) if file.startswith(b"\xff\xd8") else None
    except struct.error:
        return None


def _webp(file: bytes) -> tuple[int, int] | None:
    kind = file[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", file[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", file[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(file[24:27], "little") + 1, int.from_bytes(file[27:30], "little") + 1
    return None


def _jpeg(file: bytes) -> tuple[int, int] | None:
    """From the frame header, which follows any number of other segments."""
    at = 2
    while at + 9 < len(file) and file[at] == 0xFF:
        marker = file[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", file[at + 5 : at + 9])
            return width, height
        at += 2 + int(struct.unpack(">H", file[at + 2 : at + 4])[0])
    return None


def image_size(source: Any) -> tuple[int, int]:
    """The size of a content block's image, by its `source`; a usual one where the file is not at hand."""
    if not isinstance(source, dict) or source.get("type") != "base64":
        return UNKNOWN
    return size_of_base64(str(source.get("data", ""))) or UNKNOWN


def size_of_base64(data: str) -> tuple[int, int] | None:
    """Width and height in pixels of an image file in base64; None where it is no image, or cut short."""
    for characters in _LOOKED_AT:
        try:
            size = size_of(binascii.a2b_base64(data[: min(characters, len(data) // 4 * 4)]))
        except (binascii.Error, ValueError):
            continue
        if size is not None:
            return size
    return None


def image_tokens(width: int, height: int, *, is_dense: bool) -> float:
    """Tokens of an image: by patches of 28 pixels from Claude 4.7 on, by area before.

    4.7 and later by `claude-api.md` §10, at most 2,576 pixels a side and 4,784 tokens. Before by `recordings.md` §5: a
    token for 750 pixels, at most 1,568 pixels a side and some 1,570 tokens.
    """
    side_max, tokens_max = (2_576, 4_784) if is_dense else (1_568, 1_570)
    scale = min(1.0, side_max / max(width, height, 1))
    width, height = max(1, int(width * scale)), max(1, int(height * scale))
    if is_dense:
        return min(tokens_max, math.ceil(width / 28) * math.ceil(height / 28))
    return min(tokens_max, width * height / 750 + 5)
