"""The benches' own arithmetic, and that each of them can be asked for. What they measure is not tested."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bench.__main__ import BENCHES, main  # noqa: E402
from bench.latency import percentile  # noqa: E402
from bench.report import Plan, Row, Section, Spread, Target, ratios, shown, write_section  # noqa: E402
from bench.stub import Stub  # noqa: E402
from bench.subjects import Subject, environment  # noqa: E402

from bench import machine, paced, poisson, traffic, wrk  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benches pin processes and read /proc")


@pytest.fixture
def stub() -> Iterator[Subject]:
    """The stub upstream in this process, on a thread's loop."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    ports: list[int] = []

    def run() -> None:
        async def start() -> asyncio.Server:
            server = await loop.create_server(Stub, "127.0.0.1", 0)
            ports.append(server.sockets[0].getsockname()[1])
            ready.set()
            return server

        server = loop.run_until_complete(start())
        loop.run_forever()
        server.close()
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    yield Subject("stub alone", ports[0], "key", None)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


def section(*rows: Row) -> Section:
    return Section("gateway", "Gateway", "What was done.", ("Penstock", "nginx"), list(rows), ["A note."])


def test_help_names_every_bench() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [name for name in BENCHES if name not in told] == []


def test_every_bench_is_a_module_that_measures() -> None:
    for name in BENCHES:
        assert "def measure(plan: Plan) -> Section:" in (ROOT / "bench" / f"{name}.py").read_text(), name


def test_an_unknown_bench_is_refused_with_the_names_of_the_known() -> None:
    told = subprocess.run([sys.executable, "-m", "bench", "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 2
    assert "ledger" in told.stderr


def test_a_section_replaces_only_itself_in_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Top\n\n<!-- bench:a -->\nold\n<!-- /bench:a -->\n\nkept\n\n<!-- bench:b -->\nb\n<!-- /bench:b -->\nend\n"
    )
    write_section(page, "a", r"new \1")
    assert page.read_text() == (
        "# Top\n\n<!-- bench:a -->\nnew \\1\n<!-- /bench:a -->\n\nkept\n\n<!-- bench:b -->\nb\n<!-- /bench:b -->\nend\n"
    )


def test_a_section_without_marks_goes_to_the_end_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "page.md"
    write_section(page, "a", "one")
    write_section(page, "b", "two")
    write_section(page, "a", "three")
    assert page.read_text() == (
        "<!-- bench:a -->\nthree\n<!-- /bench:a -->\n\n<!-- bench:b -->\ntwo\n<!-- /bench:b -->\n"
    )


def test_a_table_says_honestly_what_was_met() -> None:
    rows = (
        Row("CPU", "µs", (Spread(90.0, 80.0, 100.0), Spread(20.0, 20.0, 20.0)), Target(95)),
        Row("throughput", "/s", (Spread(9_000.0, 9_000.0, 9_000.0), None), Target(10_000, is_floor=True)),
        Row("lag", "ms", (None, None), Target(1)),
        Row("memory", "MiB", (None,)),
    )
    lines = section(*rows).table().splitlines()
    assert lines[2:] == [
        "| CPU, µs | 90.0 (80.0 to 100) | 20.0 | ≤ 95.0 | yes |",
        "| throughput, /s | 9,000 | – | ≥ 10,000 | **no** |",
        "| lag, ms | – | – | ≤ 1.00 | not measured |",
        "| memory, MiB | – | – |  |  |",
    ]


def test_markdown_says_when_where_and_by_which_command() -> None:
    text = section().markdown("2026-11-20", "Two cores.")
    assert "`python -m bench gateway`, 2026-11-20. Two cores." in text
    assert text.endswith("* A note.")


def test_json_holds_what_the_table_shows() -> None:
    found = json.loads(json.dumps(section(Row("CPU", "µs", (Spread(1.0, 1.0, 1.0), None), Target(2))).to_json()))
    assert found["rows"] == [
        {
            "what": "CPU",
            "unit": "µs",
            "figures": {"Penstock": {"median": 1.0, "low": 1.0, "high": 1.0}, "nginx": None},
            "target": "≤ 2.00",
            "is_met": True,
        }
    ]


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (0, "0"),
        (0.0351, "0.035"),
        (1.234, "1.23"),
        (-2.41, "-2.41"),
        (56.78, "56.8"),
        (99.96, "100"),
        (12_345.6, "12,346"),
    ],
)
def test_figures_are_shown_with_three_digits(figure: float, text: str) -> None:
    assert shown(figure) == text


def test_ratios_pair_the_rounds() -> None:
    assert ratios([1.0, 4.0, 9.0], [2.0, 4.0, 3.0]) == Spread(1.0, 0.5, 3.0)


def test_percentiles_of_few_values_are_among_them() -> None:
    assert percentile([5.0], 99) == 5.0
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0


def test_cpu_time_is_read_behind_a_name_with_brackets() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    stat = f"12 (a) b) (c) S 1 12 12 0 -1 4194560 1 2 3 4 {3 * ticks} {2 * ticks} 7 8 20 0 3 0 99"
    assert machine.parse_cpu_s(stat) == 5.0
    assert machine.cpu_s(os.getpid()) > 0


def test_memory_is_read_in_mebibytes() -> None:
    status = "Name:\tx\nVmHWM:\t   4096 kB\nVmRSS:\t   2048 kB\n"
    assert machine.parse_rss_mib(status) == 2.0
    assert machine.parse_rss_mib(status, "VmHWM") == 4.0
    with pytest.raises(ValueError, match="VmSwap"):
        machine.parse_rss_mib(status, "VmSwap")


def test_the_machine_line_names_no_path_of_the_machine() -> None:
    line = machine.line()
    assert "cores" in line and "Python" in line
    assert str(ROOT) not in line and str(Path.home()) not in line


def test_a_child_is_pinned_heard_and_ended() -> None:
    core = machine.cores()[0]
    code = "import os, sys; print(sorted(os.sched_getaffinity(0)), flush=True); sys.exit('the reason')"
    with machine.child([sys.executable, "-c", code], core) as child:
        assert child.line() == f"[{core}]"
        child.output(10)
        assert child.last_words() == "the reason"
    assert child.process.returncode == 1


def test_a_missing_program_is_named_with_how_to_install_it() -> None:
    with pytest.raises(machine.Unmeasurable, match=r"no-such-program .*apt-get install"):
        machine.program("no-such-program")


def test_a_bench_that_cannot_run_says_so_and_leaves_the_page_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unmeasurable(name: str, plan: Plan) -> Section:
        raise machine.Unmeasurable("wrk is not installed")

    monkeypatch.setattr("bench.__main__.measure", unmeasurable)
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: None)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    assert main(["gateway", "--page", str(tmp_path / "page.md")]) == 1
    assert "gateway: not measured: wrk is not installed" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()


@pytest.mark.parametrize(("options", "is_written"), [([], True), (["--quick"], False)])
def test_only_a_full_run_is_written_down(
    options: list[str], is_written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.__main__.measure", lambda name, plan: section())
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: None)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    page = tmp_path / "page.md"
    assert main(["gateway", "--page", str(page), *options]) == 0
    assert page.exists() == is_written


def test_the_gateway_gets_no_settings_of_whoever_runs_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_BASE_URL", "PENSTOCK_DATA", "https_proxy"):
        monkeypatch.setenv(name, "x")
    found = environment()
    assert not {"ANTHROPIC_BASE_URL", "PENSTOCK_DATA", "https_proxy"} & set(found)
    assert found["ANTHROPIC_API_KEY"] == traffic.UPSTREAM_KEY


@pytest.mark.parametrize("size", [2_000, 500_000])
def test_a_request_has_the_size_asked_for_and_is_one(size: int) -> None:
    body = traffic.request_body(size)
    assert len(body) == size
    assert json.loads(body)["system"][0]["cache_control"] == {"type": "ephemeral"}


def test_a_burst_is_106_events_each_in_a_chunk_of_its_own() -> None:
    _, _, rest = traffic.burst().partition(b"\r\n\r\n")
    events = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        events.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    assert events.pop() == b""
    assert len(events) == 106
    assert all(event.startswith(b"event: ") and event.endswith(b"\n\n") for event in events)
    assert json.loads(events[0].split(b"data: ")[1])["message"]["usage"]["input_tokens"] == 412


def test_wrk_is_told_the_headers_and_its_result_is_found() -> None:
    script = wrk.script_text(Path("a b"), traffic.request_headers('k"1'))
    assert 'io.open("a b", "rb")' in script and '["x-api-key"] = "k\\"1"' in script
    output = 'Running\nRESULT {"requests": 5, "wall_us": 1, "errors": 0, "p50_us": 1, "p99_us": 2}\n'
    assert wrk.parse(output) == {"requests": 5, "wall_us": 1, "errors": 0, "p50_us": 1, "p99_us": 2}
    assert wrk.parse("Running\n") is None


@pytest.mark.parametrize("is_stream", [False, True])
def test_open_loop_calls_are_all_answered_and_timed(stub: Subject, is_stream: bool) -> None:
    body = traffic.request_body(is_stream=is_stream)
    waits = poisson.run_precisely(poisson.offer(stub, body, per_s=200, seconds=0.3, seed=1))
    assert waits.errors == 0
    assert len(waits.whole_s) > 20
    assert len(waits.first_token_s) == (len(waits.whole_s) if is_stream else 0)


def test_calls_that_fail_are_counted_as_errors(stub: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stub, "answer", b"HTTP/1.1 529 Overloaded\r\ncontent-length: 0\r\n\r\n")
    waits = poisson.run_precisely(poisson.offer(stub, traffic.request_body(), per_s=100, seconds=0.2, seed=1))
    assert waits.errors > 5
    assert waits.whole_s == []


def test_paced_streams_arrive_whole_stamped_and_in_number() -> None:
    async def read() -> paced.Lags:
        async with paced.paced_stub() as (port, wheel):
            return await paced.hold(Subject("stub alone", port, "key", None), wheel, streams=3, seconds=0.5)

    lags = paced.run_fast(read())
    assert lags.errors == 0
    assert len(lags.lag_ns) > 20
    assert min(lags.lag_ns) > 0
