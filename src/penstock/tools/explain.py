"""One call's record and trail, told in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from ..caching.fingerprint import Fingerprinted, TooShort
from ..call import Fact, Spent
from ..choosing.chooser import Chosen, Unfit
from ..choosing.copies import Copied, CopyOf, Drawn, Uncopied
from ..layers.per_attempt.caching import Marked, Unmarked
from ..layers.per_attempt.context import Delegated, Pruned, Unpruned
from ..layers.per_attempt.inspection import Inspected, Withheld
from ..layers.per_attempt.pacing import Paced
from ..layers.per_attempt.transport import Answered, Broken
from ..layers.per_call.admission import Capped, Screened
from ..layers.per_call.budgets import Reserved, Slowed
from ..layers.per_call.identity import Identified
from ..layers.per_call.ledger import Diagnosed, Settled, Traced
from ..layers.per_call.limits import Uncounted
from ..layers.per_call.prompting import Prompted
from ..layers.per_call.replay import Replayed, Unkept
from ..layers.per_call.resilience import Retried, Skipped, Stopped, Tripped
from ..layers.per_call.routing import Named, Routed
from ..record import Record
from ..recovery.attempts import Hedged
from ..recovery.handover import HandedOver
from ..recovery.hop import Hopped
from ..recovery.substitute import Substituted
from ..spending.economies import Downgraded, Trimmed
from ..structure.asking import Formatted
from ..structure.judging import Judged
from ..wire.messages import Usage
from ..wire.prices import Line, PriceBook, usd

#: The facts a trail may hold, by the name they are stored under.
FACTS: dict[str, type[Fact]] = {
    kind.__name__: kind
    for kind in (
        *(
            CopyOf,
            Identified,
            Named,
            Chosen,
            Unfit,
            Routed,
            Drawn,
            Copied,
            Uncopied,
            Prompted,
            Capped,
            Screened,
            Uncounted,
            Replayed,
            Unkept,
        ),
        *(Reserved, Slowed, Downgraded, Trimmed),
        *(Paced, Answered, Broken, Hedged, Retried, Stopped, Skipped, Tripped, Hopped, HandedOver, Substituted),
        *(Pruned, Unpruned, Delegated),
        *(Marked, Unmarked, Fingerprinted, TooShort, Diagnosed),
        *(Formatted, Judged),
        *(Inspected, Withheld),
        *(Spent, Traced, Settled),
    )
}

_ENDINGS = {
    "complete": "It ended as it should",
    "refused": "It was refused",
    "failed": "It failed",
    "truncated": "The answer was cut off",
    "abandoned": "The caller hung up",
    "killed": "The process was killed while the call was under way; what it cost is not known",
}


def told(record: Record, prices: PriceBook) -> list[str]:
    """The call as sentences, in the order things happened."""
    at = datetime.fromtimestamp(record.began_at_us / 1_000_000, UTC)
    return [
        f"{record.call_id}: {record.method} {record.path} through the {record.face} at {at:%Y-%m-%d %H:%M:%S.%f} UTC.",
        *trail(record),
        *_arithmetic(record, prices),
        timing(record),
    ]


def trail(record: Record) -> list[str]:
    """What became of the call, as sentences: its facts, how it ended, who answered."""
    lines = [*[fact for fact in map(_fact, facts(record)) if fact], _ending(record)]
    if record.model_asked:
        served = record.model_served
        answered = "" if served in (None, record.model_asked) else f", answered by {served}"
        lines.append(f"It asked for {record.model_asked}{answered}.")
    return lines


def facts(record: Record) -> list[dict[str, Any]]:
    """The trail as stored, for `--json`."""
    stored: list[dict[str, Any]] = msgspec.json.decode(record.trail)
    return stored


def _fact(stored: dict[str, Any]) -> str:
    kind = FACTS.get(stored.get("type", ""))
    if kind is None:  # a user's own layer, or a newer Penstock's
        return f"{stored.get('type')}: " + ", ".join(f"{k} {v}" for k, v in stored.items() if k != "type")
    return msgspec.convert(stored, kind).told()


def _ending(record: Record) -> str:
    said = _ENDINGS.get(record.ending, record.ending)
    if record.error_type or record.error_code:
        whose = f" in {record.error_layer}" if record.error_layer else " by the API"
        said += f": {record.error_type or record.error_code}{whose}"
        if record.error_code and record.error_type:
            said += f" ({record.error_code})"
    if record.stop_reason:
        said += f", with stop reason {record.stop_reason}"
    return f"{said}." if record.status is None else f"{said}; status {record.status}."


def priced(record: Record, prices: PriceBook) -> tuple[list[Line], str]:
    """The price line by line, and what is to be said of it: iterations are not kept, so its sum may differ from the
    record's. Nothing for a call without a price."""
    if record.endpoint != "messages" or not record.cost_nano:
        return [], ""
    usage = Usage(
        input_tokens=record.input_tokens,
        cache_read_tokens=record.cache_read_tokens,
        cache_write_5m_tokens=record.cache_write_5m_tokens,
        cache_write_1h_tokens=record.cache_write_1h_tokens,
        output_tokens=record.output_tokens,
        thinking_tokens=record.thinking_tokens,
        web_searches=record.web_searches,
        service_tier=record.service_tier,
        inference_geo=record.inference_geo,
        speed=record.speed,
    )
    price = prices.arithmetic(usage, record.model_served or record.model_asked or "", record.began_at_us)
    why = ""
    if price.nano != record.cost_nano:
        why = "the API billed several iterations, or prices have changed since: the record counts"
        if any(fact.get("type") == "Spent" for fact in facts(record)):
            why = "the rest is for answers that the caller did not get: the record counts"
    return [line for line in price.lines if line.quantity], why


def _arithmetic(record: Record, prices: PriceBook) -> list[str]:
    lines, why = priced(record, prices)
    return [
        *(
            f"  {line.quantity:>9,} {line.label:<16} at ${per_million(line.unit_pico)} per million"
            f" = ${usd(line.amount_pico // 1000)}"
            for line in lines
        ),
        *([f"  ({why})"] if why else []),
    ]


def per_million(unit_pico: int) -> str:
    """Pico-dollars each as dollars per million; a search at ten dollars per thousand is 10,000 per million."""
    return usd(unit_pico * 1000)


def timing(record: Record) -> str:
    said = f"It took {record.total_us / 1000:.1f} ms"
    if record.upstream_us is not None:
        said += f", {record.upstream_us / 1000:.1f} ms of them upstream"
    if record.first_token_us is not None:
        said += f"; the first token came after {record.first_token_us / 1000:.1f} ms"
    return f"{said}. {record.request_bytes:,} bytes went in, {record.response_bytes:,} came back."
