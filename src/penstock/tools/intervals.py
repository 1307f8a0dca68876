"""How sure a difference between two groups of calls is: intervals that hold the true one in 95 of 100 comparisons.

Means: Welch's interval, with Satterthwaite's degrees of freedom (B. L. Welch, Biometrika 34, 1947); pairs: Student's.
Shares: Newcombe's hybrid score interval (R. G. Newcombe, Statistics in Medicine 17, 1998, method 10), made of Wilson's,
which holds near 0 and 1 too. Student's quantile by its expansion in the normal one (Abramowitz and Stegun, 26.7.5).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec

_P = 0.975
_Z = NormalDist().inv_cdf(_P)


class Interval(msgspec.Struct, frozen=True):
    """A difference, and between what it lies. `low` and `high` are None where there is too little to say."""

    difference: float
    low: float | None = None
    high: float | None = None

    @property
    def is_sure(self) -> bool:
        """Whether there is a difference at all, as far as can be told."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


class Moments(msgspec.Struct):
    """Count, mean and spread of values that are seen once each (B. P. Welford, Technometrics 4, 1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        gap = value - self.mean
        self.mean += gap / self.count
        self.squares += gap * (value - self.mean)

    @property
    def error(self) -> float:
        """The variance of the mean. Needs two values."""
        return self.squares / (self.count - 1) / self.count


def of_means(one: Moments, other: Moments) -> Interval:
    """How much larger the mean of `one` is than that of `other`."""
    difference = one.mean - other.mean
    if min(one.count, other.count) < 2:
        return Interval(difference)
    errors = one.error + other.error
    if errors == 0:
        return Interval(difference, difference, difference)
    freedom = errors**2 / (one.error**2 / (one.count - 1) + other.error**2 / (other.count - 1))
    return _around(difference, errors, freedom)


def of_pairs(differences: Moments) -> Interval:
    """How much larger the first of each pair is, in the mean, by the differences of the pairs."""
    if differences.count < 2:
        return Interval(differences.mean)
    return _around(differences.mean, differences.error, differences.count - 1)


def of_shares(hits: int, count: int, other_hits: int, other_count: int) -> Interval:
    """How much larger the share of the first is than that of the others, from -1 to 1."""
    if not count or not other_count:
        return Interval(0.0)
    share, other = hits / count, other_hits / other_count
    low, high = _wilson(share, count)
    other_low, other_high = _wilson(other, other_count)
    down = math.hypot(share - low, other_high - other)
    up = math.hypot(high - share, other - other_low)
    return Interval(share - other, share - other - down, share - other + up)


def _around(difference: float, error: float, freedom: float) -> Interval:
    reach = student(freedom) * math.sqrt(error)
    return Interval(difference, difference - reach, difference + reach)


def student(freedom: float) -> float:
    """Student's t that 97.5 % stay below. Exact for 1 and 2 degrees of freedom, to a thousandth from 4 on."""
    if freedom < 1.5:
        return math.tan(math.pi * (_P - 0.5))
    if freedom < 2.5:
        return (2 * _P - 1) / math.sqrt(2 * _P * (1 - _P))
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def _wilson(share: float, count: int) -> tuple[float, float]:
    middle = share + _Z**2 / (2 * count)
    reach = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    whole = 1 + _Z**2 / count
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)
