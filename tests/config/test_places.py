"""The line of every key, checked against what `tomllib` reads, over texts of every form TOML has."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config.places import KeyPath, places

EVERY_FORM = """\
# a comment with = and [
a = 1
"b c".d.'e.f' = 'x # no comment'

[ table ] # after
one = [ 1, # first
  2, { x = 1, y = [ "]", ] },
]
many = \"\"\"
not = a key
[nor.this]
\\\"\"\" still in it\"\"\"\"
raw = '''
k = 1''''
after = 1979-05-27T07:32:00Z
[[list]]
n = 1
[[list.inner]]
m = 1
[[list]]
n = 2
[list.sub]
"\\u00e9\\U0001F600" = inf
dotted . key = { "q" = 1 }
"""


def test_every_form_of_toml_is_followed() -> None:
    lines = places(EVERY_FORM)
    text = EVERY_FORM.splitlines()
    expected: dict[KeyPath, int] = {
        ("a",): 2,
        ("b c", "d", "e.f"): 3,
        ("table",): 5,
        ("table", "one", 1): 7,
        ("table", "one", 2, "y"): 7,
        ("table", "many"): 9,
        ("table", "raw"): 13,
        ("table", "after"): 15,
        ("list", 0, "n"): 17,
        ("list", 0, "inner", 0, "m"): 19,
        ("list", 1, "n"): 21,
        ("list", 1, "sub", "é😀"): 23,
        ("list", 1, "sub", "dotted", "key", "q"): 24,
    }
    assert {path: lines.get(path) for path in expected} == expected, text
    assert set(lines) == set(paths(tomllib.loads(EVERY_FORM)))


def paths(tree: object, at: KeyPath = ()) -> Iterator[KeyPath]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, below in pairs:
        yield (*at, name)
        yield from paths(below, (*at, name))


WORDS = st.text(alphabet="abc-_9 .\"'#=[]{}\\\u00e9\n\t", min_size=1, max_size=6)
SCALARS = st.one_of(
    st.integers(-99, 99).map(str),
    st.sampled_from(["true", "1.5e3", "nan", "07:32:00", "1979-05-27 07:32:00", "0x1F"]),
    WORDS.map(lambda word: json.dumps(word)),
    st.text(alphabet="ab#=[]{}\\", max_size=5).map(lambda word: f"'{word}'"),
    st.text(alphabet="ab#=[\n ]{}", max_size=9).map(lambda word: f"'''{word}'''"),
    st.text(alphabet='ab#=[\n ]{}"', max_size=5).map(lambda word: f'"""{word}x"""'),
)
KEYS = WORDS.map(lambda word: json.dumps(word))
VALUES = st.recursive(
    SCALARS,
    lambda below: st.one_of(
        st.lists(below, max_size=3).map(lambda parts: "[ # c ]\n" + ",\n".join(parts) + "]"),
        st.dictionaries(KEYS, below, max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key} = {value}" for key, value in pairs.items()) + "}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["[", "[[", "=", "#"]), KEYS, KEYS, VALUES), max_size=8))
def test_the_keys_found_are_those_that_tomllib_reads(parts: list[tuple[str, str, str, str]]) -> None:
    lines = []
    for number, (form, key, other, value) in enumerate(parts):
        unique = json.dumps(f"{json.loads(key)}{number}")
        if form == "#":
            lines.append(f"  # {'x = 1 ['}")
        elif form == "=":
            lines.append(f"{unique} . {other} = {value}")
        else:
            lines.append(f"{form} {unique}.{other} {']' * len(form)} # [x]")
    text = "\n".join(lines)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = places(text)
    assert set(found) == set(paths(tree))
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n", "a=1"])
def test_small_texts(text: str) -> None:
    assert places(text) == ({("a",): 1} if "=" in text else {})
