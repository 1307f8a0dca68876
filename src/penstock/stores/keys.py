"""Virtual keys: made, listed, rotated and revoked in SQLite, found from memory.

A key is shown once, when it is made. What is kept is its SHA-256, which is enough for a value of 256 random bits, and
a masked form to recognise it by. Every change is noted in the audit log, in the same transaction.

A key that came from another by rotation has the lineage of the first of them: together they are one family.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from ..errors import ConfigError, StoreFailed
from ..ports import Chance, Clock, Key
from ..secret import Secret, masked
from ..wire.prices import usd
from . import audit
from .schema import connect, database, failing, writing

#: What a key may be allowed to do.
SCOPES = frozenset({"messages", "count_tokens", "batches", "files", "models", "other", "view", "admin"})
#: What it may do where nothing else is said.
DEFAULT_SCOPES = frozenset({"messages", "count_tokens", "models"})

#: A key looked up this long after the last refresh starts one; after `STALE_S` the lookup waits for it.
REFRESH_S = 0.5
STALE_S = 1.0

Found = list[Key]

_RANDOM_BYTES = 32
_COLUMNS = (
    "id, name, digest, shown, environment, scopes, created_at_us, tier, models, features, expires_at_us, "
    "revoked_at_us, limit_nano, period, lineage"
)


def digest(value: str) -> bytes:
    """What a key is looked up by."""
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()


def mint(environment: str, token: Callable[[int], str]) -> Secret:
    """A new key, `pk_ENVIRONMENT_` and what `token`, a source of randomness, makes of 32 bytes."""
    return Secret(f"pk_{environment}_{token(_RANDOM_BYTES)}")


def told(key: Key) -> dict[str, Any]:
    """What a key may do, as the audit log has it: all but what it is known by."""
    return {
        "name": key.name,
        "environment": key.environment,
        "scopes": sorted(key.scopes),
        "tier": key.tier,
        "models": None if key.models is None else sorted(key.models),
        "features": None if key.features is None else sorted(key.features),
        "expires_at_us": key.expires_at_us,
        "limit_usd": None if key.limit_nano is None else usd(key.limit_nano),
        "period": key.period,
    }


class KeyStore:
    """The virtual keys of a data folder, for whoever manages them. Blocks; every method raises StoreFailed.

    `who` is in whose name keys are changed, for the audit log; without it whoever runs this process.
    """

    def __init__(self, data: Path, clock: Clock, *, who: str | None = None) -> None:
        self._data, self._clock, self._who = data, clock, who

    def create(
        self,
        name: str,
        *,
        chance: Chance,
        token: Callable[[int], str],
        environment: str = "dev",
        scopes: Iterable[str] = DEFAULT_SCOPES,
        tier: str | None = None,
        models: Iterable[str] | None = None,
        features: Iterable[str] | None = None,
        expires_at_us: int | None = None,
        limit_nano: int | None = None,
        period: str = "month",
    ) -> tuple[Key, Secret]:
        """Make a key and store it. The secret is not to be had again. Raises ConfigError for an unknown scope."""
        allowed = frozenset(scopes)
        if not allowed or not allowed <= SCOPES:
            wrong = ", ".join(sorted(allowed - SCOPES)) or "none at all"
            raise ConfigError(
                f"A key cannot have the scopes: {wrong}.",
                code="bad_scope",
                fix=f"Choose from {', '.join(sorted(SCOPES))}.",
            )
        secret = mint(environment, token)
        key = Key(
            id=chance.id("key"),
            name=name,
            digest=digest(secret.reveal()),
            shown=masked(secret.reveal()),
            environment=environment,
            scopes=allowed,
            created_at_us=self._clock.wall_us(),
            tier=tier,
            models=None if models is None else frozenset(models),
            features=None if features is None else frozenset(features),
            expires_at_us=expires_at_us,
            limit_nano=limit_nano,
            period=period,
        )
        with self._changing() as connection:
            self._insert(connection, key)
        return key, secret

    def rotate(
        self, key_id: str, *, chance: Chance, token: Callable[[int], str], grace_us: int
    ) -> tuple[Key, Key, Secret]:
        """Make a successor with the same rights and of the same family: the old key, the new one, and its secret.

        The old one ends `grace_us` from now, or when it would have anyway. Where it was to end, the new one lives as
        long as the old one was made to. Raises ConfigError for a key that is not live or has a successor already.
        """
        now_us = self._clock.wall_us()
        with self._changing() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM keys WHERE id = ?", (key_id,)).fetchone()
            if row is None:
                raise _cannot_rotate(key_id, "is not there", "`penstock keys list` shows all.")
            old = _to_key(row)
            lineage = old.lineage or key_id
            if old.revoked_at_us is not None or (old.expires_at_us or now_us + 1) <= now_us:
                raise _cannot_rotate(key_id, "is not live", "Create a new one.")
            newer = connection.execute(
                "SELECT id FROM keys WHERE lineage = ? AND id <> ? AND created_at_us >= ? ORDER BY created_at_us DESC",
                (lineage, key_id, old.created_at_us),
            ).fetchone()
            if newer is not None:
                raise _cannot_rotate(key_id, "has been rotated already", f"Rotate {newer[0]}, which took its place.")
            secret = mint(old.environment, token)
            new = replace(
                old,
                id=chance.id("key"),
                digest=digest(secret.reveal()),
                shown=masked(secret.reveal()),
                created_at_us=now_us,
                expires_at_us=None if old.expires_at_us is None else now_us + old.expires_at_us - old.created_at_us,
                lineage=lineage,
            )
            ends_us = min(now_us + grace_us, old.expires_at_us or now_us + grace_us)
            self._insert(connection, new)
            connection.execute("UPDATE keys SET expires_at_us = ? WHERE id = ?", (ends_us, key_id))
            after = {"expires_at_us": ends_us, "successor": new.id}
            self._note(connection, "key.rotate", key_id, {"expires_at_us": old.expires_at_us}, after)
        return replace(old, expires_at_us=ends_us), new, secret

    def last_used(self) -> dict[str, int]:
        """When the latest call of each key began, Unix microseconds, by its id; reads every record there is."""
        query = "SELECT key_id, max(began_at_us) FROM calls WHERE key_id IS NOT NULL GROUP BY key_id"
        connection = connect(self._data)
        try:
            with failing(database(self._data)):
                return dict(connection.execute(query).fetchall())
        finally:
            connection.close()

    def list(self) -> Found:
        """All keys, oldest first, revoked ones included."""
        return self._read(f"SELECT {_COLUMNS} FROM keys ORDER BY created_at_us, id")

    def find(self, wanted: str) -> Found:
        """The keys with this id or name, newest first. A name may have had several keys over time."""
        return self._read(
            f"SELECT {_COLUMNS} FROM keys WHERE id = ?1 OR name = ?1 ORDER BY created_at_us DESC, id DESC", wanted
        )

    def revoke(self, key_id: str) -> Key | None:
        """End a key, at the latest one second from now in every process; None if there is none with this id.

        A key already revoked keeps the time it was revoked at.
        """
        now_us = self._clock.wall_us()
        with self._changing() as connection:
            changed = connection.execute(
                "UPDATE keys SET revoked_at_us = ? WHERE id = ? AND revoked_at_us IS NULL", (now_us, key_id)
            ).rowcount
            if changed:
                after = {"revoked_at_us": now_us}
                self._note(connection, "key.revoke", key_id, {"revoked_at_us": None}, after)
        return next((key for key in self.find(key_id) if key.id == key_id), None)

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, after which every process reads the keys anew."""
        connection = connect(self._data)
        try:
            with failing(database(self._data)), writing(connection):
                yield connection
                connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'keys_version'")
        finally:
            connection.close()

    def _insert(self, connection: sqlite3.Connection, key: Key) -> None:
        marks = ", ".join("?" * len(_COLUMNS.split(", ")))
        connection.execute(f"INSERT INTO keys ({_COLUMNS}) VALUES ({marks})", _to_row(key))
        rights = told(key) if key.lineage is None else {**told(key), "lineage": key.lineage}
        self._note(connection, "key.create", key.id, None, rights)

    def _note(
        self,
        connection: sqlite3.Connection,
        action: str,
        key_id: str,
        before: audit.State | None,
        after: audit.State | None,
    ) -> None:
        audit.note(
            connection,
            at_us=self._clock.wall_us(),
            who=self._who or audit.operator(),
            action=action,
            subject=key_id,
            before=before,
            after=after,
        )

    def _read(self, query: str, *values: str) -> Found:
        connection = connect(self._data)
        try:
            with failing(database(self._data)):
                return [_to_key(row) for row in connection.execute(query, values)]
        finally:
            connection.close()


class KeyCache:
    """`Keys` from memory, refreshed from SQLite in the caller's thread: for the blocking face.

    A refresh reads one number, and the keys only where that number has changed.
    """

    def __init__(self, data: Path, clock: Clock) -> None:
        self._data, self._clock = data, clock
        self._known: dict[bytes, Key] = {}
        self._read_at: float | None = None
        self._inherited: list[object] = []
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None
        self._pid = os.getpid()

    async def find(self, digest: bytes) -> Key | None:
        """The key whose SHA-256 this is, at most one second stale. Raises StoreFailed."""
        if self._age_s() >= REFRESH_S or digest not in self._known:
            self.refresh()
        return self._known.get(digest)

    def _age_s(self) -> float:
        return STALE_S if self._read_at is None else self._clock.now() - self._read_at

    def refresh(self) -> None:
        """Read what has changed. Blocks. Raises StoreFailed."""
        if self._pid != os.getpid():  # a forked child may neither use nor close the parent's connection
            self._inherited.append(self._connection)
            self._reset()
        with self._lock:
            began = self._clock.now()
            if self._connection is None:
                self._connection = connect(self._data)
            connection = self._connection
            with failing(database(self._data)):
                connection.execute("BEGIN")
                try:
                    version = int(
                        connection.execute("SELECT value FROM meta WHERE name = 'keys_version'").fetchone()[0]
                    )
                    if version != self._version:
                        rows = connection.execute(f"SELECT {_COLUMNS} FROM keys")
                        self._known = {key.digest: key for key in map(_to_key, rows)}
                        self._version = version
                finally:
                    connection.execute("COMMIT")
            self._read_at = began

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection, self._version, self._read_at = None, None, None


class LoopKeyCache(KeyCache):
    """`Keys` from memory on an event loop: SQLite is read in an executor, ahead of need where there is traffic."""

    def __init__(self, data: Path, clock: Clock) -> None:
        super().__init__(data, clock)
        self._refreshing: asyncio.Future[None] | None = None

    async def find(self, digest: bytes) -> Key | None:
        """The key whose SHA-256 this is, at most one second stale. Raises StoreFailed."""
        age_s = self._age_s()
        key = self._known.get(digest)
        if age_s >= REFRESH_S or key is None:
            refreshing = self._refreshing
            if refreshing is None or refreshing.done():
                refreshing = self._refreshing = asyncio.get_running_loop().run_in_executor(None, self.refresh)
                refreshing.add_done_callback(_heard)
            if age_s >= STALE_S or key is None:  # a key unknown so far may have been made a moment ago
                await asyncio.shield(refreshing)
                key = self._known.get(digest)
        return key


def _cannot_rotate(key_id: str, fault: str, fix: str) -> ConfigError:
    return ConfigError(f"The key {key_id} cannot be rotated: it {fault}.", code="bad_option", fix=fix)


def _heard(refreshing: asyncio.Future[None]) -> None:
    """Its failure is told to those who wait for it; while none must wait, the next refresh may do better."""
    if not refreshing.cancelled():
        refreshing.exception()


def _to_row(key: Key) -> tuple[Any, ...]:
    return (
        key.id,
        key.name,
        key.digest,
        key.shown,
        key.environment,
        _to_text(key.scopes),
        key.created_at_us,
        key.tier,
        _to_text(key.models),
        _to_text(key.features),
        key.expires_at_us,
        key.revoked_at_us,
        key.limit_nano,
        key.period,
        key.lineage,
    )


def _to_key(row: tuple[Any, ...]) -> Key:
    scopes, models, features = (_to_names(row[0], row[place]) for place in (5, 8, 9))
    return Key(
        id=row[0],
        name=row[1],
        digest=row[2],
        shown=row[3],
        environment=row[4],
        scopes=scopes or frozenset(),
        created_at_us=row[6],
        tier=row[7],
        models=models,
        features=features,
        expires_at_us=row[10],
        revoked_at_us=row[11],
        limit_nano=row[12],
        period=row[13],
        lineage=row[14],
    )


def _to_names(key_id: str, text: str | None) -> frozenset[str] | None:
    try:
        return None if text is None else msgspec.json.decode(text, type=frozenset[str])
    except msgspec.DecodeError as error:
        raise StoreFailed(
            f"The virtual key {key_id} cannot be read: {error}.",
            code="bad_key_row",
            fix="Revoke the key and make a new one; its row was changed by hand.",
        ) from error


def _to_text(names: frozenset[str] | None) -> str | None:
    return None if names is None else msgspec.json.encode(sorted(names)).decode()
