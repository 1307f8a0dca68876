"""The life of a call, in order, on one screen. The only place where the order is written."""

from __future__ import annotations

from .config.schema import Config
from .layer import Layer, Next, stack
from .layers.per_attempt.outlay import Outlay
from .layers.per_attempt.pacing import Pacing
from .layers.per_attempt.transport import Transport
from .layers.per_call.admission import Admission
from .layers.per_call.budgets import Budgets
from .layers.per_call.identity import Identity
from .layers.per_call.ledger import Ledger
from .layers.per_call.limits import Limits
from .layers.per_call.replay import Replay
from .layers.per_call.resilience import Resilience
from .layers.per_call.routing import Routes, Routing
from .ports import Ports
from .wire.prices import PriceBook


def build(config: Config, ports: Ports, routes: Routes, prices: PriceBook) -> Next:
    """The core as one function from call to reply."""
    once_per_attempt = stack(
        [
            # context: does it fit the model chosen
            # inspection: is the answer allowed
            # structure: is it whole and of the form wanted
            # caching: where the cache marks go
            Pacing(config, ports),
            Outlay(),
        ],
        end=Transport(ports),
    )
    once_per_call: list[Layer] = [
        Ledger(prices, ports),
        Identity(config.identity, config.environment, ports),
        Routing(config, routes),
        Admission(config, prices),
        Replay(config.replay, ports),
        Limits(config.tiers, ports),
        Budgets(config, prices, ports),
        Resilience(config.resilience, ports),  # <- the hinge
    ]
    return stack(once_per_call, end=once_per_attempt)
