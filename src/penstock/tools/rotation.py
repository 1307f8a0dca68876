"""Rotation of an upstream's key, step by step, each proven before the next.

Penstock holds upstream keys by reference and cannot make or delete them: the API has no endpoint for it. Where a
rotation stands shows in the config, the ledger and the audit log, so that it can be taken up again at any time.

In the ledger the keys of an upstream are called NAME, NAME#2 and so on, by their place in `keys`. So during the grace
the old one stands last: then its name is of no other key afterwards, and no call may bear it any more.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from ..config.load import Loaded
from ..config.references import split
from ..config.schema import UpstreamConfig
from ..drive import run
from ..errors import ConfigError
from ..ports import Clock
from ..stores import audit
from ..stores.reading import LedgerReader
from ..stores.schema import database
from .asking import proven
from .keys import moment

#: What the audit log calls a step of this, and a config read again.
ROTATE, RELOAD = "upstream_key.rotate", "config.reload"
#: How long a gateway may take to read its config again.
RELOAD_S = 5.0

_POLL_S = 0.05


class Step(msgspec.Struct, frozen=True):
    """One step, and what was found or is to be done, in words."""

    name: str
    is_done: bool
    told: str


class Asked(msgspec.Struct, frozen=True):
    """What is to be rotated: references, never keys. `old` may be left out where it is clear.

    `pid` is of a gateway that is to read its config again. With `retires`, the old key must have been unused for
    `unused_us`.
    """

    upstream: str
    new: str
    model: str
    old: str | None = None
    pid: int | None = None
    retires: bool = False
    unused_us: int = 3_600_000_000


def walk(loaded: Loaded, clock: Clock, asked: Asked) -> Iterator[Step]:
    """Every step as far as it can go; the first that is not done is the last. Raises ConfigError and StoreFailed."""
    upstream = loaded.config.upstreams.get(asked.upstream)
    if upstream is None:
        raise ConfigError(
            f"There is no upstream {asked.upstream!r}.",
            code="bad_option",
            fix=f"There are: {', '.join(loaded.config.upstreams) or 'none'}.",
        )
    rotation = _Rotation(loaded, clock, asked, upstream)
    steps = [rotation.created, rotation.verified, rotation.configured]
    if asked.pid is not None or not asked.retires:  # whether one that is to retire is still used, the ledger says
        steps.append(rotation.reloaded)
    if asked.retires:
        steps.append(rotation.retired)
    for step in steps:
        found = step()
        yield found
        if not found.is_done:
            return


class _Rotation:
    def __init__(self, loaded: Loaded, clock: Clock, asked: Asked, upstream: UpstreamConfig) -> None:
        self._loaded, self._clock, self._asked, self._upstream = loaded, clock, asked, upstream
        self._data, self._keys, self._new = loaded.config.data, upstream.keys, asked.new
        self._old = self._which_old()
        others = [key for key in self._keys if key not in (self._old, self._new)]
        place = self._keys.index(self._new if self._new in self._keys else self._old)
        #: What `keys` are to be once the old one is out, and until then.
        self._after = [*others[:place], self._new, *others[place:]]
        self._during = [*self._after, self._old]
        #: What the ledger calls the old key during the grace.
        self._old_name = f"{asked.upstream}#{len(self._during)}"
        self._new_name = f"{asked.upstream}#{place + 1}" if place else asked.upstream

    def _which_old(self) -> str:
        asked, others = self._asked, [key for key in self._keys if key != self._new]
        noted = [one.after["old"] for one in self._noted() if one.after]
        if asked.old is None and self._new in self._keys and noted:
            return str(noted[-1])
        if asked.old is None and len(others) != 1:
            raise ConfigError(
                f"Which key of upstream {asked.upstream} is the old one is not clear: {', '.join(others) or 'none'}.",
                code="bad_option",
                fix="Name its reference with --old.",
            )
        old = asked.old or others[0]
        if old == self._new or (self._new not in self._keys and old not in self._keys):
            raise ConfigError(
                f"{old} cannot be rotated to {self._new} at upstream {asked.upstream}, whose keys are "
                f"{', '.join(self._keys) or 'none'}.",
                code="bad_option",
                fix="Give references: --old one of its keys, --new another.",
            )
        return old

    def created(self) -> Step:
        """Whether the new key is there: that it was made at the console, and stored where its reference says."""
        try:
            new = self._loaded.secrets.resolve(self._new)
        except ConfigError as error:
            return Step(
                "create",
                False,
                f"Penstock cannot create keys, for the API has no endpoint for it. Create one at the console, in the "
                f"workspace of the old one, and store it as {self._new}. Now: {error}",
            )
        try:
            is_same = self._loaded.secrets.resolve(self._old).reveal() == new.reveal()
        except ConfigError:
            is_same = False  # the old one may be gone from its place already
        if is_same:
            return Step("create", False, f"{self._new} holds the same key as {self._old}. Store the new one there.")
        told = f"{self._new} holds {new}."
        scheme, name = split(self._new)
        if scheme == "env" and self._loaded.secrets.environ.get(name):
            told += (
                " It is in this shell's environment, and a process keeps the environment it was started with: for a "
                "reload to find it, write it into the .env beside the config, or use a file: or a secret manager."
            )
        return Step("create", True, told)

    def verified(self) -> Step:
        """Whether the upstream takes the new key, by a real call."""
        upstream = replace(self._upstream, keys=(self._new,))
        fault = proven(self._loaded, self._asked.upstream, upstream, self._asked.model)
        if fault is not None:
            return Step("verify", False, f"A call with {self._new} was not answered: {fault}")
        return Step("verify", True, f"A call with {self._new} was answered by {self._upstream.address}.")

    def configured(self) -> Step:
        """Whether the config has both, in an order that tells them apart, or the new one alone."""
        if self._new not in self._keys or (self._old in self._keys and self._keys[-1] != self._old):
            return Step(
                "config",
                False,
                f"Under [upstreams.{self._asked.upstream}] set keys = {_toml(self._during)}. Both are used meanwhile, "
                f"each conversation staying with one; the old one stands last, so that the ledger calls it "
                f"{self._old_name}.",
            )
        if self._old not in self._keys:
            return Step("config", True, f"The config has {self._new} and no longer {self._old}.")
        if not any(one.after and one.after["step"] == "grace" for one in self._noted()):
            self._note("grace")
        return Step("config", True, f"The config has both; the ledger calls {self._old} {self._old_name}.")

    def reloaded(self) -> Step:
        """Whether a gateway has taken the config, as the audit log says, or calls that only it could make."""
        pid, since_us = self._asked.pid, None
        if pid is not None:
            since_us, ends = self._clock.wall_us(), self._clock.now() + RELOAD_S
            _signal(pid)
            while not self._reloads(since_us) and self._clock.now() < ends:
                run(self._clock.sleep(_POLL_S))
        for one in self._reloads(since_us)[-1:]:
            return Step("reload", True, f"{one.subject} took the config at {moment(one.at_us)}.{self._next()}")
        noted = self._noted()
        if pid is None and noted and self._old in self._keys and (seen := self._calls(self._old_name, noted[-1].at_us)):
            return Step("reload", True, f"{seen} calls were made as {self._old_name}: it is taken.{self._next()}")
        how = "Have every gateway read the config: `--pid PID`, or `kill -HUP PID`"
        if pid is not None:
            how = f"Gateway {pid} was told to read the config"
        return Step(
            "reload",
            False,
            f"{how}. Nothing shows yet that it is taken: look for `reloaded` in its log.{self._next()}",
        )

    def retired(self) -> Step:
        """Whether the old key may be deleted: it is out of the config, and no call has used it for long enough."""
        if self._old in self._keys:
            return Step("retire", False, f"{self._old} is still in the config.{self._next()}")
        if not self._noted():
            return Step(
                "retire",
                False,
                f"{self._old} was never the last of `keys` beside {self._new}, so the ledger cannot tell them apart. "
                "See at the console when it was last used.",
            )
        since_us = self._clock.wall_us() - self._asked.unused_us
        used, span = self._calls(self._old_name, since_us), f"{self._asked.unused_us // 60_000_000} min"
        if used:
            return Step("retire", False, f"{used} calls used {self._old} ({self._old_name}) in the last {span}.")
        self._note("retired")
        others = self._calls(self._new_name, since_us)
        return Step(
            "retire",
            True,
            f"No call used {self._old} in the last {span}, and {others} used {self._new}. "
            "The old key may be deleted at the console; see there that nothing uses it without Penstock.",
        )

    def _next(self) -> str:
        if self._old not in self._keys:
            return "" if self._asked.retires else " Next: --retire."
        return f" Next: set keys = {_toml(self._after)}, reload, and run this with --retire."

    def _calls(self, name: str, since_us: int) -> int:
        """How many calls used the key of that name since a moment."""
        with LedgerReader(self._data) as ledger:
            return ledger.grouped(since_us=since_us, where={"upstream": name})[0].calls

    def _noted(self) -> list[audit.Entry]:
        """The steps of this rotation that the audit log has, oldest first."""
        if not database(self._data).exists():
            return []
        found = audit.entries(self._data, subject=self._asked.upstream, action=ROTATE)
        old = self._asked.old
        return [one for one in found if one.after and one.after["new"] == self._new and old in (None, one.after["old"])]

    def _note(self, step: str) -> None:
        after = {"step": step, "old": self._old, "new": self._new, "old_is": self._old_name}
        audit.record(self._data, self._clock, action=ROTATE, subject=self._asked.upstream, after=after)

    def _reloads(self, since_us: int | None) -> list[audit.Entry]:
        """The reloads noted with these very keys, since a moment or ever; of the gateway named, if one is.

        A gateway notes `after` as {"pid": its own, "keys": {upstream: [references]}}.
        """
        if not database(self._data).exists():
            return []
        found = audit.entries(self._data, since_us=since_us, action=RELOAD)
        pid = self._asked.pid
        return [
            one
            for one in found
            if one.after
            and one.after.get("keys", {}).get(self._asked.upstream) == list(self._keys)
            and pid in (None, one.after.get("pid"))
        ]


def _toml(references: list[str]) -> str:
    return msgspec.json.encode(references).decode().replace('","', '", "')


def _signal(pid: int) -> None:
    """Have a gateway read its config again. Any other process might end by the signal, so it is looked at first."""
    line = _command_of(pid)
    if "penstock" not in line or "serve" not in line:
        raise ConfigError(
            f"Process {pid} is no gateway{f': {line[:80]}' if line else ', or is gone'}.",
            code="bad_option",
            fix="Give the pid of a `penstock serve`; its --ready-file has it.",
        )
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise ConfigError(
            f"Process {pid} cannot be signalled: {error.strerror}.", code="bad_option", fix="Run this as its user."
        ) from None


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:  # no such process, or no such file system
        try:
            asked = ["ps", "-p", str(pid), "-o", "command="]
            return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        except OSError:
            return ""
