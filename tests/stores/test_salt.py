"""The salt of a data folder is made once, is the same for all, and can be read by its owner alone."""

from __future__ import annotations

import multiprocessing
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.config.schema import Config, StoresConfig
from penstock.errors import StoreFailed
from penstock.faces import compose
from penstock.ports.blocking import BlockingClock
from penstock.stores.salt import salt


def test_it_is_made_once(tmp_path: Path) -> None:
    assert salt(tmp_path / "data", b"first") == salt(tmp_path / "data", b"second") == b"first"
    (place,) = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_processes_that_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    offers = [(tmp_path / "data", b"salt %d" % number) for number in range(16)]
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert len(set(pool.starmap(salt, offers, chunksize=1))) == 1
    assert [place.name for place in (tmp_path / "data").iterdir()] == ["salt"]


def test_every_data_folder_has_its_own_and_keeps_it(tmp_path: Path) -> None:
    def made(name: str, **more: str) -> bytes:
        config = replace(Config(), data=tmp_path / name, stores=StoresConfig(**more))
        return compose.shared(config, BlockingClock())["salt"]

    assert len(made("a")) >= 32
    assert made("a") == made("a", counters="memory") != made("b")
    assert made("c", ledger="memory", counters="memory") != made("c", ledger="memory", counters="memory")


def test_where_it_cannot_be_kept_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreFailed) as raised:
        salt(tmp_path / "data", b"salt")
    assert raised.value.code == "data_folder_unwritable"
