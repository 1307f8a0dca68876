"""A config as it may be shown: as plain values, or as the TOML that would say the same. References, never secrets."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

from .schema import Config

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def describe(config: Config) -> dict[str, object]:
    """Every key with its value, defaults included, in JSON's types."""
    plain = _plain(config)
    assert isinstance(plain, dict)
    return plain


def toml(config: Config) -> str:
    """The config as TOML that loads to the same config. Keys that are unset are left out."""
    lines: list[str] = []
    _write(describe(config), (), lines)
    return "\n".join(lines).strip() + "\n"


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(below) for name, below in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def _write(tree: Mapping[str, object], path: tuple[str, ...], lines: list[str]) -> None:
    _write_own(tree, lines, f"[{'.'.join(map(_key, path))}]" if path else "")
    for name, value in tree.items():
        if isinstance(value, Mapping):
            _write(value, (*path, name), lines)
        for entry in _tables(value):
            _write_own(entry, lines, f"[[{'.'.join(map(_key, (*path, name)))}]]")


def _write_own(tree: Mapping[str, object], lines: list[str], header: str) -> None:
    """A table without those in it; of an entry of an array, with them, in line."""
    is_entry = header.startswith("[[")
    own = {
        name: value
        for name, value in tree.items()
        if value not in (None, {}) and not _tables(value) and (is_entry or not isinstance(value, Mapping))
    }
    if header and own:
        lines += ["", header]
    lines += [f"{_key(name)} = {_value(value)}" for name, value in own.items()]


def _tables(value: object) -> list[Mapping[str, object]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _value(value: object) -> str:
    """JSON's notation of scalars and lists of strings is TOML's, but for what `_string` sees to."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        given = {name: below for name, below in value.items() if below is not None}
        return f"{{ {', '.join(f'{_key(name)} = {_value(below)}' for name, below in given.items())} }}"
    return _string(value) if isinstance(value, str) else json.dumps(value)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
