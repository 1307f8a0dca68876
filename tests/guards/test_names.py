"""Persons and places: by Presidio itself, with a small pipeline of spaCy's that is made here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.config.features import FeatureConfig
from penstock.config.guards import InputConfig, OutputConfig
from penstock.errors import ConfigError
from penstock.guards.answers import sifted
from penstock.guards.output import Sieve, Sifting
from penstock.guards.parts import edited, parts
from penstock.guards.runnable import sieve_of
from penstock.guards.screen import Screen

KINDS = ("person", "place", "email")
TEXT = "é: Jane Doe (jane@example.com) lives in Paris. " + "So it goes. " * 1000 + "Jane Doe!"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A pipeline that knows two names by rule: no model can be had everywhere, and which one it is, is the user's."""
    pytest.importorskip("presidio_analyzer", reason="penstock[presidio] is not installed")
    spacy: Any = pytest.importorskip("spacy")
    pipeline = spacy.blank("en")
    rules = [{"label": "PERSON", "pattern": "Jane Doe"}, {"label": "GPE", "pattern": "Paris"}]
    pipeline.add_pipe("entity_ruler").add_patterns(rules)
    place = tmp_path_factory.mktemp("models") / "en_two_names"
    pipeline.to_disk(place)
    return str(place)


def test_names_are_found_beside_what_has_a_form(model: str) -> None:
    screen = Screen(InputConfig(pii="scrub", pii_kinds=KINDS, pii_model=model))
    turns = [{"role": "user", "content": TEXT}]
    looked = screen.look(parts(turns))
    assert looked.personal == {"person": 2, "place": 1, "email": 1}
    written = b'[{"role":"user","content":"%b"}]' % TEXT.encode()
    assert edited(written, looked.edits) == (
        written.replace(b"Jane Doe", b"[PERSON]").replace(b"Paris", b"[PLACE]").replace(b"jane@example.com", b"[EMAIL]")
    )


def test_answers_are_looked_at_whole(model: str) -> None:
    config = OutputConfig(pii="scrub", pii_kinds=KINDS, pii_model=model, streams="whole")
    sifting = Sifting(Sieve(config))
    body = b'{"content": [{"type": "text", "text": "To Jane Doe, Paris"}]}'
    assert sifted(body, sifting) == body.replace(b"Jane Doe", b"[PERSON]").replace(b"Paris", b"[PLACE]")
    matcher = Sifting(Sieve(config)).matcher()
    assert matcher.feed("To Jane") + matcher.feed(" Doe, Pa") == "" and matcher.feed("ris") + matcher.end() == (
        "To [PERSON], [PLACE]"
    )
    followed = OutputConfig(pii="scrub", pii_kinds=KINDS, pii_model=model)
    with pytest.raises(ConfigError, match="need the whole text") as caught:
        sieve_of("chat", FeatureConfig(output=followed))
    assert caught.value.code == "guard_cannot_run"


def test_a_model_that_is_not_there_stops_the_start_and_nothing_is_fetched(model: str) -> None:
    absent = str(Path(model).parent / "en_absent")
    with pytest.raises(ConfigError, match="en_absent") as caught:
        Screen(InputConfig(pii="tag", pii_kinds=("person",), pii_model=absent))
    assert caught.value.code == "extra_missing"


def test_without_presidio_only_names_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    monkeypatch.setitem(sys.modules, "spacy", None)
    assert Screen(InputConfig(pii="tag")).guards == ("pii",)
    with pytest.raises(ConfigError, match=r"pip install 'penstock\[presidio\]'") as caught:
        Screen(InputConfig(pii="tag", pii_kinds=("person",)))
    assert caught.value.code == "extra_missing"
