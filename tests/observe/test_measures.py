"""What readings come to: each kind of alert at its threshold, and in words."""

from __future__ import annotations

import pytest

from penstock.config.alerts import AlertsConfig
from penstock.config.money import BudgetConfig
from penstock.observe.alerts.measures import measured, shown
from penstock.observe.alerts.readings import Held, Open, Readings, Standing
from penstock.observe.alerts.rules import Measured
from penstock.ports.simulated import EPOCH_US
from penstock.stores.recent import Ended, Spent

USD = 1_000_000_000
DAY_US = 86_400_000_000
NOON_US = EPOCH_US + DAY_US // 2


def taken(readings: Readings, **config: object) -> dict[str, Measured]:
    return {one.kind: one for one in measured(AlertsConfig(**config), readings)}  # type: ignore[arg-type]


def test_errors() -> None:
    def of(calls: int, failed: int, **config: object) -> Measured | None:
        return taken(Readings(at_us=0, ended=Ended(calls, failed)), **config).get("error_rate")

    few, none, some, many = of(19, 19), of(1000, 9), of(1000, 10), of(1000, 50)
    assert few is None and none is not None and none.level == 0
    assert some is not None and (some.level, some.clear_below) == (1, 0.8)
    assert some.said == "1.0 % of 1,000 calls failed in the last 5 minutes."
    assert many is not None and many.levels[many.level - 1].severity == "critical"
    assert of(1000, 50, error_percent=0) is None
    half = of(1000, 5, error_percent="0.5", error_critical_percent=0)
    assert half is not None and len(half.levels) == 1 and half.level == 1


def test_slow_calls() -> None:
    slow = taken(Readings(at_us=0, ended=Ended(100, 0, 100, 10_000_000)))["p95"]
    assert slow.level == 1 and "10.0 s or longer, of 100" in slow.said
    assert "p95" not in taken(Readings(at_us=0, ended=Ended(100, 0, 19, 10_000_000)))


def test_the_cost_of_a_day() -> None:
    assert "day_cost" not in taken(Readings(at_us=0, today=Spent(10**15)))
    at = taken(Readings(at_us=0, today=Spent(50 * USD)), day_usd=50)["day_cost"]
    below = taken(Readings(at_us=0, today=Spent(50 * USD - 1)), day_usd="50")["day_cost"]
    assert (at.level, below.level) == (1, 0)
    assert at.said == "Today's calls cost 50.00 dollars so far; `alerts.day_usd` is 50.00."


def test_a_spike_is_against_the_median_and_at_least_so_many_dollars() -> None:
    def of(hour: int, *earlier: int) -> Measured | None:
        return taken(Readings(at_us=0, hour=Spent(hour), earlier=tuple(map(Spent, earlier)))).get("cost_spike")

    assert of(10**15, USD, USD) is None, "two days say nothing"
    at, below = of(6 * USD, USD, 2 * USD, 90 * USD), of(6 * USD - 1, USD, 2 * USD, 90 * USD)
    assert at is not None and below is not None and (at.level, below.level) == (1, 0)
    assert at.said == "The last hour cost 6.00 dollars; at this time of 3 earlier days it was 2.00 (median)."
    cheap, new = of(USD - 1, 5, 5, 5), of(USD, 0, 0, 0)
    assert cheap is not None and new is not None and (cheap.level, new.level) == (0, 1)


def test_the_cache_collapses_against_earlier_days() -> None:
    def of(read: int, was: int, tokens: int = 2_000_000) -> Measured | None:
        hour, earlier = Spent(0, tokens, tokens * read // 100), (Spent(0, 2_000_000, 20_000 * was),) * 3
        return taken(Readings(at_us=0, hour=hour, earlier=earlier)).get("cache_collapse")

    fell, held = of(40, 80), of(41, 80)
    assert fell is not None and held is not None and (fell.level, held.level) == (1, 0)
    assert fell.said.startswith("40 % of input was read from cache in the last hour; at this time of 3 earlier days it")
    assert of(0, 9) is None, "there was nothing to collapse"
    assert of(0, 80, tokens=999_999) is None


def standing(spent: float, **fields: object) -> Standing:
    budget = BudgetConfig(name="support", period="month", plan_usd=2000, timezone="Europe/Berlin", contact="ops")
    given = {
        "budget": budget,
        "values": (),
        "period": "2026-11",
        "until_us": NOON_US + 9 * DAY_US,
        "spent_nano": round(spent * USD),
    }
    return Standing(**{**given, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spent", "level", "severity"),
    [(999.99, 0, ""), (1000, 1, "warning"), (1600, 2, "warning"), (2000, 3, "critical"), (2280, 4, "critical")],
)
def test_budgets_at_their_percents_and_near_their_limit(spent: float, level: int, severity: str) -> None:
    made = taken(Readings(at_us=NOON_US, standings=(standing(spent),)))["budget"]
    assert made.level == level
    assert not level or made.levels[level - 1].severity == severity
    assert "calls are refused at 2400.00" in made.said
    assert ("ask ops" in made.fix) == (level == 4)


def test_a_budget_of_many_names_whose_it_is_and_shares_a_group() -> None:
    each = BudgetConfig(name="each user", per=("user",), period="day", limit_usd="0.50")
    of = standing(0.4, budget=each, values=("<!channel> @everyone\n`x`",), period="2026-11-20")
    made = taken(Readings(at_us=NOON_US, standings=(of,)))["budget"]
    assert made.group == "budget each user"
    assert "'each user', user '‹!channel› ＠everyone 'x'' (2026-11-20) has spent 0.40 of" in made.said


def test_a_budget_that_will_be_used_up_says_when() -> None:
    soon = taken(Readings(at_us=NOON_US, standings=(standing(2000, hour_nano=200 * USD),)))["forecast"]
    assert soon.level == 1
    assert soon.said == (
        "Budget 'support' (2026-11) will be used up by 15:00 (Europe/Berlin): 400.00 dollars are left, "
        "and the last hour cost 200.00."
    )
    later = taken(Readings(at_us=NOON_US, standings=(standing(2000, hour_nano=99 * USD),)))["forecast"]
    assert (later.level, later.value < 1) == (0, True)
    never = standing(2000, hour_nano=200 * USD, until_us=NOON_US + DAY_US // 24)
    assert "forecast" not in taken(Readings(at_us=NOON_US, standings=(never,))), "its period ends before"
    assert "forecast" not in taken(Readings(at_us=NOON_US, standings=(standing(2000),)))


def test_circuits_and_keys() -> None:
    ages = (Held("key_1", "ci", NOON_US - 90 * DAY_US), Held("env:A", "env:A of upstream x", NOON_US, True))
    made = measured(
        AlertsConfig(),
        Readings(at_us=NOON_US, circuits=(Open("x/m", NOON_US + 1, 2), Open("x/n", NOON_US, 1)), keys=ages),
    )
    assert [(one.identity, one.level) for one in made] == [
        ("age of key key_1", 1),
        ("age of key env:A", 0),
        ("circuit x/m", 1),
    ]
    assert made[0].said == "The key ci was made 90 days ago."
    assert measured(AlertsConfig(breaker=False, key_days=0), Readings(at_us=NOON_US, keys=ages)) == []


def test_an_invoice_that_differs_is_told_until_it_does_not() -> None:
    made = measured(AlertsConfig(), Readings(at_us=NOON_US, drifts=(("main", 2.5), ("other", 0.5))))
    assert [(one.identity, one.level) for one in made] == [("invoice of main", 1), ("invoice of other", 0)]
    assert made[0].said == "The ledger and the invoice of main differ by 2.50 %."
    assert measured(AlertsConfig(drift_percent=0), Readings(at_us=NOON_US, drifts=(("main", 9.0),))) == []


def test_names_from_outside_are_short_and_plain() -> None:
    assert shown("a" * 100) == "a" * 79 + "…"
    assert shown("a\x1b[31m\nb") == "a [31m b"
    assert shown("u@example.com") == "u@example.com"
