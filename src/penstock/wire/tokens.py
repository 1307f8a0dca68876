"""How many tokens a request has, before it is sent."""

from __future__ import annotations

import msgspec

from .messages import Request
from .models import bytes_per_token


class Estimate(msgspec.Struct, frozen=True):
    """Input tokens of a request: as many as are likely, and as many as there can be."""

    expected: int
    most: int


def estimate(request: Request, model: str) -> Estimate:
    """The input tokens of a request to `model` (id or alias)."""
    size = len(request.system) + len(request.tools) + len(request.messages)
    tools = 700 if bytes(request.tools) else 0
    expected = int(size / bytes_per_token(model)) + tools + 10
    return Estimate(expected, 2 * expected + 100)
