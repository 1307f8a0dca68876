"""A process that makes calls until it is killed, and tells on standard output what it was promised.

`I` before an intent is appended, `i` once it is; `R` and `r` the same for the record.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from pathlib import Path

from entries import call_id, intent, record

from penstock.drive import run
from penstock.ports.blocking import BlockingClock
from penstock.stores.sqlite import SqliteLedger


def main(data: Path, name: str) -> None:
    ledger = SqliteLedger(data, BlockingClock(), segment_bytes=100_000)
    threads = [threading.Thread(target=call, args=(ledger, f"{name}{thread}x")) for thread in range(3)]
    for thread in threads:
        thread.start()


def call(ledger: SqliteLedger, prefix: str) -> None:
    for number in itertools.count():
        entry = f"{prefix}{number}"
        tell("I", entry)
        run(ledger.open(intent(entry)))
        tell("i", entry)
        if number % 10 == 3:
            continue  # left open
        tell("R", entry)
        run(ledger.close(record(entry)))
        tell("r", entry)


def tell(what: str, entry: str) -> None:
    os.write(1, f"{what}{call_id(entry)}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
