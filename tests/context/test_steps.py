"""What steps are worth: a long conversation with cache marks, against the simulator's cache and prices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from context.talk import FREE, Talk
from penstock.config.context import ContextConfig
from penstock.reply import Reply
from penstock.wire.prices import PriceBook

PAGE = Path(__file__).parents[2] / "docs" / "layers" / "context.md"
TURNS, WORDS = 150, 500
MARK = {"type": "ephemeral"}


def cost(config: ContextConfig | None) -> tuple[int, int]:
    """Nano-dollars of the input of all calls, and the percentage of it that was read from cache."""
    talk = Talk(config, tools=[], model=FREE, cache_control=MARK)
    nano = read = total = 0
    for at in range(TURNS):
        talk.say(f"{at}: " + "river " * WORDS)
        reply = talk.played[-1].reply
        assert isinstance(reply, Reply) and reply.answer.usage is not None
        usage = reply.answer.usage
        usage.output_tokens = 0
        priced: Any = PriceBook().price(usage, FREE, 1_790_000_000_000_000)
        nano += priced.nano
        read += usage.cache_read_tokens
        total += usage.input_tokens + usage.cache_read_tokens + usage.cache_write_5m_tokens
    return nano, round(100 * read / total)


@pytest.mark.weighty
def test_steps_keep_the_cache_and_the_page_says_how_well() -> None:
    rows = {}
    for step in (0, 10, 20, 50):
        rows[step] = cost(ContextConfig(tokens=20_000, step_percent=step))
    whole = cost(None)
    shown = [f"| {step} | {share} % | ${nano / 1e9:.3f} |" for step, (nano, share) in rows.items()]
    shown.append(f"| nothing cut | {whole[1]} % | ${whole[0] / 1e9:.3f} |")
    table = "\n".join(
        ["| `step_percent` | input read from cache | cost of the input |", "| ---: | ---: | ---: |", *shown]
    )
    assert rows[20][0] < 0.75 * rows[0][0]
    assert table in PAGE.read_text(), table
