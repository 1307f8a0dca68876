"""A call's fingerprint, read back: what of two prompts is the same, and what decides whether a cache takes it so."""

from __future__ import annotations

from base64 import b64decode
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

import msgspec

from ...caching.fingerprint import DIGEST_BYTES, Fingerprinted, kept
from ...wire.prefix import DECIDES

_OF_SYSTEM = tuple([name for name, segment in DECIDES.items() if segment == "system"])
#: What changes how messages are read without being one of their blocks; the first of them, how the system prompt is.
SETTINGS = _OF_SYSTEM + tuple([name for name, segment in DECIDES.items() if segment == "messages"])


class Prompt(msgspec.Struct, frozen=True):
    """One prompt. `at` are the places of the blocks kept, `digests` and `tokens` (estimated) are of all up to each.

    `is_whole`: all blocks are kept. `blocks`, `tools`, `system` and `turns` are counts; `system_end` is the place after
    the last block of the system prompt. `marks` are places with their lifetimes, "5m" or "1h".
    """

    at: tuple[int, ...]
    digests: tuple[bytes, ...]
    tokens: tuple[int, ...]
    blocks: int
    tools: int
    system: int
    turns: int
    marks: tuple[tuple[int, str], ...]
    settings: Mapping[str, str]
    credential: str
    toolset: str
    is_whole: bool
    system_read_as: tuple[str, ...]
    messages_read_as: tuple[str, ...]

    @property
    def system_end(self) -> int:
        return self.tools + self.system

    @property
    def last_mark(self) -> int:
        """The place of the last mark, -1 without one."""
        return self.marks[-1][0] if self.marks else -1

    @property
    def head(self) -> bytes:
        """The digest of tools and system prompt; empty without either."""
        return self.digests[self.index(self.system_end - 1)] if self.system_end else b""

    def index(self, place: int) -> int:
        """The last block kept up to a place, as an index; -1 where there is none."""
        return min(place, self.blocks - 1) if self.is_whole else bisect_left(self.at, place + 1) - 1

    def part(self, place: int) -> str:
        """tools | system | messages."""
        return "tools" if place < self.tools else "system" if place < self.system_end else "messages"

    def read_as(self, place: int) -> tuple[str, ...]:
        """The settings under which the prompt up to a place is read."""
        if place < self.tools:
            return ()
        return self.system_read_as if place < self.system_end else self.messages_read_as

    def shared(self, other: Prompt) -> int:
        """How many blocks at the beginning are the same, as far as is known of both."""
        if self.is_whole and other.is_whole:
            return _same(self.digests, other.digests)
        places = sorted(set(self.at) & set(other.at))
        mine, its = [[one.digests[one.index(place)] for place in places] for one in (self, other)]
        same = _same(mine, its)
        return places[same - 1] + 1 if same else 0


def _same(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    """How many digests at the beginning are the same: as each is of all up to it, the last of them tells."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high) // 2
        if one[middle] == other[middle]:
            low = middle + 1
        else:
            high = middle
    return low


def prompt_of(fact: Fingerprinted) -> Prompt | None:
    """None where the fact is not of the shape it is written in."""
    at = kept(fact.blocks, fact.tools, fact.system, [place for place, _ in fact.marks])
    raw = b64decode(fact.digests)
    if not at or len(raw) != DIGEST_BYTES * len(at) or len(fact.tokens) != len(at):
        return None
    return Prompt(
        at=tuple(at),
        digests=tuple([raw[start : start + DIGEST_BYTES] for start in range(0, len(raw), DIGEST_BYTES)]),
        tokens=tuple(accumulate(fact.tokens)),
        blocks=fact.blocks,
        tools=fact.tools,
        system=fact.system,
        turns=fact.turns,
        marks=fact.marks,
        settings=fact.settings,
        credential=fact.credential,
        toolset=fact.toolset,
        is_whole=len(at) == fact.blocks,
        system_read_as=tuple([fact.settings.get(name, "") for name in _OF_SYSTEM]),
        messages_read_as=tuple([fact.settings.get(name, "") for name in SETTINGS]),
    )
