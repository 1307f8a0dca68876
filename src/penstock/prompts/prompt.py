"""One version of a prompt: from the text of its file to what can be rendered, and its hash."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..config.keys import shown as _shown
from ..config.places import places
from ..errors import ConfigError
from .template import SYSTEM, USER, Node, Turn, expanded, parsed_turns, slots, source
from .variables import Variable, declared

_FRONT = re.compile(r"\+\+\+[ \t]*\n(.*?\n)?\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL)
_AT_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_KEYS: dict[str, type] = {
    "name": str,
    "version": int,
    "description": str,
    "model": str,
    "parts": list,
    "variables": dict,
}
_WANTED = {str: "a string", int: "a whole number", list: "a list of strings", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A version that can be rendered: declared, complete, and with nothing untrusted among its instructions.

    `turns` have all parts put in; `parts` are the names of those, inner ones too. `model` is a hint to whoever calls.
    `hash` is of all that decides what renders, 64 hexadecimal digits.
    """

    name: str
    version: int
    file: str
    description: str
    model: str | None
    variables: Mapping[str, Variable]
    turns: tuple[Turn, ...]
    parts: tuple[str, ...]
    hash: str


def parsed(
    text: str, name: str, version: int, file: str, parts: Mapping[str, tuple[Node, ...]]
) -> tuple[Prompt | None, list[ConfigError]]:
    """A prompt from its file's text, and all that is wrong with it: with the first list not empty there is no prompt.

    `parts` are those of the folder, parsed. Unused variables are no fault here; see `unused`.
    """
    try:
        front, body, line = _taken_apart(text, file)
        head = _head(front, name, version, file)
        lines = {path[1:]: f"{file}:{at + 1}" for path, at in places(front).items() if path[:1] == ("variables",)}
        variables = {
            one: declared(one, table, lines.get((one,), file)) for one, table in head.get("variables", {}).items()
        }
        turns, used = [], dict[str, None]()
        for turn in parsed_turns(body, file, line):
            nodes, found = expanded(turn.nodes, parts)
            turns.append(Turn(turn.role, nodes))
            used.update(dict.fromkeys(found))
        if "parts" in head and set(head["parts"]) != set(used):
            fix = f"There are: {', '.join(used) or 'none'}. List those, or leave `parts` out."
            raise _fault("`parts` are not those that are included, inner ones too.", fix, file)
    except ConfigError as fault:
        return None, [fault]
    faults = _faults(turns, variables)
    faults += _empty(turns, variables, file)
    if faults:
        return None, faults
    digest = _digest(turns, variables, head.get("model"))
    described = head.get("description", "")
    prompt = Prompt(name, version, file, described, head.get("model"), variables, tuple(turns), tuple(used), digest)
    return prompt, []


def unused(prompt: Prompt) -> list[Variable]:
    """Trusted variables that no turn uses; untrusted ones that none uses become documents of the last user turn."""
    found = {slot.name for turn in prompt.turns for slot in slots(turn.nodes)}
    return [one for one in prompt.variables.values() if one.name not in found and not one.is_untrusted]


def shown(prompt: Prompt) -> str:
    """What decides what renders, as text, to be compared line by line."""
    lines = [f"model = {json.dumps(prompt.model)}"] if prompt.model else []
    for name, variable in sorted(prompt.variables.items()):
        lines.append(f"{name} = {json.dumps(variable.described, ensure_ascii=False)}")
    for turn in prompt.turns:
        if turn.nodes or turn.role != SYSTEM:
            lines += [f"+++ {turn.role}", source(turn.nodes)]
    return "\n".join(lines) + "\n"


def _taken_apart(text: str, file: str) -> tuple[str, str, int]:
    """The front matter, the template, and the line that the template begins on."""
    found = _FRONT.match(text)
    if found is None:
        fix = "Begin it with TOML between two lines `+++`, which may be empty."
        raise _fault("The file has no front matter.", fix, f"{file}:1")
    return found[1] or "", text[found.end() :], text.count("\n", 0, found.end()) + 1


def _head(front: str, name: str, version: int, file: str) -> dict[str, Any]:
    """The front matter, its keys known and of their types, agreeing with where the file stands."""
    try:
        head = tomllib.loads(front)
    except (ValueError, RecursionError) as error:
        found = _AT_LINE.search(str(error))
        line = int(found[1]) + 1 if found and found[1] else 1
        is_toml = isinstance(error, tomllib.TOMLDecodeError)
        said = (str(error)[: found.start()] if found else str(error)) if is_toml else "A value is too long or too deep"
        raise _fault(f"{said}.", "Correct the TOML there.", f"{file}:{line}") from None
    lines = {path[0]: f"{file}:{at + 1}" for path, at in places(front).items()}
    for key, value in head.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.6)
            fix = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(_KEYS)}."
            raise _fault(f"`{key}` is not a key of a prompt.", fix, lines[key])
        is_strings = key != "parts" or (isinstance(value, list) and all(isinstance(one, str) for one in value))
        if type(value) is not _KEYS[key] or not is_strings:
            fix = f"Give {_WANTED[_KEYS[key]]}."
            raise _fault(f"`{key}` is {_shown(value)}.", fix, lines[key])
    for key, wanted in (("name", name), ("version", version)):
        if head.get(key, wanted) != wanted:
            fix = f"Say {wanted}, leave it out, or move the file."
            raise _fault(f"`{key}` is {head[key]!r}, and the file stands for {wanted!r}.", fix, lines[key])
    return head


def _faults(turns: list[Turn], variables: Mapping[str, Variable]) -> list[ConfigError]:
    """Variables that are not declared, and untrusted ones among what the model is to obey or has said."""
    faults = []
    for turn in turns:
        for slot in slots(turn.nodes):
            variable = variables.get(slot.name)
            if variable is None:
                fix = f'Declare it in the front matter, such as {slot.name} = {{ type = "str" }} under [variables].'
                faults.append(_fault(f"The variable {slot.name} is not declared.", fix, slot.place))
            elif variable.is_untrusted and turn.role != USER:
                where = "the instructions" if turn.role == SYSTEM else "what the assistant has said"
                faults.append(
                    ConfigError(
                        f"The untrusted variable {slot.name} stands in {where}.",
                        code="untrusted_in_instructions",
                        fix="Move it below `+++ user`, or leave it out: it then becomes a document of the user's turn.",
                        place=slot.place,
                    )
                )
    return faults


def _empty(turns: list[Turn], variables: Mapping[str, Variable], file: str) -> list[ConfigError]:
    """A prompt of nothing, and turns without words: only where untrusted variables will be put is there to be none."""
    if not any(turn.nodes for turn in turns):
        return [_fault("The prompt is empty.", "Write the template below the front matter.", file)]
    last = max((at for at, turn in enumerate(turns) if turn.role == USER), default=None)
    is_filled = any(variable.is_untrusted for variable in variables.values())
    for at, turn in enumerate(turns):
        if not turn.nodes and turn.role != SYSTEM and not (at == last and is_filled):
            return [_fault(f"Turn {at}, the {turn.role}'s, is empty.", "Write it, or take it out.", file)]
    return []


def _digest(turns: list[Turn], variables: Mapping[str, Variable], model: str | None) -> str:
    told = {
        "model": model,
        "variables": {name: variable.described for name, variable in variables.items()},
        "turns": [[turn.role, source(turn.nodes)] for turn in turns],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _fault(message: str, fix: str, place: str) -> ConfigError:
    return ConfigError(message, code="bad_prompt", fix=fix, place=place)
