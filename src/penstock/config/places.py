"""On which line each key of a TOML text stands.

`tomllib` gives values without places. This walks a text that `tomllib` has already accepted, so it need not judge:
it only follows tables, arrays of tables, dotted keys, inline tables and arrays far enough to count lines.
"""

from __future__ import annotations

import json
import re

#: A key's full path; elements of arrays, and tables of arrays of tables, by index.
KeyPath = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\s#][^,\]}\n#]*")
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_LITERALS = {
    '"""': re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}(?!")', re.DOTALL),
    "'''": re.compile(r"'''.*?'{3,5}(?!')", re.DOTALL),
    '"': re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    "'": re.compile(r"'[^'\n]*'"),
}


def places(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every key, table and array element of a valid TOML text."""
    return _Walk(text).lines


class _Walk:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._counted_to, self._line = 0, 1
        self._arrays: dict[KeyPath, int] = {}
        self.lines: dict[KeyPath, int] = {}
        table: KeyPath = ()
        while self._skip():
            if self._peek("["):
                table = self._header()
            else:
                self._pair(table)

    def _skip(self) -> bool:
        """Pass space, line ends and comments; whether anything follows."""
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found is not None else self._at
        return self._at < len(self._text)

    def _peek(self, sign: str) -> bool:
        return self._text.startswith(sign, self._at)

    def _note(self, path: KeyPath) -> None:
        """A key begins here, and so do the tables it is the first to name."""
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], self._line)

    def _header(self) -> KeyPath:
        """`[a.b]` or `[[a.b]]`. What stands below an array of tables belongs to its latest one."""
        is_array = self._peek("[[")
        start = self._at
        self._at += 2 if is_array else 1
        parts = self._key()
        self._skip()
        self._at += 2 if is_array else 1
        path: KeyPath = ()
        for number, part in enumerate(parts):
            path = (*path, part)
            if is_array and number == len(parts) - 1:
                self._arrays[path] = self._arrays.get(path, -1) + 1
            if path in self._arrays:
                path = (*path, self._arrays[path])
        end, self._at = self._at, start
        self._note(path)
        self._at = end
        return path

    def _pair(self, table: KeyPath) -> None:
        """`key = value`"""
        start = self._at
        path = (*table, *self._key())
        end, self._at = self._at, start
        self._note(path)
        self._at = end
        self._skip()
        self._at += 1  # the equals sign
        self._skip()
        self._value(path)

    def _key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self._skip()
            bare = _BARE.match(self._text, self._at)
            if bare is not None:
                parts.append(bare.group())
                self._at = bare.end()
            else:
                parts.append(_unquoted(self._string()))
            self._skip()
            if not self._peek("."):
                return tuple(parts)
            self._at += 1

    def _string(self) -> str:
        for quote, pattern in _LITERALS.items():
            if self._peek(quote):
                found = pattern.match(self._text, self._at)
                assert found is not None, "the text was accepted by tomllib"
                self._at = found.end()
                return found.group()
        raise AssertionError("the text was accepted by tomllib")

    def _value(self, path: KeyPath) -> None:
        if self._peek("{"):
            self._list("}", path)
        elif self._peek("["):
            self._list("]", path)
        elif self._peek('"') or self._peek("'"):
            self._string()
        else:
            scalar = _SCALAR.match(self._text, self._at)
            assert scalar is not None, "the text was accepted by tomllib"
            self._at = scalar.end()

    def _list(self, end: str, path: KeyPath) -> None:
        """An array's elements, or an inline table's pairs."""
        self._at += 1
        number = 0
        while self._skip() and not self._peek(end):
            if self._peek(","):
                self._at += 1
            elif end == "}":
                self._pair(path)
            else:
                self._note((*path, number))
                self._value((*path, number))
                number += 1
        self._at += 1


def _unquoted(key: str) -> str:
    """A quoted key's name. TOML's escapes are JSON's, and `\\UXXXXXXXX` and `\\e` besides."""
    if key.startswith("'"):
        return key[1:-1]
    wide = re.sub(r"\\U([0-9A-Fa-f]{8})", lambda found: chr(int(found[1], 16)), key)
    name = json.loads(wide.replace("\\e", "\\u001b"), strict=False)
    assert isinstance(name, str)
    return name
