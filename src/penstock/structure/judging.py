"""What became of an answer: why it ended comes first, and only one that ended by itself is read."""

from __future__ import annotations

from collections import Counter

import msgspec

from ..call import Call, Fact
from ..form import Flaw, Form
from ..record import Record
from .said import Said, read

#: By stop reason. Text that was cut off may be JSON by chance, and is no answer.
OUTCOMES = {
    "max_tokens": "truncated",
    "refusal": "refused",
    "pause_turn": "paused",
    "model_context_window_exceeded": "overflowed",
}
_ENDED = ("end_turn", "stop_sequence")


class Judged(Fact, frozen=True):
    """What became of the form that was wanted: see `Record.outcome`.

    `flaws` is how often which rule of the form was broken by the answer passed on; `repairs`, how often another was
    asked for; `unrepaired`, why no further one was, or what became of it.
    """

    outcome: str
    repairs: int = 0
    flaws: dict[str, int] = msgspec.field(default_factory=dict)
    unrepaired: str | None = None

    def mark(self, record: Record) -> None:
        record.outcome = self.outcome

    def told(self) -> str:
        broken = ", ".join(f"{rule} ({count})" for rule, count in self.flaws.items())
        asked = (
            ""
            if not self.repairs
            else ", asked again once"
            if self.repairs == 1
            else f", asked {self.repairs} times more"
        )
        why = f"; not mended: {self.unrepaired}" if self.unrepaired else ""
        return f"The answer was {self.outcome}{f': {broken}' if broken else ''}{asked}{why}."


class Verdict(msgspec.Struct, frozen=True):
    """`outcome` is None where the answer is none yet, or ended in a way not known; `said` is None for one not read."""

    outcome: str | None
    flaws: tuple[Flaw, ...] = ()
    said: Said | None = None

    def counted(self) -> dict[str, int]:
        """How often each rule is broken. Values are not kept: they are the answer's."""
        return dict(Counter(flaw.rule for flaw in self.flaws))


def judged(form: Form, stop_reason: str | None, body: bytes, *, is_stream: bool) -> Verdict:
    """The verdict on a whole answer."""
    if stop_reason not in _ENDED:
        return Verdict(OUTCOMES.get(stop_reason or ""))
    try:
        said = read(body, is_stream=is_stream)
    except (ValueError, IndexError, RecursionError) as fault:  # msgspec's errors are ValueErrors
        return Verdict("invalid", (Flaw("$", "content", f"the answer cannot be read: {fault}"),))
    flaws = form.flaws(said.text)
    return Verdict("invalid" if flaws else "valid", flaws, said)


def note(call: Call, verdict: Verdict, *, repairs: int = 0, unrepaired: str | None = None) -> str | None:
    """Put the verdict on the call's trail. The outcome."""
    outcome = "repaired" if repairs and verdict.outcome == "valid" else verdict.outcome
    if outcome is not None:
        call.trail.append(Judged(outcome, repairs, verdict.counted(), unrepaired))
    return outcome
