"""The salt of a data folder: random text that what it keeps of prompts is hashed with.

Without it whoever reads the ledger could find out whether a text that they can guess was sent.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from .schema import unwritable


def salt(data: Path, fresh: bytes) -> bytes:
    """The salt; `fresh` becomes it where there is none. Of several processes that make it at once, all get the same.

    Blocks. Raises StoreFailed.
    """
    place = data / "salt"
    try:
        with contextlib.suppress(FileNotFoundError):
            return place.read_bytes()
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        file, made = tempfile.mkstemp(prefix="salt.", dir=data)
        try:
            with open(file, "wb") as opened:  # noqa: PTH123  (a descriptor, that only its owner can read)
                opened.write(fresh)
            with contextlib.suppress(FileExistsError):
                os.link(made, place)  # whole, and only where there is none
        finally:
            Path(made).unlink()
        return place.read_bytes()
    except OSError as error:
        raise unwritable(place, error) from error
