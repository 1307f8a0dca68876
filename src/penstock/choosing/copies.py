"""Copies of calls for another model, whose answers nobody gets: which calls are copied, and what a copy is.

A copy is a call of its own, with a row of its own. It keeps the feature and the prompt of the call it is of, and
nothing that says who asked: no key, user, session or segment, so that nothing of theirs counts it.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from ..call import Call, Caller, Fact, Plan, Policy, Tags, Trail
from ..config.features import FeatureConfig
from ..config.routes import QualityConfig
from ..errors import Refused
from ..ports import Ports
from ..record import Record
from ..recovery.hop import moved
from .chooser import Chosen
from .splits import is_drawn

#: Tools of these kinds only propose: the caller is who acts. Those of all others the API runs.
_PROPOSED = ("custom", "bash_", "text_editor_", "computer_", "memory_")
#: Header fields that belong to the caller, or to the one call.
_LEFT = frozenset(
    {
        b"idempotency-key",
        b"x-stainless-retry-count",
        *(
            b"x-penstock-" + name
            for name in (b"feature", b"user", b"session", b"segment", b"prompt", b"idempotency-key")
        ),
    }
)
_CREDENTIALS = frozenset({b"x-api-key", b"authorization"})


class Drawn(Fact, frozen=True):
    """The call was drawn to be copied, once it has been answered; with what the copy keeps of it."""

    model: str
    feature: str | None = None
    prompt: str | None = None

    def told(self) -> str:
        return f"Drawn to be copied to {self.model}, should it be answered."


class Copied(Fact, frozen=True):
    """A copy of the call was begun beside it."""

    call_id: str
    model: str

    def told(self) -> str:
        return f"Copied to {self.model}, as call {self.call_id}."


class Uncopied(Fact, frozen=True):
    """The call was drawn, and no copy was made."""

    reason: str

    def told(self) -> str:
        return f"Not copied: {self.reason}."


class CopyOf(Fact, frozen=True):
    """The call is a copy of another one, for this model, with what it keeps of that. First on its trail."""

    call_id: str
    model: str
    environment: str
    feature: str | None = None
    prompt: str | None = None

    def mark(self, record: Record) -> None:
        record.arm = f"shadow:{self.model}"
        record.environment, record.feature, record.prompt = self.environment, self.feature, self.prompt

    def told(self) -> str:
        feature = f", for feature {self.feature!r}" if self.feature is not None else ""
        why = f"to see what {self.model} makes of it; nobody got the answer"
        return f"A copy of call {self.call_id} in {self.environment}{feature}, {why}."


class _Tool(msgspec.Struct, frozen=True):
    type: str = "custom"


_TOOLS = msgspec.json.Decoder(list[_Tool])


class Shadow:
    """What a feature wants copied."""

    def __init__(self, feature: FeatureConfig, quality: QualityConfig) -> None:
        own = feature.shadow
        self.model, self.share_percent = quality.model(own.model, own.quality) or "", own.share_percent
        self._takes_server_tools = own.server_tools

    def drawn(self, call: Call) -> Drawn | None:
        """What stands on the trail of a call that is to be copied. The call has its plan."""
        request, plan = call.request, call.plan
        if not self.share_percent or call.endpoint.name != "messages" or request is None or plan is None:
            return None
        if not is_drawn("shadow", call.id, self.share_percent):
            return None
        if call.face == "gateway" and plan.candidates[0].target.key is None:
            return None  # the caller's own key would pay for it
        if not self._takes_server_tools and _has_server_tools(call):
            return None
        return Drawn(self.model, call.tags.feature, call.tags.prompt)


def original(call: Call) -> CopyOf | None:
    """Of which call this is a copy; None where it is none."""
    first = call.trail[0] if call.trail else None
    return first if isinstance(first, CopyOf) else None


def copy_of(call: Call, drawn: Drawn, environment: str, ports: Ports) -> Call:
    """A copy of a call as it came in, still to be begun."""
    left = _LEFT | _CREDENTIALS if call.face == "gateway" else _LEFT
    headers = tuple([field for field in call.headers if field[0] not in left])
    return replace(
        call,
        id=ports.chance.id("call"),
        headers=headers,
        fields=dict(headers),
        began=ports.clock.now(),
        began_at_us=ports.clock.wall_us(),
        trail=Trail([CopyOf(call.id, drawn.model, environment, drawn.feature, drawn.prompt)]),
        tags=Tags(feature=drawn.feature, prompt=drawn.prompt),
        caller=Caller(environment),
        tries_max=1,
    )


def copy_for(call: Call, model: str, plan: Plan) -> Call:
    """A copy as its model takes it: tried once, at one upstream, behind everybody who waits. Raises Refused."""
    request = call.request
    was = request.model if request is not None else None
    try:
        made, changes = moved(call, model)
    except ValueError as reason:
        raise Refused(
            f"{model} cannot take a copy of this call: {reason}.",
            layer="routing",
            code="copy_unfit",
            fix="Nobody waits for it. Where that is most of them, choose another model for the feature's `shadow`.",
            status=400,
            type="invalid_request_error",
        ) from reason
    call.trail.append(Chosen(model, "it is a copy", None if was == model else was, changes))
    return replace(made, plan=Plan(plan.candidates[:1], Policy(lane="background")))


def _has_server_tools(call: Call) -> bool:
    if b'"mcp_servers"' in call.body:
        return True
    assert call.request is not None
    given = bytes(call.request.tools)
    try:
        tools = _TOOLS.decode(given) if given else []
    except msgspec.DecodeError:
        return True  # the API will refuse it
    return any(not tool.type.startswith(_PROPOSED) for tool in tools)
