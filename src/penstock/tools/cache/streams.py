"""Calls that follow one another: whose prompt one may have read, and whether it changed once or changes each time."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TypeVar

import msgspec

from .judging import Miss
from .rows import Seen

#: From how many changed prompts in a row on it is said that they differ in every call.
VOLATILE_FROM = 3
#: So many in a row are not waited for any longer.
_PENDING_MAX = 32
_HEADS_MAX = 64
#: Earlier calls that are looked at: of a feature and prompt, and of a session.
_CALLS, _TURNS = 16, 4
_STREAMS_MAX, _SESSIONS_MAX = 2_000, 10_000

K = TypeVar("K")
V = TypeVar("V")


class _Stream:
    """The calls of one feature and prompt. `pending` are changes of tools or system prompt that are not yet settled,
    `news` the digests that came with them, `heads` all those lately seen."""

    def __init__(self) -> None:
        self.calls: deque[Seen] = deque(maxlen=_CALLS)
        self.heads: OrderedDict[bytes, None] = OrderedDict()
        self.pending: list[Miss] = []
        self.news: set[bytes] = set()
        self.is_volatile = False


class Streams:
    """All streams and sessions, of which those longest unused are forgotten."""

    def __init__(self) -> None:
        self._streams: OrderedDict[tuple[str, str], _Stream] = OrderedDict()
        self._sessions: OrderedDict[str, deque[Seen]] = OrderedDict()

    def before(self, call: Seen) -> Iterator[Seen]:
        """Earlier calls that this one may have followed, those of its own session first, the latest first."""
        own = self._sessions.get(call.session, ()) if call.session is not None else ()
        stream = self._streams.get(_key(call))
        return chain(reversed(own), reversed(stream.calls) if stream is not None else ())

    def take(self, call: Seen, miss: Miss | None) -> list[Miss]:
        """The call is made; the misses that are settled by it, its own or earlier ones.

        Where tools or system prompt have changed it is waited for what comes next: the new ones again, as after a
        release; the old ones, so that there are two prompts and nothing was missed; or yet others.
        """
        stream = _kept(self._streams, _key(call), _Stream, _STREAMS_MAX)
        stream.calls.append(call)
        if call.session is not None:
            turns = _kept(self._sessions, call.session, _turns, _SESSIONS_MAX)
            turns.append(call)
        assert call.prompt is not None
        head = call.prompt.head
        is_known = head in stream.heads
        stream.heads[head] = None
        stream.heads.move_to_end(head)
        if len(stream.heads) > _HEADS_MAX:
            stream.heads.popitem(last=False)
        if miss is not None and miss.is_head and not is_known:
            return _changed(stream, head, miss)
        settled = [miss] if miss is not None else []
        if is_known:
            settled = [*_settled(stream, is_new=head in stream.news), *settled]
            stream.is_volatile = False
        return settled

    def close(self) -> Iterator[Miss]:
        """No more calls come: what is settled by that."""
        for stream in self._streams.values():
            yield from _settled(stream, is_new=True)


def _changed(stream: _Stream, head: bytes, miss: Miss) -> list[Miss]:
    if stream.is_volatile:
        return [_volatile(miss)]
    stream.pending.append(miss)
    stream.news.add(head)
    stream.is_volatile = len(stream.pending) >= _PENDING_MAX
    return _settled(stream, is_new=True) if stream.is_volatile else []


def _settled(stream: _Stream, *, is_new: bool) -> list[Miss]:
    """The changes pending, by what they turned out to be. Where it is not the new that comes again, those within one
    session remain."""
    pending, stream.pending = stream.pending, []
    stream.news.clear()
    pending = [miss for miss in pending if is_new or _is_same_talk(miss)]
    return [_volatile(miss) for miss in pending] if len(pending) >= VOLATILE_FROM else pending


def _is_same_talk(miss: Miss) -> bool:
    return miss.before is not None and miss.call.session is not None and miss.call.session == miss.before.session


def _volatile(miss: Miss) -> Miss:
    return msgspec.structs.replace(miss, cause="volatile")


def _turns() -> deque[Seen]:
    return deque(maxlen=_TURNS)


def _key(call: Seen) -> tuple[str, str]:
    """The feature and the prompt, whichever its release."""
    return call.group.feature, call.group.prompt.partition("@")[0]


def _kept(held: OrderedDict[K, V], name: K, made: Callable[[], V], most: int) -> V:
    """What is held under a name, made where there is nothing; of too many the one longest unused goes."""
    found = held.get(name)
    if found is None:
        found = held[name] = made()
        if len(held) > most:
            held.popitem(last=False)
    held.move_to_end(name)
    return found
