"""What was taken in the last minute, in half seconds: exact to the limit, never over it.

Slots rather than moments, so that a window is small whatever the limit; the oldest slot counts until all of it is past,
which costs at most 1/120 of the limit.
"""

from __future__ import annotations

import msgspec

SLOT_US = 500_000
SLOTS = 120


class Window(msgspec.Struct):
    """`taken` is (slot, amount), the oldest first; a slot is half a second of Unix time."""

    taken: list[tuple[int, int]] = []

    def take(self, now_us: int, per_minute: int, amount: int) -> float:
        """0.0 where it was taken; else the seconds until it could be, without end for more than the limit itself."""
        slot = now_us // SLOT_US
        # A slot still counts while any moment of it is less than a minute past.
        self.taken = [(at, took) for at, took in self.taken if at >= slot - SLOTS]
        excess = sum(took for _, took in self.taken) + amount - per_minute
        if excess <= 0:
            if self.taken and self.taken[-1][0] >= slot:
                at, took = self.taken[-1]
                self.taken[-1] = (at, took + amount)
            else:
                self.taken.append((slot, amount))
            return 0.0
        for at, took in self.taken:
            excess -= took
            if excess <= 0:
                return ((at + SLOTS + 1) * SLOT_US - now_us) / 1e6
        return float("inf")
