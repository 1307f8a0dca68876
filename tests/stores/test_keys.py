"""Virtual keys: stored as digests, found in memory, never staler than a second."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from entries import BEGAN_US, StillClock

from penstock.drive import run
from penstock.errors import ConfigError, StoreFailed
from penstock.ports import Key, Keys
from penstock.ports.simulated import World
from penstock.secret import Secret
from penstock.stores import keys as store
from penstock.stores.keys import KeyCache, KeyStore, LoopKeyCache, digest, mint
from penstock.stores.memory import MemoryKeys
from penstock.stores.schema import connect, database


def create(data: Path, clock: StillClock, name: str = "ci", **fields: Any) -> tuple[Key, Secret]:
    made: list[int] = []

    def token(size: int) -> str:
        made.append(size)
        return os.urandom(size).hex()

    key, secret = KeyStore(data, clock).create(name, chance=World(hash(name)), token=token, **fields)
    assert made == [32], "a key has 256 random bits"
    return key, secret


def found(cache: Keys, value: str, runs: Any) -> Key | None:
    result: Key | None = runs(cache.find(digest(value)))
    return result


CACHES = {"blocking": (KeyCache, run), "loop": (LoopKeyCache, asyncio.run)}


@pytest.fixture(params=CACHES)
def cached(request: pytest.FixtureRequest, data: Path, clock: StillClock) -> Any:
    kind, runs = CACHES[request.param]
    cache = kind(data, clock)
    yield cache, runs
    cache.close()


def test_a_key_is_found_by_its_digest_and_by_nothing_else(cached: Any, data: Path, clock: StillClock) -> None:
    cache, runs = cached
    key, secret = create(
        data, clock, environment="prod", tier="gold", models={"claude-haiku-4-5"}, features=[], expires_at_us=5
    )
    assert found(cache, secret.reveal(), runs) == key
    assert found(cache, secret.reveal() + "x", runs) is None
    assert (key.models, key.features, key.created_at_us) == (frozenset({"claude-haiku-4-5"}), frozenset(), BEGAN_US)


def test_the_memory_keys_answer_as_the_stored_ones_do(cached: Any, data: Path, clock: StillClock) -> None:
    cache, runs = cached
    key, secret = create(data, clock)
    memory = MemoryKeys([key])
    revoked = msgspec.structs.replace(key, revoked_at_us=clock.wall_us())
    for value in (secret.reveal(), "pk_dev_unknown"):
        assert found(memory, value, run) == found(cache, value, runs)
    KeyStore(data, clock).revoke(key.id)
    memory.put(revoked)
    clock.now_s += 1.0
    assert found(memory, secret.reveal(), run) == found(cache, secret.reveal(), runs) == revoked


def test_a_revocation_elsewhere_counts_within_one_second(cached: Any, data: Path, clock: StillClock) -> None:
    cache, runs = cached
    key, secret = create(data, clock)
    assert found(cache, secret.reveal(), runs) == key
    KeyStore(data, StillClock()).revoke(key.id)
    clock.now_s += 0.999
    found(cache, secret.reveal(), runs)
    clock.now_s += 0.001
    late = found(cache, secret.reveal(), runs)
    assert late is not None and late.revoked_at_us == BEGAN_US


def test_a_key_made_elsewhere_counts_within_one_second(cached: Any, data: Path, clock: StillClock) -> None:
    cache, runs = cached
    assert found(cache, "pk_dev_none", runs) is None
    key, secret = create(data, clock)
    clock.now_s += 1.0
    assert found(cache, secret.reveal(), runs) == key


def test_a_fresh_cache_does_not_touch_the_database(cached: Any, data: Path, clock: StillClock) -> None:
    cache, runs = cached
    key, secret = create(data, clock)
    found(cache, secret.reveal(), runs)
    cache.refresh = lambda: pytest.fail("refreshed")
    clock.now_s += 0.4
    assert found(cache, secret.reveal(), runs) == key


def test_on_a_loop_a_cache_not_yet_stale_answers_at_once_and_refreshes_beside(data: Path, clock: StillClock) -> None:
    key, _ = create(data, clock)
    cache = LoopKeyCache(data, clock)

    async def scenario() -> None:
        await cache.find(key.digest)
        KeyStore(data, clock).revoke(key.id)
        clock.now_s += 0.6
        assert run(cache.find(key.digest)) == key  # without suspending
        assert cache._refreshing is not None
        await cache._refreshing
        later = run(cache.find(key.digest))
        assert later is not None and later.revoked_at_us is not None

    asyncio.run(scenario())
    cache.close()


def test_a_stale_cache_whose_store_fails_says_so_and_recovers(cached: Any, data: Path, clock: StillClock) -> None:
    cache, runs = cached
    key, secret = create(data, clock)
    with sqlite3.connect(database(data)) as connection:
        connection.execute("ALTER TABLE meta RENAME TO gone")
    with pytest.raises(StoreFailed, match="meta"):
        found(cache, secret.reveal(), runs)
    with connection:
        connection.execute("ALTER TABLE gone RENAME TO meta")
    connection.close()
    assert found(cache, secret.reveal(), runs) == key


def test_the_key_itself_is_nowhere_on_the_disk(data: Path, clock: StillClock) -> None:
    _, secret = create(data, clock)
    value = secret.reveal()
    stored = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert len(stored) > 1_000
    assert value.encode() not in stored and value[10:].encode() not in stored and value[-8:].encode() not in stored


def test_a_key_may_do_little_unless_more_is_said(data: Path, clock: StillClock) -> None:
    key, secret = create(data, clock)
    assert key.scopes == {"messages", "count_tokens", "models"}
    assert key.environment == "dev" and secret.reveal().startswith("pk_dev_")
    assert key.shown == str(secret) and secret.reveal() not in repr(key)
    more, _ = create(data, clock, "batch", scopes=["batches", "files"])
    assert more.scopes == {"batches", "files"}


@pytest.mark.parametrize("scopes", [["message"], []])
def test_a_scope_that_does_not_exist_is_refused_with_those_that_do(
    data: Path, clock: StillClock, scopes: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        KeyStore(data, clock).create("ci", chance=World(1), token=lambda size: "x" * size, scopes=scopes)
    assert "count_tokens" in caught.value.fix


def test_keys_are_listed_oldest_first_and_found_by_id_or_name(data: Path, clock: StillClock) -> None:
    first, _ = create(data, clock, "one")
    clock.now_s += 1
    second, _ = create(data, clock, "two")
    keys = KeyStore(data, clock)
    assert keys.list() == [first, second]
    assert keys.find("two") == keys.find(second.id) == [second]
    assert keys.find("three") == []


def test_a_key_revoked_twice_keeps_its_first_time_and_an_unknown_one_is_none(data: Path, clock: StillClock) -> None:
    key, _ = create(data, clock)
    keys = KeyStore(data, clock)
    clock.now_s = 5.0
    first = keys.revoke(key.id)
    clock.now_s = 9.0
    assert first is not None and keys.revoke(key.id) == first and first.revoked_at_us == BEGAN_US + 5_000_000
    assert keys.revoke("key_unknown") is None


def rotate(data: Path, clock: StillClock, key_id: str, grace_s: int = 3600) -> tuple[Key, Key, Secret]:
    return KeyStore(data, clock).rotate(
        key_id, chance=World(hash(key_id)), token=lambda size: os.urandom(size).hex(), grace_us=grace_s * 1_000_000
    )


def test_a_successor_has_the_rights_and_the_family_of_the_old_key_and_both_work_meanwhile(
    cached: Any, data: Path, clock: StillClock
) -> None:
    cache, runs = cached
    first, old_secret = create(
        data, clock, environment="prod", tier="gold", features=["chat"], limit_nano=5, period="day"
    )
    clock.now_s = 10.0
    old, new, secret = rotate(data, clock, first.id)
    assert (
        found(cache, old_secret.reveal(), runs)
        == old
        == msgspec.structs.replace(first, expires_at_us=BEGAN_US + 3_610_000_000)
    )
    assert found(cache, secret.reveal(), runs) == new
    same = ("name", "environment", "scopes", "tier", "models", "features", "limit_nano", "period", "expires_at_us")
    assert all(getattr(new, name) == getattr(first, name) for name in same)
    assert (new.created_at_us, secret.reveal()[:8]) == (BEGAN_US + 10_000_000, "pk_prod_")
    clock.now_s = 20.0
    _, third, _ = rotate(data, clock, new.id)
    assert [key.lineage for key in (first, new, third)] == [None, first.id, first.id]


def test_a_rotation_never_lengthens_the_old_keys_life_and_gives_the_new_one_as_much(
    data: Path, clock: StillClock
) -> None:
    first, _ = create(data, clock, expires_at_us=BEGAN_US + 100_000_000)
    clock.now_s = 40.0
    old, new, _ = rotate(data, clock, first.id, grace_s=3600)
    assert old.expires_at_us == first.expires_at_us
    assert new.expires_at_us == BEGAN_US + 140_000_000


def test_what_is_not_live_or_has_a_successor_is_not_rotated(data: Path, clock: StillClock) -> None:
    gone, _ = create(data, clock, "gone")
    KeyStore(data, clock).revoke(gone.id)
    over, _ = create(data, clock, "over", expires_at_us=BEGAN_US)
    for key_id, said in ((gone.id, "is not live"), (over.id, "is not live"), ("key_none", "is not there")):
        with pytest.raises(ConfigError, match=said):
            rotate(data, clock, key_id)
    first, _ = create(data, clock, "first")
    _, new, _ = rotate(data, clock, first.id)
    with pytest.raises(ConfigError, match="rotated already") as caught:
        rotate(data, clock, first.id)
    assert new.id in caught.value.fix
    assert len(KeyStore(data, clock).list()) == 4, "what was refused made nothing"


def test_two_keys_never_share_a_digest(data: Path, clock: StillClock) -> None:
    keys = KeyStore(data, clock)
    keys.create("one", chance=World(1), token=lambda size: "same")
    with pytest.raises(StoreFailed, match="UNIQUE"):
        keys.create("two", chance=World(2), token=lambda size: "same")


def test_any_text_a_caller_sends_has_a_digest() -> None:
    assert digest("\udcff") != digest("") and len(digest("pk_ü")) == 32
    assert mint("prod", lambda size: "x" * size).reveal() == "pk_prod_" + "x" * 32


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_opens_the_store_anew(data: Path, clock: StillClock) -> None:
    key, secret = create(data, clock)
    cache = KeyCache(data, clock)
    assert found(cache, secret.reveal(), run) == key
    inherited = cache._connection
    pid = os.fork()
    if pid == 0:
        clock.now_s += 1.0
        is_right = found(cache, secret.reveal(), run) == key and cache._connection is not inherited
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    cache.close()


def test_unchanged_keys_are_not_read_again(data: Path, clock: StillClock) -> None:
    create(data, clock)
    cache = KeyCache(data, clock)
    cache.refresh()
    known = cache._known
    connection = connect(data)
    connection.execute("INSERT INTO meta (name, value) VALUES ('another', 1)")
    connection.close()
    cache.refresh()
    assert cache._known is known
    cache.close()
    assert store.REFRESH_S < store.STALE_S <= 1.0
