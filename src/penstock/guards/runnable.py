"""Whether the guards of a feature's answers can run on what it gets: known before the first call."""

from __future__ import annotations

from ..config.features import FeatureConfig
from ..errors import ConfigError
from .output import Sieve
from .width import ENDLESS


def sieve_of(feature: str, config: FeatureConfig) -> Sieve | None:
    """The guards of a feature's answers; None where it has none. Raises ConfigError."""
    own, place = config.output, f"[features.{feature}.output]"
    if not own.is_on:
        return None
    try:
        sieve = Sieve(own)
    except ImportError:
        raise ConfigError(
            f"The patterns of {place} need RE2, which is not installed.",
            code="extra_missing",
            fix="Run `pip install 'penstock[guards]'`, or leave `deny` and `allow` out.",
        ) from None
    if own.streams == "whole":
        return sieve
    whole = f'or set `streams = "whole"` under {place}'
    if own.question is not None:
        raise _cannot_run(f"The `question` of {place} is about whole answers", f"Leave it out, {whole}.")
    for number, wide in enumerate(sieve.denied.widths if sieve.denied is not None else (), 1):
        if wide >= ENDLESS:
            raise _cannot_run(
                f"Expression number {number} of `deny` in {place} matches texts of any length",
                f"Bound its repetitions, as in {{1,40}} for +, {whole}.",
            )
        if wide >= own.hold_back:
            raise _cannot_run(
                f"Expression number {number} of `deny` in {place} matches up to {wide:,} characters",
                f"Raise `hold_back` above that, {whole}.",
            )
    if sieve.finder.reach > own.hold_back:
        is_endless = sieve.finder.reach >= ENDLESS
        needed = "the whole text" if is_endless else f"{sieve.finder.reach} characters"
        raise _cannot_run(
            f"The `pii_kinds` of {place} need {needed} to be told",
            f"Name fewer kinds, {whole}." if is_endless else f"Raise `hold_back` to that, name fewer kinds, {whole}.",
        )
    return sieve


def _cannot_run(what: str, fix: str) -> ConfigError:
    return ConfigError(
        f"{what}, and no stream can be looked at so as it passes.",
        code="guard_cannot_run",
        fix=fix,
    )
