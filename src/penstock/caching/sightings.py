"""What prefixes were seen, when, and whether they came again: the memory that marks are placed by.

One process remembers for itself. There are no locks: dictionaries change in single steps, and where two threads count
at once, at worst one of them is not counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

LIFE_S = {"5m": 300.0, "1h": 3600.0}
#: Prefixes remembered at least; twice as many at most, of some 250 bytes each.
REMEMBERED = 16_384
#: How many outcomes a habit is judged by: beyond them, older ones count half.
_OUTCOMES = 64
#: Open cases of a habit that are followed.
_FOLLOWED = 256
#: Writes not yet read that a habit may have before it is known. One for an hour costs four times as much to lose.
BETS_MAX = {"5m": 8, "1h": 2}
#: Outcomes from which on a habit is known.
_KNOWN = 8
#: So many gaps of its own weigh as much with a prefix as the habit of its kind: whether it comes again, and how soon.
_DOUBT, _DOUBT_OF_PACE = 8.0, 0.5
#: Gaps by which a prefix is judged: beyond them, older ones count half.
_GAPS = 16
#: What has not come after so long is not waited for, though it might within the hour.
_LATE_S = 1200.0
#: What is believed of a habit before anything is known: out of so many prefixes, how many come again within 5 minutes,
#: and out of so many others, how many within an hour.
_BELIEVED, _BELIEVED_SOON, _BELIEVED_LATE = 3.0, 1.8, 0.75


class Gaps(NamedTuple):
    """How often a prefix came again: within 5 minutes, within an hour, and in all."""

    soon: float = 0.0
    late: float = 0.0
    returns: float = 0.0

    def and_after(self, gap_s: float) -> Gaps:
        """With one more. Of many, the older ones count half."""
        share = 0.5 if self.returns >= _GAPS else 1.0
        soon, late = gap_s < LIFE_S["5m"], gap_s < LIFE_S["1h"]
        return Gaps(self.soon * share + soon, self.late * share + late, self.returns * share + 1.0)


class Sighting:
    """One prefix, as it was seen in calls whose answers have begun.

    `times` is how often, `started_s` when the last such call was started, `begun_s` when its answer began, `gaps` what
    lay between them; `ends` is how often a prompt ended here. `ends_s` is until when it is believed to be cached, for
    `life_s` after each read; `writing_s` until when a call that writes it is waited for; `is_bet`: it was written, and
    not yet read.
    """

    __slots__ = ("begun_s", "ends", "ends_s", "gaps", "is_bet", "life_s", "started_s", "times", "writing_s")

    def __init__(self) -> None:
        self.times, self.ends, self.gaps = 0, 0, Gaps()
        self.started_s = self.begun_s = self.ends_s = self.life_s = self.writing_s = 0.0
        self.is_bet = False

    def gaps_at(self, now_s: float) -> Gaps:
        """Its gaps, with the one that ends now. Of calls side by side none follows another."""
        return self.gaps.and_after(now_s - self.started_s) if self.times and now_s >= self.begun_s else self.gaps

    def see(self, started_s: float, begun_s: float) -> None:
        """A call with this prefix, started then, is being answered now."""
        self.gaps = self.gaps_at(started_s)
        self.times += 1
        self.started_s, self.begun_s = max(self.started_s, started_s), begun_s


class Habit:
    """How often prefixes of one sort come again, whether marked or not: those of one feature and model."""

    __slots__ = ("_bets", "_late", "_outcomes", "_outcomes_late", "_soon", "_waiting", "_waiting_late")

    def __init__(self) -> None:
        self._outcomes, self._soon = _BELIEVED, _BELIEVED_SOON
        self._outcomes_late, self._late = _BELIEVED, _BELIEVED_LATE
        self._waiting: deque[tuple[float, Sighting]] = deque(maxlen=_FOLLOWED)
        self._waiting_late: deque[tuple[float, Sighting]] = deque(maxlen=_FOLLOWED)
        self._bets: dict[str, deque[tuple[float, Sighting]]] = {
            life: deque(maxlen=most) for life, most in BETS_MAX.items()
        }

    def likely(self, own: Gaps) -> tuple[float, float]:
        """How likely a prefix comes again within 5 minutes, and within an hour.

        Whether it comes at all is judged by its kind, and by its own gaps as they grow in number; when it does, by its
        own gaps at once. It is never likelier than both together have it.
        """
        kind_soon = self._soon / self._outcomes
        kind_late = kind_soon + (1.0 - kind_soon) * self._late / self._outcomes_late
        at_all = (own.returns + _DOUBT * kind_late) / (own.returns + _DOUBT)
        in_hour = at_all * (own.late + _DOUBT_OF_PACE) / (own.returns + _DOUBT_OF_PACE)
        share = kind_soon / kind_late if kind_late else 0.0
        in_minutes = in_hour * (own.soon + _DOUBT_OF_PACE * share) / (own.late + _DOUBT_OF_PACE)
        late = min(in_hour, (own.late + _DOUBT * kind_late) / (own.returns + _DOUBT))
        return min(in_minutes, late, (own.soon + _DOUBT * kind_soon) / (own.returns + _DOUBT)), late

    def is_known(self, life: str) -> bool:
        """Whether enough has been seen of it to tell who comes again within such a lifetime."""
        return (self._outcomes if life == "5m" else self._outcomes_late) >= _BELIEVED + _KNOWN

    def may_bet(self, life: str, now_s: float) -> bool:
        """Whether one more write may be paid for. Before the habit is known only so many at once are not yet read."""
        if self.is_known(life):
            return True
        return sum(one.is_bet and now_s < until_s for until_s, one in tuple(self._bets[life])) < BETS_MAX[life]

    def bet(self, sighting: Sighting, life: str, now_s: float) -> None:
        """A prefix is written now, to be read while it lives, or never."""
        sighting.is_bet = True
        self._bets[life].append((now_s + LIFE_S[life], sighting))

    def follow(self, sighting: Sighting, started_s: float) -> None:
        """See what becomes of a prefix seen in a call that was started then."""
        self._waiting.append((started_s, sighting))

    def settle(self, now_s: float) -> None:
        """Take in what is known by now."""
        while due := _due(self._waiting, now_s - LIFE_S["5m"]):
            has_come = due[1].started_s > due[0]
            self._outcomes, self._soon = _counted(self._outcomes, self._soon, has_come=has_come)
            if not has_come:
                self._waiting_late.append(due)
        while due := _due(self._waiting_late, now_s - _LATE_S):
            has_come = due[1].started_s > due[0]
            self._outcomes_late, self._late = _counted(self._outcomes_late, self._late, has_come=has_come)


class Habits(NamedTuple):
    """Those of one feature's calls to one model.

    `steady` is that of prefixes which calls share, `growing` that of whole prompts that went on from an earlier one,
    `opening` that of whole prompts that did not.
    """

    steady: Habit
    growing: Habit
    opening: Habit


class Recent(Generic[T]):
    """Things by name, the recently used of them: at least `least` and at most twice as many."""

    def __init__(self, least: int, made: Callable[[], T]) -> None:
        self._least, self._made = least, made
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}

    def find(self, name: bytes) -> T | None:
        return self._young.get(name) or self._old.get(name)

    def get(self, name: bytes) -> T:
        """The one of that name, made where there is none; it is recent now."""
        found = self._young.get(name)
        if found is None:
            found = self._old.get(name) or self._made()
            if len(self._young) >= self._least:
                self._old, self._young = self._young, {}
            self._young[name] = found
        return found


def _due(waiting: deque[tuple[float, Sighting]], before_s: float) -> tuple[float, Sighting] | None:
    """The oldest case where it is that old; it waits no more. Another thread may have taken it."""
    try:
        if waiting[0][0] <= before_s:
            return waiting.popleft()
    except IndexError:
        pass
    return None


def _counted(outcomes: float, good: float, *, has_come: bool) -> tuple[float, float]:
    share = 0.5 if outcomes >= _OUTCOMES else 1.0
    return outcomes * share + 1, good * share + has_come
