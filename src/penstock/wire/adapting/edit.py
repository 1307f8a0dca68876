"""One request on its way to another model: what the rules look at and change."""

from __future__ import annotations

from typing import Any

import msgspec

from ..models import Model, shipped
from .splice import Spliced

THOUGHTS = ("thinking", "redacted_thinking")


class Unadaptable(ValueError):
    """The request cannot go there. The message says why, as the end of a sentence."""


class Edit:
    """A body and its betas. Values are looked at with `value` and its kin, changed with `put`, `drop` and `set`.

    `target` and `source` are None where the models are not known. `changes` says what was done, in a few words each.
    """

    def __init__(
        self, body: bytes, betas: bytes, version: str, *, to_model: str, from_model: str, is_same_account: bool
    ) -> None:
        self.fields = Spliced(body)
        if not self.fields.is_object:
            raise ValueError("the body is no object")
        self.betas = tuple(name for part in betas.decode("latin-1").split(",") if (name := part.strip()))
        self.version = version
        self.to_model, self.is_same_account = to_model, is_same_account
        self.target, self.source = shipped().find(to_model), shipped().find(from_model)
        self.is_same_model = from_model == to_model or (self.target is not None and self.target is self.source)
        self.changes: list[str] = []
        self._seen: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        """A field, decoded; None where it is absent."""
        if name not in self._seen:
            self._seen[name] = msgspec.json.decode(self.fields[name]) if name in self.fields else None
        return self._seen[name]

    def table(self, name: str) -> dict[str, Any]:
        value = self.value(name)
        return value if isinstance(value, dict) else {}

    def turns(self) -> list[dict[str, Any]]:
        return tables(self.value("messages"))

    def blocks(self) -> list[dict[str, Any]]:
        """All content blocks of the messages, those of tool results too."""
        found: list[dict[str, Any]] = []
        left = [turn.get("content") for turn in self.turns()]
        while left:
            for block in tables(left.pop()):
                found.append(block)
                left.append(block.get("content"))
        return found

    @property
    def forces_tools(self) -> bool:
        return self.table("tool_choice").get("type") in ("any", "tool")

    def thinks(self, target: Model) -> bool:
        """Whether the target would think before it answers, going by the request as it is now."""
        kind = self.table("thinking").get("type")
        return target.capabilities.thinks_unasked if kind is None else kind not in ("disabled", "between_tools")

    def put(self, name: str, value: bytes, change: str = "") -> None:
        self._seen.pop(name, None)
        self.fields.put(name, value)
        self._note(change)

    def drop(self, name: str, change: str = "") -> None:
        self._seen.pop(name, None)
        self.fields.drop(name)
        self._note(change or f"{name}: left out")

    def set(self, name: str, change: str = "", **members: Any) -> None:
        """Change single members of a field that is an object: None leaves one out, and the field once it is empty.

        A value that is `msgspec.Raw` keeps its bytes.
        """
        inner = Spliced(self.fields[name] if name in self.fields and self.value(name) is not None else b"{}")
        for member, value in members.items():
            if value is not None:
                inner.put(member, msgspec.json.encode(value))
            elif member in inner:
                inner.drop(member)
        if inner:
            self.put(name, inner.text, change)
        else:
            self.drop(name, change)

    def _note(self, change: str) -> None:
        if change:
            self.changes.append(change)


def tables(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
