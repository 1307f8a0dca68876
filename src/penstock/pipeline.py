"""The life of a call, in order, on one screen. The only place where the order is written."""

from __future__ import annotations

from .config.schema import Config
from .layer import Layer, Next, stack
from .layers.per_attempt.caching import Caching
from .layers.per_attempt.context import Context
from .layers.per_attempt.inspection import Inspection
from .layers.per_attempt.outlay import Outlay
from .layers.per_attempt.pacing import Pacing
from .layers.per_attempt.structure import Structure
from .layers.per_attempt.transport import Transport
from .layers.per_call.admission import Admission
from .layers.per_call.budgets import Budgets
from .layers.per_call.copies import Copies
from .layers.per_call.identity import Identity
from .layers.per_call.ledger import Ledger
from .layers.per_call.limits import Limits
from .layers.per_call.prompting import Prompting
from .layers.per_call.replay import Replay
from .layers.per_call.resilience import Resilience
from .layers.per_call.routing import Routes, Routing
from .layers.per_call.sampling import Sampling
from .ports import Ports
from .wire.prices import PriceBook


def build(config: Config, ports: Ports, routes: Routes, prices: PriceBook) -> Next:
    """The core as one function from call to reply."""
    once_per_attempt = stack(
        [
            Context(config, ports.clock),
            Inspection(config, ports),
            Structure(config, routes.schemas, ports.clock),
            Caching(config, ports),
            Pacing(config, ports),
            Outlay(),
        ],
        end=Transport(ports, propagates=config.traces.propagate),
    )
    once_per_call: list[Layer] = [
        Copies(config, ports),
        Ledger(prices, ports),
        Identity(config.identity, config.environment, ports),
        Sampling(config, ports),
        Routing(config, routes, ports),
        Prompting(config.features, routes.prompts),
        Admission(config, prices, ports),
        Replay(config.replay, ports),
        Limits(config.tiers, ports),
        Budgets(config, prices, ports),
        Resilience(config.resilience, ports),  # <- the hinge
    ]
    return stack(once_per_call, end=once_per_attempt)
