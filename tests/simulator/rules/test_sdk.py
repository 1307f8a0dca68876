"""The shapes agree with the request types of the official SDK: field by field, beta and open ones."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import typing_extensions
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.anthropic_beta_param import AnthropicBetaParam
from anthropic.types.beta import message_count_tokens_params as beta_count
from anthropic.types.beta import message_create_params as beta_create

from penstock.simulator.rules.betas import KNOWN
from penstock.simulator.rules.notation import shapes

#: Sent as headers.
HEADERS = {"betas", "user_profile_id", "workspace_id"}
#: In the shapes, not in the SDK: seen in recordings, or of clients older than it; `scope` is Claude Code's.
OLDER = {"temperature", "top_p", "top_k", "output_format", "scope"}
#: SDK types whose fields are named one by one there, and by their kind here.
BY_KIND = ("ToolsetConfigsParam",)
#: In the SDK's streaming variants only.
STREAMING = {"stream"}
#: Fields of system messages alone, which are one shape with the others here.
SYSTEM_ONLY = {"clear_at", "output_config"}
#: A system message of the beta may leave its content out; here it is then an empty list, as in the API's own words.
REQUIRED_HERE = {"BetaSystemMessageParam.content"}
PLAIN = {"text", "whole", "number", "flag", "object", "any"}


def parts(kind: Any) -> Iterator[Any]:
    """A type without its wrappers, each member of a union by itself; lists as they are."""
    origin = typing_extensions.get_origin(kind)
    if origin in (typing_extensions.Required, typing_extensions.NotRequired, typing.Annotated):
        yield from parts(typing_extensions.get_args(kind)[0])
    elif origin in (typing.Union, types.UnionType):
        for one in typing_extensions.get_args(kind):
            yield from parts(one)
    else:
        yield kind


def hints(kind: Any) -> dict[str, Any]:
    return {name: one for name, one in typing.get_type_hints(kind, include_extras=True).items() if name not in HEADERS}


def is_required(kind: Any) -> bool:
    return typing_extensions.get_origin(kind) is typing_extensions.Required


class Walk:
    """Goes through the SDK's types and the shapes side by side, and notes where they differ."""

    def __init__(self, *, is_beta: bool) -> None:
        self.is_beta = is_beta
        self.file = shapes().file
        self.differences: list[str] = []
        self.seen: set[tuple[Any, str]] = set()

    def record(self, kind: Any, shape: str) -> None:
        if (kind, shape) in self.seen or kind.__name__.endswith(BY_KIND):
            return
        self.seen.add((kind, shape))
        fields = self.file.shapes[shape]
        theirs = hints(kind)
        gated = {name for name, written in fields.items() if " @" in written} - set(theirs)
        ours = set(fields) - {"*"} - OLDER - (STREAMING - set(theirs))
        ours -= (gated if not self.is_beta else set()) | (SYSTEM_ONLY - set(theirs) if shape == "turn" else set())
        wanted = set(theirs) - ({"type"} if "type" not in fields else set())
        if ours != wanted:
            self.differences.append(f"{kind.__name__} and {shape}: {sorted(ours ^ wanted)}")
        for name in sorted(ours & wanted):
            is_here = fields[name].partition(" @")[0].endswith("!")
            if is_required(theirs[name]) != is_here and f"{kind.__name__}.{name}" not in REQUIRED_HERE:
                self.differences.append(f"{kind.__name__}.{name}: required there or here")
            self.field(f"{kind.__name__}.{name}", theirs[name], fields[name])

    def field(self, place: str, kind: Any, written: str) -> None:
        bare = written.partition(" @")[0].removesuffix("!").strip()
        members = list(parts(kind))
        if (types.NoneType in members) != bare.endswith("?"):
            self.differences.append(f"{place}: may be null there or here")
        self.members(place, [one for one in members if one is not types.NoneType], bare.removesuffix("?"))

    def members(self, place: str, members: list[Any], written: str) -> None:
        names = [part.strip() for part in written.split(" | ")]
        records = [one for one in members if typing_extensions.is_typeddict(one)]
        literals = {text for one in members if typing_extensions.get_origin(one) is typing.Literal
                    for text in typing_extensions.get_args(one)}  # fmt: skip
        written_here = " | ".join(self.file.choices.get(name, name) for name in names)
        known = {part.partition("'")[2].partition("'")[0] for part in written_here.split(" | ") if part.startswith("'")}
        if known and not literals <= known:
            self.differences.append(f"{place}: {sorted(literals - known)} are not here")
        for one in members:
            if typing_extensions.get_origin(one) in (list, typing.get_origin(typing.Iterable[int])):
                self.list_of(place, one, names)
        for one in records:
            shape = next((self.shape_of(one, name) for name in names if self.shape_of(one, name)), "")
            if shape:
                self.record(one, shape)
            elif "object" not in names and "any" not in names and not written.startswith("{"):
                self.differences.append(f"{place}: {one.__name__} has no shape here")

    def list_of(self, place: str, kind: Any, names: list[str]) -> None:
        inner = next((name[1:-1] for name in names if name.startswith("[")), None)
        if inner is None:
            self.differences.append(f"{place}: a list there")
            return
        members = [one for one in parts(typing_extensions.get_args(kind)[0]) if not hasattr(one, "model_fields")]
        self.members(f"{place}[]", members, inner)

    def shape_of(self, kind: Any, name: str) -> str:
        if name in PLAIN:
            return ""
        if name in self.file.shapes:
            return name
        if name not in self.file.unions:
            return ""
        tags = {written.partition("@")[0] for written in self.file.unions[name].split()}
        by_tag = {one.partition("=")[0]: one.partition("=")[2] or one for one in tags}
        found = [by_tag.get(tag, "") for one in parts(hints(kind)["type"]) for tag in typing_extensions.get_args(one)]
        if name == "tool" and not any(found):
            return "custom" if kind.__name__ == "ToolParam" or kind.__name__ == "BetaToolParam" else ""
        return next(filter(None, found), "")


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (beta_create.MessageCreateParamsBase, "message"),
        (message_create_params.MessageCreateParamsBase, "message"),
        (beta_count.MessageCountTokensParams, "count"),
        (message_count_tokens_params.MessageCountTokensParams, "count"),
    ],
    ids=["beta message", "message", "beta count", "count"],
)
def test_shapes_are_those_of_the_sdk(kind: Any, shape: str) -> None:
    walk = Walk(is_beta=".beta." in kind.__module__)
    walk.record(kind, shape)
    assert len(walk.seen) > 60
    for difference in walk.differences:
        print(difference)
    assert not walk.differences


def test_every_beta_of_the_sdk_is_known() -> None:
    named = {name for one in parts(AnthropicBetaParam) for name in typing_extensions.get_args(one)}
    assert len(named) > 50 and named <= KNOWN
