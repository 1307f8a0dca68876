"""Seeded chance: what makes two runs of the simulator alike, byte for byte."""

from __future__ import annotations

from hashlib import blake2b
from random import Random

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_AUGUST = 36 * 58**5
"""Where numbered ids begin: the letters of August 2026."""
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

    def numbered_id(self, prefix: str, number: int) -> str:
        """The same for the n-th request, sorted by number, as requests and messages have been by time since July 2026.

        They all begin with `011C`; two recorded ones, `011CW…` of 2026-01-05 and `011CY…` of 2026-02-24, say how fast
        the letters after it go. By number and not by the clock, so that the same requests give the same bytes.
        """
        at = _AUGUST + number
        letters = "".join(BASE58[at // 58**place % 58] for place in range(5, -1, -1))
        return f"{prefix}_011C{letters}" + "".join(self.random.choices(BASE58, k=14))

    def id_beside(self, prefix: str, other: str) -> str:
        """An identifier made at the time of another."""
        return f"{prefix}_{other.partition('_')[2][:10]}" + "".join(self.random.choices(BASE58, k=14))

    def padding(self) -> bytes:
        """0 to 15 blanks, uniformly: what the API puts before the last brace of an event."""
        return b" " * self.random.getrandbits(4)

    def base64(self, characters: int) -> str:
        return "".join(self.random.choices(BASE64, k=characters))

    def hex(self, characters: int) -> str:
        return f"{self.random.getrandbits(4 * characters):0{characters}x}"
