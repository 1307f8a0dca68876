"""What the model is told to say: cues for prompts, in Python or in a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from .faults import Fault, read_fault

Said = str | list[dict[str, Any]]


@dataclass(slots=True)
class Cue:
    """An answer for prompts that contain `when`, or match it as a regular expression with `is_pattern`.

    `say` is the answer as text, `words` its length where the text does not matter, `tool` and `input` a tool call,
    `blocks` any content. It comes `delay_ms` later, with `fault` (NAME or NAME:NUMBER) if one is named, `times` times
    at most, to models whose id begins with `model`. Without any answer the model says what it would have said.
    Raises ValueError where two answers are given, or one that cannot be.
    """

    when: str = ""
    say: str | None = None
    words: int | None = None
    tool: str | None = None
    input: dict[str, Any] | None = None
    blocks: list[dict[str, Any]] | None = None
    delay_ms: float = 0.0
    fault: str | None = None
    times: int | None = None
    model: str = ""
    is_pattern: bool = False

    def __post_init__(self) -> None:
        answers = [name for name in ("say", "words", "tool", "blocks") if getattr(self, name) is not None]
        if len(answers) > 1:
            raise ValueError(f"a cue has one answer, not {' and '.join(answers)}")
        if self.words is not None and self.words < 1:
            raise ValueError(f"words is {self.words}; it must be at least 1")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times is {self.times}; it must be at least 1")
        if self.fault is not None:
            read_fault(self.fault)
        if self.is_pattern:
            try:
                re.compile(self.when)
            except re.error as error:
                raise ValueError(f"when is no regular expression: {error}") from None

    def fits(self, request: dict[str, Any], prompt: str) -> bool:
        if self.times == 0 or not str(request.get("model", "")).startswith(self.model):
            return False
        return re.search(self.when, prompt) is not None if self.is_pattern else self.when in prompt


#: A cue, a pair of (text the prompt contains, answer), or a function of the request that may have no answer.
Line = Cue | tuple[str, Said] | Callable[[dict[str, Any]], Said | None]


@dataclass(frozen=True, slots=True)
class Given:
    """What a line gives: the answer, None for the model's own; its length in words; and how late it comes."""

    said: Said | None = None
    words: int | None = None
    delay_s: float = 0.0


class Script:
    """All lines, in their order: the first that fits a prompt counts."""

    def __init__(self, lines: Sequence[Line] = ()) -> None:
        self._lines = list(lines)
        self._lock = Lock()

    def add(self, line: Line) -> None:
        """Put a line before all others. May be called from any thread."""
        with self._lock:
            self._lines.insert(0, line)

    @property
    def has_faults(self) -> bool:
        return any(isinstance(line, Cue) and line.fault is not None for line in self._lines)

    def fault(self, request: dict[str, Any], prompt: str) -> Fault | None:
        """The fault of the line that fits, which is used up by it where it has no answer besides."""
        for line in list(self._lines):
            if isinstance(line, Cue):
                if line.fits(request, prompt):
                    if line.fault is not None and not _is_said(line.fault):
                        self._use(line)
                    return None if line.fault is None else read_fault(line.fault)
            elif not callable(line) and line[0] in prompt:
                return None
        return None

    def given(self, request: dict[str, Any], prompt: str) -> Given:
        """What the line that fits gives, and an empty one where none does."""
        for line in list(self._lines):
            if isinstance(line, Cue):
                if line.fits(request, prompt):
                    self._use(line)
                    return Given(_answer(line), line.words, line.delay_ms / 1000)
            elif callable(line):
                if (said := line(request)) is not None:
                    return Given(said)
            elif line[0] in prompt:
                return Given(line[1])
        return Given()

    def _use(self, line: Cue) -> None:
        with self._lock:
            if line.times is not None:
                line.times -= 1


def _is_said(fault: str) -> bool:
    """Whether an answer is still made: then that uses the line up."""
    return read_fault(fault).kind.when not in ("answered", "before")


def _answer(cue: Cue) -> Said | None:
    if cue.tool is not None:
        return [{"type": "tool_use", "name": cue.tool, "input": cue.input or {}}]
    return cue.say if cue.say is not None else cue.blocks
