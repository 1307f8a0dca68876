"""Which of several versions a user gets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def split(name: str, shares: Mapping[int, int], user: str) -> int:
    """The version of prompt `name` that `user` gets, the same each time, by `shares`: weights by version.

    Each prompt shuffles users anew. A change of weights moves no more users than it must between two versions. Raises
    ValueError where no share is above 0.
    """
    total = sum(shares.values())
    if total <= 0:
        raise ValueError("no version has a share")
    digest = hashlib.sha256(f"{name}\0{user}".encode("utf-8", "surrogatepass")).digest()
    point = int.from_bytes(digest[:8], "big") * total >> 64
    passed = 0
    for version in sorted(shares):
        passed += shares[version]
        if point < passed:
            return version
    raise AssertionError("a point is below the total")
