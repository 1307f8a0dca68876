"""What a layer is, and how layers stack."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from .call import Call
from .reply import Reply

Next = Callable[[Call], Awaitable[Reply]]


class Layer(Protocol):
    """Takes a call, usually hands it onward, and returns the reply: changed, watched or its own.

    A layer may await only its ports, `onward` and the reply (see `drive`). It may await the reply's
    head, but never wraps its body: it attaches a `Tap` or a `Gate`.
    """

    async def __call__(self, call: Call, onward: Next) -> Reply: ...


def stack(layers: Sequence[Layer], end: Next) -> Next:
    """The layers as one function, the first outermost, with `end` innermost."""
    for layer in reversed(layers):
        end = _before(layer, end)
    return end


def _before(layer: Layer, onward: Next) -> Next:
    def step(call: Call) -> Awaitable[Reply]:
        return layer(call, onward)

    return step
