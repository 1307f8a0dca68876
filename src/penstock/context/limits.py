"""The limits of one call: those of its feature, and what its model's window leaves."""

from __future__ import annotations

from ..config.context import ContextConfig
from ..wire.messages import Request
from ..wire.models import shipped
from .choosing import Limits
from .summaries import ROOM_TOKENS

#: What a body has at most in tokens beside one for each byte: frames, and the API's own words on tools.
_FRAME_TOKENS, _TOOLS_TOKENS = 1_000, 20_000


def limits_of(config: ContextConfig, request: Request, model: str, factor: float, *, binds: bool) -> Limits:
    """The feature's limits, and what the model's window leaves beside the answer. Tokens become weights."""
    known = shipped().find(model)
    window = None if known is None else max(1, known.context_tokens - (request.max_tokens or 0))
    tokens = min((most for most in (config.tokens, window) if most is not None), default=None)
    has_summary = config.beyond == "summarise" and tokens is not None and tokens >= 2 * ROOM_TOKENS
    return Limits(
        turns=config.turns,
        tokens=None if tokens is None else int(tokens / factor),
        window=None if window is None else int(window / factor),
        attachments=config.attachments_max,
        keep_first=config.keep_first,
        step=config.step_percent / 100,
        room=ROOM_TOKENS if has_summary else 0,
        cuts_within=not binds,
    )


def is_small(request: Request, body_bytes: int, limits: Limits) -> bool:
    """Whether a call is within all limits by its bytes alone, of which a token has at least one."""
    most = body_bytes + _FRAME_TOKENS + (_TOOLS_TOKENS if request.tools else 0)
    if limits.tokens is not None and most > limits.tokens - limits.room:
        return False
    messages = bytes(request.messages)
    if limits.turns is not None and messages.count(b'"user"') > limits.turns:
        return False
    attachments = messages.count(b'"image"') + messages.count(b'"document"')
    if limits.attachments is not None and attachments > limits.attachments:
        return False
    return limits.tokens is None or not attachments
