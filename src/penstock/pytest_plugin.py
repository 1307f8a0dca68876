"""The pytest fixture: a simulator for each test that asks for one.

pytest loads this module in every run, so nothing else is imported before a test asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .simulator import Running

_MARK = "claude_simulator"


def pytest_configure(config: pytest.Config) -> None:
    line = (
        f"{_MARK}(**options): how the `{_MARK}` fixture's simulator is made; options as of penstock.simulator.running"
    )
    config.addinivalue_line("markers", line)


@pytest.fixture
def claude_simulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A local Claude API for one test, seeded, and told of by ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY.

    So `Anthropic()` finds it as it is. Options come from `@pytest.mark.claude_simulator(...)`; the nearest mark wins,
    option by option.
    """
    from .simulator import running

    options: dict[str, object] = {}
    for mark in request.node.iter_markers(_MARK):
        options = {**mark.kwargs, **options}
    with running(**options) as simulator:  # type: ignore[arg-type]
        monkeypatch.setenv("ANTHROPIC_BASE_URL", simulator.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", simulator.key)
        monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
        yield simulator
