"""Which blocks of a call to mark, by what earlier calls began with and by what became of the marks they bore."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ..wire.messages import Request, Usage
from ..wire.models import Model, shipped
from ..wire.prefix import MARKS_MAX, Prefix, read_prefix
from .outlook import Outlook
from .plan import LIVES, Point, Ratios, chosen, ratios_of
from .sightings import LIFE_S, REMEMBERED, Habit, Habits, Recent, Sighting

#: An estimate of tokens may be too low by so much. A mark below a model's minimum does nothing, and costs nothing.
_UNDERRATED = 0.8
#: The tokens that a model caches at least, where it is not known.
_CACHEABLE_USUALLY = 1024
#: Bytes of JSON that a token is taken for where a prompt is told to be too short, as it is of the newer tokenizer.
_BYTES_OF_TOKEN = 2.5
#: How long the answer of a call that writes is waited for.
_WRITING_S = 600.0
#: So many reads in a row that did not come are no chance; then nothing is marked there for so long.
_MISSES_MAX, _PAUSE_S = 3, 3600.0
#: Upstreams with their models, and features of them, of which it is kept how they behave.
_PLACES = 512
#: Gaps of its own beyond which a prefix tells nothing more of others.
_TOLD = 4


class Mark(NamedTuple):
    """A mark on a block, by its number in the prompt and its path in the body, and its lifetime: 5m or 1h."""

    at: int
    place: tuple[str | int, ...]
    life: str


class Place:
    """One upstream's cache for one model: how often in a row it did not have what it should have had."""

    __slots__ = ("missed", "paused_until_s")

    def __init__(self) -> None:
        self.missed, self.paused_until_s = 0, 0.0


def _no_habits() -> Habits:
    return Habits(Habit(), Habit(), Habit())


class Planned(msgspec.Struct, frozen=True):
    """One call's prompt, and the marks for it.

    `read_tokens` are expected to come from the cache, `written_tokens` to be written to it; both are estimates. The
    rest is for the planner: under which `names` to remember the prompt, what its marks read and write.
    """

    prefix: Prefix
    place: Place = msgspec.field(default_factory=Place)
    habits: Habits = msgspec.field(default_factory=_no_habits)
    marks: tuple[Mark, ...] = ()
    read_tokens: int = 0
    written_tokens: int = 0
    names: tuple[bytes, ...] = ()
    shared: Sighting | None = None
    origin: Sighting | None = None
    read: tuple[Sighting, ...] = ()
    written: tuple[tuple[Sighting, float], ...] = ()


class Planner:
    """Remembers the prefixes of one process's calls. Times are seconds on the monotonic clock."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._models = shipped()
        self._seen: Recent[Sighting] = Recent(remembered, Sighting)
        self._places: Recent[Place] = Recent(_PLACES, Place)
        self._habits: Recent[Habits] = Recent(_PLACES, _no_habits)

    def plan(
        self,
        request: Request,
        body: bytes,
        *,
        scope: str,
        feature: str,
        now_s: float,
        at_us: int,
        ttl: str = "auto",
        is_on: bool = True,
        salt: bytes = b"",
    ) -> Planned | None:
        """The prompt of a Messages body, and the marks for it; none where it has its own, or where not `is_on`.

        None where the cache is no matter to it. `scope` names what has a cache of its own; `ttl` is auto, 5m or 1h;
        `at_us` is Unix time in microseconds; `salt` that of the digests.
        """
        model = self._models.find(request.model or "")
        if _is_short(request, body, model):
            return None
        prefix = read_prefix(request, body, salt)
        ratios = ratios_of(model, at_us) if model is not None else None
        if not prefix.blocks:
            return None
        if prefix.own or not is_on or model is None or ratios is None:
            return Planned(prefix)
        sort = f"{scope} {model.id} ".encode()
        planned = Planned(prefix, self._places.get(sort), self._habits.get(sort + feature.encode()))
        for habit in planned.habits:
            habit.settle(now_s)
        names = prefix.identities(scope)
        known = {at: one for at, name in enumerate(names) if (one := self._seen.find(name)) is not None and one.times}
        least = _UNDERRATED * (model.cacheable_tokens_min or 0)
        outlook = Outlook(prefix.blocks, known, planned.habits, least, now_s)
        return self._noted(planned, outlook, names, _marks(planned, outlook, ratios, ttl))

    def _noted(
        self,
        planned: Planned,
        outlook: Outlook,
        names: list[bytes],
        marks: list[tuple[Point, str]],
    ) -> Planned:
        """The plan with its marks, and with what is to be remembered once the answer begins."""
        cached = outlook.cached
        start, read, written = cached.at if cached is not None else -1, set(), []
        for point, life in marks:
            if (at := outlook.found_by(point.at)) is not None:
                read.add(at)
            if point.at > start:
                sighting = self._seen.get(names[point.at])
                sighting.writing_s = outlook.now_s + _WRITING_S
                written.append((sighting, LIFE_S[life]))
        shared = outlook.shared
        if written:
            habit = outlook.tail_habit if marks[-1][0].at == outlook.tail else planned.habits.steady
            habit.bet(written[-1][0], marks[-1][1], outlook.now_s)
        reads = cached.tokens if cached is not None and marks else 0
        return msgspec.structs.replace(
            planned,
            marks=tuple(Mark(point.at, planned.prefix.blocks[point.at].place, life) for point, life in marks),
            read_tokens=reads,
            written_tokens=marks[-1][0].tokens - reads if written else 0,
            names=tuple(names[at] for at in sorted({*outlook.watched, *(point.at for point, _ in marks)})),
            shared=outlook.known[shared] if shared is not None else None,
            origin=outlook.origin,
            read=tuple(outlook.known[at] for at in read),
            written=tuple(written),
        )

    def unmarked(self, planned: Planned) -> Planned:
        """The same plan for a call that goes without its marks."""
        self.failed(planned)
        return msgspec.structs.replace(planned, marks=(), read_tokens=0, written_tokens=0, read=(), written=())

    def begun(self, planned: Planned, started_s: float, begun_s: float) -> None:
        """The answer has begun: what the call wrote can be read now, and lives from the call's start."""
        if planned.names:
            self._remember(planned, started_s, begun_s)
        for sighting in planned.read:
            sighting.ends_s, sighting.is_bet = max(sighting.ends_s, started_s + sighting.life_s), False
        for sighting, life_s in planned.written:
            sighting.ends_s, sighting.life_s, sighting.writing_s = started_s + life_s, life_s, 0.0

    def _remember(self, planned: Planned, started_s: float, begun_s: float) -> None:
        end, origin = self._seen.get(planned.names[-1]), planned.origin
        if origin is not None and not end.times:
            end.gaps = origin.gaps_at(started_s)  # the pace of a conversation is handed on
        for name in planned.names:
            self._seen.get(name).see(started_s, begun_s)
        end.ends += 1
        (planned.habits.opening if origin is None else planned.habits.growing).follow(end, started_s)
        if planned.shared is not None and planned.shared.gaps.returns <= _TOLD:
            planned.habits.steady.follow(planned.shared, started_s)

    def failed(self, planned: Planned) -> None:
        """There is no answer: nothing was written."""
        for sighting, _ in planned.written:
            sighting.writing_s, sighting.is_bet = 0.0, False

    def ended(self, planned: Planned, usage: Usage, now_s: float) -> None:
        """What the answer says it read and wrote. Reads that do not come, time and again, are not betted on."""
        if planned.read_tokens and not usage.cache_read_tokens:
            for sighting in planned.read:
                sighting.ends_s = 0.0
            planned.place.missed += 1
            if planned.place.missed >= _MISSES_MAX:
                self.pause(planned, now_s)
        elif usage.cache_read_tokens:
            planned.place.missed = 0
        if not (usage.cache_read_tokens or usage.cache_write_5m_tokens or usage.cache_write_1h_tokens):
            for sighting, _ in planned.written:
                sighting.ends_s, sighting.is_bet = 0.0, False

    def pause(self, planned: Planned, now_s: float) -> None:
        """Mark nothing there for a while."""
        planned.place.missed, planned.place.paused_until_s = 0, now_s + _PAUSE_S


def _marks(planned: Planned, outlook: Outlook, ratios: Ratios, ttl: str) -> list[tuple[Point, str]]:
    if outlook.now_s < planned.place.paused_until_s:
        return []
    lives, most = tuple(life for life in LIVES if ttl in ("auto", life)), MARKS_MAX
    if any(block.kind.endswith("_tool_result") for block in outlook.blocks):
        # The API marks results of its own tools itself, for 5 minutes: an hour may not follow.
        lives, most = ("5m",), MARKS_MAX - 1
    return chosen(outlook.points(), outlook.cached, ratios, lives, most)


def _is_short(request: Request, body: bytes, model: Model | None) -> bool:
    """Whether the prompt is far too short to be cached, going by its bytes.

    A file that lies elsewhere may be of any length.
    """
    size = len(bytes(request.system)) + len(bytes(request.tools)) + len(bytes(request.messages))
    least = model.cacheable_tokens_min if model is not None else None
    if size >= _BYTES_OF_TOKEN * (least or _CACHEABLE_USUALLY):
        return False
    return b'"source"' not in body
