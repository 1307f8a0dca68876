"""What is true of the cache doctor's sums whatever the traffic, and of rows that it cannot read."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from clinic import ALL, HOUR, MARK, PRICES, TWO, Clinic, body, text

from penstock.record import Record
from penstock.stores.folding import insert
from penstock.stores.schema import connect, writing
from penstock.tools.cache import Diagnosis, diagnose


def traffic(clinic: Clinic, random: Random) -> None:
    """Conversations and single calls, with all that may go wrong with their prompts."""
    talks: list[list[Any]] = [[], [], []]
    at_s = 0.0
    for number in range(40):
        at_s += random.choice([0.1, 20, 200, 400, 2000])
        place = random.randrange(4)
        mark = random.choice([None, MARK, HOUR])
        system = [text(random.choice([300, 1500, 2500]), random.choice(["rule", "law", f"date{number}"]))]
        if mark is not None:
            system[0]["cache_control"] = mark
        said = talks[place] if place < 3 else []
        if said and random.random() < 0.1:
            del said[:2]
        own = [text(random.choice([5, 700]), f"u{number}")]
        last = [{**own[0], "cache_control": MARK}] if mark != HOUR and random.random() < 0.6 else own
        more = {"output_config": {"effort": "low"}} if random.random() < 0.1 else {}
        session = f"s{place}" if random.random() < 0.7 else None
        target = {"target": TWO} if random.random() < 0.1 else {}
        clinic.ask(at_s, body(*said, last, system=system, **more), session=session, **target)
        said += [own, "Yes."]


@pytest.mark.parametrize("seed", range(12))
def test_the_sums_agree_with_the_ledger(seed: int, tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, is_marking=seed % 3 == 0)
    traffic(clinic, Random(seed))
    made, rows = clinic.diagnosis(), clinic.records
    assert made.calls == len(rows) == 40
    assert sum(one.read_tokens for one in made.patients) == sum(row.cache_read_tokens for row in rows)
    cost = sum(row.cost_nano or 0 for row in rows)
    assert 0 <= made.lost_nano <= cost
    written = sum(row.cache_write_5m_tokens + row.cache_write_1h_tokens for row in rows)
    assert sum(one.unread_tokens for one in made.patients) <= written
    for one in made.patients:
        assert one.read_tokens <= one.could_tokens <= one.prompt_tokens
        assert one.hits <= one.chances <= one.calls
        misses = [found for found in one.findings if found.cause != "never_read"]
        assert sum(found.nano for found in misses) == one.lost_nano
        assert sum(found.tokens for found in misses) == one.could_tokens - one.read_tokens
        assert all(found.evidence or found.cause == "never_read" for found in one.findings)


def looked_at(place: Path, records: list[Record]) -> Diagnosis:
    connection = connect(place)
    with writing(connection):
        insert(connection, records)
    connection.close()
    return diagnose(place, ALL, PRICES)


@pytest.mark.parametrize(
    "trail",
    [
        b'[{"type":"Fingerprinted","upstream":"a"}]',
        b'[{"type":"Fingerprinted","upstream":"a","blocks":2,"tools":0,"system":1,"turns":1,"digests":"AAAA","tokens":[1]}]',
        b'[{"type":"Fingerprinted","upstream":"a","blocks":1,"tools":0,"system":0,"turns":1,"digests":"?","tokens":[1]}]',
        b'[{"type":"Fingerprinted","blocks":"many"}]',
        b'[{"type":"Fingerprinted"',
    ],
)
def test_a_fingerprint_that_cannot_be_read_is_as_good_as_none(trail: bytes, tmp_path: Path) -> None:
    clinic = Clinic(tmp_path / "one")
    clinic.ask(0, body("Hi", system=[text(2000, cache_control=MARK)]))
    (row,) = clinic.records
    made = looked_at(tmp_path / "other", [msgspec.structs.replace(row, trail=trail)])
    assert (made.calls, made.unjudged) == (1, 1)


def test_of_several_attempts_the_one_that_was_answered_counts(tmp_path: Path) -> None:
    """A prompt was sent elsewhere first, unmarked; what came of it is not known, and not asked."""
    clinic = Clinic(tmp_path / "one")
    for at in range(2):
        clinic.ask(60 * at, body("Hi", system=[text(2000, cache_control=MARK)]))
    rows = clinic.records
    for row in rows:
        facts = msgspec.json.decode(row.trail)
        (own,) = [fact for fact in facts if fact["type"] == "Fingerprinted"]
        elsewhere = {**own, "upstream": "spare", "marks": [], "digests": own["digests"][::-1]}
        row.trail = msgspec.json.encode([elsewhere, *facts, elsewhere])
    (one,) = looked_at(tmp_path / "other", rows).patients
    assert (one.hits, one.chances, one.findings) == (1, 1, ())


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.tools.cache.entries.PREFIXES_MAX", 3)
    monkeypatch.setattr("penstock.tools.cache.streams._SESSIONS_MAX", 2)
    monkeypatch.setattr("penstock.tools.cache.streams._STREAMS_MAX", 1)
    monkeypatch.setattr("penstock.tools.cache.streams._HEADS_MAX", 1)
    monkeypatch.setattr("penstock.tools.cache.streams._PENDING_MAX", 3)
    monkeypatch.setattr("penstock.tools.cache.sums._EXPLAINED_MAX", 1)
    clinic = Clinic(tmp_path)
    traffic(clinic, Random(0))
    assert clinic.diagnosis().calls == 40
