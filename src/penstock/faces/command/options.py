"""The options all verbs share, and the small parsers behind them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ...config.load import load
from ...config.schema import Config
from ...errors import ConfigError

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The config file. Default: penstock.toml here, if there is one."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The folder of the ledger and the keys. Default: as configured."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_SPAN = re.compile(r"^(\d+)\s*(m|h|d|w)$")
_SPAN_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def opened(config: Path | None, data: Path | None, **overrides: object) -> Config:
    """The config the verb runs under. Raises ConfigError."""
    if data is not None:
        overrides["data"] = data
    return load(config, overrides=overrides)


def listed(text: str | None) -> list[str]:
    """`a, b` as `["a", "b"]`."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def span_us(text: str) -> int | None:
    """`90m`, `24h`, `7d`, `2w` in microseconds; None for anything else."""
    found = _SPAN.match(text)
    return int(found[1]) * _SPAN_S[found[2]] * 1_000_000 if found else None


def moment_us(text: str, option: str) -> int:
    """A date or time as Unix microseconds; without a zone it is UTC. Raises ConfigError naming `option`."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option} {text!r} is neither a span nor a date.",
            code="bad_option",
            fix="Say `24h`, `7d`, `2026-11-01` or `2026-11-01T09:30`.",
        ) from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def from_us(text: str | None, option: str, now_us: int) -> int | None:
    """When a span before now began, or a date or time, as Unix microseconds. Raises ConfigError naming `option`."""
    if text is None:
        return None
    span = span_us(text)
    return now_us - span if span is not None else moment_us(text, option)
