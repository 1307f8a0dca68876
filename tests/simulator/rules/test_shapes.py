"""Every field by its type, unknown ones at any depth, and what opens only with a beta."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.simulator.problems import Problem
from penstock.simulator.rules import check_betas
from penstock.simulator.rules.betas import KNOWN, Betas
from penstock.simulator.rules.notation import shapes
from simulator.rules.cases import ASK, MARK, OPUS_4_8, SONNET_4_5, TOOL, USER, count_verdict, said, text, verdict

EXTRA = "Extra inputs are not permitted"
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model: Field required"),
    ({"model": 3}, "model: Input should be a valid string"),
    ({"messages": None}, "messages: Field required"),
    ({"messages": "hi"}, "messages: Input should be a valid list"),
    ({"messages": ["hi"]}, "messages.0: Input does not match the expected shape."),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    ({"messages": [{"content": "x"}]}, "messages.0.role: Field required"),
    ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content: Input should be a valid list"),
    (
        {"messages": [{"role": "robot", "content": "x"}]},
        "messages.0.role: Input should be 'user', 'assistant' or 'system'",
    ),
    ({"messages": [{**USER, "name": "x"}]}, f"messages.0.name: {EXTRA}"),
    ({"messages": [said({"text": "x"})]}, "messages.0.content.0.type: Field required"),
    ({"messages": [said({"type": "text"})]}, "messages.0.content.0.text.text: Field required"),
    ({"messages": [said(text(), text(x=1))]}, f"messages.0.content.1.text.x: {EXTRA}"),
    (
        {"messages": [said({"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": ""}})]},
        "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' "
        "or 'image/webp'",
    ),
    (
        {"messages": [said({"type": "image", "source": {"type": "ftp"}})]},
        "messages.0.content.0.image.source: Input tag 'ftp' found using 'type' does not match any of the expected "
        "tags: 'base64', 'file', 'url'",
    ),
    (
        {"messages": [said({"type": "document", "source": {"type": "ftp"}})]},
        "messages.0.content.0.document.source: Input tag 'ftp' found using 'type' does not match any of the expected "
        "tags: 'base64', 'content', 'file', 'text', 'url'",
    ),
    (
        {"messages": [said({"type": "tool_use", "id": "a b", "name": "t", "input": {}}, role="assistant")]},
        "messages.0.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    (
        {"messages": [said({"type": "tool_use", "id": "a", "name": "t", "input": "{}"}, role="assistant")]},
        "messages.0.content.0.tool_use.input: Input should be a valid dictionary",
    ),
    (
        {"messages": [said({"type": "thinking", "thinking": "", "signature": "", "cache_control": MARK})]},
        f"messages.0.content.0.thinking.cache_control: {EXTRA}",
    ),
    ({"system": 3}, "system: Input should be a valid list"),
    ({"system": [text(cache_control={**MARK, "scope": "global"})]}, f"system.0.cache_control.ephemeral.scope: {EXTRA}"),
    ({"system": [{"type": "image"}]}, "system.0.type: Input should be 'text'"),
    ({"cache_control": {"type": "eternal"}}, "cache_control: Input tag 'eternal' found using 'type' does not match"),
    ({"cache_control": {**MARK, "ttl": "2h"}}, "cache_control.ephemeral.ttl: Input should be '5m' or '1h'"),
    ({"max_tokens": None}, "max_tokens: Field required"),
    ({"max_tokens": "10"}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
    ({"stream": "yes"}, "stream: Input should be a valid boolean"),
    ({"stop_sequences": "x"}, "stop_sequences: Input should be a valid list"),
    ({"stop_sequences": ["x", 3]}, "stop_sequences.1: Input should be a valid string"),
    ({"metadata": {"user_id": "x" * 257}}, "metadata.user_id: String should have at most 256 characters"),
    ({"metadata": {"name": "x"}}, f"metadata.name: {EXTRA}"),
    ({"service_tier": "best"}, "service_tier: Input should be 'auto' or 'standard_only'"),
    ({"speed": "slow"}, "speed: Input should be 'standard' or 'fast'"),
    ({"container": 3}, "container: Input should be a valid string"),
    ({"container": {"id": "c", "size": 3}}, f"container.size: {EXTRA}"),
    ({"diagnostics": {"previous_message_id": 3}}, "diagnostics.previous_message_id: Input should be a valid string"),
    ({"thinking": {"type": "hard"}}, "thinking: Input tag 'hard' found using 'type' does not match any"),
    ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 512}},
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema: Field required"),
    ({"output_config": {"effort": "huge"}}, "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh'"),
    ({"tools": [3]}, "tools.0: Input does not match the expected shape."),
    ({"tools": [{"name": "t"}]}, "tools.0.custom.input_schema: Field required"),
    ({"tools": [{**TOOL, "name": "a b"}]}, "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
    ({"tools": [{**TOOL, "name": "n" * 129}]}, "tools.0.custom.name: String should match pattern"),
    ({"tools": [{**TOOL, "parameters": {}}]}, f"tools.0.custom.parameters: {EXTRA}"),
    ({"tools": [{**TOOL, "input_schema": True}]}, "tools.0.custom.input_schema: Input does not match the"),
    ({"tools": [{**TOOL, "input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
    ({"tools": [{"name": "t", "input_schema": {"type": "string"}}]}, "tools.0.custom.input_schema.type: Input should"),
    ({"tools": [{"type": "function"}]}, "tools.0: Input tag 'function' found using 'type' does not match any"),
    ({"tools": [{"type": "bash_20250124", "name": "sh"}]}, "tools.0.bash_20250124.name: Input should be 'bash'"),
    ({"tool_choice": {"type": "tool"}}, "tool_choice.tool.name: Field required"),
    ({"tool_choice": "auto"}, "tool_choice: Input does not match the expected shape."),
    ({"frobnicate": 1}, f"frobnicate: {EXTRA}"),
    ({"anthropic_version": "2023-06-01"}, f"anthropic_version: {EXTRA}"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "fault"), FAULTS, ids=[fault[:60] for _, fault in FAULTS])
def test_a_fault_is_named_with_its_place(change: dict[str, Any], fault: str) -> None:
    assert verdict(change).startswith(fault)


GOOD: dict[str, dict[str, Any]] = {
    "plain": {},
    "system as blocks": {"system": [text("Be brief.", cache_control={**MARK, "ttl": "1h"})]},
    "images and documents": {
        "messages": [
            said(
                IMAGE,
                {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": ""}, "title": None},
                {"type": "document", "source": {"type": "content", "content": [text(), IMAGE]}},
                {"type": "document", "source": {"type": "file", "file_id": "file_1"}, "citations": {"enabled": True}},
                {"type": "search_result", "source": "s", "title": "t", "content": [text()]},
                {"type": "container_upload", "file_id": "file_1"},
            )
        ]
    },
    "server tools": {
        "tools": [
            {"type": "web_search_20260318", "name": "web_search", "max_uses": None, "response_inclusion": "full"},
            {"type": "web_fetch_20260318", "name": "web_fetch", "use_cache": True, "citations": None},
            {"type": "code_execution_20260521", "name": "code_execution"},
            {"type": "tool_search_tool_bm25", "name": "tool_search_tool_bm25"},
            {"type": "memory_20250818", "name": "memory"},
            {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 10},
            {"type": "browser_toolset_20260801", "configs": {"find": {"enabled": True}}},
            {"type": "computer_toolset_20260801"},
        ]
    },
    "a tool with everything": {
        "tools": [
            {
                **TOOL, "type": "custom", "description": "", "strict": False, "defer_loading": False,
                "allowed_callers": ["direct", "code_execution_20260120"], "eager_input_streaming": None,
                "input_examples": [{}], "cache_control": None,
            }
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    },
    "all the rest": {
        "metadata": {"user_id": None}, "service_tier": "auto", "speed": None, "inference_geo": "us", "container": None,
        "diagnostics": {"previous_message_id": None}, "stop_sequences": ["END"], "stream": False,
        "cache_control": {"type": "ephemeral"}, "output_config": {"effort": "low", "format": None},
        "thinking": {"type": "adaptive", "display": "omitted"},
    },
    "a container with skills": {"container": {"skills": [{"type": "anthropic", "skill_id": "pptx", "version": "1"}]}},
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_every_open_field_is_taken(name: str) -> None:
    assert verdict(GOOD[name]) == ""


def block(kind: str, **more: Any) -> dict[str, Any]:
    return {"messages": [USER, said({"type": kind, **more}, role="assistant"), USER]}


#: A field, its betas, and what is said without any.
GATED: list[tuple[dict[str, Any], str, str]] = [
    ({"context_management": {"edits": []}}, "context-management-2025-06-27", "context_management: "),
    ({"compaction": {"type": "summarize"}}, "compact-2026-09-04", "compaction: "),
    ({"fallbacks": [{"model": SONNET_4_5}]}, "server-side-fallback-2026-07-01", "fallbacks: "),
    ({"fallbacks": "default"}, "server-side-fallback-2026-07-01", "fallbacks: "),
    ({"fallback_credit_token": "x"}, "fallback-credit-2026-07-01", "fallback_credit_token: "),
    ({"billing_policy": {"type": "billing_policy"}}, "user-profiles-billing-2026-10-01", "billing_policy: "),
    ({"mcp_servers": [{"type": "url", "url": "https://x", "name": "m"}]}, "mcp-client-2026-09-15", "mcp_servers: "),
    ({"thread": {"type": "create"}}, "message-threads-2026-08-12", "thread: "),
    ({"output_format": {"type": "json_schema", "schema": {}}}, "structured-outputs-2025-11-13", "output_format: "),
    (
        {"output_config": {"task_budget": {"type": "tokens", "total": 9}}},
        "task-budgets-2026-03-13",
        "output_config.task_budget: ",
    ),
    (
        {"thinking": {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "error"}}},
        "thinking-binding-controls-2026-08-01",
        "thinking.adaptive.block_binding: ",
    ),
    ({"thinking": {"type": "adaptive", "display": "updates"}}, "thinking-display-updates-2026-08-18", "thinking.adap"),
    ({"system": [text(cache_control={**MARK, "scope": "global"})]}, "prompt-caching-scope-2026-01-05", "system.0."),
    (
        {"model": OPUS_4_8, "messages": [USER, {**said(text(), role="system"), "clear_at": "never"}]},
        "mid-conversation-system-clear-at-2026-08-21",
        "messages.1.clear_at: ",
    ),
    (
        {"model": OPUS_4_8, "messages": [USER, {**said(role="system"), "output_config": {"effort": "low"}}]},
        "mid-conversation-output-config-2026-07-01",
        "messages.1.output_config: ",
    ),
    (block("compaction", content="x"), "compact-2026-01-12", "messages.1.content.0: Input tag 'compaction' found"),
    (
        block("mcp_tool_use", id="m", name="n", server_name="s", input={}),
        "mcp-client-2025-11-20",
        "messages.1.content.0: Input tag 'mcp_tool_use' found",
    ),
    (
        block("fallback", **{"from": {"model": "a"}, "to": {"model": "b"}}),
        "server-side-fallback-2026-07-01",
        "messages.1.content.0: Input tag 'fallback' found",
    ),
    ({"tools": [{"type": "mcp_toolset", "mcp_server_name": "m"}]}, "mcp-client-2025-11-20", "tools.0: Input tag"),
    (
        {"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-5"}]},
        "advisor-tool-2026-03-01",
        "tools.0: Input tag 'advisor_20260301' found",
    ),
    (
        {
            "model": SONNET_4_5,
            "tools": [
                {"type": "computer_20250124", "name": "computer", "display_width_px": 9, "display_height_px": 9}
            ],
        },
        "computer-use-2025-01-24",
        "tools.0: Input tag 'computer_20250124' found",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "beta", "fault"), GATED, ids=[f"{fault}{beta}" for _, beta, fault in GATED])
def test_a_beta_field_needs_its_beta_and_no_other(change: dict[str, Any], beta: str, fault: str) -> None:
    closed = {**change}
    if "output_format" in closed:
        closed["output_format"] = {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}
    assert verdict(closed, betas=f"claude-code-20250219, {beta}") == ""
    assert verdict(closed).startswith(fault)
    assert verdict(closed, betas="claude-code-20250219").startswith(fault)
    assert verdict(closed, betas="*") == ""


def test_an_unknown_beta_may_bring_what_nobody_knows_but_opens_no_known_beta() -> None:
    new = "anything-2027-01-01"
    assert verdict({"frobnicate": {"deep": 1}}, betas=new) == ""
    assert verdict({"messages": [said(text(x=1), {"type": "hologram"})]}, betas=new) == ""
    assert verdict({"thinking": {"type": "adaptive", "display": "sung"}}, betas=new) == ""
    assert verdict({"context_management": {"edits": []}}, betas=new) == f"context_management: {EXTRA}"


def test_strict_betas_refuse_unknown_names() -> None:
    check_betas("")
    check_betas("claude-code-20250219,prompt-caching-2024-07-31")
    with pytest.raises(Problem) as caught:
        check_betas("new-2027-01-01, compact-2026-01-12,other")
    assert caught.value.message == (
        "Unexpected value(s) `new-2027-01-01`, `other` for the `anthropic-beta` header. Please consult our "
        "documentation at docs.anthropic.com or try again without the header."
    )


def test_all_betas_that_open_something_are_known() -> None:
    assert {name for names in shapes().file.betas.values() for name in names} <= KNOWN
    assert not Betas(" a-2027-01-01 , ").names - {"a-2027-01-01"}


def test_counting_takes_only_its_own_fields() -> None:
    assert count_verdict({}) == ""
    assert (
        count_verdict({"system": "x", "tools": [TOOL], "thinking": {"type": "adaptive"}, "cache_control": MARK}) == ""
    )
    for name, value in (("max_tokens", 9), ("stream", False), ("metadata", {}), ("stop_sequences", [])):
        assert count_verdict({name: value}) == f"{name}: {EXTRA}"


def test_a_deep_body_is_refused_and_not_fallen_over() -> None:
    deep: Any = {}
    for _ in range(400):
        deep = {"type": "tool_result", "tool_use_id": "x", "content": [deep]}
    assert verdict({"messages": [said(deep)]}).startswith("messages.0.content.0")
    assert ASK["messages"] == [USER]
