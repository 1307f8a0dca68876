"""The journal: what has happened and is not yet known to be in SQLite.

A folder of segments. Each is one process's own, held by a lock (`flock`) that the operating system drops when the
process dies, however it dies. An entry is one line, the kind and a JSON array: `I[…]` an Intent, `R[…]` a Record.
A line that was cut off by a crash is no valid array and is passed over; an array longer than this version knows
is read as far as it is known.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from ..errors import StoreFailed
from ..record import Intent, Record
from .schema import unwritable

Write = Callable[[int, bytes], int]
E = TypeVar("E", Intent, Record)

SUFFIX = ".segment"

_INT64_MAX = (1 << 63) - 1

_encode = msgspec.json.Encoder().encode
_read_intent = msgspec.json.Decoder(Intent).decode
_read_record = msgspec.json.Decoder(Record).decode


def intent_line(intent: Intent) -> bytes:
    """An intent as a line. Raises StoreFailed for a value of a type that no JSON can hold."""
    return _line(b"I%b\n", intent)


def record_line(record: Record) -> bytes:
    """A record as a line. Raises StoreFailed for a value of a type that no JSON can hold."""
    return _line(b"R%b\n", record)


def _line(form: bytes, entry: E) -> bytes:
    try:
        return form % _encode(entry)
    except (UnicodeEncodeError, OverflowError, msgspec.MsgspecError):
        pass
    except TypeError as error:
        raise unencodable(error) from error
    return form % _encode(storable(entry))


def storable(entry: E) -> E:
    """The entry with what no store can hold made to fit: half surrogate pairs become `?`, numbers beyond 64 bits
    the nearest one within. What a caller puts in a header must not cost us the row."""
    fitted: dict[str, object] = {}
    for name in entry.__struct_fields__:
        value = getattr(entry, name)
        if isinstance(value, str):
            fitted[name] = value.encode("utf-8", "replace").decode()
        elif isinstance(value, int) and not isinstance(value, bool):
            fitted[name] = max(-_INT64_MAX, min(value, _INT64_MAX))
    return msgspec.structs.replace(entry, **fitted)


class Batch(msgspec.Struct):
    """The entries of some journal lines, in order. `opened` keeps the latest intent of a call and its line."""

    opened: dict[str, tuple[Intent, bytes]]
    records: list[Record]
    unreadable: list[bytes]


def read_lines(block: bytes) -> Batch:
    """The entries of a block of whole lines. Nothing in it can make this raise."""
    batch = Batch({}, [], [])
    for line in block.split(b"\n"):
        if not line:
            continue
        try:
            if line[:1] == b"R":
                batch.records.append(_read_record(memoryview(line)[1:]))
                continue
            if line[:1] == b"I":
                intent = _read_intent(memoryview(line)[1:])
                batch.opened[intent.call_id] = (intent, line + b"\n")
                continue
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        batch.unreadable.append(line)
    return batch


class Segment:
    """One file of the journal, open and locked by us for as long as it is open.

    Of its `size` in bytes, `folded` are known to be in SQLite; `carried` were brought along from the segment before.
    """

    __slots__ = ("__weakref__", "carried", "fd", "folded", "path", "size")

    def __init__(self, path: Path, fd: int, size: int) -> None:
        self.path, self.fd, self.size = path, fd, size
        self.folded = self.carried = 0
        _held().add(self)

    @classmethod
    def create(cls, folder: Path) -> Segment:
        """A new segment of ours. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = folder / f"{os.getpid()}-{number}{SUFFIX}"
            try:
                fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            if _lock(fd, path):
                return cls(path, fd, 0)
            os.close(fd)  # another process took the file for an orphan in the instant before we locked it
        raise AssertionError("unreachable")

    @classmethod
    def adopt(cls, path: Path) -> Segment | None:
        """A segment whose owner is dead, now ours; None where the owner lives or another process was first."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if not _lock(fd, path):
            os.close(fd)
            return None
        return cls(path, fd, os.fstat(fd).st_size)

    def read(self, limit: int) -> bytes:
        """The next lines that are whole and not yet folded, some `limit` bytes of them; empty at the end."""
        while True:
            block = os.pread(self.fd, min(limit, self.size - self.folded), self.folded)
            end = block.rfind(b"\n") + 1
            if end or len(block) < limit:
                return block[:end]
            limit *= 2  # one line longer than the limit

    def rest(self) -> bytes:
        """All lines not yet folded."""
        return os.pread(self.fd, self.size - self.folded, self.folded)

    def delete(self) -> None:
        """Done with: everything in it is in SQLite. Unlinked before the lock goes, so that no one adopts it."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self.close()

    def close(self) -> None:
        """Let it go without deleting it: whoever opens the journal next adopts it."""
        _held().discard(self)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def orphans(folder: Path) -> Iterator[Segment]:
    """Every segment whose owner is dead, each locked by us until the caller closes or deletes it."""
    try:
        paths = sorted(folder.glob(f"*{SUFFIX}"))
    except OSError as error:
        raise unwritable(folder, error) from error
    for path in paths:
        try:
            segment = Segment.adopt(path)
        except OSError as error:
            raise unwritable(path, error) from error
        if segment is not None:
            yield segment


def write_line(write: Write, segment: Segment, line: bytes) -> None:
    """Append one line, whole or not at all. Raises OSError."""
    before = segment.size
    try:
        wrote = write(segment.fd, line)
        if wrote != len(line):
            raise OSError(28, os.strerror(28))  # a short write means the disk is full
    except OSError:
        _undo(segment, before)
        raise
    segment.size = before + wrote


def _undo(segment: Segment, size: int) -> None:
    """Cut half a line off again; where even that fails, end it, so that the next line is not spoiled."""
    try:
        os.ftruncate(segment.fd, size)
    except OSError:
        with contextlib.suppress(OSError):
            os.write(segment.fd, b"\n")
        with contextlib.suppress(OSError):
            segment.size = os.fstat(segment.fd).st_size


def unencodable(error: Exception) -> StoreFailed:
    """The error for an entry with a value that no JSON can hold."""
    return StoreFailed(
        f"An entry cannot be written to the journal: {error}.",
        code="entry_unwritable",
        fix="Report this with the call id; the value is of a type that a record does not have.",
    )


def _lock(fd: int, path: Path) -> bool:
    """Lock an open segment; False where another process holds it or has already deleted it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(fd).st_nlink > 0 and path.exists()


@functools.cache
def _held() -> weakref.WeakSet[Segment]:
    """The segments this process holds.

    A lock belongs to the open file, which a forked child shares: the child must close its copy, or the
    segment would still look alive after the parent has died.
    """
    held: weakref.WeakSet[Segment] = weakref.WeakSet()

    def let_go() -> None:
        for segment in list(held):
            segment.close()

    os.register_at_fork(after_in_child=let_go)
    return held
