"""The journal: what has happened and is not yet known to be in SQLite.

A folder of segments. Each is one process's own, held by a lock (`flock`) that the operating system drops when the
process dies, however it dies. An entry is one line, the kind and a JSON array: `I[…]` an Intent, `R[…]` a Record,
`B[…]` a Bill.
An array longer than this version knows is read as far as it is known.

A segment is written through memory shared with its file: a line is a copy of some hundred bytes, which is with the
operating system at once and takes no system call, so that no other thread gets the interpreter's lock for it. The file
is given its place on the disk ahead of its lines and is zeros there. Zeros are nowhere part of a line: what they
stand in was not finished when the process died, and is passed over.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import itertools
import mmap
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from ..errors import StoreFailed
from ..record import Bill, Intent, Record
from .schema import unwritable

#: Makes the file of this descriptor hold so many bytes from an offset on, in earnest. Raises OSError.
Extend = Callable[[int, int, int], None]
E = TypeVar("E", Intent, Record, Bill)

SUFFIX = ".segment"

#: How much of a segment is mapped, and by how much it grows: what a process holds in memory and on the disk at least.
WINDOW_BYTES = 256 << 10

_INT64_MAX = (1 << 63) - 1
_NO_FALLOCATE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)

_encode = msgspec.json.Encoder().encode
_read_intent = msgspec.json.Decoder(Intent).decode
_read_record = msgspec.json.Decoder(Record).decode
_read_bill = msgspec.json.Decoder(Bill).decode


def intent_line(intent: Intent) -> bytes:
    """An intent as a line. Raises StoreFailed for a value of a type that no JSON can hold."""
    return _line(b"I%b\n", intent)


def record_line(record: Record) -> bytes:
    """A record as a line. Raises StoreFailed for a value of a type that no JSON can hold."""
    return _line(b"R%b\n", record)


def bill_line(bill: Bill) -> bytes:
    """A bill as a line. Raises StoreFailed for a value of a type that no JSON can hold."""
    return _line(b"B%b\n", bill)


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
    """The entries of some journal lines, in order: of each call opened its latest intent's line, the records, the
    bills, and lines no version could read. `size` is that of the lines it was noted for, in bytes."""

    opened: dict[str, bytes] = {}
    records: list[Record] = []
    bills: list[Bill] = []
    unreadable: list[bytes] = []
    size: int = 0


def read_lines(block: bytes) -> Batch:
    """The entries of a block of whole lines. Nothing in it can make this raise."""
    batch = Batch()
    for line in block.split(b"\n"):
        entry = line.lstrip(b"\0")
        if not entry:
            continue
        try:
            if entry[:1] == b"R":
                batch.records.append(_read_record(memoryview(entry)[1:]))
                continue
            if entry[:1] == b"B":
                batch.bills.append(_read_bill(memoryview(entry)[1:]))
                continue
            if entry[:1] == b"I":
                batch.opened[read_intent(entry).call_id] = entry + b"\n"
                continue
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        if b"\0" not in line:
            batch.unreadable.append(line)
    return batch


def read_intent(line: bytes) -> Intent:
    """The intent of a line `read_lines` found one in."""
    return _read_intent(memoryview(line)[1:])


def allocate(fd: int, offset: int, length: int) -> None:
    """Give a part of a file its place on the disk; what it holds stays. Raises OSError.

    A page that had none would be found to have none when it is written through memory, and that kills the process.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, offset, length)
            return
        except OSError as error:
            if error.errno not in _NO_FALLOCATE:
                raise
    at, end = max(offset, os.fstat(fd).st_size), offset + length
    while at < end:
        at += os.pwrite(fd, bytes(end - at), at)


class Segment:
    """One file of the journal, open and locked by us for as long as it is open.

    Of its `size` in bytes, `folded` are known to be in SQLite; `carried` were brought along from the segment before.
    `fresh` is for whoever appends to note the entries in: where all are noted, none has to be read back.
    """

    __slots__ = (
        "__weakref__",
        "_base",
        "_extend",
        "_room",
        "_window",
        "carried",
        "fd",
        "folded",
        "fresh",
        "path",
        "size",
    )

    def __init__(self, path: Path, fd: int, size: int, extend: Extend = allocate) -> None:
        self.path, self.fd, self.size = path, fd, size
        self.folded = self.carried = 0
        self.fresh = Batch()
        self._extend = extend
        self._window: mmap.mmap  # maps the file from `_base` up to `_room`; not there while that is 0
        self._base = self._room = 0
        _held().add(self)

    @classmethod
    def create(cls, folder: Path, extend: Extend = allocate) -> Segment:
        """A new segment of ours. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = folder / f"{os.getpid()}-{number}{SUFFIX}"
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            if _lock(fd, path):
                return cls(path, fd, 0, extend)
            os.close(fd)  # another process took the file for an orphan in the instant before we locked it
        raise AssertionError("unreachable")

    @classmethod
    def adopt(cls, path: Path) -> Segment | None:
        """A segment whose owner is dead, now ours; None where the owner lives or another process was first."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if not _lock(fd, path):
            os.close(fd)
            return None
        return cls(path, fd, os.fstat(fd).st_size)

    def append(self, line: bytes) -> None:
        """Append one line or more, whole or not at all. Raises OSError.

        One thread at a time. A finaliser may append while this thread does: the line's place is taken in one step,
        and only then filled.
        """
        length = len(line)
        while (end := (start := self.size) + length) > self._room:
            self._map(start, end)
        self.size = end  # no call since `size` was read, so that nothing else of this thread has run since
        self._window[start - self._base : end - self._base] = line

    def _map(self, start: int, end: int) -> None:
        """Move the window to where these bytes are in it. The old one goes when nothing writes to it any more."""
        base = start - start % mmap.ALLOCATIONGRANULARITY
        length = max(WINDOW_BYTES, end - base)
        self._extend(self.fd, base, length)
        self._window = mmap.mmap(self.fd, length, offset=base)
        self._base, self._room = base, base + length

    def take(self) -> tuple[int, Batch | None]:
        """How far the lines go, and the entries not yet folded, which are forgotten here; None where not all of
        them were noted. Not while a line is being appended."""
        fresh, self.fresh = self.fresh, Batch()
        return self.size, fresh if self.folded + fresh.size == self.size else None

    def read(self, limit: int, end: int) -> bytes:
        """The next lines before `end` that are whole and not yet folded, some `limit` bytes of them; or nothing."""
        while True:
            block = os.pread(self.fd, min(limit, end - self.folded), self.folded)
            whole = block.rfind(b"\n") + 1
            if whole or len(block) < limit:
                return block[:whole]
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
        if self._room:
            self._unmap()
            with contextlib.suppress(OSError):  # zeros at the end do no harm
                os.ftruncate(self.fd, self.size)
        self.forget()

    def forget(self) -> None:
        """Let go of the file and of the lock, and leave the file as it is: it may be another process's."""
        _held().discard(self)
        self._unmap()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _unmap(self) -> None:
        if self._room:  # the mapping has a descriptor of its own, which holds the lock like ours
            self._base = self._room = 0
            self._window.close()


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

    A lock belongs to the open file, which a forked child shares: the child must close its copies, or the
    segment would still look alive after the parent has died.
    """
    held: weakref.WeakSet[Segment] = weakref.WeakSet()

    def let_go() -> None:
        for segment in list(held):
            segment.forget()

    os.register_at_fork(after_in_child=let_go)
    return held
