"""A simulator's options from a TOML file."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec

from ..config.places import places
from ..errors import ConfigError
from .accounts import ApiKey
from .app import Options
from .cassette import read_cassette
from .faults import Faults
from .limits import Limits
from .pace import Pace
from .schedule import read_rule
from .script import Cue
from .spend import Caps

_AT = re.compile(r" - at `\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]+)`")
_AT_LINE = re.compile(r"\(at line (\d+)")


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    """A `Cue`, field by field."""

    when: str = ""
    say: str | None = None
    words: int | None = None
    tool: str | None = None
    input: dict[str, Any] | None = None
    blocks: list[dict[str, Any]] | None = None
    delay_ms: float = 0.0
    fault: str | None = None
    times: int | None = None
    model: str = ""
    is_pattern: bool = False


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    secret: str
    workspace: str = "default"
    organization: str = "main"
    is_admin: bool = False
    account_since: str | None = None


class _Pace(msgspec.Struct, forbid_unknown_fields=True):
    """A fixed pace, or with `measured` the measured one of each model, times that scale."""

    first_token_ms: float = 0.0
    tokens_per_s: float = 0.0
    measured: float | None = None


class _Setup(msgspec.Struct, forbid_unknown_fields=True):
    """The file. Its keys are those of `Options`, with tables where those take objects."""

    seed: int | None = None
    key: str | None = None
    accept_any: bool | None = None
    gzip: bool | None = None
    allow_fault_headers: bool | None = None
    strict_betas: bool | None = None
    control_key: str | None = None
    keep_requests: int | None = None
    batch_s: float | None = None
    pace: _Pace | None = None
    faults: dict[str, float] | None = None
    schedule: list[str] | None = None
    limits: dict[str, Any] | None = None
    caps: dict[str, str] | None = None
    keys: list[_Key] | None = None
    answers: list[_Answer] | None = None
    replay: str | None = None


def read_setup(file: Path) -> Options:
    """The options in a file. Raises ConfigError, naming file, line, fault and fix."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(file, None, f"it cannot be read: {error}", "Name a readable TOML file.") from error
    try:
        setup = msgspec.convert(tomllib.loads(text), _Setup)
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        raise _bad(file, int(found[1]) if found else None, str(error), "Correct the TOML.") from error
    except msgspec.ValidationError as error:
        found = _AT.search(str(error))
        unknown = _UNKNOWN.search(str(error))
        path = (*_path(found[1] if found else ""), *(unknown.groups() if unknown else ()))
        said = f"`{found[1]}`: {str(error)[: found.start()]}" if found and found[1] else str(error)
        fix = "The keys are in docs/verbs/simulator.md."
        raise _bad(file, _line(text, path), said, fix) from error
    return _Reading(file, text).options(setup)


class _Reading:
    """Makes objects of tables, and names the line where one of them cannot be."""

    def __init__(self, file: Path, text: str) -> None:
        self._file, self._text = file, text

    def options(self, setup: _Setup) -> Options:
        plain = (
            "seed", "key", "accept_any", "gzip", "allow_fault_headers", "strict_betas", "control_key", "keep_requests",
            "batch_s",
        )  # fmt: skip
        found: dict[str, Any] = {name: value for name in plain if (value := getattr(setup, name)) is not None}
        if setup.pace is not None:
            own = setup.pace
            fixed = Pace(own.first_token_ms, own.tokens_per_s)
            scale = own.measured
            found["pace"] = fixed if scale is None else self._made("pace", lambda: Pace.measured(scale))
        if setup.faults is not None:
            found["faults"] = self._made("faults", lambda: Faults(**setup.faults or {}))
        if setup.schedule is not None:
            found["schedule"] = [
                self._made(f"schedule.{at}", lambda line=line: read_rule(line))
                for at, line in enumerate(setup.schedule)
            ]
        if setup.limits is not None:
            enforced = {"is_enforced": True, **setup.limits}
            found["limits"] = self._made("limits", lambda: Limits(**enforced))
        if setup.caps is not None:
            found["caps"] = self._made("caps", lambda: Caps(**{name: Decimal(usd) for name, usd in _items(setup.caps)}))
        if setup.keys is not None:
            found["keys"] = [_api_key(one) for one in setup.keys]
        if setup.answers is not None:
            found["answers"] = [
                self._made(f"answers.{at}", lambda one=one: Cue(**msgspec.structs.asdict(one)))
                for at, one in enumerate(setup.answers)
            ]
        if setup.replay is not None:
            found["replay"] = read_cassette(self._file.parent / setup.replay)
        return cast(Options, found)

    def _made(self, place: str, make: Any) -> Any:
        try:
            return make()
        except (TypeError, ValueError, ArithmeticError) as error:
            said = str(error).replace("Limits.__init__()", "limits").replace("Caps.__init__()", "caps")
            line = _line(self._text, _path(place))
            raise _bad(self._file, line, f"`{place}`: {said}", "Correct that key.") from error


def _items(table: dict[str, str] | None) -> list[tuple[str, str]]:
    return list((table or {}).items())


def _api_key(one: _Key) -> ApiKey:
    made = ApiKey(one.secret, one.workspace, one.organization, one.is_admin)
    return made if one.account_since is None else replace(made, account_since=one.account_since)


def _path(text: str) -> tuple[str | int, ...]:
    return tuple(int(step) if step.isdigit() else step for step in re.split(r"[.\[\]]+", text) if step)


def _line(text: str, path: tuple[str | int, ...]) -> int | None:
    lines = places(text)
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _bad(file: Path, line: int | None, fault: str, fix: str) -> ConfigError:
    place = f"{file}:{line}" if line is not None else str(file)
    return ConfigError(f"{fault[0].upper()}{fault[1:]}".rstrip(".") + ".", code="bad_setup", fix=fix, place=place)
