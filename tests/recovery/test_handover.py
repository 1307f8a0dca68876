"""The API's own fallback: asked for where the feature wants it, and billed as the API bills it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import pytest
from msgspec.structs import replace

import penstock
from penstock.call import Call, Candidate, Plan, Policy, Target
from penstock.config.features import FeatureConfig
from penstock.config.schema import Config
from penstock.faces.client.compose import composition
from penstock.recovery.handover import BETA, HandedOver, handed_over
from penstock.simulator import running
from penstock.stores.reading import LedgerReader
from penstock.wire.envelopes import envelope
from script import UPSTREAM, a_call

ASK: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Tell me of rivers in 30 words."}],
}


def a_wish(target: Target = UPSTREAM, **changes: Any) -> Call:
    return replace(a_call(plan=Plan((Candidate(target),), Policy(hands_over=True))), **changes)


def test_the_wish_is_added_and_nothing_else_changes() -> None:
    call = a_wish(body=b'{"model": "claude-opus-5-5",  "x":1e3 }')
    changed = handed_over(call)
    assert changed.body == b'{"model": "claude-opus-5-5",  "x":1e3 ,"fallbacks":"default"}'
    assert changed.fields[b"anthropic-beta"] == BETA and isinstance(call.trail[-1], HandedOver)
    other = handed_over(a_wish(headers=((b"anthropic-beta", b"a,b"),), fields={b"anthropic-beta": b"a,b"}))
    assert other.headers == ((b"anthropic-beta", b"a,b," + BETA),)


@pytest.mark.parametrize(
    "call",
    [
        a_wish(body=b'{"fallbacks": null}'),
        a_wish(body=b"[]"),
        a_wish(body=b"no JSON"),
        a_wish(replace(UPSTREAM, envelope=envelope("bedrock", "https://b.example", region="us-east-1"))),
        replace(a_call(), plan=Plan((Candidate(UPSTREAM),), Policy(hops_on_refusal=True))),
    ],
)
def test_where_it_cannot_be_or_is_said_already_the_call_stays(call: Call) -> None:
    assert handed_over(call) is call


@pytest.mark.parametrize("fault", ["refusal", "refusal_mid"])
@pytest.mark.parametrize("stream", [False, True])
def test_another_model_goes_on_and_the_record_agrees_with_the_invoice(tmp_path: Path, fault: str, stream: bool) -> None:
    config = Config(data=tmp_path / "data", features={"default": FeatureConfig(on_refusal="server")})
    with running(seed=4) as sim:
        sim.trigger(fault)
        client = penstock.wrap(anthropic.Anthropic(base_url=sim.url, api_key=sim.key), config=config)
        if stream:
            with client.beta.messages.stream(**ASK) as events:
                message = events.get_final_message()
        else:
            message = client.beta.messages.create(**ASK)
        (entry,) = sim.books
    assert message.stop_reason == "end_turn" and "fallback" in [block.type for block in message.content]
    composition(config, None).ledger.flush()  # type: ignore[attr-defined]
    with LedgerReader(config.data) as ledger:
        (record,) = ledger.calls()
    assert record.model_served == entry.model != ASK["model"]
    assert record.cost_nano == entry.cost_nano and record.cost_basis == "exact"
