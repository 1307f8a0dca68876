"""`penstock export` as its users meet it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from gateways import command, gateway
from penstock.simulator import running
from script import HELLO


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three calls, of two features."""
    place = tmp_path_factory.mktemp("export") / "data"
    with running(seed=1) as simulator, gateway(simulator.url, data=place, ANTHROPIC_API_KEY=simulator.key) as process:
        for feature in ("chat", "chat", "search"):
            headers = {"x-api-key": process.key, "anthropic-version": "2023-06-01", "x-penstock-feature": feature}
            assert httpx2.post(process.url + "/v1/messages", json=HELLO, headers=headers).status_code == 200
        process.records(3)
    yield place


def exported(data: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return command("export", *words, "--data", str(data), cwd=cwd)


def test_a_file_by_its_name_and_no_other_beside_it(data: Path, tmp_path: Path) -> None:
    for name in ("calls.csv", "calls.jsonl", "calls.json"):
        done = exported(data, name, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "") and done.stderr == f"3 rows to {name}\n"
    assert {path.name for path in tmp_path.iterdir()} == {"calls.csv", "calls.jsonl", "calls.json"}
    rows = list(csv.DictReader((tmp_path / "calls.csv").open()))
    assert rows == list(csv.DictReader((tmp_path / "calls.csv").open())) and len(rows) == 3
    objects = json.loads((tmp_path / "calls.json").read_text())
    assert [one["call_id"] for one in objects] == [row["call_id"] for row in rows]
    assert objects == [json.loads(line) for line in (tmp_path / "calls.jsonl").open()]


def test_daily_counts_by_feature_to_stdout(data: Path) -> None:
    done = exported(data, "-", "--format", "csv", "--by", "day,feature", "--columns", "feature,calls,cost_usd")
    told = {row["feature"]: row["calls"] for row in csv.DictReader(io.StringIO(done.stdout))}
    assert told == {"chat": "2", "search": "1"} and done.stderr == "2 rows\n"


def test_parquet_through_a_pipe(data: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    assert exported(data, "calls.parquet", cwd=tmp_path).returncode == 0
    assert parquet.read_table(tmp_path / "calls.parquet").num_rows == 3


def test_a_file_that_exists_stays_unless_forced(data: Path, tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("mine")
    done = exported(data, "calls.csv", cwd=tmp_path)
    assert done.returncode == 2 and "calls.csv exists. Name another file, or replace it with --force." in done.stderr
    assert (tmp_path / "calls.csv").read_text() == "mine"
    assert exported(data, "calls.csv", "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "calls.csv").read_text().startswith("began_at,")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("calls.xls",), "does not say what format"),
        (("-",), "does not say what format"),
        (("calls.csv", "--format", "xml"), "--format 'xml'"),
        (("calls.csv", "--by", "mood"), "mood"),
        (("calls.csv", "--columns", "cost"), "There is no column 'cost'"),
        (("calls.csv", "--since", "yesterday"), "--since"),
        (("no/calls.csv",), "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    data: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = exported(data, *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
