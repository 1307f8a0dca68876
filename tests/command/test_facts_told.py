"""`penstock explain` knows every fact that a layer may put on a trail."""

from __future__ import annotations

from penstock import pipeline
from penstock.call import Fact
from penstock.tools.explain import FACTS


def test_every_fact_of_the_core_is_told_in_words() -> None:
    assert pipeline
    ours = {
        kind
        for kind in Fact.__subclasses__()
        if kind.__module__.startswith(
            (
                "penstock.layers",
                "penstock.caching",
                "penstock.choosing",
                "penstock.recovery",
                "penstock.spending",
                "penstock.structure",
                "penstock.call",
            )
        )
    }
    assert ours == set(FACTS.values())
    assert all(kind.told is not Fact.told for kind in ours)
