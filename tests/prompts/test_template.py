"""Templates: what is parsed, what is put in, and what is refused with its file and line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ConfigError
from penstock.prompts.template import Include, Slot, Text, Turn, expanded, parsed_part, parsed_turns, source


def test_the_system_prompt_stands_before_the_turns() -> None:
    turns = parsed_turns("\nBe {{tone}}.\n\n+++ user\nHi\n+++ assistant\nYes?\n", "a/1.md", 5)
    assert turns == (
        Turn("system", (Text("Be "), Slot("tone", "a/1.md:6"), Text("."))),
        Turn("user", (Text("Hi"),)),
        Turn("assistant", (Text("Yes?"),)),
    )


def test_two_braces_can_be_written() -> None:
    (turn,) = parsed_turns(r"\{{name}} is {{ name }} or {{> part }}, {x}", "f")
    assert turn.nodes == (
        Text("{{name}} is "),
        Slot("name", "f:1"),
        Text(" or "),
        Include("part", "f:1"),
        Text(", {x}"),
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ok\n{{a b}}", "f:2"),
        ("{{", "f:1"),
        ("x\n\n{{#if a}}", "f:3"),
        ("{{a.b}}", "f:1"),
        ("{{__class__}}", "f:1"),
        ("+++ system\nx", "f:1"),
        ("x\n+++ assistant\ny", "f:2"),
    ],
)
def test_all_else_is_refused_with_its_line(text: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed_turns(text, "f")
    assert (caught.value.code, caught.value.place) == ("bad_prompt", place) and caught.value.fix


@pytest.mark.parametrize("text", ["a\n+++ user\nb", "+++\nname = 1\n+++\nb"])
def test_a_part_is_no_prompt(text: str) -> None:
    with pytest.raises(ConfigError, match="no turns and no front matter"):
        parsed_part(text, "f")


def test_parts_are_put_into_parts() -> None:
    parts = {"a": parsed_part("A {{> b}}.\n", "parts/a.md"), "b": parsed_part("B {{x}}\n", "parts/b.md")}
    nodes, used = expanded(parsed_part("- {{> a}} {{> b}}", "f"), parts)
    assert source(nodes) == "- A B {{x}}. B {{x}}" and used == ["a", "b"]
    assert nodes[1] == Slot("x", "parts/b.md:1"), "a fault in a part is shown in the part"


def test_parts_that_are_missing_or_go_round_are_named() -> None:
    with pytest.raises(ConfigError, match="There is no part b") as caught:
        expanded(parsed_part("x\n{{> b}}", "f"), {"a": ()})
    assert caught.value.place == "f:2" and "parts/b.md" in caught.value.fix
    round_trip = {"a": parsed_part("{{> b}}", "A"), "b": parsed_part("{{> a}}", "B")}
    with pytest.raises(ConfigError, match="a > b > a") as caught:
        expanded(parsed_part("{{> a}}", "f"), round_trip)
    assert caught.value.place == "B:1"


def test_parts_that_double_at_each_step_are_stopped() -> None:
    parts = {f"a{n}": parsed_part(f"{{{{> a{n + 1}}}}} {{{{> a{n + 1}}}}}", f"a{n}") for n in range(40)}
    with pytest.raises(ConfigError, match="more than 200 parts"):
        expanded(parsed_part("{{> a0}}", "f"), {**parts, "a40": ()})


@given(st.text(st.sampled_from("\\{}> ab\n"), max_size=30))
def test_any_text_is_parsed_or_refused_and_its_source_parses_the_same(text: str) -> None:
    try:
        nodes = parsed_part(text, "f")
    except ConfigError:
        return
    again = parsed_part(source(nodes), "f")
    assert source(again) == source(nodes)
    assert [type(node) for node in again] == [type(node) for node in nodes]
