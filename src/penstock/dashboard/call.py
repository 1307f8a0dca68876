"""One call: how it went, in words and in time; what it cost, line by line; its bodies, where they were kept."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from ..faces.compose import price_book
from ..observe.parts import Part, parts
from ..record import Record
from ..stores.bodies import Bodies
from ..stores.bodies import find as find_bodies
from ..stores.search import Place, call_of, find
from ..tools import explain
from ..wire.prices import usd
from .calls import asked, key_names, line
from .desk import Desk
from .view import OWN, RANGES, View
from .wording import count, duration

#: How wide a bar is drawn, whatever the call took.
WIDTH = 1000
#: Less is not to be seen, and is drawn so wide all the same.
_LEAST = 2

#: The header fields that tags come in.
_TAGS = ("feature", "user", "session", "segment", "prompt")


class Stroke(NamedTuple):
    """A piece of a bar: `kind` is its class, `said` its words, the others are in thousandths of the call's time."""

    kind: str
    said: str
    left: int
    width: int


def call(desk: Desk, view: View) -> dict[str, Any]:
    """What the template shows; of a call that is not there, only that."""
    call_id = view.asked["call_id"]
    row = call_of(desk.ledger, call_id)
    if row is None:
        return {"call": None, "call_id": call_id, "keep_days": desk.config.records.keep_days, "status_code": 404}
    place, record = row
    names, kept = key_names(desk), find_bodies(desk.data, call_id)
    lines, why = explain.priced(record, price_book(desk.config))
    return {
        "call": line(row, names) | _more(record),
        "call_id": call_id,
        "trail": explain.trail(record),
        "timing": explain.timing(record),
        "parts": _drawn(record),
        "width": WIDTH,
        "prices": [
            {
                "quantity": count(one.quantity),
                "label": one.label,
                "each": explain.per_million(one.unit_pico),
                "amount": usd(one.amount_pico // 1000),
            }
            for one in lines
        ],
        "why": why,
        "bodies": None if kept is None else {"request": _pretty(kept.request), "answer": _pretty(kept.answer)},
        "curl": _curl(record, None),
        "curl_with_body": None if kept is None else _curl(record, kept),
        "near": _near(record, view),
        "newer": _neighbour(desk, view, place, is_newer=True),
        "older": _neighbour(desk, view, place, is_newer=False),
    }


def _more(record: Record) -> dict[str, Any]:
    """What the table of calls has no room for."""
    return {
        "heading": " · ".join(filter(None, (record.feature, record.model_served or record.model_asked)))
        or f"{record.method} {record.path}",
        "facts": [
            (name, value)
            for name, value in (
                ("session", record.session),
                ("segment", record.segment),
                ("environment", record.environment),
                ("tier", record.tier),
                ("prompt", record.prompt),
                ("arm of a split", record.arm),
                ("outcome of a form", record.outcome),
                ("upstream", record.upstream),
                ("request id upstream", record.upstream_request_id),
                ("model asked for", record.model_asked),
                ("face", record.face),
                ("path", f"{record.method} {record.path}"),
                ("stream", "yes" if record.is_stream else "no"),
                ("waited", duration(record.wait_us) if record.wait_us else None),
                ("thinking tokens", count(record.thinking_tokens) if record.thinking_tokens else None),
                ("web searches", count(record.web_searches) if record.web_searches else None),
                ("service tier", record.service_tier),
                ("geography", record.inference_geo),
                ("batch", record.batch_id),
                ("held by budgets", None if record.held_nano is None else f"${usd(record.held_nano)}"),
            )
            if value
        ],
    }


def _drawn(record: Record) -> list[dict[str, Any]]:
    """The bars: the call, and below it what its time went to."""
    whole = max(1, record.total_us)
    own = [("wait", duration(whole), 0, whole)]
    drawn = [{"name": "the call", "from": "", "took": duration(record.total_us), "strokes": _strokes(own, whole)}]
    found = list(parts(record, explain.facts(record)))
    answered = [part for part in found if part.attempt is not None and part.attempt["type"] == "Answered"]
    for part in found:
        is_last = bool(answered) and part is answered[-1]
        began_us, ended_us = part.began_us - record.began_at_us, part.ended_us - record.began_at_us
        drawn.append(
            {
                "name": part.name,
                "from": duration(max(0, began_us)),
                "took": duration(ended_us - began_us),
                "strokes": _strokes(_pieces(record, part, began_us, ended_us, is_last=is_last), whole),
            }
        )
    return drawn


def _pieces(
    record: Record, part: Part, began_us: int, ended_us: int, *, is_last: bool
) -> Iterable[tuple[str, str, int, int]]:
    """What a part consists of: class, words, from and until in microseconds since the call began."""
    if part.attempt is None:
        return [("wait", "waited", began_us, ended_us)]
    if part.attempt["type"] == "Broken":
        return [("fault", str(part.attempt.get("code")), began_us, ended_us)]
    head_us = min(int(part.attempt["head_us"]), ended_us)
    if int(part.attempt["status"]) >= 400:
        return [("fault", f"answered {part.attempt['status']}", began_us, ended_us)]
    first_us = record.first_token_us
    if not is_last or first_us is None or not head_us <= first_us <= ended_us:
        return [("head", "until the answer began", began_us, head_us), ("stream", "the answer", head_us, ended_us)]
    return [
        ("head", "until the answer began", began_us, head_us),
        ("token", "until the first token", head_us, first_us),
        ("stream", "from the first token to the end", first_us, ended_us),
    ]


def _strokes(pieces: Iterable[tuple[str, str, int, int]], whole_us: int) -> list[Stroke]:
    strokes = []
    for kind, said, from_us, until_us in pieces:
        left = min(WIDTH - _LEAST, max(0, from_us) * WIDTH // whole_us)
        right = min(WIDTH, max(0, until_us) * WIDTH // whole_us)
        took = f"{said}: {duration(max(0, until_us - from_us))}"
        strokes.append(Stroke(kind, took, left, max(_LEAST, right - left)))
    return strokes


def _pretty(text: str) -> str:
    """JSON with its lines broken; other text as it is."""
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text


def _curl(record: Record, kept: Bodies | None) -> str:
    """The call again, for a shell. Address and key are the environment's, what was not kept is to be filled in."""
    fields = ["x-api-key: $PENSTOCK_KEY", "anthropic-version: 2023-06-01", "content-type: application/json"]
    tags = [(f"x-penstock-{name}", getattr(record, name)) for name in _TAGS]
    lines = [f'curl "$PENSTOCK_URL"{shlex.quote(record.path)}']
    lines += [f'-H "{field}"' for field in fields]
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in tags if value]
    if record.method != "GET":
        stub = {"model": record.model_asked, "max_tokens": 1024, "messages": [{"role": "user", "content": "…"}]}
        body = json.dumps(stub, ensure_ascii=False) if kept is None else kept.request
        lines.append(f"-d {shlex.quote(body)}")
    return " \\\n  ".join(lines)


def _near(record: Record, view: View) -> list[tuple[str, str]]:
    """Calls that share something with this one: what, and the address of those."""
    ages = (name for name, hours in RANGES.items() if record.began_at_us > view.now_us - hours * 3_600_000_000)
    span: dict[str, str | None] = {"range": next(ages, "90d"), "from": None, "to": None}
    shared = {name: getattr(record, name) for name in ("session", "user", "feature", "prompt", "arm")}
    clean: dict[str, str | None] = dict.fromkeys((*view.where, *OWN))
    return [(name, f"calls{view.query(**(clean | span | {name: value}))}") for name, value in shared.items() if value]


def _neighbour(desk: Desk, view: View, place: Place, *, is_newer: bool) -> str | None:
    """The address of the next call before or after, of those that the view is about; None where there is none near."""
    wanted, _ = asked(view)
    found = find(desk.ledger, wanted, view.span, beyond=place, oldest_first=is_newer, limit=1)
    return f"{found.rows[0].record.call_id}{view.query()}" if found.rows else None
