"""Seeded chance: what makes two runs of the simulator alike, byte for byte."""

from __future__ import annotations

from hashlib import blake2b
from random import Random

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class Dice:
    """A generator keyed by a seed and by what it is for, so that draws for one request never move another's."""

    __slots__ = ("random",)

    def __init__(self, *parts: object) -> None:
        digest = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
        self.random = Random(int.from_bytes(digest, "big"))

    def id(self, prefix: str) -> str:
        """An identifier of the API's form: prefix, `01` and 22 base58 characters."""
        return f"{prefix}_01" + "".join(self.random.choices(BASE58, k=22))

    def padding(self) -> bytes:
        """0 to 15 blanks, uniformly: what the API puts before the last brace of an event."""
        return b" " * self.random.getrandbits(4)

    def base64(self, characters: int) -> str:
        return "".join(self.random.choices(BASE64, k=characters))

    def hex(self, characters: int) -> str:
        return f"{self.random.getrandbits(4 * characters):0{characters}x}"
