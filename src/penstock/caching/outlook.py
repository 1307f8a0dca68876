"""One call's prompt beside what is remembered of earlier ones: where it may be marked, and what that would be worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..wire.prefix import LOOKBACK, Block
from .plan import Point
from .sightings import Habit, Habits, Sighting

#: An entry is not counted on in the last seconds of its life.
_MARGIN_S = 2.0
#: Blocks that prompts are recognised by, besides the last tool and the last block: the first of system and messages.
_SYSTEM_BLOCKS, _MESSAGE_BLOCKS = 16, 32


@dataclass(slots=True)
class Outlook:
    """`known` are the blocks up to which the prompt has been seen, by number.

    `habits` are those of its feature. `least_tokens`: less is not cached. `watched` are the blocks that later prompts
    are recognised by, `origin` is the earlier prompt, as a whole, that this one goes on from.
    """

    blocks: Sequence[Block]
    known: dict[int, Sighting]
    habits: Habits
    least_tokens: float
    now_s: float
    watched: list[int] = field(init=False)
    origin: Sighting | None = field(init=False)

    def __post_init__(self) -> None:
        ends = [at for at, one in self.known.items() if one.ends]
        self.watched = sorted({*_heads(self.blocks), *ends, len(self.blocks) - 1})
        self.origin = self.known[max(ends)] if ends else None

    @property
    def shared(self) -> int | None:
        """The last block up to which the prompt has been seen, of those that it is recognised by."""
        return max((at for at in self.watched if at in self.known), default=None)

    @property
    def tail(self) -> int | None:
        """The last block that may be marked."""
        return self._bearer(len(self.blocks) - 1)

    @property
    def tail_habit(self) -> Habit:
        """That of prompts like this one as a whole."""
        return self.habits.opening if self.origin is None else self.habits.growing

    @property
    def cached(self) -> Point | None:
        """The longest prefix that is believed to be cached."""
        there = [at for at, one in self.known.items() if self._is_cached(one) and self.blocks[at].may_bear]
        return self._point(max(there), 1.0, 1.0, 0.0) if there else None

    def points(self) -> list[Point]:
        """The blocks worth a thought, in the order of the prompt.

        Where prompts part, that is, where fewer were seen that went on as this one does; where tools and system end;
        and the tail.
        """
        found: dict[int, Point] = {}
        for at, parted in [*self._partings(), *self._segment_ends()]:
            bearer = self._bearer(at)
            if bearer is None or bearer in found:
                continue
            sighting = self.known.get(bearer)
            soon, late = (0.0, 0.0) if sighting is None else self._likely(self.habits.steady, sighting)
            found[bearer] = self._point(bearer, soon, late, parted * self.blocks[bearer].upto_tokens)
        tail, origin = self.tail, self.origin
        if tail is not None and tail not in self.known:
            opening = self.habits.opening
            if origin is not None:
                found[tail] = self._point(tail, *self._likely(self.habits.growing, origin), 0.0)
            elif opening.is_known("5m"):
                found[tail] = self._point(tail, *self._likely(opening, Sighting()), 0.0)
        return [found[at] for at in sorted(found) if self.blocks[at].upto_tokens >= self.least_tokens]

    def found_by(self, mark: int) -> int | None:
        """The cached prefix that a lookup from a mark meets first."""
        for at in range(mark, max(-1, mark - LOOKBACK), -1):
            sighting = self.known.get(at)
            if sighting is not None and self._is_cached(sighting):
                return at
        return None

    def _partings(self) -> list[tuple[int, float]]:
        """Blocks after which prompts part, the last one first, and how many of those seen did so there.

        A prompt that ended there has not parted from this one: this one goes on from it.
        """
        partings, further = [], 0
        for at in reversed(self.watched):
            sighting = self.known.get(at)
            if sighting is None or sighting.times <= further:
                continue
            parted = sighting.times - further - sighting.ends
            if parted > 0 or not further:
                partings.append((at, float(max(0, parted))))
            further = sighting.times
        return partings

    def _segment_ends(self) -> list[tuple[int, float]]:
        """Where system and tools end, which is where prompts part if they do: less than once seen."""
        ends = {block.segment: at for at, block in enumerate(self.blocks) if block.segment != "messages"}
        return [(at, 0.5) for at in sorted(ends.values(), reverse=True)]

    def _likely(self, habit: Habit, sighting: Sighting) -> tuple[float, float]:
        """How likely a prefix comes again within 5 minutes and an hour: as good as never where it is not to be written.

        That is where another call is about to write it, as this one would not find it and write it again; and where
        the habit has shown nothing yet and enough has been written on trust.
        """
        is_being_written = sighting.writing_s > self.now_s and not self._is_cached(sighting)
        if is_being_written or not habit.may_bet("5m", self.now_s):
            return 0.0, 0.0
        soon, late = habit.likely(sighting.gaps_at(self.now_s))
        return soon, late if habit.may_bet("1h", self.now_s) else 0.0

    def _is_cached(self, sighting: Sighting) -> bool:
        return sighting.ends_s > self.now_s + _MARGIN_S

    def _bearer(self, at: int) -> int | None:
        """The nearest block from this one back that may be marked."""
        return next((one for one in range(at, -1, -1) if self.blocks[one].may_bear), None)

    def _point(self, at: int, soon: float, late: float, rank: float) -> Point:
        return Point(at, self.blocks[at].upto_tokens, soon, late, rank)


def _heads(blocks: Sequence[Block]) -> list[int]:
    """The last tool, and the first blocks of system and messages."""
    segments = [block.segment for block in blocks]
    tools, system = segments.count("tools"), segments.count("system")
    first = tools + system
    return [
        *range(max(0, tools - 1), tools),
        *range(tools, tools + min(system, _SYSTEM_BLOCKS)),
        *range(first, min(len(blocks), first + _MESSAGE_BLOCKS)),
    ]
