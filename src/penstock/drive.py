"""Runs the core without an event loop.

The core is `async def`, but under the blocking ports every await it makes answers at once: the
coroutine runs to its end in a single step, in the caller's own thread, with the caller's own context variables,
tracebacks and Ctrl-C. If something suspends all the same, a layer awaited what it may not.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` to its end and return its result.

    Raises whatever it raises, and RuntimeError if it suspends instead of ending.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a layer suspended under the blocking driver: it may await only ports, `onward` and the reply")
