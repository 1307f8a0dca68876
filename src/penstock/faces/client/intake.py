"""From a request the SDK built to a Call."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ...call import Call, Headers, Tags, Target, Timeouts, Trail
from ...form import asked_form
from ...ports import Chance, Clock
from ...tagging import current, merged
from ...wire.messages import Malformed, Request, endpoint, read_request

#: Stands for "no limit", which the SDK writes as None. Sockets refuse more than 24 days.
UNLIMITED_S = 7 * 86_400.0

#: More hosts or URLs of one client than this are not remembered.
_KEPT = 64

#: Calls whose body the core reads.
_READ = ("messages", "count_tokens")


class Intake:
    """Makes the calls of one wrapped client."""

    __slots__ = ("_chance", "_clock", "_defaults", "_places", "_targets", "_total_s", "_tries_max")

    def __init__(self, clock: Clock, chance: Chance, defaults: Tags, tries_max: int | None, total_s: float) -> None:
        self._clock, self._chance, self._defaults = clock, chance, defaults
        self._tries_max, self._total_s = tries_max, total_s
        self._targets: dict[str, Target] = {}
        self._places: dict[int, tuple[Any, str, str, Target]] = {}  # by identity: the SDK hands in the same few again

    def call_from(self, request: Any, body: bytes) -> Call:
        """An `httpx` or `httpx2` Request as a Call that goes where the SDK client meant it to go."""
        url = request.url
        _, path, query, target = self._places.get(id(url)) or self._place(url)
        return self.call(
            method=request.method,
            path=path,
            query=query,
            headers=tuple([(name.lower(), value) for name, value in request.headers.raw]),
            body=body,
            target=target,
            timeouts=self.timeouts_of(request.extensions.get("timeout")),
        )

    def call(
        self,
        *,
        method: str,
        path: str,
        query: str,
        headers: Headers,
        body: bytes,
        target: Target,
        timeouts: Timeouts,
    ) -> Call:
        where = endpoint(method, path)
        view: Request | None = None
        if where.name in _READ:
            try:
                view = read_request(body)
            except Malformed:
                view = None  # admission refuses it, in words
        return Call(
            id=self._chance.id("call"),
            face="client",
            method=method,
            path=path,
            query=query,
            headers=headers,
            fields=dict(headers),
            body=body,
            endpoint=where,
            request=view,
            began=self._clock.now(),
            began_at_us=self._clock.wall_us(),
            trail=Trail(),
            tries_max=self._tries_max,
            tags=merged(current(), self._defaults),
            timeouts=timeouts,
            target=target,
            wanted=asked_form(),
        )

    def timeouts_of(self, said: dict[str, float | None] | None) -> Timeouts:
        """The phases of an `httpx` timeout as ours: its read timeout covers the first byte and each silence after it.

        It knows no limit of the whole, without which a stream of pings would never end: that one is the config's.
        """
        if said is None:
            return _timeouts(None, None, self._total_s)
        return _timeouts(said.get("connect"), said.get("read"), self._total_s)

    def _place(self, url: Any) -> tuple[Any, str, str, Target]:
        """A URL, which stays what it is as long as it is held here, and its path, query and target."""
        path, _, query = url.raw_path.decode("ascii").partition("?")
        prefix, slash, rest = path.partition("/v1/")
        if slash:
            path = slash + rest
        else:
            prefix = ""
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}{prefix}"
        place = (url, path, query, self._targets.get(origin) or self._target(origin))
        if len(self._places) < _KEPT:
            self._places[id(url)] = place
        return place

    def _target(self, origin: str) -> Target:
        host = origin.partition("://")[2].partition("/")[0].rpartition("@")[2]
        name = "anthropic" if host == "api.anthropic.com" else host
        target = Target(name, origin)
        if len(self._targets) < _KEPT:  # a program names few hosts; one that makes them up must not grow this
            self._targets[origin] = target
        return target


@lru_cache(maxsize=64)
def _timeouts(connect_s: float | None, read_s: float | None, total_s: float) -> Timeouts:
    read_s = UNLIMITED_S if read_s is None else read_s
    return Timeouts(
        connect_s=UNLIMITED_S if connect_s is None else connect_s,
        first_byte_s=read_s,
        idle_s=read_s,
        total_s=total_s,
    )
