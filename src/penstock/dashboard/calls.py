"""The calls themselves, newest first: found by labels, by how they ended, by what they cost or how long they took."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import RedirectResponse, Response

from ..record import Record
from ..stores.keys import KeyStore
from ..stores.search import ANY_ERROR, EXAMINED_MAX, Found, Place, Row, Wanted, call_of, find, last_row
from ..stores.sums import DAY_US, LABELS
from ..wire.prices import usd
from .desk import Desk
from .exporting import Table
from .view import OWN, View
from .wording import count, dollars, duration, exact, moment, percent

#: How a call may end, in the order of the filter's choices.
ENDINGS = (ANY_ERROR, "complete", "abandoned", "refused", "failed", "truncated", "killed")
ROWS = 50
_ROWS_IN_A_FILE = 1_000
#: Labels that the filter offers, and how many values of each.
_OFFERED = ("feature", "model", "key", "environment", "segment", "upstream", "prompt", "arm")
_OFFERED_MAX = 100
_SUMS_MAX = 5_000
_TONES = {"complete": "good", "refused": "warning", "failed": "bad", "truncated": "bad", "killed": "bad"}
_UNITS_US = {"ms": 1_000, "s": 1_000_000, "min": 60_000_000}
#: The date at the end of a model's name, for which a table has no room.
_DATE = re.compile(r"-20\d{6}$")
#: What numbers a ledger's row can be asked for.
_NUMBER_MAX = 2**62


def calls(desk: Desk, view: View) -> dict[str, Any] | Response:
    """What the template shows; or where to go instead, for a filter that was chosen and for the id of a call."""
    label, _, value = view.asked.get("add", "").partition(":")
    if label in LABELS:
        return RedirectResponse(f"calls{view.query(**{label: value})}", 303)
    text = view.asked.get("q", "").strip()
    if text.startswith("call_") and call_of(desk.ledger, text) is not None:
        return RedirectResponse(f"calls/{text}{view.query(q=None)}", 303)
    wanted, misread = asked(view)
    names, arrived = key_names(desk), last_row(desk.ledger)
    found = _found(desk, view, wanted, ROWS)
    return {
        "rows": [line(row, names) for row in found.rows],
        "older": _older(found, view),
        "stopped": None if found.stopped is None else moment(found.stopped.at_us),
        "examined_max": EXAMINED_MAX,
        "is_later": "before" in view.asked,
        "summed": _summed(desk, view, wanted),
        "misread": misread,
        "endings": ENDINGS,
        "offered": _offered(desk, view, names),
        "kept": parse_qsl(view.query(**dict.fromkeys(OWN))[1:], keep_blank_values=True),
        "filters": {name: view.asked.get(name, "") for name in OWN},
        "is_live": "live" in view.asked and "before" not in view.asked and view.custom is None,
        "arrived": arrived,
        "rows_in_a_file": _ROWS_IN_A_FILE,
    }


def calls_table(desk: Desk, view: View) -> Table:
    """The same as a file, of more rows."""
    wanted, _ = asked(view)
    names = key_names(desk)
    return Table("calls", [_entry(row.record, names) for row in _found(desk, view, wanted, _ROWS_IN_A_FILE).rows])


def _found(desk: Desk, view: View, wanted: Wanted, limit: int) -> Found:
    beyond = _place(view.asked.get("before", ""))
    return find(desk.ledger, wanted, view.span, beyond=beyond, limit=limit, examined_max=EXAMINED_MAX)


def asked(view: View) -> tuple[Wanted, list[str]]:
    """What calls a view asks for, and the filters that say nothing that can be understood: those are passed over."""
    said = {name: view.asked.get(name, "").strip() for name in OWN}
    over, longer, status = _nano(said["over"]), _us(said["longer"]), _number(said["status"])
    misread = [
        name for name, found in (("over", over), ("longer", longer), ("status", status)) if said[name] and found is None
    ]
    is_known = said["ending"] in ENDINGS
    if said["ending"] and not is_known:
        misread.append("ending")
    wanted = Wanted(
        dict(view.where),
        user=said["user"] or None,
        session=said["session"] or None,
        ending=said["ending"] if is_known else None,
        error=said["error"] or None,
        status=status,
        request_id=said["q"] or None,
        over_nano=over,
        longer_us=longer,
    )
    return wanted, misread


def line(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    """One call as a row of the table."""
    record = row.record
    all_input = _input(record)
    return {
        "id": record.call_id,
        "moment": moment(record.began_at_us),
        "feature": record.feature or "",
        "model": record.model_served or record.model_asked or "",
        "model_shown": _DATE.sub("", record.model_served or record.model_asked or ""),
        "key_id": record.key_id or "",
        "key": names.get(record.key_id or "", record.key_id or ""),
        "user": record.user or "",
        "ending": record.ending,
        "tone": _TONES.get(record.ending, "soft"),
        "status": record.status,
        "error": error_of(record),
        "stop": record.stop_reason or "",
        "first": duration(record.first_token_us),
        "total": duration(record.total_us),
        "input": count(all_input),
        "inputs": _inputs(record),
        "output": count(record.output_tokens),
        "cached": percent(record.cache_read_tokens, all_input),
        "cost": dollars(record.cost_nano),
        "exact": f"{exact(record.cost_nano)} ({record.cost_basis})",
        "basis": record.cost_basis,
        "attempts": record.attempts,
    }


def error_of(record: Record) -> str:
    """What went wrong, in a word, as the sums of errors have it; empty where nothing did."""
    is_error = record.ending in ("refused", "failed", "truncated", "killed")
    return (record.error_code or record.error_type or record.ending) if is_error else ""


def key_names(desk: Desk) -> dict[str, str]:
    """What keys are called, by their ids."""
    return {key.id: key.name for key in KeyStore(desk.data, desk.clock).list()}


def _input(record: Record) -> int:
    written = record.cache_write_5m_tokens + record.cache_write_1h_tokens
    return record.input_tokens + record.cache_read_tokens + written


def _inputs(record: Record) -> str:
    written = record.cache_write_5m_tokens + record.cache_write_1h_tokens
    return f"{record.input_tokens:,} fresh, {record.cache_read_tokens:,} read from cache, {written:,} written to it"


def _entry(record: Record, names: Mapping[str, str]) -> dict[str, Any]:
    """One call as a row of a file."""
    return {
        "call_id": record.call_id,
        "at": f"{moment(record.began_at_us)}.{record.began_at_us % 1_000_000:06}",
        "feature": record.feature,
        "model": record.model_served or record.model_asked,
        "key": names.get(record.key_id or "", record.key_id),
        "user": record.user,
        "session": record.session,
        "ending": record.ending,
        "status": record.status,
        "error": error_of(record) or None,
        "stop_reason": record.stop_reason,
        "first_token_ms": None if record.first_token_us is None else record.first_token_us / 1000,
        "total_ms": record.total_us / 1000,
        "input_tokens": record.input_tokens,
        "cache_read_tokens": record.cache_read_tokens,
        "cache_write_tokens": record.cache_write_5m_tokens + record.cache_write_1h_tokens,
        "output_tokens": record.output_tokens,
        "cost_usd": None if record.cost_nano is None else usd(record.cost_nano),
        "attempts": record.attempts,
        "upstream_request_id": record.upstream_request_id,
    }


def _older(found: Found, view: View) -> str | None:
    """The address of the calls before these; None at the end."""
    place = found.stopped if found.stopped is not None else found.rows[-1].place if len(found.rows) == ROWS else None
    return None if place is None else f"{view.query(live=None, before=f'{place.at_us}.{place.row}')}"


def _summed(desk: Desk, view: View, wanted: Wanted) -> dict[str, Any] | None:
    """How many such calls there are in all and what they cost, where the sums know."""
    if not wanted.is_by_labels_alone:
        return None
    with desk.totals() as totals:
        found = totals.of(view.span, where=view.where)
    return {name: sum(one.measures[name] for one in found) for name in ("calls", "cost_nano", "unpriced")}


def _offered(desk: Desk, view: View, names: Mapping[str, str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Labels with the values they had in the last day of the span: for the filter to choose from."""
    until_us = min(view.span.until_us, view.now_us + 1)
    rows = desk.ledger.execute(
        f"SELECT DISTINCT {', '.join(_OFFERED)} FROM (SELECT * FROM sums WHERE hour_us >= ? AND hour_us < ? LIMIT ?)",
        (max(view.span.from_us, until_us - DAY_US), until_us, _SUMS_MAX),
    ).fetchall()
    offered = []
    for place, label in enumerate(_OFFERED):
        values = sorted({row[place] for row in rows})[:_OFFERED_MAX]
        if label not in view.where and len(values) > 1:
            said = names if label == "key" else {}
            offered.append((label, [(value, said.get(value, value) or "none") for value in values]))
    return offered


def _place(text: str) -> Place | None:
    at_us, _, row = text.partition(".")
    numbers = [_number(at_us), _number(row)]
    return None if None in numbers else Place(*(one or 0 for one in numbers))


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        return None
    return int(text) if int(text) < _NUMBER_MAX else None


def _nano(text: str) -> int | None:
    """Dollars as nano-dollars; None for what is no amount."""
    amount = _decimal(text.removeprefix("$"))
    return None if amount is None else int(amount * 1_000_000_000)


def _us(text: str) -> int | None:
    """`2`, `2 s`, `500 ms`, `3 min` in microseconds; None for what is no duration."""
    unit = next((unit for unit in _UNITS_US if text.endswith(unit)), "")
    amount = _decimal(text.removesuffix(unit))
    return None if amount is None else int(amount * _UNITS_US[unit or "s"])


def _decimal(text: str) -> Decimal | None:
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < 1_000_000 else None
