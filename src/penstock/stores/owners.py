"""Whose hold it is: a name for each process, which others can tell the life of.

A process is known by a file it keeps locked (`flock`). The operating system drops the lock however the process dies,
also where the others are in containers of their own and see no common process ids.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ..errors import StoreFailed
from .schema import unwritable

_SUFFIX = ".owner"
_TRIES = 10


class Owner:
    """This process, in one data folder. The file is made with the first hold."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "owners"
        self._fd: int | None = None
        self._name = ""

    def name(self) -> str:
        """Its name, locked from now on. Raises StoreFailed."""
        if self._fd is None:
            self._name, self._fd = self._locked()
        return self._name

    def _locked(self) -> tuple[str, int]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for _ in range(_TRIES):  # another process may take a new file for that of a dead one, and delete it
                fd, place = tempfile.mkstemp(_SUFFIX, "", self._folder)  # only its owner may read it
                if _lock(fd):
                    return Path(place).stem, fd
                os.close(fd)
        except OSError as error:
            raise unwritable(self._folder, error) from error
        raise StoreFailed(
            f"No lock can be had in {self._folder}.", code="data_folder_unwritable", fix="Use a local disk."
        )

    def let_go(self) -> None:
        """In a forked child, where the lock is the parent's; and at the end, once nothing is held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def dead(self, names: Iterable[str]) -> set[str]:
        """Those of the names whose process is no more."""
        return {name for name in names if name != self._name and _is_dead(self._folder / f"{name}{_SUFFIX}")}

    def others(self) -> int:
        """How many other processes are alive. Deletes the files of the dead."""
        alive = 0
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"*{_SUFFIX}"):
                if path.stem == self._name:
                    continue
                if _is_dead(path):
                    path.unlink(missing_ok=True)
                else:
                    alive += 1
        return alive


def _is_dead(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        return _lock(fd)
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return os.fstat(fd).st_nlink > 0
