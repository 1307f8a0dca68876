"""Expressions of the operator's own: by RE2 alone, judged when the config is read."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config.guards import InputConfig, OutputConfig
from penstock.config.keys import rule
from penstock.config.load import load
from penstock.errors import ConfigError
from penstock.guards.patterns import Patterns
from penstock.guards.runnable import sieve_of
from penstock.guards.width import ENDLESS, width

PAGE = Path(__file__).parents[2] / "docs" / "guards.md"


def configured(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "penstock.toml"
    path.write_text(f"[features.chat.input]\n{text}\n")
    return load(path, environ={}).features["chat"].input


def test_the_first_match_is_found_from_where_it_is_asked() -> None:
    patterns = Patterns(["b+", "(?i)AX"])
    span = patterns.search("éaxbb", 0)
    assert span is not None and (span.start, span.end) == (1, 3)
    span = patterns.search("éaxbb", 2)
    assert span is not None and (span.start, span.end) == (3, 5)
    assert patterns.search("éaxbb", 5) is None
    assert list(patterns.all("éaxbb ax")) == ["ax", "bb", "ax"]
    assert patterns.is_whole("bbb") and not patterns.is_whole("bba")


@pytest.mark.parametrize("pattern", ["(", "(?=x)", r"(a)\1", "", "a*"])
def test_what_is_no_expression_of_re2_stops_the_start_at_its_line(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"penstock\.toml:2: `features\.chat\.input\.deny` has as number 2"):
        configured(tmp_path, f"deny = ['fine', '{pattern}']")
    with pytest.raises(ValueError):
        Patterns([pattern])


def test_without_re2_only_expressions_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    assert configured(tmp_path, 'pii = "scrub"\ninjection = "block"').pii == "scrub"
    with pytest.raises(ConfigError, match=r"pip install 'penstock\[guards\]'"):
        configured(tmp_path, "allow = ['x']")


@pytest.mark.parametrize(
    "text", ['pii = "warn"', 'injection = "scrub"', 'pii_kinds = ["name"]', "pii_kinds = []", 'untrusted = ["system"]']
)
def test_what_is_none_of_the_choices_stops_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"penstock\.toml:2"):
        configured(tmp_path, text)


def test_the_page_has_every_key_with_its_default_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    wanted = []
    for field in (*fields(InputConfig), *fields(OutputConfig)):
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        said = "none" if default in (None, []) else f"`{json.dumps(default)}`"
        wanted.append((field.name, said, rule(field).meaning))
    assert rows == wanted


def test_the_examples_of_the_page_load(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path / "penstock.toml"
    path.write_text(example)
    feature = load(path, environ={}).features["support-chat"]
    assert (feature.guards.characters_max, feature.input.pii) == (10_000, "scrub")
    assert feature.output.is_on and sieve_of("support-chat", feature) is not None


@pytest.mark.parametrize(
    ("pattern", "most"),
    [
        *((r"abc", 3), (r"a|bcd|", 3), (r"(?i)fo{1,50}\b", 51), (r"(a|bc){2,3}x?", 7), (r"(?P<n>a)(?:bc)(?i:d)", 4)),
        *(
            (r"[^]a-z[:digit:]\]]{4}", 4),
            (r"\p{Greek}\pL\x{10FFFF}\x41\101\.", 6),
            (r"^\Aab\z$\B", 2),
            (r"\Qa+b(\E", 4),
        ),
        *(
            (r"a{,3}", 5),
            (r"a{2,}", ENDLESS),
            (r"(?:a*)b", ENDLESS),
            (r"a+?", ENDLESS),
            (r"\b*", 0),
            (r"(?s).{0,80}", 80),
        ),
    ],
)
def test_the_widest_match_is_read_off_the_expression(pattern: str, most: int) -> None:
    assert width(pattern) == most
    engine: Any = pytest.importorskip("re2")
    engine.compile(pattern)


ATOMS = st.sampled_from(["a", "b", r"\d", r"\pL", "[ab]", "[^a]", ".", r"\x41", r"\.", "(?i)a", "^", r"\b"])
SOME = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.integers(0, 3), st.integers(0, 3)).map(lambda x: f"(?:{x[0]}){{{x[1]},{x[1] + x[2]}}}"),
        inner.map(lambda part: f"({part})?"),
    ),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(SOME, st.text("abA1. é", max_size=60))
def test_no_match_is_wider_than_what_was_read_off(pattern: str, text: str) -> None:
    engine: Any = pytest.importorskip("re2")
    assert all(len(match[0]) <= width(pattern) for match in engine.finditer(pattern, text))
