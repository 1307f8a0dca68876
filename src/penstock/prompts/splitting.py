"""Which of several versions a user gets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

#: How many points there are.
POINTS = 1 << 64


def point(name: str, user: str) -> int:
    """Where a user stands in the split of that name, from 0 to below `POINTS`: each as likely, the same each time."""
    digest = hashlib.sha256(f"{name}\0{user}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")


def split(name: str, shares: Mapping[int, int], user: str) -> int:
    """The version of prompt `name` that `user` gets, the same each time, by `shares`: weights by version.

    Each prompt shuffles users anew. A change of weights moves no more users than it must between two versions. Raises
    ValueError where no share is above 0.
    """
    total = sum(shares.values())
    if total <= 0:
        raise ValueError("no version has a share")
    reached = point(name, user) * total // POINTS
    passed = 0
    for version in sorted(shares):
        passed += shares[version]
        if reached < passed:
            return version
    raise AssertionError("a point is below the total")
