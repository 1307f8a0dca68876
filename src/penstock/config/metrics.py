"""What others may scrape: `[metrics]`."""

from __future__ import annotations

from dataclasses import dataclass

from .keys import Section, key


@dataclass(frozen=True, slots=True)
class MetricsConfig(Section):
    """The gateway's `/metrics` for Prometheus: `[metrics]`."""

    enabled: bool = key(False, "whether there is `/metrics`; needs `penstock[metrics]`")
    keyless: bool = key(False, "whether scrapers need no key with the scope admin")
