"""Files of rows in four formats, each written as it goes; and how a file appears whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec

from ..errors import ConfigError


class Kind(Enum):
    """What a column holds. Dollars come as exact decimal strings and moments as ISO 8601, but to a writer that has
    types for them: it gets nano-dollars and Unix microseconds."""

    TEXT = "text"
    WHOLE = "whole"
    FLAG = "flag"
    DOLLARS = "dollars"
    MOMENT = "moment"


class Writer(Protocol):
    """Writes rows; `close` ends the format, and leaves the file beneath open."""

    is_typed: bool

    def write(self, rows: Iterable[Sequence[Any]]) -> None: ...

    def close(self) -> None: ...


class CsvWriter:
    """A header and a line for each row; what is not known is empty."""

    is_typed = False

    def __init__(self, out: BinaryIO, columns: Sequence[tuple[str, Kind]]) -> None:
        self._text = io.TextIOWrapper(out, "utf-8", newline="")
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._csv.writerow([name for name, _ in columns])

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        self._csv.writerows(rows)

    def close(self) -> None:
        self._text.flush()
        self._text.detach()


class JsonLinesWriter:
    """One JSON object a line."""

    is_typed = False

    def __init__(self, out: BinaryIO, columns: Sequence[tuple[str, Kind]]) -> None:
        self._out, self._names = out, [name for name, _ in columns]
        self._encoder = msgspec.json.Encoder()

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        self._out.write(self._encoder.encode_lines([dict(zip(self._names, row, strict=True)) for row in rows]))

    def close(self) -> None:
        self._out.flush()


class JsonWriter:
    """One JSON array, an object a line."""

    is_typed = False

    def __init__(self, out: BinaryIO, columns: Sequence[tuple[str, Kind]]) -> None:
        self._out, self._names, self._before = out, [name for name, _ in columns], b"[\n"
        self._encoder = msgspec.json.Encoder()

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        encode = self._encoder.encode
        lines = b",\n".join(encode(dict(zip(self._names, row, strict=True))) for row in rows)
        self._out.write(self._before + lines)
        self._before = b",\n"

    def close(self) -> None:
        self._out.write(b"\n]\n" if self._before == b",\n" else b"[]\n")
        self._out.flush()


class ParquetWriter:
    """Apache Parquet: money as decimal128 with nine places, moments as UTC timestamps in microseconds."""

    is_typed = True

    def __init__(self, out: BinaryIO, columns: Sequence[tuple[str, Kind]]) -> None:
        self._arrow, parquet = _arrow("pyarrow"), _arrow("pyarrow.parquet")
        self._types = {
            Kind.TEXT: self._arrow.string(),
            Kind.WHOLE: self._arrow.int64(),
            Kind.FLAG: self._arrow.bool_(),
            Kind.DOLLARS: self._arrow.decimal128(28, 9),
            Kind.MOMENT: self._arrow.timestamp("us", tz="UTC"),
        }
        self._schema = self._arrow.schema([(name, self._types[kind]) for name, kind in columns])
        self._kinds = [kind for _, kind in columns]
        self._writer = parquet.ParquetWriter(out, self._schema, compression="zstd")
        self._held: list[Any] = []

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        values = zip(*rows, strict=True)
        arrays = [self._array(one, kind) for one, kind in zip(values, self._kinds, strict=True)]
        self._held.append(self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema))
        if len(self._held) == _BATCHES_A_GROUP:
            self._flush()

    def _array(self, values: Sequence[Any], kind: Kind) -> Any:
        arrow, type_ = self._arrow, self._types[kind]
        if kind is Kind.DOLLARS:
            # The same sixteen bytes a number, with the point nine places further left: exact, and at no cost.
            whole = arrow.array(values, arrow.int64()).cast(arrow.decimal128(28, 0))
            return arrow.Array.from_buffers(type_, len(whole), whole.buffers())
        if kind is Kind.MOMENT:
            return arrow.array(values, arrow.int64()).cast(type_)
        return arrow.array(values, type_)

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(self._arrow.Table.from_batches(self._held, self._schema))
            self._held = []

    def close(self) -> None:
        self._flush()
        self._writer.close()


_BATCHES_A_GROUP = 20

FORMATS: dict[str, Callable[[BinaryIO, Sequence[tuple[str, Kind]]], Writer]] = {
    "csv": CsvWriter,
    "jsonl": JsonLinesWriter,
    "json": JsonWriter,
    "parquet": ParquetWriter,
}


def _arrow(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(
            "Parquet needs pyarrow, which is not installed.",
            code="extra_missing",
            fix="Run pip install 'penstock[parquet]', or export as csv or jsonl.",
        ) from None


@contextlib.contextmanager
def whole_file(target: Path, *, may_replace: bool) -> Iterator[BinaryIO]:
    """A file that stands under its name only once the block has ended well. Only its owner can read it.

    Raises ConfigError where it exists and may not be replaced, or cannot be written.
    """
    if not may_replace and target.exists():
        raise _exists(target)
    try:
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error
    beside = Path(name)
    try:
        with os.fdopen(number, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        _appear(beside, target, may_replace=may_replace)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        beside.unlink(missing_ok=True)


def _appear(beside: Path, target: Path, *, may_replace: bool) -> None:
    if may_replace:
        beside.replace(target)
        return
    try:
        target.hardlink_to(beside)  # unlike a rename, never over a file that came meanwhile
    except FileExistsError:
        raise _exists(target) from None
    except OSError:  # a file system without links
        beside.replace(target)


def _exists(target: Path) -> ConfigError:
    return ConfigError(f"{target} exists.", code="bad_option", fix="Name another file, or replace it with --force.")


def _unwritable(target: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{target} cannot be written: {error.strerror or error}.",
        code="bad_option",
        fix="Name a place with room that can be written.",
    )
