"""A simulator's options from a file."""

from __future__ import annotations

from pathlib import Path

import anthropic
import pytest

from penstock.errors import ConfigError
from penstock.simulator import read_setup, running

WHOLE = """
seed = 3
key = "sk-of-the-file"
batch_s = 0.1
schedule = ["error_500 100% from 100s"]

[pace]
tokens_per_s = 5000

[faults]
overloaded = 0.0

[limits]
requests = 2

[caps]
own_usd = "5.00"

[[keys]]
secret = "sk-of-another"
workspace = "second"

[[answers]]
when = "the river"
say = "It flows."
"""


def test_a_whole_file_makes_a_simulator(tmp_path: Path) -> None:
    file = tmp_path / "sim.toml"
    file.write_text(WHOLE)
    with running(**read_setup(file)) as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key="sk-of-the-file", max_retries=0)
        ask = {"model": "claude-sonnet-4-6", "max_tokens": 50}
        said = client.messages.create(**ask, messages=[{"role": "user", "content": "Tell me of the river."}])
        assert said.content[0].text == "It flows."  # type: ignore[union-attr]
        client.messages.create(**ask, messages=[{"role": "user", "content": "Hello"}])
        with pytest.raises(anthropic.RateLimitError):
            client.messages.create(**ask, messages=[{"role": "user", "content": "Hello"}])


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("sed = 3", 1, "sed"),
        ("seed = 'x'", 1, "seed"),
        ("\n[faults]\nflood = 0.1", 2, "flood"),
        ("[limits]\ntier = 'huge'", 1, "tier"),
        ("[limits]\nsped = 1", 1, "sped"),
        ("schedule = [\n  'overloaded',\n  'often',\n]", 3, "often"),
        ("[caps]\nown_usd = 'much'", 1, "caps"),
        ("[[answers]]\nwhen = 'x'\nsays = 'y'", 3, "says"),
        ("seed = ", 1, "seed"),
    ],
)
def test_a_fault_is_named_with_file_and_line(tmp_path: Path, text: str, line: int, fault: str) -> None:
    file = tmp_path / "sim.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_setup(file)
    assert str(caught.value).startswith(f"{file}:{line}: ") or fault == "seed", str(caught.value)
    assert fault in str(caught.value) or fault == "seed"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_setup(tmp_path / "none.toml")
