"""What one model takes, another takes too once it is adapted. The oracle: the simulator's rules and bindings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from penstock.simulator.accounts import Caller
from penstock.simulator.binding import Bindings
from penstock.simulator.catalogue import Model, find_model, served_models
from penstock.simulator.problems import Problem
from penstock.simulator.rules import check_message
from penstock.wire.adapting import Unadaptable, adapted

MODELS = [model.id for model in served_models()]
OLD, NEW = "2023-06-01", "2026-10-21"
OURS, THEIRS = Caller("key_1", "org_ours", None), Caller("key_2", "org_theirs", None)
BINDINGS = Bindings("adapting")
#: In bytes as no encoder writes them, so that a field that was decoded and encoded again shows.
ODD = b'{ "a" : 1.0e2,"\\u0062":[ ] ,"c":12345678901234567890 }'
MARK = "to be replaced by what is odd"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"x": {"type": "string"}}}}
SEARCHED = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
COMPUTERS = {"computer_20250124": "computer-use-2025-01-24", "computer_20251124": "computer-use-2025-11-24"}
THOUGHTS = ("thinking", "redacted_thinking")
Body = dict[str, Any]

sometimes = st.sampled_from([False, False, True])
seldom = st.sampled_from([False] * 9 + [True])


def a_thought(draw: st.DrawFn) -> Body:
    if draw(seldom):
        return {"type": "redacted_thinking", "data": "b3BhcXVl"}
    return {"type": "thinking", "thinking": draw(st.sampled_from(["", "Hm."])), "signature": ""}


def a_conversation(draw: st.DrawFn, model: Model) -> list[Body]:
    said: list[Body] = [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]
    said += [IMAGE] * draw(st.sampled_from([0] * 12 + [1, 101]))
    turns: list[Body] = [{"role": "user", "content": said}]
    thinks = draw(st.booleans())
    for number in range(draw(st.integers(0, 3))):
        content: list[Body] = [a_thought(draw)] if thinks and draw(st.sampled_from([True, True, False])) else []
        answer: list[Body] = [{"type": "text", "text": "Go on.", "x-new": MARK}]
        if draw(st.booleans()):
            ids = [f"toolu_{number}_{place}" for place in range(draw(st.integers(1, 2)))]
            content += [{"type": "tool_use", "id": id, "name": "look", "input": {"x": MARK}} for id in ids]
            answer = [{"type": "tool_result", "tool_use_id": id, "content": "2"} for id in ids]
        elif not content or not draw(seldom):  # else it is a turn of thinking alone
            content.append({"type": "text", "text": "Well.", "x-new": MARK})
        turns += [{"role": "assistant", "content": content}, {"role": "user", "content": answer}]
        if model.hears_system_turns and draw(seldom):
            turns.append({"role": "system", "content": "Be brief."})
    if draw(seldom):
        turns.append({"role": "assistant", "content": [SEARCHED]})
    elif model.may_be_prefilled and draw(sometimes):
        turns.append({"role": "assistant", "content": "It is"})
    return turns


def parameters(draw: st.DrawFn, model: Model) -> Body:
    body: Body = {"max_tokens": draw(st.sampled_from([0, 200, 1500, 20_000, 64_000, 128_000]))}
    kinds = [kind for kind, is_taken in model.thinking_types.items() if is_taken]
    if kind := draw(st.sampled_from([None, *kinds])):
        body["thinking"] = {"type": kind}
        if kind == "enabled":
            body["thinking"]["budget_tokens"] = draw(st.sampled_from([1024, 9000, 30_000, 100_000]))
        if kind in ("enabled", "adaptive") and draw(sometimes):
            body["thinking"]["display"] = "omitted"
    config: Body = {}
    if draw(st.booleans()) and model.efforts:
        config["effort"] = draw(st.sampled_from(model.efforts))
    if draw(seldom):
        config["format"] = {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}
    if config:
        body["output_config"] = config
    sampling: list[Body] = [{"temperature": 1}, {"temperature": 0.2}, {"top_p": 0.97}, {"top_k": 5}]
    if draw(sometimes):
        body |= draw(st.sampled_from(sampling if model.takes_sampling else sampling[:1]))
    if draw(sometimes):
        body["speed"] = draw(st.sampled_from(["fast", "standard"] if model.facts.may_be_fast else ["standard"]))
    if model.facts.has_geo and draw(seldom):
        body["inference_geo"] = "us"
    return body


def tools(draw: st.DrawFn, model: Model) -> Body:
    named: list[Body] = [TOOL]
    computers = [kind for kind in COMPUTERS if model.takes_tool(kind)]
    if draw(seldom) and computers:
        size = {"display_width_px": 1024, "display_height_px": 768}
        named.append({"type": draw(st.sampled_from(computers)), "name": "computer", **size})
    body: Body = {"tools": named}
    if draw(sometimes):
        kinds = ["auto", "none", *(["any", "tool"] if model.may_force_tools else [])]
        kind = draw(st.sampled_from(kinds))
        body["tool_choice"] = {"type": kind, "name": "look"} if kind == "tool" else {"type": kind}
    return body


@st.composite
def requests(draw: st.DrawFn, model: Model) -> tuple[Body, str]:
    """A body that the model takes most of the time, and its betas."""
    body: Body = {"x-new": MARK, "model": model.id, **parameters(draw, model)}
    betas = ["x-new-2027-01-01"]
    if draw(st.booleans()):
        body |= tools(draw, model)
        betas += [COMPUTERS[tool["type"]] for tool in body["tools"] if "type" in tool]
    for name in ("context-1m-2025-08-07", "interleaved-thinking-2025-05-14", "fast-mode-2026-02-01"):
        if draw(sometimes):
            betas.append(name)
    if draw(seldom):
        betas.append("server-side-fallback-2026-07-01")
        body["fallbacks"] = [{"model": name} for name in draw(st.lists(st.sampled_from(MODELS), max_size=3))]
    if "thinking" in body and draw(seldom):
        betas.append("context-management-2025-06-27")
        edits = [{"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}]
        body["context_management"] = {"edits": edits[: draw(st.integers(1, 2))]}
    body["messages"] = a_conversation(draw, model)
    signed(body, model)
    return body, ",".join(betas)


def signed(body: Body, model: Model) -> None:
    """Give all thinking the signatures of its model and account."""
    for at, turn in enumerate(body["messages"]):
        if turn["role"] == "assistant" and isinstance(turn["content"], list):
            BINDINGS.sign({**body, "messages": body["messages"][:at]}, turn["content"], model, OURS)


def fault(body: bytes, version: str, betas: str, caller: Caller = OURS) -> str | None:
    """What the API says against it."""
    request = msgspec.json.decode(body)
    try:
        BINDINGS.checked(request, check_message(request, version, betas), caller, betas)
    except Problem as problem:
        return problem.message
    return None


def fields(body: bytes) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}


def kept_blocks(messages: bytes) -> list[bytes]:
    """The bytes of everything said but thinking, turn by turn."""
    found = []
    for turn in msgspec.json.decode(messages, type=list[dict[str, msgspec.Raw]]):
        if not bytes(turn["content"]).startswith(b"["):
            found.append(bytes(turn["content"]))
            continue
        blocks = msgspec.json.decode(turn["content"], type=list[msgspec.Raw])
        found += [bytes(one) for one in blocks if msgspec.json.decode(one)["type"] not in THOUGHTS]
    return found


#: Why a request may stay, and whether that is so.
REASONS: dict[str, Callable[[Body], bool]] = {
    "cannot be made to use a tool": lambda body: body.get("tool_choice", {}).get("type") in ("any", "tool"),
    "go on with a beginning": lambda body: body["messages"][-1]["role"] == "assistant",
    "kept to a region": lambda body: "inference_geo" in body,
    "turns of the system": lambda body: any(turn["role"] == "system" for turn in body["messages"]),
    "does not have the tool": lambda body: any("type" in tool for tool in body["tools"]),
    "101 images are more": lambda body: body["messages"][0]["content"].count(IMAGE) == 101,
}


@settings(deadline=None, max_examples=1500, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(MODELS), st.sampled_from(MODELS), st.sampled_from([True, True, False]), st.booleans())
def test_what_one_model_takes_another_takes_too_once_adapted(
    data: st.DataObject, source: str, target: str, is_same: bool, is_new: bool
) -> None:
    body, betas = data.draw(requests(find_model(source)))
    version = NEW if is_new else OLD
    raw = json.dumps(body, indent=data.draw(st.sampled_from([None, 1]))).encode().replace(b'"%b"' % MARK.encode(), ODD)
    assume(fault(raw, version, betas) is None)
    hop: Body = {"to_model": target, "from_model": source, "is_same_account": is_same}
    try:
        made = adapted(raw, betas.encode(), version, **hop)
    except Unadaptable as reason:
        assert next(holds for words, holds in REASONS.items() if words in str(reason))(body)
        assert fault(json.dumps({**body, "model": target}).encode(), version, betas) is not None
        return
    left = betas if made.beta is None else ",".join(made.beta)
    assert fault(made.body, version, left, OURS if is_same else THEIRS) is None, made
    if source == target and is_same:
        assert made.body is raw and made.changes == () and made.beta is None
    again = adapted(made.body, left.encode(), version, **hop)
    assert again.body is made.body and again.beta is None and again.changes == ()
    check_minimal(raw, made.body, made.changes)


def check_minimal(before: bytes, after: bytes, changes: tuple[str, ...]) -> None:
    """What no change names is there in the same bytes and order, and so is everything but thinking that was said."""
    was, now = fields(before), fields(after)
    named = {change.partition(":")[0].replace("effort", "output_config") for change in changes} | {"model"}
    assert {name for name in was | now if was.get(name) != now.get(name)} <= named
    assert [name for name in now if name in was] == [name for name in was if name in now]
    assert kept_blocks(was["messages"]) == kept_blocks(now["messages"])
    if not changes:
        assert after == before.replace(b'"model": %b' % was["model"], b'"model": %b' % now["model"], 1)
