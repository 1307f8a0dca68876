"""One JSON line for each call, for whoever collects logs: written from the ledger's records, beside the calls.

No prompt, no answer, no key is in a record. What callers tag may hold what it should not: a tag in which personal data
or a credential is found stands as a hash, by which calls can still be told apart.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import msgspec
import structlog

from ..config.guards import PII_KINDS
from ..errors import ConfigError
from ..guards.screen import personal
from ..record import Record
from ..wire.prices import usd

#: What a file may grow to is shared by the one being written and this many older ones.
_OLDER = 4
_LEVELS = {"refused": logging.WARNING, "failed": logging.ERROR, "truncated": logging.ERROR, "killed": logging.ERROR}
_TAGS = ("feature", "user", "session", "segment", "prompt", "arm")
_PLAIN = (
    *("call_id", "upstream_request_id", "environment", "face", "endpoint", "key_id", "tier"),
    *("model_asked", "model_served", "upstream", "is_stream", "status", "ending", "outcome"),
    *("error_type", "error_code", "error_layer", "stop_reason", "attempts", "client_retry", "prompt_hash"),
    *("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("output_tokens", "thinking_tokens", "web_searches", "cost_basis", "request_bytes", "response_bytes"),
)
_DURATIONS = ("wait_us", "first_token_us", "upstream_us", "total_us")


def encoded(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event).decode()


class CallLog:
    """Writes the lines. `place` is "stderr" or a file, of which with its older ones no more than `bytes_max` are kept.

    Raises ConfigError for a file that cannot be written.
    """

    def __init__(self, place: str | Path, bytes_max: int) -> None:
        self._finder = personal(PII_KINDS)
        handler: logging.Handler = logging.StreamHandler(sys.stderr)
        if isinstance(place, Path):
            try:
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                place.touch(mode=0o600)
                each = bytes_max // (_OLDER + 1)
                handler = RotatingFileHandler(place, maxBytes=each, backupCount=_OLDER, encoding="utf-8")
            except OSError as error:
                raise ConfigError(
                    f"The log of calls {place} cannot be written: {error.strerror}.",
                    code="log_unwritable",
                    fix="Name another place for `calls` under [log].",
                ) from error
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger = logging.Logger("penstock.calls")  # of its own: what is set up for other loggers is not for this one
        logger.addHandler(handler)
        self._close: Callable[[], None] = handler.close
        self._log = structlog.wrap_logger(
            logger,
            processors=[structlog.stdlib.add_log_level, structlog.processors.JSONRenderer(serializer=encoded)],
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            self._log.log(_LEVELS.get(record.ending, logging.INFO), "call", **self._fields(record))

    def close(self) -> None:
        self._close()

    def _fields(self, record: Record) -> dict[str, Any]:
        """What a line says: all that is known, money as a decimal string in dollars, durations in milliseconds."""
        at = datetime.fromtimestamp(record.began_at_us / 1e6, UTC)
        fields: dict[str, Any] = {"began_at": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"}
        fields |= {name: value for name in _PLAIN if (value := getattr(record, name)) not in (None, 0, False)}
        fields |= {name: self._told(value) for name in _TAGS if (value := getattr(record, name))}
        fields |= {f"{name[:-3]}_ms": us / 1000 for name in _DURATIONS if (us := getattr(record, name)) is not None}
        if record.cost_nano is not None:
            fields["cost_usd"] = usd(record.cost_nano)
        return fields

    def _told(self, tag: str) -> str:
        if next(iter(self._finder.spans(tag)), None) is None:
            return tag
        return f"sha256:{hashlib.sha256(tag.encode()).hexdigest()[:16]}"
