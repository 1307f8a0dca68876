"""From TOML and the environment to a Config. The one place where the environment is read.

Looks for the file named, else the one PENSTOCK_CONFIG names, else `penstock.toml` in the working folder; with none of
them everything has its default, and the API key and address come from ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL. A
`.env` beside the file (or in the working folder) is read too; the environment proper wins, and is never written to.
"""

from __future__ import annotations

import dataclasses
import difflib
import io
import os
import re
import stat
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigError
from .keys import BadValue, Section, fault_of, hints, is_secret_like, rule, shown
from .places import KeyPath, places
from .references import NO_LITERALS
from .schema import API_URL, Config
from .secrets import Secrets

FILE_NAME = "penstock.toml"

_AT_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")

S = TypeVar("S", bound=Section)


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """A config, what follows its references, and the file it came from, if any."""

    config: Config
    secrets: Secrets
    file: Path | None = None


def load(
    path: Path | None = None, *, environ: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> Config:
    """The config alone; see `open_config`. Raises ConfigError."""
    return open_config(path, environ=environ, overrides=overrides).config


def adopted(config: Config, *, environ: Mapping[str, str] | None = None) -> Loaded:
    """A config made in a program, with what follows its references; paths begin in the working folder."""
    return Loaded(config, _secrets(os.environ if environ is None else environ, _here()))


def open_config(
    path: Path | None = None, *, environ: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> Loaded:
    """Read and judge the config, and prepare to follow its references; none is followed yet.

    `overrides` are keys by full name, such as {"gateway.port": 0}; those that are None are left out. A `data` among
    them begins in the working folder, one in the file beside the file. Raises ConfigError with the place `file:line`.
    """
    environ = os.environ if environ is None else environ
    file = _found(path, environ)
    folder = file.parent if file is not None else _here()
    secrets = _secrets(environ, folder)
    text = _read(file) if file is not None else ""
    tree = _parsed(text, file)
    lines = places(text)
    reading = _Reading(file, lines)
    reading.refuse_literals(tree)
    known = {**secrets.dotenv, **{name: value for name, value in environ.items() if value}}
    if "upstreams" not in tree:
        tree["upstreams"] = _upstreams_from(known)
        reading.origins[("upstreams", "anthropic", "url")] = "ANTHROPIC_BASE_URL"
    if isinstance(tree.get("data"), str):
        tree["data"] = str(folder / Path(tree["data"]).expanduser())
    for name, value in (overrides or {}).items():
        if value is not None:
            reading.override(tree, tuple(name.split(".")), value)
    config = reading.section(Config, tree, ())
    if not config.data.is_absolute():
        config = dataclasses.replace(config, data=folder / config.data)
    return Loaded(config, secrets, file)


def _found(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is not None:
        return Path(path).absolute()
    named = environ.get("PENSTOCK_CONFIG")
    if named:
        return Path(named).absolute()
    usual = _here() / FILE_NAME
    return usual if usual.exists() else None


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError:
        raise ConfigError(
            "The working folder is gone.", code="config_unreadable", fix="Start from a folder that exists."
        ) from None


def _read(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The config file cannot be read: {error.strerror}.",
            code="config_unreadable",
            fix="Correct the path, or leave it out to run with defaults.",
            place=str(file),
        ) from None
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            "The config file is not UTF-8.", code="bad_toml", fix="Save it as UTF-8.", place=f"{file}:{line}"
        ) from None


def _parsed(text: str, file: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "A value is too long or too deep"
        found = _AT_LINE.search(said)
        line = int(found[1]) if found and found[1] else text.count("\n") + (not text.endswith("\n"))
        place = f"{file}:{line}" if found else f"{file}"
        problem = said[: found.start()] if found else said
        fix = "Correct the TOML there."
        if problem.startswith("Cannot overwrite a value") or "declare" in problem:
            problem, fix = "This key or table is given twice", "Keep one."
        elif is_secret_like(problem):
            problem = "This is not TOML"
        raise ConfigError(f"{problem}.", code="bad_toml", fix=fix, place=place) from None


def _secrets(environ: Mapping[str, str], folder: Path) -> Secrets:
    """What follows references, knowing what the `.env` in that folder says."""
    path = folder / ".env"
    try:
        mode, raw = path.stat().st_mode, path.read_bytes()
    except OSError:
        return Secrets(environ, folder)
    from dotenv import dotenv_values

    values = dotenv_values(stream=io.StringIO(raw.decode("utf-8", errors="replace")), interpolate=False)
    fault = None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        fault = ConfigError(
            f"{path} has mode {stat.S_IMODE(mode):o}: other users may read the secrets in it.",
            code="secret_exposed",
            fix=f"Run `chmod 600 {path}`, or export what Penstock needs.",
        )
    return Secrets(environ, folder, {name: value for name, value in values.items() if value is not None}, fault)


def _upstreams_from(environ: Mapping[str, str]) -> dict[str, Any]:
    """The API as the SDK's own variables name it; nothing where they name nothing."""
    url = environ.get("ANTHROPIC_BASE_URL", "").rstrip("/")
    has_key = bool(environ.get("ANTHROPIC_API_KEY"))
    if not url and not has_key:
        return {}
    return {"anthropic": {"url": url or API_URL, "keys": ["env:ANTHROPIC_API_KEY"] if has_key else []}}


class _Reading:
    """One file on its way to a Config: builds sections, and gives every fault its place."""

    def __init__(self, file: Path | None, lines: Mapping[KeyPath, int]) -> None:
        self._file, self._lines = file, lines
        #: Where values come from that are not from the file, for the errors they cause.
        self.origins: dict[KeyPath, str] = {}

    def override(self, tree: dict[str, Any], path: tuple[str, ...], value: object) -> None:
        for part in path[:-1]:
            below = tree.setdefault(part, {})
            if not isinstance(below, dict):
                return  # a fault of the file, which `section` words better
            tree = below
        if path == ("data",):
            value = str(_here() / Path(str(value)).expanduser())
        tree[path[-1]] = value
        self.origins[path] = ""

    def section(self, kind: type[S], tree: object, path: KeyPath) -> S:
        """A section from its table, and the sections within it."""
        if not isinstance(tree, Mapping):
            raise self._error(path, f"is {shown(tree)}", f"Make it a table: [{_name(path)}].")
        types_of = hints(kind)
        fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
        for name in tree:
            if name not in fields:
                raise self._unknown(kind, name, path)
        values: dict[str, Any] = {}
        for name, field in fields.items():
            hint = types_of[name]
            if name in tree:
                values[name] = self._value(hint, tree[name], (*path, name))
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                fault = fault_of(None, hint, rule(field)) or ("is missing", "Give it.")
                raise self._error((*path, name), *fault)
        try:
            return kind(**values)
        except BadValue as bad:
            raise self._error((*path, *bad.key.split(".")), bad.problem, bad.fix) from None

    def _value(self, hint: Any, value: object, path: KeyPath) -> object:
        """A value of TOML as the schema has it; what does not fit is left for the section to refuse."""
        if isinstance(hint, type) and issubclass(hint, Section):
            return self.section(hint, value, path)
        if typing.get_origin(hint) is not tuple and typing.get_origin(hint) in (Mapping, dict):
            if not isinstance(value, Mapping):
                raise self._error(path, f"is {shown(value)}", f"Make it tables: [{_name(path)}.NAME].")
            kind = typing.get_args(hint)[1]
            if not issubclass(kind, Section):
                return dict(value)
            return {name: self.section(kind, below, (*path, name)) for name, below in value.items()}
        if isinstance(value, list):
            inner = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None
            if isinstance(inner, type) and issubclass(inner, Section):
                return tuple(self.section(inner, below, (*path, number)) for number, below in enumerate(value))
            return tuple(value)
        if hint is Path and isinstance(value, str):
            return Path(value)
        return float(value) if hint is float and type(value) is int and abs(value) < 10**15 else value

    def refuse_literals(self, tree: object, path: KeyPath = ()) -> None:
        """No key of the API may stand in the file, under whatever name."""
        for part, value in _children(tree):
            for text in (part, value):
                if isinstance(text, str) and "sk-ant-" in text:
                    raise self._error((*path, part), "holds a literal key of the API", NO_LITERALS)
            self.refuse_literals(value, (*path, part))

    def _unknown(self, kind: type[Section], name: str, path: KeyPath) -> ConfigError:
        names = [field.name for field in dataclasses.fields(typing.cast(Any, kind))]
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
        at_home = [other for other in _homes(name) if other != path]
        if at_home:
            home = _name(at_home[0])
            fix = f"It belongs under [{home}]." if home else "It belongs at the top, before any table."
        elif near:
            fix = f"Did you mean `{near[0]}`?"
        else:
            fix = f"There are: {', '.join(names)}."
        return self._error((*path, name), "is not a key Penstock knows", fix, code="unknown_key")

    def _error(self, path: KeyPath, problem: str, fix: str, *, code: str = "bad_config") -> ConfigError:
        return ConfigError(f"`{_name(path)}` {problem}.", code=code, fix=fix, place=self._place(path))

    def _place(self, path: KeyPath) -> str:
        """The line of a key, or of the nearest table around it; nothing for what is not from the file."""
        if path in self.origins:
            return self.origins[path]
        if self._file is None:
            return ""
        while path and path not in self._lines:
            path = path[:-1]
        return f"{self._file}:{self._lines[path]}" if path else f"{self._file}"


def _children(tree: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(tree, Mapping):
        yield from tree.items()
    elif isinstance(tree, list):
        yield from enumerate(tree)


def _homes(name: str) -> list[tuple[str, ...]]:
    """The sections that have a key of this name."""
    found = [(section,) for section, kind in hints(Config).items() if isinstance(kind, type) and name in _keys_of(kind)]
    return [*found, ()] if name in hints(Config) else list(found)


def _keys_of(kind: type) -> Mapping[str, Any]:
    return hints(kind) if issubclass(kind, Section) else {}


def _name(path: KeyPath) -> str:
    """A key's full name, with parts that could be a secret left out."""
    return ".".join(
        part if re.fullmatch(r"[\w.:@/-]{1,60}", part) and not is_secret_like(part) else "…"
        for part in path
        if isinstance(part, str)
    )
