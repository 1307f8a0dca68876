"""`penstock explain CALL`: one call's trail in words."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ...stores.bodies import find
from ...stores.reading import LedgerReader
from ...tools import explain as tool
from ...wire.prices import usd
from ..compose import price_book
from .options import ConfigOption, DataOption, JsonOption, opened


def explain(
    call_id: Annotated[str, typer.Argument(metavar="CALL", help="The call id: header `x-penstock-call-id`.")],
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
    bodies: Annotated[
        bool, typer.Option("--bodies", help="The request and the answer too, where they were kept.")
    ] = False,
) -> None:
    """One call in words: who asked, where it went, how it ended, what it cost and why."""
    settings = opened(config, data)
    with LedgerReader(settings.data) as ledger:
        record = ledger.call(call_id)
    if record is None:
        print(
            f"penstock: there is no call {call_id} in {settings.data}. Ids come in the header `x-penstock-call-id`; "
            "records are kept for a bounded time.",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    if as_json:
        columns = {name: getattr(record, name) for name in record.__struct_fields__ if name != "trail"}
        cost = None if record.cost_nano is None else usd(record.cost_nano)
        told = {**columns, "cost_usd": cost, "trail": tool.facts(record)}
        if bodies:
            told["bodies"] = find(settings.data, call_id)
        print(json.dumps(told, indent=2, default=msgspec.to_builtins))
    else:
        print("\n".join(tool.told(record, price_book(settings))))
        if bodies:
            print("\n".join(_kept(settings.data, call_id)))


def _kept(data: Path, call_id: str) -> list[str]:
    """What was kept of the call's bodies, as lines."""
    kept = find(data, call_id)
    if kept is None:
        return ["Its request and answer were not kept: see [records.bodies]."]
    return ["Its request, scrubbed:", kept.request, "Its answer, scrubbed:", kept.answer or "(none came)"]
