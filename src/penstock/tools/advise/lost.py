"""Money paid for what nobody got: attempts given up, answers broken off, callers gone, refusals after output."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .change import Key, Tally, Words, counted
from .rows import Row

_ATTEMPTS = "attempts given up"
_CUT = "broken off"
_GONE = "caller gone"
_DECLINED = "refused"

_CHANGES: Mapping[str, str] = {
    _ATTEMPTS: "Look at `hedge_after_s` and `timeout_s` of the feature and `resilience.tries_max`; `penstock explain` "
    "tells why each attempt was given up.",
    _CUT: "Give the feature a longer `timeout_s` where it was ours, or a shorter `max_tokens`; `penstock explain` "
    "tells which.",
    _GONE: 'Keep `transport.on_hangup = "cancel"`, let callers wait longer, or answer in fewer tokens.',
    _DECLINED: "Screen such input before it is sent, or name a model for it in `fallback`.",
}
_ENDINGS = {"failed": _CUT, "truncated": _CUT, "abandoned": _GONE}


class Lost:
    """As if nothing had been paid for it. An answer and the attempts before it are told apart."""

    kind = "lost"

    def __init__(self, *, attempts: bool) -> None:
        self._attempts = attempts

    def of(self, row: Row) -> tuple[str, Row] | None:
        if self._attempts:
            return (_ATTEMPTS, msgspec.structs.replace(row, lost_nano=0)) if row.lost_nano else None
        cause = _ENDINGS.get(row.ending) or (_DECLINED if row.stop_reason == "refusal" else None)
        return None if cause is None else (cause, msgspec.structs.replace(row, is_unpaid=True))

    def words(self, key: Key, tally: Tally) -> Words:
        return Words(
            "low",
            "Always low: what was paid is known, what of it could have been avoided is not.",
            f"{counted(tally.calls, 'call')}: {key.label}.",
            "Fewer attempts or longer waits trade this money for errors or latency.",
            _CHANGES[key.label],
        )
