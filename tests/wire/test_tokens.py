"""Estimates of input tokens: known answers, recorded traffic, the simulator's own counts, and whatever may come."""

from __future__ import annotations

import base64
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.simulator.cache import count_prompt
from penstock.simulator.catalogue import find_model
from penstock.wire.messages import read_request
from penstock.wire.tokens import Estimate, estimate

sys.path.insert(0, str(Path(__file__).parents[2]))

OLD, NEW = "claude-sonnet-4-6", "claude-opus-4-8"


def weigh(model: str = OLD, text: Any = "Hello", **fields: Any) -> Estimate:
    """The estimate of a request of one user's turn, read from its body as a face reads it."""
    asked = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": text}], **fields}
    body = json.dumps(asked, ensure_ascii=False).encode()
    return estimate(read_request(body), model, body)


def png(width: int, height: int, size: int = 60_000) -> dict[str, Any]:
    file = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(range(256)) * (size // 256)
    return image("base64", media_type="image/png", data=base64.b64encode(file).decode())


def image(kind: str, **fields: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": kind, **fields}}


def pdf(file: bytes) -> list[dict[str, Any]]:
    source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(file).decode()}
    return [{"type": "document", "source": source}]


# -- known answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "counted"), [("Hello", 8), ("What is the capital of France?", 14)])
def test_recorded_prompts_are_met(text: str, counted: int) -> None:
    found = weigh(text=text)
    assert abs(found.expected - counted) <= 1
    assert counted < found.most <= 3 * counted


def test_pseudo_latin_of_which_2431_tokens_were_counted_is_held_for() -> None:
    latin = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * 102
    assert weigh("claude-3-haiku-20240307", latin).most > 2_431


def test_english_is_not_held_for_as_if_it_were_latin() -> None:
    english = "The quick brown fox jumps over the lazy dog, and then it rests in the shade of the tree. " * 60
    found = weigh(text=english)
    assert found.most < 1.5 * found.expected


@pytest.mark.parametrize("text", ["你好世界" * 200, "สวัสดี" * 200, "👩‍👩‍👧" * 200, "Привет" * 200], ids=ascii)
@pytest.mark.parametrize("model", [OLD, NEW])
def test_text_that_is_not_ascii_is_held_for_by_its_bytes(model: str, text: str) -> None:
    assert weigh(model, text).most >= len(text.encode())


def test_text_escaped_as_ascii_counts_as_the_text_it_is() -> None:
    asked = {"model": OLD, "messages": [{"role": "user", "content": "Ça coûte combien, à peu près? 你好" * 20}]}
    asked["tools"] = [{"name": "prix", "description": "Coût détaillé", "input_schema": {"type": "object"}}]
    found = []
    for is_ascii in (True, False):
        body = json.dumps(asked, ensure_ascii=is_ascii, separators=(",", ":")).encode()
        found.append(estimate(read_request(body), OLD, body))
    assert found[0] == found[1]


@pytest.mark.parametrize("text", [base64.b64encode(bytes(range(256)) * 40).decode(), "xqzkvw" * 2_000, "f3a9" * 3_000])
def test_random_letters_are_held_for_at_more_than_half_a_token_each(text: str) -> None:
    assert weigh(text=text).most > 0.55 * len(text)


# -- images and documents ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "size", "expected"),
    [(OLD, (1000, 1000), 1_338), (OLD, (4000, 3000), 1_570), (NEW, (1000, 1000), 1_296), (NEW, (4000, 3000), 4_784)],
)
def test_images_count_by_their_size_and_not_by_their_bytes(model: str, size: tuple[int, int], expected: int) -> None:
    found, bare = weigh(model, [png(*size)]), weigh(model, [])
    assert found.expected - bare.expected == pytest.approx(expected, abs=3)
    assert expected <= found.most - bare.most <= 1.2 * expected + 40


@pytest.mark.parametrize(("model", "most"), [(OLD, 1_600), (NEW, 4_820)])
@pytest.mark.parametrize(
    "source", [{"type": "url", "url": "https://host/a.png"}, {"type": "file", "file_id": "file_1"}]
)
def test_an_image_that_lies_elsewhere_is_held_for_as_the_largest(model: str, most: int, source: dict[str, str]) -> None:
    found = weigh(model, [{"type": "image", "source": source}]).most - weigh(model, []).most
    assert found == pytest.approx(most, abs=2)


def test_images_in_the_results_of_tools_count_too() -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [png(1000, 1000)]}
    assert weigh(text=[result]).expected > 1_300


def test_a_document_counts_by_its_pages() -> None:
    three = b"%PDF-1.4" + b"<< /Type /Page >>" * 3 + b"<< /Type /Pages /Count 3 >>" + b"x" * 100_000
    found = weigh(text=pdf(three))
    assert 6_000 <= found.expected <= 6_100
    assert 14_100 <= found.most <= 14_300


def test_a_document_that_hides_its_pages_counts_by_its_length_and_has_no_more_than_the_api_takes() -> None:
    assert weigh(text=pdf(b"%PDF-1.5 /ObjStm" + b"x" * 40_000)).most > 25 * 4_700
    assert weigh(NEW, pdf(b"%PDF-1.5 /ObjStm" + b"x" * 4_000_000)).most == 1_000_000


@pytest.mark.parametrize(("model", "window"), [("claude-haiku-4-5", 200_000), (NEW, 1_000_000)])
def test_a_document_that_lies_elsewhere_can_fill_the_window(model: str, window: int) -> None:
    source = {"type": "url", "url": "https://host/a.pdf"}
    assert weigh(model, [{"type": "document", "source": source}]).most == window


def test_what_is_longer_than_the_window_is_refused_by_the_api_and_not_held_for() -> None:
    assert weigh("claude-haiku-4-5", "word " * 400_000).most == max(200_000, weigh(text="word " * 400_000).expected)


# -- tools, thinking, schemas ------------------------------------------------------------------------------------

TOOL = {"name": "add_one", "description": "Add one to x.", "input_schema": {"type": "object", "properties": {}}}


def test_tools_bring_their_own_instructions_longer_ones_where_one_is_forced() -> None:
    plain, auto = weigh(), weigh(tools=[TOOL])
    forced = weigh(tools=[TOOL], tool_choice={"type": "any"})
    assert auto.expected - plain.expected == pytest.approx(495 + 30, abs=12)
    assert forced.expected - auto.expected == 578 - 495


def test_a_model_whose_instructions_are_not_known_is_held_for_the_longest() -> None:
    for model in ("claude-opus-5-5", "claude-unheard-of-9"):
        assert weigh(model, tools=[TOOL]).most - weigh(model).most > 804


def test_what_stands_beside_the_messages_counts_where_the_body_is_given() -> None:
    schema = {"type": "object", "properties": {f"field_{at}": {"type": "string"} for at in range(40)}}
    asked = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    assert weigh(**asked).expected > weigh().expected + 500
    assert weigh(thinking={"type": "enabled", "budget_tokens": 1024}).expected == weigh().expected + 29
    assert weigh(output_config={"task_budget": {"type": "tokens", "total": 20_000}}).most > weigh().most + 54


def test_without_the_body_the_most_takes_thinking_for_granted() -> None:
    asked = {"model": OLD, "messages": [{"role": "user", "content": "Hello"}], "tools": [TOOL]}
    body = json.dumps({**asked, "thinking": {"type": "enabled"}, "tool_choice": {"type": "any"}}).encode()
    request = read_request(body)
    assert estimate(request, OLD).most >= estimate(request, OLD, body).most


def test_tools_that_are_loaded_on_demand_are_held_for_but_not_expected() -> None:
    late = {**TOOL, "defer_loading": True, "description": "word " * 1_000}
    found = weigh(tools=[TOOL, late])
    assert found.expected < 700
    assert found.most > 1_000


@pytest.mark.parametrize("kind", ["web_search_20250305", "web_fetch_20260318", "code_execution_20260120"])
def test_tools_that_the_api_runs_are_held_for_as_far_as_was_ever_recorded(kind: str) -> None:
    assert weigh("claude-haiku-4-5", tools=[{"type": kind, "name": kind}]).most >= 600_000


def test_tools_that_code_of_the_api_calls_bring_that_along() -> None:
    assert weigh(tools=[{**TOOL, "allowed_callers": ["code_execution_20260120"]}]).most >= 600_000


@pytest.mark.parametrize(
    ("tool", "least", "greatest"),
    [
        ({"type": "bash_20250124", "name": "bash"}, 774, 1_200),
        ({"type": "text_editor_20250728", "name": "edit"}, 1_270, 1_900),
        ({"type": "computer_20251124", "name": "computer"}, 1_842, 2_800),
        ({"type": "tool_search_tool_bm25_20251119", "name": "search"}, 1_595, 4_000),
        ({"type": "unheard_of_20270101", "name": "new"}, 4_000, 5_000),
    ],
    ids=lambda one: str(one.get("type")) if isinstance(one, dict) else "",
)
def test_the_apis_own_tools_are_held_for_by_what_was_recorded(tool: dict[str, str], least: int, greatest: int) -> None:
    """`least` is what the API counted for the tool and a short question, where that is known."""
    assert least <= weigh(tools=[tool]).most <= greatest


def test_what_the_api_may_sum_up_first_is_held_for_twice() -> None:
    edits = {"edits": [{"type": "compact_20260112"}]}
    assert weigh(context_management=edits).most == pytest.approx(2 * weigh().most, abs=1)


def test_an_answer_with_citations_brings_instructions_for_them() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "Apples are delicious. " * 10}
    plain = weigh(text=[{"type": "document", "source": source}])
    cited = weigh(text=[{"type": "document", "source": source, "citations": {"enabled": True}}])
    assert cited.expected - plain.expected == pytest.approx(550, abs=15)


def test_thoughts_count_where_the_model_reads_them_again() -> None:
    turns = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "", "signature": "x" * 1_000}]},
        {"role": "user", "content": "And now?"},
    ]
    assert weigh(OLD, messages=turns).expected > 250
    assert (
        weigh("claude-haiku-4-5", messages=turns).expected < 50 < 400 < weigh("claude-haiku-4-5", messages=turns).most
    )


# -- whatever may come -------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "content", "source", "data", "input", "role", "name", "thinking", "citations", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON, JSON, JSON, JSON)
def test_nothing_that_is_json_is_too_odd_to_be_weighed(messages: Any, system: Any, tools: Any, config: Any) -> None:
    body = json.dumps({"messages": messages, "system": system, "tools": tools, "output_config": config}).encode()
    found = estimate(read_request(body), OLD, body)
    assert 1 <= found.expected <= found.most


def test_deep_nesting_and_broken_text_are_weighed_by_their_bytes() -> None:
    deep = b'{"messages":[{"role":"user","content":' + b"[" * 5_000 + b"]" * 5_000 + b"}]}"
    lone = b'{"messages":[{"role":"user","content":"\\ud800 and so on"}]}'
    for body in (deep, lone):
        try:
            request = read_request(body)
        except ValueError:
            continue
        assert estimate(request, OLD, body).most >= 1


TEXTS = st.text(
    alphabet=st.sampled_from("aeinorstthuldXYZ  \n\t.,:;(){}[]\"'\\/_-0123456789éßя中日😀"), max_size=400
) | st.sampled_from(["The answer is in the book.", "x" * 300, "A1b2C3" * 40, " " * 90, "\n" * 50, "{}[]" * 60])
ARGUMENTS = st.dictionaries(TEXTS.map(lambda text: text[:20]), TEXTS | st.integers(), max_size=4)
BLOCKS = st.one_of(
    TEXTS.map(lambda text: {"type": "text", "text": text}),
    ARGUMENTS.map(lambda given: {"type": "tool_use", "id": "toolu_1", "name": "add_one", "input": given}),
    TEXTS.map(lambda text: {"type": "tool_result", "tool_use_id": "toolu_1", "content": text}),
    st.tuples(st.integers(1, 5_000), st.integers(1, 5_000)).map(lambda size: png(*size, size=1)),
    st.sampled_from([image("url", url="https://host/a.png"), *pdf(b"%PDF-1.4 /Type /Page " + b"x" * 700_000)]),
    TEXTS.map(lambda text: {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}),
    TEXTS.map(lambda text: {"type": "search_result", "source": "a", "title": text, "content": []}),
)
REQUESTS = st.fixed_dictionaries(
    {
        "messages": st.lists(BLOCKS | TEXTS, min_size=1, max_size=6).map(
            lambda contents: [
                {"role": ("user", "assistant")[at % 2], "content": one if isinstance(one, str) else [one]}
                for at, one in enumerate(contents)
            ]
        ),
    },
    optional={
        "system": TEXTS,
        "tools": st.lists(
            st.fixed_dictionaries({"name": st.just("add_one"), "description": TEXTS, "input_schema": ARGUMENTS})
            | st.just({"type": "bash_20250124", "name": "bash"}),
            max_size=3,
        ),
        "tool_choice": st.sampled_from([{"type": "any"}, {"type": "auto"}]),
        "thinking": st.sampled_from([{"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}]),
        "output_config": ARGUMENTS.map(lambda schema: {"format": {"type": "json_schema", "schema": schema}}),
    },
)


@settings(max_examples=300, deadline=None)
@given(REQUESTS, st.sampled_from([OLD, NEW, "claude-haiku-4-5", "claude-opus-5-5", "claude-sonnet-5"]), st.booleans())
def test_the_most_is_never_below_what_the_simulator_counts(asked: dict[str, Any], model: str, is_ascii: bool) -> None:
    body = json.dumps({"model": model, **asked}, ensure_ascii=is_ascii).encode()
    assert estimate(read_request(body), model, body).most >= count_prompt({"model": model, **asked}, find_model(model))


def test_recorded_prompts_are_held_for_and_nearly_met(recordings: Path) -> None:
    from bench.estimator import figures_of

    figures = figures_of(recordings)
    assert {key: found.below for key, found in figures.items() if found.below} == {}
    weighed = figures["old", "all"]
    assert weighed.count > 1_300
    assert weighed.error(0.5) < 0.03
    assert weighed.error(0.9) < 0.12
    assert weighed.over(0.5) < 1.7
    assert figures["old", "answers"].count > 100
