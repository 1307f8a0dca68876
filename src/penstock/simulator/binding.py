"""Preserved thinking: a signature binds a thinking block to the prompt before it (`claude-api.md` §2.6).

A signature holds all that is needed to judge it, so nothing is remembered: which model made the block, for whom, the
words shown, and a digest of everything before it. What the sources leave open is decided plainly: a model reads its own
blocks, those of older models of its family, and Fable those of Opus 5 and 5.5; all read Haiku 5.5's.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from .accounts import Caller
from .catalogue import Model, served_models
from .dice import Dice
from .problems import Problem, invalid

#: Models that hold blocks to their prefix; the last for every account, the others for accounts since 2026-08-31.
BOUND = ("claude-fable-5-1", "claude-mythos-5-1", "claude-mythos-5-2", "claude-opus-5-5", "claude-sonnet-5-5")
BOUND_SMALL = "claude-haiku-5-5"
BOUND_FOR_ALL = "claude-fable-5-2"
ACCOUNT_BOUND = ("claude-sonnet-5-5", "claude-haiku-5-5")
CONTROLS_BETA = "thinking-binding-controls-2026-08-01"

_ALTERED = (
    "messages.{at}.content.{place}: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be "
    "modified. These blocks must remain as they were in the original response."
)
_INVALID = "messages.{at}.content.{place}: Invalid `signature` in `thinking` block"
_MOVED = (
    _INVALID + ". The block is bound to a different conversation. Remove the block, or set "
    'thinking.block_binding.prefix_mismatch_behavior to "drop_block".'
)
_FIRST = (
    "messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is "
    "enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` "
    "and `tool_result` blocks). We recommend you include thinking blocks from previous turns."
)
_HEAD_BYTES, _MAC_BYTES = 18, 16


@dataclass(frozen=True, slots=True)
class _Signature:
    """A signature taken apart. `prefix` is the keyed digest of everything before the block."""

    model_id: str
    organization: bytes
    shown: bytes
    prefix: bytes


class Bindings:
    """Signs and judges the thinking blocks of one simulator."""

    def __init__(self, seed: object) -> None:
        self._seed = seed
        self._key = blake2b(f"thinking {seed}".encode(), digest_size=32).digest()
        self._models = [model.id for model in served_models()]

    def sign(self, request: dict[str, Any], blocks: list[dict[str, Any]], model: Model, caller: Caller) -> None:
        """Give the thinking blocks of an answer their signatures, in place."""
        if not any(block["type"] == "thinking" for block in blocks):
            return
        prefix = self._prefix(request)
        for turn in request["messages"]:
            self._extend(prefix, turn)
        self._begin(prefix, "assistant")
        for block in blocks:
            if block["type"] == "thinking":
                block["signature"] = self._made(block["thinking"], prefix.digest(), model, caller)
            self._add(prefix, block)

    def checked(
        self, request: dict[str, Any], model: Model, caller: Caller, betas: str
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The request without the blocks that were dropped on demand, and what was dropped. Raises Problem 400."""
        self._check_first(request)
        if not any(True for _ in _thinking(request)):
            return request, []
        behaviour = _behaviour(request, betas)
        is_held = self._is_held(model, caller) or behaviour is not None
        latest = max((at for at, turn in enumerate(request["messages"]) if turn.get("role") == "assistant"), default=-1)
        prefix, dropped, is_broken = self._prefix(request), [], False
        kept: list[dict[str, Any]] = []
        for at, turn in enumerate(request["messages"]):
            content = turn["content"]
            if turn.get("role") != "assistant" or not isinstance(content, list):
                self._extend(prefix, turn)
                kept.append(turn)
                continue
            self._begin(prefix, "assistant")
            left = []
            for place, block in enumerate(content):
                if block.get("type") == "thinking":
                    fault = self._fault(block, prefix.digest(), model, caller, at == latest, is_held)
                    is_broken = is_broken or fault is _MOVED
                    if is_broken and behaviour == "drop_block":
                        dropped.append({"type": "thinking_dropped", "message_index": at, "content_index": place})
                        self._add(prefix, block)
                        continue
                    if fault is not None:
                        raise invalid(fault.format(at=at, place=place))
                self._add(prefix, block)
                left.append(block)
            kept.append({**turn, "content": left})
        return ({**request, "messages": kept} if dropped else request), dropped

    def _fault(
        self, block: dict[str, Any], prefix: bytes, model: Model, caller: Caller, is_latest: bool, is_held: bool
    ) -> str | None:
        """What is wrong with a block where it stands; None for nothing, and for one the model cannot read."""
        signature = self._read(str(block.get("signature", "")))
        if signature is None:
            return _INVALID
        if not _reads(model, signature.model_id):
            return None
        if signature.shown != self._digest(str(block.get("thinking", "")).encode())[:8]:
            return _ALTERED if is_latest else _INVALID
        is_foreign = signature.organization != self._digest(caller.organization_id.encode())[:8]
        if is_foreign and signature.model_id in ACCOUNT_BOUND:
            return _MOVED
        if is_held and signature.prefix != self._digest(prefix):
            return _MOVED
        return None

    def _is_held(self, model: Model, caller: Caller) -> bool:
        if model.id == BOUND_FOR_ALL:
            return True
        return caller.is_bound and (model.id in BOUND or model.id == BOUND_SMALL)

    def _check_first(self, request: dict[str, Any]) -> None:
        """With thinking enabled, a tool loop must bring the thinking back that led to the call."""
        thinking, turns = request.get("thinking"), request["messages"]
        if not isinstance(thinking, dict) or thinking.get("type") != "enabled" or len(turns) < 2:
            return
        content, results = turns[-2].get("content"), turns[-1].get("content")
        if turns[-2].get("role") != "assistant" or not isinstance(content, list) or not isinstance(results, list):
            return
        answers = any(isinstance(block, dict) and block.get("type") == "tool_result" for block in results)
        if answers and content and content[0].get("type") not in ("thinking", "redacted_thinking"):
            raise invalid(_FIRST.format(at=len(turns) - 2, found=content[0].get("type")))

    # Signatures

    def _made(self, shown: str, prefix: bytes, model: Model, caller: Caller) -> str:
        """Recorded ones have 576 characters in the middle, and up to some 3,300."""
        filler = Dice(self._seed, prefix, shown).random
        body = bytes([1, self._models.index(model.id)]) + self._digest(caller.organization_id.encode())[:8]
        body += self._digest(shown.encode())[:8] + self._digest(prefix)
        more = filler.randrange(600) if filler.random() < 0.1 else 0
        body += filler.randbytes(3 * (100 + filler.randrange(60) + more))
        body += bytes(-(len(body) + _MAC_BYTES) % 3)
        return base64.b64encode(body + self._digest(body)).decode()

    def _read(self, text: str) -> _Signature | None:
        try:
            whole = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None
        body, mac = whole[:-_MAC_BYTES], whole[-_MAC_BYTES:]
        if len(body) < _HEAD_BYTES + 16 or body[0] != 1 or body[1] >= len(self._models) or self._digest(body) != mac:
            return None
        return _Signature(self._models[body[1]], body[2:10], body[10:18], body[18:34])

    def _digest(self, data: bytes) -> bytes:
        return blake2b(data, key=self._key, digest_size=16).digest()

    # The prefix: tools, system and turns, without cache marks

    def _prefix(self, request: dict[str, Any]) -> Any:
        prefix = blake2b(digest_size=16)
        for tool in request.get("tools") or []:
            self._add(prefix, tool)
        prefix.update(b"\0system")
        for block in _blocks(request.get("system") or []):
            self._add(prefix, block)
        return prefix

    def _extend(self, prefix: Any, turn: dict[str, Any]) -> None:
        self._begin(prefix, str(turn.get("role")))
        for block in _blocks(turn.get("content") or []):
            self._add(prefix, block)

    def _begin(self, prefix: Any, role: str) -> None:
        prefix.update(b"\0turn" + role.encode())

    def _add(self, prefix: Any, block: Any) -> None:
        if isinstance(block, dict):
            block = {name: value for name, value in block.items() if name != "cache_control"}
        prefix.update(b"\0" + msgspec.json.encode(block, order="deterministic"))


def _blocks(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _thinking(request: dict[str, Any]) -> Any:
    for turn in request["messages"]:
        content = turn.get("content")
        for block in content if isinstance(content, list) else []:
            if isinstance(block, dict) and block.get("type") == "thinking":
                yield block


def _behaviour(request: dict[str, Any], betas: str) -> str | None:
    thinking = request.get("thinking")
    binding = thinking.get("block_binding") if isinstance(thinking, dict) else None
    if binding is None:
        return None
    if CONTROLS_BETA not in betas:
        raise invalid("thinking.block_binding: Extra inputs are not permitted")
    behaviour = binding.get("prefix_mismatch_behavior") if isinstance(binding, dict) else None
    if behaviour not in ("error", "drop_block"):
        raise Problem(
            400,
            "invalid_request_error",
            "thinking.block_binding.prefix_mismatch_behavior: Input should be 'error' or 'drop_block'",
        )
    return str(behaviour)


def _reads(model: Model, maker_id: str) -> bool:
    """Whether a model reads the thinking of another; what it cannot read is left out without a word."""
    if maker_id in (model.id, BOUND_SMALL):
        return True
    maker = next(one for one in served_models() if one.id == maker_id)
    if maker.family == model.family:
        return maker.version <= model.version
    return model.family == "fable" and maker.family == "opus" and maker.version >= (5, 0)
