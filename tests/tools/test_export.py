"""What an export holds, in each format; and that a file is whole or not there."""

from __future__ import annotations

import csv
import io
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ConfigError, StoreFailed
from penstock.record import Record
from penstock.stores.folding import COLUMNS, insert
from penstock.stores.schema import connect, writing
from penstock.tools.export import CALLS, Asked, count, export
from penstock.tools.writers import FORMATS, whole_file

BEGAN_US = 1_795_132_800_123_456  # 2026-11-20T00:00:00.123456Z
DAY_US = 86_400_000_000


def a_record(number: int, **more: Any) -> Record:
    given = {
        "call_id": f"call_{number:04}",
        "began_at_us": BEGAN_US + number * 1_000_000,
        "face": "gateway",
        "method": "POST",
        "path": "/v1/messages",
        "endpoint": "messages",
        "feature": "chat",
        "status": 200,
        "input_tokens": 7,
        "cost_nano": 105_000,
        "cost_basis": "exact",
    }
    return Record(**{**given, **more})


RECORDS = [
    a_record(0, user='Ada, "the" first\nline', is_stream=True, held_nano=2_500_000_001),
    a_record(1, cost_nano=None, cost_basis="unknown", ending="killed", feature="search", status=None),
    a_record(2, cost_nano=9_007_199_254_740_993, trail=b'[{"type":"Routed"}]', feature=None, user="Zoë"),
    a_record(3, began_at_us=BEGAN_US + DAY_US, cost_nano=1),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return made(tmp_path / "data", RECORDS)


def made(data: Path, records: list[Record]) -> Path:
    connection = connect(data)
    with writing(connection):
        insert(connection, records)
    connection.close()
    return data


def text(data: Path, kind: str, **asked: Any) -> str:
    out = io.BytesIO()
    export(data, Asked(**asked), FORMATS[kind], out)
    return out.getvalue().decode()


def test_every_column_of_a_record_can_be_exported() -> None:
    assert set(COLUMNS) <= set(CALLS)


def test_csv_has_all_calls_oldest_first_and_every_field_comes_back(data: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(text(data, "csv"))))
    assert [row["call_id"] for row in rows] == [f"call_{n:04}" for n in range(4)]
    first, killed, dear, _ = rows
    assert "trail" not in first and (first["user"], first["is_stream"]) == ('Ada, "the" first\nline', "True")
    assert (first["began_at"], first["began_at_us"]) == ("2026-11-20T00:00:00.123456Z", str(BEGAN_US))
    assert (first["cost_usd"], first["cost_nano"], first["held_usd"]) == ("0.000105", "105000", "2.500000001")
    assert (killed["cost_usd"], killed["cost_nano"], killed["status"]) == ("", "", "")
    assert Decimal(dear["cost_usd"]) == Decimal("9007199.254740993") and dear["user"] == "Zoë"


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json_keeps_types_and_nulls(data: Path, kind: str) -> None:
    said = text(data, kind, columns=("call_id", "cost_usd", "cost_nano", "is_stream", "status", "trail"))
    rows = json.loads(said) if kind == "json" else [json.loads(line) for line in said.splitlines()]
    assert rows[0] == {
        "call_id": "call_0000",
        "cost_usd": "0.000105",
        "cost_nano": 105_000,
        "is_stream": True,
        "status": 200,
        "trail": "[]",
    }
    assert rows[1]["cost_usd"] is None and rows[1]["status"] is None
    assert rows[2]["cost_nano"] == 9_007_199_254_740_993 and json.loads(rows[2]["trail"]) == [{"type": "Routed"}]


def test_parquet_has_exact_money_and_real_times(data: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    place = tmp_path / "out.parquet"
    with place.open("wb") as out:
        assert export(data, Asked(), FORMATS["parquet"], out) == 4
    table = parquet.read_table(place)
    assert str(table.schema.field("cost_usd").type) == "decimal128(28, 9)"
    assert str(table.schema.field("began_at").type) == "timestamp[us, tz=UTC]"
    assert table["cost_usd"].to_pylist() == [
        Decimal("0.000105000"),
        None,
        Decimal("9007199.254740993"),
        Decimal("0.000000001"),
    ]
    assert table["cost_nano"].to_pylist() == [105_000, None, 9_007_199_254_740_993, 1]
    assert table["began_at"].to_pylist()[0].isoformat() == "2026-11-20T00:00:00.123456+00:00"
    assert table["is_stream"].to_pylist() == [True, False, False, False]


@pytest.mark.parametrize("kind", list(FORMATS))
def test_nothing_is_a_whole_file_too(data: Path, tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out = io.BytesIO()
    assert export(data, Asked(until_us=1), FORMATS[kind], out) == 0
    if kind == "json":
        assert json.loads(out.getvalue()) == []
    if kind == "csv":
        assert out.getvalue().decode().startswith("began_at,call_id,")


def test_calls_are_counted_by_labels(data: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(text(data, "csv", by=("day", "feature")))))
    told = [(row["day"], row["feature"], row["calls"], row["errors"], row["unpriced"], row["cost_usd"]) for row in rows]
    assert told == [
        ("2026-11-20", "", "1", "0", "0", "9007199.254740993"),
        ("2026-11-20", "chat", "1", "0", "0", "0.000105"),
        ("2026-11-20", "search", "1", "1", "1", "0.00"),
        ("2026-11-21", "chat", "1", "0", "0", "0.000000001"),
    ]


def test_a_span_has_its_begin_and_not_its_end(data: Path) -> None:
    asked = {"since_us": BEGAN_US + 1_000_000, "until_us": BEGAN_US + DAY_US}
    assert [line.split(",")[1] for line in text(data, "csv", **asked).splitlines()[1:]] == ["call_0001", "call_0002"]
    assert count(data, Asked(**asked)) == 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"columns": ("cost",)}, "There is no column 'cost'"),
        ({"by": ("mood",)}, "'mood'"),
        ({"by": ("day",), "columns": ("call_id",)}, "'call_id'"),
        ({"columns": ("call_id", "call_id")}, "twice"),
    ],
)
def test_a_wrong_name_is_told_with_those_there_are(data: Path, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        text(data, "csv", **asked)
    assert refused.value.code == "bad_label" and refused.value.fix


def test_without_a_ledger_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="no ledger"):
        text(tmp_path / "none", "csv")


def test_a_file_that_fails_is_not_there(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"

    def broken(*, may_replace: bool) -> None:
        with pytest.raises(RuntimeError), whole_file(place, may_replace=may_replace) as out:
            out.write(b"half")
            raise RuntimeError

    broken(may_replace=False)
    assert list(tmp_path.iterdir()) == []
    place.write_text("before")
    broken(may_replace=True)
    assert place.read_text() == "before" and list(tmp_path.iterdir()) == [place]


def test_a_file_is_never_written_over_unasked(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"
    with pytest.raises(ConfigError, match="exists"), whole_file(place, may_replace=False) as out:
        out.write(b"ours")
        place.write_text("came meanwhile")
    assert place.read_text() == "came meanwhile" and list(tmp_path.iterdir()) == [place]
    with whole_file(place, may_replace=True) as out:
        out.write(b"ours")
    assert place.read_text() == "ours" and place.stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigError, match="cannot be written"), whole_file(tmp_path / "no" / "x", may_replace=False):
        pass


def test_without_pyarrow_the_extra_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"penstock\[parquet\]") as refused:
        text(data, "parquet")
    assert refused.value.code == "extra_missing"


@pytest.mark.weighty
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_memory_does_not_grow_with_the_ledger(tmp_path: Path, kind: str) -> None:
    """In children, for a peak can only be read of a whole process."""
    import subprocess

    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    program = (
        "import resource, sys; from pathlib import Path; from penstock.tools.export import Asked, export\n"
        "from penstock.tools.writers import FORMATS\n"
        f"export(Path(sys.argv[1]), Asked(), FORMATS['{kind}'], open(sys.argv[2], 'wb'))\n"
        # On Linux the peak of `getrusage` begins at what the parent had, and this one does not.
        "status = Path('/proc/self/status')\n"
        "own = [line.split()[1] for line in status.open() if line.startswith('VmHWM')] if status.exists() else []\n"
        "print(own[0] if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for number in (20_000, 120_000):
        folder = made(tmp_path / str(number), [a_record(n, session=f"session-{n}") for n in range(number)])
        words = [sys.executable, "-c", program, str(folder), str(tmp_path / f"{number}.out")]
        peaks.append(int(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
    unit = 1 if sys.platform == "darwin" else 1024
    assert (peaks[1] - peaks[0]) * unit < 60 << 20, peaks
