"""What the API refuses before any model runs: shapes, fields, sizes, and rules that differ by model and version.

`shapes.toml` says what a body may hold; the modules here hold the rules no shape can say.
"""

from __future__ import annotations

from .betas import EVERY, check_betas
from .body import check_count, check_message, check_thread, parse
from .parameters import CURRENT, VERSIONS
from .sizes import BATCH_BODY_BYTES_MAX, BODY_BYTES_MAX, TOO_LARGE

__all__ = [
    "BATCH_BODY_BYTES_MAX",
    "BODY_BYTES_MAX",
    "CURRENT",
    "EVERY",
    "TOO_LARGE",
    "VERSIONS",
    "check_betas",
    "check_count",
    "check_message",
    "check_thread",
    "parse",
]
