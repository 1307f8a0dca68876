"""What pages read: the ledger, its sums, budgets, alerts. One desk for each request, in a thread of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ..config.schema import Config
from ..ports import Circuit, Clock, Pace
from ..stores.alerts import AlertStore
from ..stores.schema import connect
from ..stores.totals import Totals


class Desk:
    """Opens what it is asked for and closes it at its end. Blocks; everything raises StoreFailed.

    `circuits` are those that are not closed, `incident` what the provider says, `paces` the upstreams' limits: all are
    the gateway's to know. Paths of the config begin in `folder`.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        circuits: Mapping[str, Circuit] | None = None,
        incident: str | None = None,
        paces: Sequence[Pace] = (),
        folder: Path = Path(),
    ) -> None:
        self.config, self.clock = config, clock
        self.circuits, self.incident, self.paces, self.folder = circuits or {}, incident, paces, folder
        self._connection: sqlite3.Connection | None = None
        self._alerts: AlertStore | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._alerts is not None:
            self._alerts.close()

    @property
    def data(self) -> Path:
        return self.config.data

    @property
    def ledger(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self.data)
        return self._connection

    @property
    def alerts(self) -> AlertStore:
        if self._alerts is None:
            self._alerts = AlertStore(self.data)
        return self._alerts

    def totals(self) -> Totals:
        return Totals(self.ledger)

    def attention(self) -> list[dict[str, Any]]:
        """What wants somebody now, the gravest first: alerts that fire, circuits that are open, an incident."""
        found = [
            {"severity": one.severity, "said": one.said, "fix": one.fix, "to": "alerts"}
            for one in self.alerts.history(firing_only=True)
            if one.acked_at_us is None
        ]
        found += [
            {"severity": "warning", "said": f"The circuit of {name} is open.", "fix": "", "to": "reliability"}
            for name in self.circuits
        ]
        if self.incident is not None:
            found.append(
                {
                    "severity": "warning",
                    "said": f"The provider reports: {self.incident}",
                    "fix": "",
                    "to": "reliability",
                }
            )
        return sorted(found, key=lambda one: one["severity"] != "critical")
