"""Laws where answers are guarded: held back, replaced, judged by another model, refused; whatever breaks meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from laws.book import (
    a_caller_is_told_of_every_broken_stream,
    budgets_count_what_the_ledger_says,
    every_call_leaves_one_row,
    every_caller_gets_an_ending,
    every_hold_is_settled,
    every_upstream_answer_is_let_go,
    no_budget_is_ever_passed,
    times_are_in_order,
)
from laws.worlds import Outcome, run_world
from penstock.config.features import FeatureConfig
from penstock.config.guards import OutputConfig

pytest.importorskip("re2", reason="RE2 is not installed")

SEEDS = 150
DENIED = "Hi"
GUARDS = {
    "scrubbed as it passes": OutputConfig(deny=(DENIED,), denied="scrub"),
    "blocked as it passes": OutputConfig(deny=("there",), denied="block"),
    "looked at whole": OutputConfig(deny=(DENIED,), denied="scrub", streams="whole"),
    "judged, and passed where nobody judges": OutputConfig(
        question="Is it rude?", streams="whole", unclassified="pass"
    ),
    "judged, and withheld where nobody judges": OutputConfig(
        question="Is it rude?", streams="whole", unclassified="block"
    ),
}
LAWS: tuple[Callable[[Outcome], None], ...] = (
    every_caller_gets_an_ending,
    every_call_leaves_one_row,
    every_upstream_answer_is_let_go,
    a_caller_is_told_of_every_broken_stream,
    no_budget_is_ever_passed,
    every_hold_is_settled,
    budgets_count_what_the_ledger_says,
    times_are_in_order,
)


@pytest.mark.parametrize("config", GUARDS.values(), ids=GUARDS)
def test_the_laws_hold_where_answers_are_guarded(config: OutputConfig) -> None:
    for seed in range(SEEDS):
        outcome = run_world(seed, feature=FeatureConfig(output=config))
        for law in LAWS:
            try:
                law(outcome)
            except AssertionError as broken:
                raise AssertionError(f"seed {seed} breaks `{law.__name__}`: {broken}") from broken


@pytest.mark.parametrize("name", ["scrubbed as it passes", "looked at whole"])
def test_what_is_denied_reaches_nobody(name: str) -> None:
    answered = 0
    for seed in range(SEEDS):
        for made in run_world(seed, feature=FeatureConfig(output=GUARDS[name])).visits:
            if made.status == 200 and made.call.endpoint.name == "messages":
                said = text(b"".join(made.got))
                assert DENIED not in said, f"seed {seed}, {made.call.id}"
                answered += "[DENIED]" in said
    assert answered > SEEDS, "there is something to deny"


def text(body: bytes) -> str:
    """What an answer says, as far as it came."""
    if body.startswith(b"{"):
        return "".join(block["text"] for block in json.loads(body)["content"]) if body.endswith(b"}}") else ""
    lines = [line[6:] for line in body.splitlines() if line.startswith(b"data: ") and b"text_delta" in line]
    return "".join(json.loads(line)["delta"]["text"] for line in lines if line.rstrip().endswith(b"}"))
