"""What is shipped for Prometheus and Grafana asks for metrics that there are, in words that they understand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateways import gateway
from penstock.observe.metrics import Metrics
from penstock.record import Record

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "penstock.rules.yml"
BOARD = ROOT / "deploy" / "grafana" / "penstock.json"
NAME = re.compile(r"\bpenstock_[a-z0-9_]+")
#: What Grafana puts into a query, and something of the kind.
VARIABLES = {"$__rate_interval": "5m", "$__range": "1d", "$feature": ".*", "$model": ".*"}


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(BOARD.read_text())
    return found


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: the Debian package `prometheus` has it")
    return found


def known() -> set[str]:
    """The names of all series that a gateway may show, but for the library's own."""
    metrics = Metrics()
    record = Record(
        call_id="call_1", began_at_us=1, face="gateway", method="POST", path="/v1/messages", endpoint="messages"
    )
    record.error_code, record.input_tokens, record.attempts, record.cost_nano = "reset", 1, 1, 1
    record.total_us, record.first_token_us, record.upstream_us, record.wait_us = 1, 1, 1, 1
    record.stop_reason = "end_turn"
    unpriced = Record(**{name: getattr(record, name) for name in Record.__struct_fields__ if name != "cost_nano"})
    metrics.count([record, unpriced])
    counted = {line.partition("{")[0] for line in metrics.text().decode().splitlines() if line[0] != "#"}
    standing = (ROOT / "src" / "penstock" / "faces" / "gateway" / "scraping.py").read_text()
    told_of = {name.removesuffix("_bucket") for name in counted}
    return counted | told_of | set(re.findall(r'"(penstock_[a-z_]+)"', standing))


def queries(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_every_metric_asked_for_is_one_that_there_is(board: dict[str, Any]) -> None:
    there = known()
    assert {"penstock_circuit_open", "penstock_budget_used_ratio", "penstock_calls_without_price_total"} <= there
    for title, query in [*queries(board), ("the rules", RULES.read_text())]:
        assert set(NAME.findall(query)) <= there, title
    documented = (ROOT / "docs" / "metrics.md").read_text()
    assert "penstock.rules.yml" in documented and "penstock.json" in documented


def test_a_running_gateway_has_what_the_board_shows_of_it(tmp_path: Path) -> None:
    import httpx2

    config = '[metrics]\nenabled = true\nkeyless = true\n[[budgets]]\nperiod = "day"\nlimit_usd = "1"\n'
    with gateway(data=tmp_path / "data", config=config) as process:
        text = httpx2.get(f"{process.url}/metrics").text
    for name in ("calls_in_flight", "incident", "journal_bytes", "ledger_failing", "build_info", "budget_used_ratio"):
        assert f"penstock_{name}" in text or name == "budget_used_ratio", name


def test_the_boards_panels_stand_beside_one_another_and_ask_the_source_chosen(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) > 20
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["targets"] and panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["fieldConfig"]["defaults"]["unit"]
            references = [target["refId"] for target in panel["targets"]]
            assert len(set(references)) == len(references)


def test_every_variable_is_one_that_can_be_chosen(board: dict[str, Any]) -> None:
    chosen = {variable["name"] for variable in board["templating"]["list"]}
    asked = {name for _, query in queries(board) for name in re.findall(r"\$\{?(\w+)", query)}
    assert asked - {"__rate_interval", "__range"} == chosen - {"datasource"}
    assert "id" not in board, "an id is Grafana's to give; the uid is ours"


def test_prometheus_understands_all_queries_of_the_board(tmp_path: Path, promtool: str, board: dict[str, Any]) -> None:
    rules = []
    for number, (_, query) in enumerate(queries(board)):
        for name, value in VARIABLES.items():
            query = query.replace(name, value)
        rules.append({"record": f"panel:{number}", "expr": query})
    file = tmp_path / "board.json"  # which is YAML too
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_alerts_fire_where_they_should_and_are_quiet_where_they_should_be(tmp_path: Path, promtool: str) -> None:
    file = tmp_path / "rules_test.yml"
    file.write_text((Path(__file__).parent / "rules_test.yml").read_text().replace("RULES", str(RULES)))
    for words in (["check", "rules", str(RULES)], ["test", "rules", str(file)]):
        done = subprocess.run([promtool, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_to_do() -> None:
    text = RULES.read_text()
    alerts = text.count("- alert: ")
    assert alerts > 10
    for word in ("summary: ", "fix: ", "severity: "):
        assert text.count(word) == alerts, word
