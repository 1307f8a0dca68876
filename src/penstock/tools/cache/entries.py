"""What a cache must have held when a call came, replayed from the calls before it.

By the rules of the API's cache: a mark writes one entry, for all up to its block; an entry can be read from when the
answer that wrote it begins, lives from that call's start, and each read renews it. Beside entries it is noted which
prompts were seen that nobody had marked, as what could have been read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from ...wire.prefix import LOOKBACK
from .prompts import Prompt
from .rows import Scope, Seen

HOUR_US = 3_600_000_000
LIFETIMES_US = {"5m": 300_000_000, "1h": HOUR_US}
#: Of no more prefixes than so many it is known whether they are cached; those longest unused are forgotten.
PREFIXES_MAX = 50_000
#: By how much the size of a prefix may be estimated wrong: a share, and a few tokens.
_SLACK_PERCENT, _SLACK_TOKENS = 15, 64


class Entry(msgspec.Struct, kw_only=True):
    """One prefix as one call sent it; `lifetime` is 5m, 1h, or empty where it was not marked and so is not cached.

    `writer` is the call, `was_marked` whether it had marks at all. `own_tokens` were written for this entry alone.
    `is_explained`: why nothing reads it is said at the call that missed it.
    """

    writer: Seen
    scope: Scope
    read_as: tuple[str, ...]
    lifetime: str
    from_us: int
    used_us: int
    own_tokens: int = 0
    was_marked: bool = False
    is_read: bool = False
    is_explained: bool = False

    @property
    def until_us(self) -> int:
        return self.used_us + LIFETIMES_US.get(self.lifetime, 0)

    def is_for(self, call: Seen, place: int) -> bool:
        """Whether a call would find it, going by all but its age."""
        assert call.prompt is not None
        return self.scope == call.scope and self.read_as == call.prompt.read_as(place)

    def is_live(self, at_us: int) -> bool:
        return self.from_us <= at_us < self.until_us


class Found(msgspec.Struct, frozen=True):
    """A block of a call's prompt, by its place, and the entries that there are for all up to it."""

    place: int
    entries: list[Entry]


def reaches(prompt: Prompt, place: int) -> bool:
    """Whether one of a prompt's marks looks back as far as a place."""
    return any(0 <= mark - place < LOOKBACK for mark, _ in prompt.marks)


def is_less(tokens: int, than: int) -> bool:
    """Whether one number of tokens is surely below another, as well as those are known."""
    return tokens + _SLACK_TOKENS < than * (100 - _SLACK_PERCENT) / 100


class Entries:
    """All entries. `ended` is told of each one written that is over, read or not."""

    def __init__(self, ended: Callable[[Entry], None]) -> None:
        self._held: OrderedDict[bytes, list[Entry]] = OrderedDict()
        self._ended = ended

    def found(self, call: Seen) -> list[Found]:
        """What was there of a prompt when it came, the longest first; not what was last used over an hour ago."""
        prompt, least_us = call.prompt, call.at_us - HOUR_US
        assert prompt is not None
        made = []
        for at in range(len(prompt.at) - 1, -1, -1):
            entries = self._held.get(prompt.digests[at])
            if entries is not None:
                fresh = [entry for entry in entries if entry.used_us >= least_us]
                if fresh:
                    made.append(Found(prompt.at[at], fresh))
        return made

    def take(self, call: Seen, found: list[Found]) -> None:
        """The call is made: what it read is renewed, and what it wrote is there from when its answer begins."""
        prompt = call.prompt
        assert prompt is not None
        if call.read_tokens:
            self._note_read(call, prompt, found)
        before, left = call.read_tokens, call.written_tokens
        marked = set()
        for place, lifetime in prompt.marks if before + left else ():
            upto = call.tokens_to(place)
            own = max(0, min(upto - before, left))
            if own or not is_less(before, upto):
                self._put(call, place, lifetime, own)
                marked.add(place)
            before, left = before + own, left - own
        for place in {prompt.tools - 1, prompt.system_end - 1, prompt.blocks - 1} - marked - {-1}:
            self._put(call, place, "", 0)
        self._forget(call.at_us)

    def _note_read(self, call: Seen, prompt: Prompt, found: list[Found]) -> None:
        """Each mark renews the entry nearest to it; all that are a part of what was read were not written in vain."""
        marks, is_within = [mark for mark, _ in prompt.marks], False
        for one in found:
            is_within = is_within or not is_less(call.read_tokens, call.tokens_to(one.place))
            if not is_within:
                continue
            left = [mark for mark in marks if not 0 <= mark - one.place < LOOKBACK]
            is_nearest, marks = len(left) < len(marks), left
            for entry in one.entries:
                if entry.lifetime and (is_nearest or not entry.is_read) and entry.is_for(call, one.place):
                    entry.is_read = True
                    if is_nearest:
                        entry.used_us = max(entry.used_us, call.at_us)
                        self._held.move_to_end(prompt.digests[prompt.index(one.place)])

    def close(self, until_us: int) -> None:
        """No more calls come: tell of all entries whose life is over by then."""
        for entries in self._held.values():
            for entry in entries:
                if entry.lifetime and entry.until_us <= until_us:
                    self._ended(entry)

    def _put(self, call: Seen, place: int, lifetime: str, own: int) -> None:
        prompt = call.prompt
        assert prompt is not None
        digest = prompt.digests[prompt.index(place)]
        entries = self._held.setdefault(digest, [])
        self._held.move_to_end(digest)
        for entry in entries:
            if not entry.is_for(call, place):
                continue
            if entry.lifetime and (not lifetime or entry.until_us > call.at_us):
                return  # it is there: read, renewed, or being written beside the first
            if entry.lifetime:
                self._ended(entry)
            entries.remove(entry)
            break
        entries.append(
            Entry(
                writer=call,
                scope=call.scope,
                read_as=prompt.read_as(place),
                lifetime=lifetime,
                from_us=call.begun_us,
                used_us=call.at_us,
                own_tokens=own,
                was_marked=bool(prompt.marks),
                is_read=own == 0,
            )
        )

    def _forget(self, now_us: int) -> None:
        """Let go of what is too many, and of what was last used over two hours ago."""
        while self._held:
            digest, entries = next(iter(self._held.items()))
            if len(self._held) <= PREFIXES_MAX and max(one.used_us for one in entries) >= now_us - 2 * HOUR_US:
                return
            del self._held[digest]
            for entry in entries:
                if entry.lifetime:
                    self._ended(entry)
