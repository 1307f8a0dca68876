"""What `/metrics` tells beside what was counted: how budgets, circuits and the journal stand when a scraper comes.

Imported only where metrics are wanted, for it needs their library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...config.schema import Config
from ...drive import run
from ...errors import StoreFailed
from ...observe.metrics import Metrics, Standing
from ...ports import Ports
from ...spending.budget import Budget, parts
from ...stores.budgets import SqliteBudgets
from ...stores.sqlite import SqliteLedger

_NANO = 1_000_000_000


def metrics(config: Callable[[], Config], ports: Ports, in_flight: Callable[[], int]) -> Metrics:
    """The metrics of a gateway, told of its ledger's records from now on."""

    def standing() -> Iterator[Standing]:
        yield Standing("penstock_calls_in_flight", "Calls under way.", {}, in_flight())
        incident = ports.status.incident() is not None
        yield Standing("penstock_incident", "Whether the provider reports an incident.", {}, incident)
        yield from _journal(ports)
        try:
            yield from _circuits(ports)
            yield from _budgets(config(), ports)
        except StoreFailed:  # a scraper that gets the rest is better than one that gets nothing
            return

    made = Metrics(standing)
    if isinstance(ports.ledger, SqliteLedger):
        ports.ledger.watchers.append(made.count)
    return made


def _journal(ports: Ports) -> Iterator[Standing]:
    ledger = ports.ledger
    if isinstance(ledger, SqliteLedger):
        yield Standing("penstock_journal_bytes", "What of the journal is no row yet.", {}, ledger.lag_bytes)
        failing = ledger.trouble is not None
        yield Standing("penstock_ledger_failing", "Whether the ledger's database fails.", {}, failing)


def _circuits(ports: Ports) -> Iterator[Standing]:
    now_us = ports.clock.wall_us()
    for name, circuit in sorted(run(ports.circuits.all()).items()):
        is_open = circuit.until_us > now_us
        said = "Circuits that are not closed: 1 open, 0.5 half-open."
        yield Standing("penstock_circuit_open", said, {"circuit": name}, 1.0 if is_open else 0.5)


def _budgets(config: Config, ports: Ports) -> Iterator[Standing]:
    """Of each budget all its accounts together, and of the fullest one how full it is."""
    if not config.budgets or not isinstance(ports.budgets, SqliteBudgets):
        return
    now_us, balances = ports.clock.wall_us(), ports.budgets.balances()
    for own in config.budgets:
        budget = Budget(own)
        place = (own.title, budget.span(now_us).label)
        found = [balance for name, balance in balances.items() if parts(name)[:2] == place]
        labels = {"budget": own.title}
        spent, held = sum(one.spent_nano for one in found), sum(one.held_nano for one in found)
        fullest = max((one.spent_nano + one.held_nano for one in found), default=0)
        yield Standing("penstock_budget_spent_dollars", "What was spent in this period.", labels, spent / _NANO)
        yield Standing("penstock_budget_held_dollars", "What calls under way hold.", labels, held / _NANO)
        yield Standing("penstock_budget_limit_dollars", "What may be spent.", labels, (budget.limit_nano or 0) / _NANO)
        used = fullest / budget.limit_nano if budget.limit_nano else 0.0
        yield Standing("penstock_budget_used_ratio", "How full its fullest account is.", labels, used)
