"""Parameters by model and by API version."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.rules.cases import (
    ASK,
    FABLE_5,
    HAIKU_4_5,
    HAIKU_5_5,
    NEW,
    OPUS_4_7,
    OPUS_4_8,
    OPUS_5,
    OPUS_5_5,
    SONNET_4_5,
    SONNET_4_6,
    SONNET_5_5,
    TOOL,
    USER,
    count_verdict,
    result,
    said,
    text,
    used,
    verdict,
)

ENABLED = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}
CITED = text(citations=[{"type": "page_location", "cited_text": "x", "document_index": 0, "document_title": None,
                         "start_page_number": 1, "end_page_number": 2}])  # fmt: skip
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_the_new_version_has_no_sampling_at_any_value(name: str) -> None:
    assert verdict({name: 1}) == ""
    assert verdict({name: 1}, NEW) == f"{name}: Extra inputs are not permitted"
    assert count_verdict({name: 1}, NEW) == f"{name}: Extra inputs are not permitted"


def test_the_new_version_has_no_documents_from_the_assistant_and_no_citations_from_the_user() -> None:
    theirs = {"messages": [said(DOCUMENT, role="assistant"), USER]}
    assert verdict(theirs) == ""
    assert verdict(theirs, NEW) == "messages.0.content.0: `document` blocks are not permitted in assistant messages"
    cited = "text.citations: Extra inputs are not permitted"
    assert verdict({"messages": [said(CITED)]}) == ""
    assert verdict({"messages": [said(CITED)]}, NEW) == f"messages.0.content.0.{cited}"
    found = {"type": "search_result", "source": "s", "title": "t", "content": [CITED]}
    assert verdict({"messages": [said(found)]}, NEW) == f"messages.0.content.0.search_result.content.0.{cited}"
    loop = [USER, said(used(), role="assistant"), said(result(content=[found]))]
    assert verdict({"messages": loop}, NEW).startswith(
        "messages.2.content.0.tool_result.content.0.search_result.content"
    )


def test_the_new_version_takes_citations_back_from_the_assistant() -> None:
    fetched = {
        "type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_1",
        "content": {"type": "web_fetch_result", "url": "https://example.com", "content": DOCUMENT},
    }  # fmt: skip
    call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_fetch", "input": {}}
    quoted = {**DOCUMENT, "citations": {"enabled": True}}
    talk = [said(text(citations=[]), quoted), said(call, fetched, CITED, role="assistant"), USER]
    assert verdict({"messages": talk}, NEW) == ""


SAMPLING: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 3}, "temperature: range: 0..1"),
    ({"temperature": -5.0}, "temperature: range: 0..1"),
    ({"top_p": 2}, "top_p: range: 0..1"),
    ({"top_k": -1}, "top_k: Input should be greater than or equal to 0"),
    ({"temperature": "hot"}, "temperature: Input should be a valid number"),
    ({"temperature": 1, "top_p": 0.9}, "`temperature` and `top_p` cannot both be specified for this model."),
    ({"model": OPUS_4_7, "temperature": 0.2}, "`temperature` is deprecated for this model."),
    ({"model": OPUS_4_7, "top_k": 5}, "`top_k` is deprecated for this model."),
    ({**ENABLED, "temperature": 0.5}, "`temperature` may only be set to 1 when thinking is enabled."),
    ({**ENABLED, "top_p": 0.5}, "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."),
    ({**ENABLED, "top_k": 5}, "`top_k` must be unset when thinking is enabled."),
]


@pytest.mark.parametrize(("change", "fault"), SAMPLING, ids=[fault[:40] for _, fault in SAMPLING])
def test_sampling_has_its_ranges(change: dict[str, Any], fault: str) -> None:
    assert verdict(change).startswith(fault)


def test_newer_models_take_the_default_temperature_only() -> None:
    assert verdict({"model": OPUS_4_7, "temperature": 1}) == "" == verdict({"model": OPUS_5_5, "temperature": 1.0})


def test_thinking_types_by_model() -> None:
    models = [HAIKU_4_5, SONNET_4_6, OPUS_4_7, OPUS_5, FABLE_5, OPUS_5_5, SONNET_5_5, HAIKU_5_5]
    taken = {
        kind: [
            model
            for model in models
            if verdict({"model": model, "max_tokens": 2000, "thinking": {"type": kind, **more}}) == ""
        ]
        for kind, more in {
            "enabled": {"budget_tokens": 1024}, "adaptive": {}, "disabled": {}, "between_tools": {},
        }.items()
    }  # fmt: skip
    assert taken == {
        "enabled": [HAIKU_4_5, SONNET_4_6],
        "adaptive": models[1:],
        "disabled": [HAIKU_4_5, SONNET_4_6, OPUS_4_7, OPUS_5, SONNET_5_5, HAIKU_5_5],
        "between_tools": [SONNET_5_5],
    }


THINKING: list[tuple[str, dict[str, Any], str]] = [
    (OPUS_4_7, {"type": "enabled", "budget_tokens": 1024}, '"thinking.type.enabled" is not supported for this model.'),
    (HAIKU_4_5, {"type": "adaptive"}, "adaptive thinking is not supported on this model"),
    (OPUS_5_5, {"type": "disabled"}, '"thinking.type.disabled" is not supported for this model. Thinking defaults to'),
    (OPUS_5, {"type": "between_tools"}, '"thinking.type.between_tools" is not supported for this model.'),
    (SONNET_4_6, {"type": "enabled", "budget_tokens": 2000}, "`max_tokens` must be greater than"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "thinking", "fault"), THINKING, ids=[fault[:40] for _, _, fault in THINKING])
def test_thinking_that_a_model_does_not_do_is_named(model: str, thinking: dict[str, Any], fault: str) -> None:
    assert verdict({"model": model, "max_tokens": 2000, "thinking": thinking}).startswith(fault)


def test_interleaved_thinking_may_take_more_than_one_answer() -> None:
    asked = {"thinking": {"type": "enabled", "budget_tokens": 9000}, "tools": [TOOL]}
    assert verdict(asked).startswith("`max_tokens` must be greater")
    assert verdict(asked, betas="interleaved-thinking-2025-05-14") == ""
    assert count_verdict(asked) == ""


def test_effort_levels_by_model() -> None:
    def effort(model: str, level: str, **more: Any) -> str:
        return verdict({"model": model, "output_config": {"effort": level}, **more})

    assert effort(HAIKU_4_5, "low") == effort(SONNET_4_5, "low") == "This model does not support the effort parameter."
    levels = "This model does not support effort level '{}'. Supported levels: {}."
    assert effort("claude-opus-4-5", "max") == levels.format("max", "high, low, medium")
    assert effort(SONNET_4_6, "xhigh") == levels.format("xhigh", "high, low, max, medium")
    assert effort(SONNET_4_6, "max") == effort(OPUS_4_7, "xhigh") == effort(OPUS_5, "xhigh") == ""


def test_the_highest_efforts_need_thinking() -> None:
    off = (
        "output_config.effort 'xhigh' is not supported when thinking is disabled on this model. Use effort 'high' or "
        "below, or enable thinking."
    )
    high, adaptive = {"output_config": {"effort": "xhigh"}}, {"thinking": {"type": "adaptive"}}
    disabled = {"thinking": {"type": "disabled"}}
    assert verdict({"model": OPUS_4_8, **high}) == off == verdict({"model": OPUS_5, **high, **disabled})
    assert verdict({"model": OPUS_4_8, **high, **adaptive}) == "" == verdict({"model": OPUS_5, **high})
    assert verdict({"model": SONNET_5_5, **high, "thinking": {"type": "between_tools"}}) == off
    assert verdict({"model": OPUS_5, "output_config": {"effort": "high"}, **disabled}) == ""


def test_fast_mode_by_model() -> None:
    fast, beta = {"speed": "fast"}, "fast-mode-2026-02-01"
    assert verdict({"model": OPUS_5_5, **fast}) == "" == verdict({"model": "claude-fable-5-2", **fast})
    assert verdict({"model": OPUS_5, **fast}) == "speed: Extra inputs are not permitted"
    assert verdict({"model": OPUS_5, **fast}, betas=beta) == "" == verdict({"model": OPUS_4_8, **fast}, betas=beta)
    assert (
        verdict({"model": OPUS_4_7, **fast}, betas=beta) == "'claude-opus-4-7' does not support the `speed` parameter."
    )
    assert verdict({"model": "claude-opus-4-6", **fast}) == "" == verdict({"model": OPUS_4_7, "speed": "standard"})


def test_regions_are_for_newer_models() -> None:
    assert verdict({"inference_geo": "us"}) == ""
    assert verdict({"inference_geo": "eu"}) == "inference_geo: Input should be 'global' or 'us'"
    fault = "'claude-haiku-4-5-20251001' does not support the `inference_geo` parameter."
    assert verdict({"model": HAIKU_4_5, "inference_geo": "us"}) == fault


def test_the_output_limit_is_the_models() -> None:
    assert verdict({"max_tokens": 128_000}) == ""
    most = "which is the maximum allowed number of output tokens for claude-sonnet-4-6"
    assert verdict({"max_tokens": 128_001}) == f"max_tokens: 128001 > 128000, {most}"
    assert verdict({"model": HAIKU_4_5, "max_tokens": 64_001}).startswith("max_tokens: 64001 > 64000, which is the")
    long = {"max_tokens": 300_000}
    assert verdict(long, betas="output-300k-2026-03-24", is_batch=True) == ""
    assert verdict(long, betas="output-300k-2026-03-24") != "" != verdict(long, is_batch=True)


@pytest.mark.parametrize(
    ("change", "clash"),
    [
        ({"stream": True}, "with streaming"),
        ({"thinking": {"type": "adaptive"}}, "with thinking enabled"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, "with `output_config.format`"),
        ({"tools": [TOOL], "tool_choice": {"type": "any"}}, "when `tool_choice` forces tool use"),
    ],
)
def test_warming_the_cache_goes_with_little_else(change: dict[str, Any], clash: str) -> None:
    assert verdict({"max_tokens": 0}) == ""
    assert verdict({"max_tokens": 0, **change}) == f"max_tokens: 0 is not supported {clash}"
    assert verdict({"max_tokens": 0}, is_batch=True) == "max_tokens: 0 is not supported in batch requests"


def test_lists_have_their_limits() -> None:
    assert verdict({"stop_sequences": ["\n"]}) == "stop_sequences: each stop sequence must contain non-whitespace"
    four = {"fallbacks": [{"model": OPUS_5}] * 4}
    fault = "fallbacks: List should have at most 3 items after validation, not 4"
    assert verdict(four, betas="server-side-fallback-2026-07-01") == fault


def test_compaction_by_model_and_from_fifty_thousand_tokens() -> None:
    def edits(tokens: int) -> dict[str, Any]:
        trigger = {"type": "input_tokens", "value": tokens}
        return {"context_management": {"edits": [{"type": "compact_20260112", "trigger": trigger}]}}

    beta, place = "compact-2026-01-12", "context_management.edits.0.compact_20260112"
    assert verdict(edits(50_000), betas=beta) == ""
    few = f"{place}.trigger.input_tokens.value: Input should be greater than or equal to 50000"
    assert verdict(edits(49_999), betas=beta) == few
    assert verdict({"model": SONNET_4_5, **edits(50_000)}, betas=beta) == f"{place}: not supported for this model"
    other = verdict(edits(50_000), betas="context-management-2025-06-27")
    assert other.startswith(
        "context_management.edits.0: Input tag 'compact_20260112' found using 'type' does not match"
    )


def test_the_shape_is_judged_before_the_model_and_the_model_before_the_rest() -> None:
    assert verdict({"model": "claude-nonesuch", "max_tokens": "x"}) == "max_tokens: Input should be a valid integer"
    assert verdict({"model": "claude-nonesuch", "messages": []}) == "model: claude-nonesuch"
    assert ASK["model"] == SONNET_4_6
