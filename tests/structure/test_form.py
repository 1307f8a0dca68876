"""The page says what the config takes, and the config refuses the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from penstock.config.form import FormConfig
from penstock.config.keys import rule
from penstock.config.load import load
from penstock.errors import ConfigError
from penstock.form import Wanted, asked_form, wanting
from penstock.structure.schema import SchemaForm

PAGE = Path(__file__).parents[2] / "docs" / "layers" / "structure.md"


def test_the_page_has_every_key_with_its_default_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (none|`.*?`) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    wanted = []
    for field in FormConfig.__dataclass_fields__.values():
        said = "none" if field.default is None else f"`{json.dumps(field.default)}`"
        wanted.append((field.name, said, rule(field).meaning))
    assert rows == wanted


def test_the_example_of_the_page_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "penstock.toml").write_text(example)
    assert load(tmp_path / "penstock.toml", environ={}).features["triage"].form.schema == "schemas/ticket.json"


@pytest.mark.parametrize(
    "text", ['native = "on"', "repairs = 6", "repairs = -1", 'invalid = "raise"', 'streams = "drop"', "schema = 3"]
)
def test_what_is_none_of_the_choices_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "penstock.toml").write_text(f"[features.a.form]\n{text}\n")
    with pytest.raises(ConfigError, match=r"penstock\.toml:2"):
        load(tmp_path / "penstock.toml", environ={})


def test_a_wanted_form_is_that_of_its_block_and_ends_with_it() -> None:
    one, other = (Wanted(SchemaForm(b"{}", is_native=False), repairs) for repairs in (0, 2))
    assert asked_form() is None
    with wanting(one):
        with pytest.raises(ZeroDivisionError), wanting(other):
            assert asked_form() is other
            raise ZeroDivisionError
        assert asked_form() is one
    assert asked_form() is None


@pytest.mark.parametrize("draft", ["http://json-schema.org/draft-07/schema#", None])
def test_schemas_of_several_drafts_are_judged_by_their_own(draft: str | None) -> None:
    schema = {"type": "array", "items": [{"type": "integer"}], "additionalItems": False}
    if draft is None:
        schema = {"type": "array", "prefixItems": [{"type": "integer"}], "items": False}
    form = SchemaForm(json.dumps({**schema, **({"$schema": draft} if draft else {})}).encode(), is_native=True)
    assert form.flaws("[1]") == () and [flaw.place for flaw in form.flaws('["a"]')] == ["$[0]"]
    assert form.flaws("[1, 2]")


def test_no_more_is_said_of_an_answer_than_helps() -> None:
    form = SchemaForm(b'{"type":"array","items":{"type":"integer"}}', is_native=False)
    flaws = form.flaws(json.dumps(["x" * 5_000] * 50))
    assert len(flaws) == 10 and max(len(str(flaw)) for flaw in flaws) < 400


def test_an_expression_made_to_be_slow_gives_up() -> None:
    form = SchemaForm(rb'{"type":"string","pattern":"^(a+)+(?=b)$"}', is_native=False)
    assert form.flaws(json.dumps("a" * 5_000 + "!"))
