"""AWS's binary event stream, frame by frame. docs.aws.amazon.com, Amazon Transcribe, event stream encoding.

A frame: its length, that of its headers, a CRC-32 of both, headers, payload, and a CRC-32 of all before it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

from .interface import Corrupt

#: The longest headers and payload that AWS's own clients take.
HEADER_BYTES_MAX = 128 * 1024
PAYLOAD_BYTES_MAX = 24 * 1024 * 1024

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_AROUND = _PRELUDE.size + _CRC.size
_TEXT = 7
#: Lengths of header values by their type; those of bytes and text say their own.
_LENGTHS = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class Frame(NamedTuple):
    """`headers` are those that are text."""

    headers: dict[str, str]
    payload: bytes


class Frames:
    """Bytes in as they come, whole frames out."""

    __slots__ = ("_at", "_bytes")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._at = 0

    def add(self, chunk: bytes) -> None:
        del self._bytes[: self._at]
        self._at = 0
        self._bytes += chunk

    def take(self) -> Frame | None:
        """The next frame; None where it has not all come. Raises Corrupt."""
        at, there = self._at, len(self._bytes) - self._at
        if there < _PRELUDE.size:
            return None
        length, headers_length, crc = _PRELUDE.unpack_from(self._bytes, at)
        if crc32(self._bytes[at : at + 8]) != crc:
            raise Corrupt("A frame's prelude does not match its checksum.")
        payload_length = length - headers_length - _AROUND
        if headers_length > HEADER_BYTES_MAX or not 0 <= payload_length <= PAYLOAD_BYTES_MAX:
            raise Corrupt("A frame has a length that none can have.")
        if there < length:
            return None
        end = at + length
        frame = bytes(self._bytes[at : end - _CRC.size])
        if crc32(frame) != _CRC.unpack_from(self._bytes, end - _CRC.size)[0]:
            raise Corrupt("A frame does not match its checksum.")
        self._at = end
        payload_at = _PRELUDE.size + headers_length
        return Frame(_headers(frame[_PRELUDE.size : payload_at]), frame[payload_at:])


def _headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            named = at + 1 + data[at]
            name, kind = data[at + 1 : named], data[named]
            at = named + 1
            length = _LENGTHS.get(kind)
            if length is None:
                if kind not in (_TEXT, 6):
                    raise Corrupt("A frame's header has a type that there is none of.")
                length = struct.unpack_from(">H", data, at)[0]
                at += 2
            value, at = data[at : at + length], at + length
            if kind == _TEXT:
                headers[name.decode()] = value.decode()
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise Corrupt("A frame's headers cannot be read.") from error
    if at != len(data):
        raise Corrupt("A frame's headers are longer than it says.")
    return headers
