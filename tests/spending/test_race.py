"""64 callers in four processes, both faces, streams, hang-ups, failures and kills: no budget is passed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateways import environment, gateway
from penstock.config.load import load
from penstock.config.schema import Config
from penstock.faces import compose
from penstock.ports.blocking import BlockingClock
from penstock.simulator import Faults, Pace, Running, running
from penstock.spending.budget import parts
from penstock.stores.budgets import SqliteBudgets
from penstock.stores.sqlite import SqliteLedger
from penstock.wire.messages import Usage

SPENDER = Path(__file__).with_name("spender.py")
LIMITS = {"one": 1, "ten": 10, "thousand": 1_000}
#: Dollars per million of input and output: some two hundred calls use up each budget.
PRICES = {"claude-haiku-4-5": (10, 50), "claude-sonnet-4-6": (100, 500), "claude-opus-4-5": (10_000, 50_000)}
CALLERS = 16


def config_text(upstream: Running) -> str:
    budgets = [
        f'[[budgets]]\nname = "{name}"\nwhere = {{ feature = "{name}" }}\nperiod = "total"\nlimit_usd = {limit}\n'
        for name, limit in LIMITS.items()
    ]
    prices = [
        f'[prices.models.{model}]\ninput_usd = "{new}"\noutput_usd = "{out}"\n' for model, (new, out) in PRICES.items()
    ]
    place = f'[upstreams.sim]\nkind = "compatible"\nurl = "{upstream.url}"\nkeys = ["env:SIM_KEY"]\n'
    return place + "[resilience]\nwait_first_s = 0.01\nbreaker_failures = 0\n" + "".join(budgets + prices)


def invoice(sim: Running, config: Config) -> dict[str, int]:
    """What the simulator charged for each feature's model, at the config's prices."""
    book, total = compose.price_book(config), dict.fromkeys(LIMITS, 0)
    feature_of = dict(zip(PRICES, LIMITS, strict=True))
    for entry in sim.books:
        if entry.cost_nano and entry.model is not None:
            usage = Usage(input_tokens=entry.input_tokens, output_tokens=entry.output_tokens)
            name = next(name for name in PRICES if entry.model.startswith(name))
            total[feature_of[name]] += book.price(usage, name, at_us=0).nano or 0
    return total


def begin(spenders: list[subprocess.Popen[bytes]]) -> None:
    for child in spenders:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    for child in spenders:
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.flush()


@pytest.mark.weighty
def test_no_budget_is_passed_whoever_calls_and_whoever_dies(tmp_path: Path) -> None:
    data = tmp_path / "data"
    faults = Faults(overloaded=0.03, reset=0.02, truncate=0.02, error_mid=0.02)
    with running(seed=5, faults=faults, accept_any=True, pace=Pace(first_token_ms=20), keep_requests=100_000) as sim:
        place = tmp_path / "penstock.toml"
        place.write_text(config_text(sim))
        env = {"SIM_KEY": sim.key}

        def spender(url: str, key: str, seed: int, *wrapped: str) -> subprocess.Popen[bytes]:
            words = [url, key, str(CALLERS), str(seed), *wrapped]
            command = [sys.executable, str(SPENDER), *words]
            return subprocess.Popen(command, env=environment(**env), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        with ExitStack() as exits:
            one, other = (exits.enter_context(gateway(data=data, config=place.read_text(), **env)) for _ in range(2))
            wrapped = (str(place), str(data))
            spenders = [
                spender(one.url, one.key, 1),
                spender(other.url, one.key, 2),
                spender(sim.url, sim.key, 3, *wrapped),
                spender(sim.url, sim.key, 4, *wrapped),
            ]
            exits.callback(lambda: [child.kill() for child in spenders])
            begin(spenders)  # at once, so that none is done before another is killed
            while sim.books.count < 150:  # all of it has begun, and two thirds of the money are left
                time.sleep(0.01)
            spenders[2].send_signal(signal.SIGKILL)
            other.child.send_signal(signal.SIGKILL)
            time.sleep(0.5)
            spenders += [spender(one.url, one.key, 5), spender(sim.url, sim.key, 6, *wrapped)]
            begin(spenders[4:])
            for child in (spenders[0], spenders[3], *spenders[4:]):
                assert child.wait(120) == 0
            spenders[1].kill()  # its gateway is gone
        config = load(place, environ=env, overrides={"data": str(data)})
        charged = invoice(sim, config)
    check(config, charged)


def check(config: Config, charged: dict[str, int]) -> None:
    clock = BlockingClock()
    ledger, shared = compose.ledger(config, clock), compose.shared(config, clock)
    budgets = shared["budgets"]
    assert isinstance(ledger, SqliteLedger) and isinstance(budgets, SqliteBudgets)
    ledger.start()
    compose.begin_budgets(config, ledger, budgets, clock)
    balances = {parts(name)[0]: balance for name, balance in budgets.balances().items()}
    ledger.close_store()
    connection = sqlite3.connect(config.data / "penstock.db")
    rows = dict(
        connection.execute("SELECT feature, sum(coalesce(cost_nano, held_nano, 0)) FROM calls GROUP BY feature")
    )
    # Of an answer that was given up, the API may have made more than had come: at most what was held.
    unseen = dict(
        connection.execute(
            "SELECT feature, sum(held_nano - cost_nano) FROM calls WHERE cost_basis = 'estimated' GROUP BY feature"
        )
    )
    over = connection.execute("SELECT call_id, trail FROM calls WHERE cost_nano > held_nano").fetchall()
    assert not over, "a call cost more than was held for it"
    endings = {row[0] for row in connection.execute("SELECT DISTINCT ending FROM calls")}
    connection.close()
    assert {"complete", "refused", "failed", "truncated", "abandoned", "killed"} <= endings
    for name, limit in LIMITS.items():
        balance = balances[name]
        assert balance.held_nano == 0, name
        assert balance.spent_nano == rows[name], f"{name}: the counters are not the ledger's sum"
        assert 0.9 * limit * 10**9 < balance.spent_nano <= limit * 10**9, name
        assert charged[name] <= limit * 10**9 + unseen[name], f"{name}: the invoice is above the limit"
