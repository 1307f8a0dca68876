"""A request as the prompt the cache sees: blocks in order, what each costs, and the hash of all up to it.

By `claude-api.md` §8. Each section's hash begins with the parameters that decide how it is read, so that a change of
one misses from there on; that is the invalidation table. Tools: organization, workspace, model. System: speed, web
search, citations. Messages: tool choice, images, thinking, effort, and the answer's schema, where the table is silent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import Any

import msgspec

from .catalogue import Model
from .tokens import block_tokens, frame_tokens, is_forced, tool_tokens

FIVE_MINUTES_S = 300
HOUR_S = 3600
#: Tokens between the last block and the answer: `input_tokens` of recorded prompts cached to their end.
_OPENING = 3.0
_THOUGHTS = ("thinking", "redacted_thinking")
_encode = msgspec.json.encode


class Section(IntEnum):
    """The parts of a prompt, in its order."""

    TOOLS = 0
    SYSTEM = 1
    MESSAGES = 2


@dataclass(slots=True)
class Piece:
    """One block of the prompt. `role` is "tool" for tools, else whose words it is; `tokens` are its own."""

    section: Section
    role: str
    block: dict[str, Any]
    tokens: float


@dataclass(slots=True)
class Place:
    """A block hashed. `own` is the block's hash; `prefix` and `tokens` are of the whole prompt up to and with it.

    `lifetime_s` is that of the breakpoint here, 0 where there is none.
    """

    section: Section
    role: str
    own: bytes
    prefix: bytes
    tokens: int
    lifetime_s: int = 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """All places of a prompt, its input tokens, and what besides the blocks decides how it is read."""

    places: list[Place]
    tokens: int
    model: str
    is_fast: bool
    parameters: bytes


def pieces_of(request: dict[str, Any], model: Model) -> tuple[list[Piece], float]:
    """The blocks of a valid request in prompt order, and the tokens that follow the last.

    Web search stands in the system prompt, as its toggle leaves the tools' cache alone (§8). Tools whose loading is
    deferred are no part of the prompt (SDK, tool_param.py). Turns in a row of the same role are one (§2.1).
    """
    weights = model.weights
    tools = [tool for tool in request.get("tools") or [] if not tool.get("defer_loading")]
    pending = float(weights.tools_auto) if request.get("tools") else 0.0
    pieces: list[Piece] = []
    for section in (Section.TOOLS, Section.SYSTEM):
        for tool in tools:
            if _is_web_search(tool) == (section is Section.SYSTEM):
                pieces.append(Piece(section, "tool", tool, pending + tool_tokens(tool, weights)))
                pending = 0.0
    for block in _blocks(request.get("system")):
        pieces.append(Piece(Section.SYSTEM, "system", block, pending + block_tokens(block, weights)))
        pending = 0.0
    pending += frame_tokens(request, weights) - _OPENING
    if request.get("tools") and is_forced(request.get("tool_choice")):
        pending += weights.tools_forced - weights.tools_auto
    speaker = request["messages"][0]["role"]
    for role, blocks in _turns(request["messages"], forgets=_forgets(model)):
        if role != speaker:
            speaker, pending = role, pending + weights.message
        for block in blocks:
            pieces.append(Piece(Section.MESSAGES, role, block, pending + block_tokens(block, weights)))
            pending = 0.0
    return pieces, pending + _OPENING


def rounded(tokens: float) -> int:
    """Half up, so that a prompt's parts and its whole are rounded alike; the noise of sums decides no tie."""
    return math.floor(round(tokens, 6) + 0.5)


def has_marks(request: dict[str, Any]) -> bool:
    """Whether anything in a request asks for caching."""
    if request.get("cache_control"):
        return True
    parts = [request.get("tools"), request.get("system"), *(turn["content"] for turn in request["messages"])]
    return any(
        isinstance(block, dict) and _lifetime_s(block) for part in parts if isinstance(part, list) for block in part
    )


def laid_out(request: dict[str, Any], model: Model, scope: str) -> Prompt:
    """The prompt of a valid request, every block hashed once. `scope` names the organization and workspace."""
    pieces, rest = pieces_of(request, model)
    is_fast = request.get("speed") == "fast" and model.facts.may_be_fast
    parameters = _parameters(request, model)
    starts = {
        Section.SYSTEM: _encode([is_fast, _cites(pieces)]),
        Section.MESSAGES: parameters + _encode(any(_has_image(piece.block) for piece in pieces)),
    }
    chain, section, tokens = _hash(f"{scope} {model.id}".encode()), Section.TOOLS, 0.0
    places = []
    for piece in pieces:
        while section < piece.section:
            section = Section(section + 1)
            chain = _hash(chain + starts[section])
        own = _hash(_encode(_bare(piece.block)))
        chain = _hash(chain + own + piece.role.encode())
        tokens += piece.tokens
        places.append(Place(section, piece.role, own, chain, rounded(tokens), _lifetime_s(piece.block)))
    if has_marks(request):
        _add_automatic(request, pieces, places)
    return Prompt(places, max(1, rounded(tokens + rest)), model.id, is_fast, parameters)


def _add_automatic(request: dict[str, Any], pieces: list[Piece], places: list[Place]) -> None:
    """The breakpoints nobody set by hand: the top-level one, and 5 minutes on the last result of a server tool.

    An explicit mark on the same block counts; one that contradicts the top-level one was refused before (§2.5).
    """
    both = list(zip(pieces, places, strict=True))
    results = [place for piece, place in both if str(piece.block.get("type")).endswith("_tool_result")]
    if results and not results[-1].lifetime_s:
        results[-1].lifetime_s = FIVE_MINUTES_S
    if lifetime_s := _lifetime_s(request):
        last = next((place for piece, place in reversed(both) if _may_mark(piece.block)), None)
        if last is not None:
            last.lifetime_s = max(last.lifetime_s, lifetime_s)


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def _blocks(content: Any) -> list[dict[str, Any]]:
    """The blocks of a system prompt or of a turn; a bare text is short for one text block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content if isinstance(content, list) else []


def _turns(messages: list[dict[str, Any]], *, forgets: bool) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Roles and blocks of all turns. A model that forgets does not see what it thought before the last user's words."""
    last_words = max((at for at, turn in enumerate(messages) if _has_words(turn)), default=-1) if forgets else -1
    for at, turn in enumerate(messages):
        blocks = _blocks(turn["content"])
        if at < last_words and turn["role"] == "assistant":
            blocks = [block for block in blocks if block.get("type") not in _THOUGHTS]
        yield turn["role"], blocks


def _has_words(turn: dict[str, Any]) -> bool:
    """Whether a user's turn has anything but tool results."""
    return turn["role"] == "user" and any(block.get("type") != "tool_result" for block in _blocks(turn["content"]))


def _forgets(model: Model) -> bool:
    """Old Opus and Sonnet, and all Haiku: their thinking goes once the user says what is no tool result (§8)."""
    oldest = {"opus": (4, 5), "sonnet": (4, 6)}.get(model.family, (0, 0))
    return model.family == "haiku" or model.version < oldest


def _is_web_search(tool: dict[str, Any]) -> bool:
    return str(tool.get("type")).startswith("web_search_")


def _may_mark(block: dict[str, Any]) -> bool:
    return block.get("type") not in _THOUGHTS and block.get("text") != ""


def _lifetime_s(block: dict[str, Any]) -> int:
    """Seconds a mark asks for, 0 without one. A mark inside a tool result is taken for the result's own (?)."""
    if "type" in block and not _may_mark(block):
        return 0
    control = block.get("cache_control")
    if isinstance(control, dict):
        return HOUR_S if control.get("ttl") == "1h" else FIVE_MINUTES_S
    if block.get("type") == "tool_result" and isinstance(block.get("content"), list):
        return max((_lifetime_s(one) for one in block["content"] if _is_plain(one)), default=0)
    return 0


def _is_plain(block: Any) -> bool:
    """Whether a block inside a tool result is one that holds no further results."""
    return isinstance(block, dict) and block.get("type") != "tool_result"


def _bare(block: dict[str, Any], depth: int = 2) -> dict[str, Any]:
    """A block as it is hashed: without marks and nulls, its own fields sorted. What tools are given keeps its order,
    as the model reads it in that order."""
    kept = {name: block[name] for name in sorted(block) if name != "cache_control" and block[name] is not None}
    if depth and isinstance(source := kept.get("source"), dict):
        kept["source"] = _bare(source, depth - 1)
    if depth and isinstance(content := kept.get("content"), list):
        kept["content"] = [_bare(one, depth - 1) if isinstance(one, dict) else one for one in content]
    return kept


def _cites(pieces: list[Piece]) -> bool:
    """Whether any document is to be cited."""
    settings = [piece.block.get("citations") for piece in pieces if piece.section is Section.MESSAGES]
    return any(isinstance(setting, dict) and setting.get("enabled") for setting in settings)


def _has_image(block: dict[str, Any]) -> bool:
    if block.get("type") == "image":
        return True
    content = block.get("content") if block.get("type") == "tool_result" else None
    return isinstance(content, list) and any(isinstance(one, dict) and one.get("type") == "image" for one in content)


def _parameters(request: dict[str, Any], model: Model) -> bytes:
    """The parameters that decide how messages are read; an explicit default is the same as none.

    Which models also lose tools or system with thinking and effort is not said in §8: here they all keep them.
    """
    choice = request.get("tool_choice") or {}
    tool = [choice.get("type") or "auto", choice.get("name"), bool(choice.get("disable_parallel_tool_use"))]
    config = request.get("output_config") or {}
    schema = config.get("format") or request.get("output_format")
    return _encode([tool, _thinking(request, model), config.get("effort") or _usual_effort(model), schema])


def _thinking(request: dict[str, Any], model: Model) -> list[Any]:
    """Type and budget. How thinking is displayed changes no prompt."""
    thinking = request.get("thinking") or {}
    by_itself = model.thinks_always or (model.family == "haiku" and model.version >= (5, 5))
    return [thinking.get("type") or ("adaptive" if by_itself else "disabled"), thinking.get("budget_tokens")]


def _usual_effort(model: Model) -> str:
    """§2.6: medium on Opus 5.5 and Haiku 5.5, high elsewhere."""
    return "medium" if model.family in ("opus", "haiku") and model.version >= (5, 5) else "high"
