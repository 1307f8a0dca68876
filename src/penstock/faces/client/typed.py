"""Answers as objects of the program's own types: pydantic models and msgspec Structs.

The type is the form of the answer. It goes into the core with the call, where the layer `structure` asks for it, judges
by it and has wrong answers mended; here what comes back is made the object, or an error that says why there is none.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

import msgspec

from ...errors import ConfigError, PenstockError
from ...form import Flaw, Wanted, wanting
from ...structure.judging import OUTCOMES
from ...structure.native import format_of
from ...structure.schema import FLAWS_MAX, not_json, path, shortened
from .kit import kit_of
from .middleware import Seat
from .transport import mount_of

if TYPE_CHECKING:
    from anthropic._base_client import AsyncAPIClient, SyncAPIClient

T = TypeVar("T")

#: An answer that pauses for the API's own tools is asked to go on so many times.
PAUSES_MAX = 3

_MSGSPEC_PLACE = re.compile(r" - at `([^`]+)`$")
_WHY = {
    "truncated": ("it was cut off at `max_tokens`", "Raise `max_tokens`."),
    "refused": ("the model declined", "Ask another way, or another model."),
    "paused": ("it paused, time and again, for tools of the API", "Send it on with its content to go on."),
    "overflowed": ("the model's context window is full", "Send less."),
    "invalid": ("it is not of that type", "See `flaws`; raise `repairs`, or make the type simpler."),
}


class Unparsed(PenstockError):
    """The API answered, and the answer is no object of the type that was asked for.

    `outcome` is truncated, refused, paused, overflowed or invalid, or else the stop reason, such as tool_use; `answer`
    is the SDK's message, and `flaws` says what is wrong with an invalid one. It is none of the SDK's exceptions, since
    the API did what it was asked: `except anthropic.APIError` is for what it did not.
    """

    def __init__(self, kind: type, outcome: str, answer: Any, flaws: tuple[Flaw, ...] = ()) -> None:
        why, fix = _WHY.get(outcome, (f"it ended with {outcome!r}", "Do what that wants first; `answer` has it."))
        listed = "".join(f"\n- {flaw}" for flaw in flaws)
        super().__init__(
            f"The answer is no {kind.__qualname__}: {why}.{listed}", layer="structure", code="unparsed", fix=fix
        )
        self.outcome, self.answer, self.flaws = outcome, answer, flaws


@overload
def parsed(client: SyncAPIClient, kind: type[T], /, *, repairs: int = 1, **asked: Any) -> T: ...
@overload
def parsed(client: AsyncAPIClient, kind: type[T], /, *, repairs: int = 1, **asked: Any) -> Awaitable[T]: ...
def parsed(client: Any, kind: type[T], /, *, repairs: int = 1, **asked: Any) -> T | Awaitable[T]:
    """Ask a wrapped client for an answer of a type: `parsed(client, Person, model=..., messages=[...], ...)`.

    `kind` is a pydantic model or a msgspec Struct, `asked` is what `messages.create` takes. Where the model can, the
    API itself is held to the type; a wrong answer is sent back with its errors, `repairs` times at most, as part of the
    same call. With an async client the outcome is to be awaited.

    Raises Unparsed where the answer is no such object, the SDK's own exceptions where there is no answer, TypeError for
    another kind of type or a stream, and ConfigError for a client that is not wrapped.
    """
    form = _typed(kind)
    if asked.get("stream"):
        raise TypeError("an answer can be of a type only as a whole: leave `stream` out")
    kit = kit_of(client)
    seats = getattr(client, "middleware", ())
    if mount_of(client._client) is None and not any(isinstance(getattr(one, "__self__", None), Seat) for one in seats):
        raise ConfigError(
            f"The {type(client).__name__} given to penstock.parsed is not wrapped.",
            code="not_wrapped",
            fix="Pass what penstock.wrap gave back.",
        )
    wanted = Wanted(form, repairs)
    return _on_loop(client, form, wanted, asked) if kit.is_async else _blocking(client, form, wanted, asked)


def _blocking(client: Any, form: _Typed[T], wanted: Wanted, asked: dict[str, Any]) -> T:
    for _ in range(PAUSES_MAX + 1):
        with wanting(wanted):
            message = client.messages.create(**asked)
        if message.stop_reason != "pause_turn":
            break
        asked = _continued(asked, message)
    return form.value(message)


async def _on_loop(client: Any, form: _Typed[T], wanted: Wanted, asked: dict[str, Any]) -> T:
    for _ in range(PAUSES_MAX + 1):
        with wanting(wanted):
            message = await client.messages.create(**asked)
        if message.stop_reason != "pause_turn":
            break
        asked = _continued(asked, message)
    return form.value(message)


def _continued(asked: dict[str, Any], message: Any) -> dict[str, Any]:
    """The same with what it said so far behind it, which is how the API is told to go on."""
    return {**asked, "messages": [*asked["messages"], {"role": "assistant", "content": message.content}]}


class _Typed(Generic[T]):
    """The form that a type describes. Raises TypeError where it is of no kind known here."""

    def __init__(self, kind: type[T]) -> None:
        model: Any = kind
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            described, self._load = msgspec.json.schema(kind), msgspec.json.Decoder(kind).decode
        elif hasattr(model, "model_json_schema") and hasattr(model, "model_validate_json"):
            described, self._load = model.model_json_schema(), model.model_validate_json
        else:
            raise TypeError(f"{kind!r} is neither a pydantic model nor a msgspec Struct")
        self.kind = kind
        self.schema = msgspec.json.encode(described)
        self.format = format_of(described)

    def flaws(self, text: str) -> tuple[Flaw, ...]:
        try:
            self._load(text)
        except (ValueError, RecursionError) as fault:  # pydantic's and msgspec's errors are ValueErrors
            return _flaws(text, fault)
        return ()

    def value(self, message: Any) -> T:
        """The object that a message is. Raises Unparsed."""
        if message.stop_reason not in ("end_turn", "stop_sequence"):
            raise Unparsed(self.kind, OUTCOMES.get(message.stop_reason, str(message.stop_reason)), message)
        texts: list[str] = []
        for block in reversed(message.content):
            if block.type != "text":
                break
            texts.append(block.text)
        text = "".join(reversed(texts))
        try:
            return self._load(text)
        except (ValueError, RecursionError) as fault:
            raise Unparsed(self.kind, "invalid", message, _flaws(text, fault)) from None


@lru_cache(maxsize=256)
def _made(kind: type) -> _Typed[Any]:
    return _Typed(kind)


def _typed(kind: type[T]) -> _Typed[T]:
    """The form of a type, made once."""
    return cast(_Typed[T], _made(cast(Any, kind)))


def _flaws(text: str, fault: Exception) -> tuple[Flaw, ...]:
    """What a type finds wrong with a text, in the words of its library."""
    if isinstance(fault, msgspec.ValidationError):
        place = _MSGSPEC_PLACE.search(str(fault))
        message = _MSGSPEC_PLACE.sub("", str(fault))
        return (Flaw(place[1] if place is not None else "$", "type", shortened(message)),)
    listed: Any = getattr(fault, "errors", None)
    if listed is None:
        return (not_json(text, fault),)
    found = [
        not_json(text, ValueError(one["msg"]))
        if one["type"] == "json_invalid"
        else Flaw(path(one["loc"]), one["type"], shortened(one["msg"]))
        for one in listed()[:FLAWS_MAX]
    ]
    return tuple(found)
