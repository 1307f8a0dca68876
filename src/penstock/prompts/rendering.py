"""From a prompt and values to what the Messages API takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .documents import Span, enclosed, notice, tag_for
from .prompt import Prompt
from .template import SYSTEM, USER, Node, Slot, Text, slots
from .variables import Value, completed, worded


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt with its values: `system` and `messages` are as the Messages API takes them.

    `messages` are `{"role", "content"}` with a string each; there are none where the prompt is instructions alone.
    `untrusted` says where in their contents text from outside stands. `hash` is the prompt's, whatever the values.
    """

    name: str
    version: int
    hash: str
    system: str
    messages: list[dict[str, str]]
    untrusted: list[Span]
    model: str | None = None

    @property
    def tag(self) -> str:
        """What calls made of it are recorded under: name, version, and the beginning of the hash."""
        return f"{self.name}@{self.version}:{self.hash[:12]}"


def render(prompt: Prompt, values: Mapping[str, object]) -> Rendered:
    """Put values in. Untrusted ones become documents: where they are named, else at the end of the last user turn.

    Raises ConfigError, code `bad_variable`, for a value that is missing, unknown or of another type.
    """
    complete = completed(prompt.variables, values, prompt.file)
    documents = {
        name: _documents(name, complete[name]) for name, variable in prompt.variables.items() if variable.is_untrusted
    }
    tag = tag_for(text for kept in documents.values() for text in kept.values())
    named = {slot.name for turn in prompt.turns for slot in slots(turn.nodes)}
    loose = tuple(Slot(name, prompt.file) for name in documents if name not in named and documents[name])
    turns = [(turn.role, turn.nodes) for turn in prompt.turns if turn.role != SYSTEM]
    if loose:
        turns = _with(turns, loose)
    messages: list[dict[str, str]] = []
    spans: list[Span] = []
    for role, nodes in turns:
        content, found = _content(nodes, complete, documents, tag)
        if not content:
            continue  # which the API would refuse: a turn made for documents, of which there are none
        spans += [replace(span, message=len(messages)) for span in found]
        messages.append({"role": role, "content": content})
    system, _ = _content(prompt.turns[0].nodes, complete, documents, tag)
    return Rendered(prompt.name, prompt.version, prompt.hash, system, messages, spans, prompt.model)


def _documents(name: str, value: Value) -> dict[str, str]:
    """The documents of an untrusted variable, by id; of a list, one for each entry."""
    if isinstance(value, list):
        return {f"{name}.{number}": text for number, text in enumerate(value, 1)}
    return {name: str(value)}


def _with(turns: list[tuple[str, tuple[Node, ...]]], loose: tuple[Slot, ...]) -> list[tuple[str, tuple[Node, ...]]]:
    """The turns with documents after all else in the last user turn, which is made where there is none."""
    apart = [node for slot in loose for node in (Text("\n\n"), slot)]
    last = max((at for at, (role, _) in enumerate(turns) if role == USER), default=None)
    if last is None:
        return [*turns, (USER, tuple(apart[1:]))]
    role, nodes = turns[last]
    ended = (*nodes, *apart) if nodes else tuple(apart[1:])
    return [*turns[:last], (role, ended), *turns[last + 1 :]]


def _content(
    nodes: tuple[Node, ...], values: Mapping[str, Value], documents: Mapping[str, dict[str, str]], tag: str
) -> tuple[str, list[Span]]:
    """The text of one turn, and where in it text from outside stands."""
    said = ""
    spans: list[Span] = []
    for node in nodes:
        if isinstance(node, Text):
            said += node.text
        elif isinstance(node, Slot) and node.name in documents:
            blocks = []
            at = len(said)
            for name, text in documents[node.name].items():
                block, start = enclosed(name, text, tag)
                spans.append(Span(name, at + start, at + start + len(text)))
                blocks.append(block)
                at += len(block) + 2
            said += "\n\n".join(blocks)
        elif isinstance(node, Slot):
            said += worded(values[node.name])
    return (f"{said}\n\n{notice(tag)}" if spans else said), spans
