"""Telling: through Apprise itself, to a real server; and that no URL is ever in what is said of it."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator

import pytest
from posted import Desk, desk

from penstock.errors import ConfigError
from penstock.observe.alerts.sinks import Sinks
from penstock.secret import Secret

TOKEN = "T0kenThatNobodyMaySee"


@pytest.fixture
def told() -> Iterator[Desk]:
    with desk() as made:
        yield made


def send(url: str, severity: str = "warning") -> str | None:
    return Sinks({"env:A": Secret(url)}).send("env:A", "a title", "a text", severity=severity, extras={"alert": 7})


@pytest.mark.parametrize(
    ("severity", "kind"), [("warning", "warning"), ("critical", "failure"), ("over", "success"), ("test", "info")]
)
def test_a_webhook_gets_json(told: Desk, severity: str, kind: str) -> None:
    assert send(f"{told.url}/hook/{TOKEN}?a=1&b=x%20y", severity) is None
    (one,) = told.posted
    assert one.path == f"/hook/{TOKEN}?a=1&b=x+y"
    wanted = {"title": "a title", "message": "a text", "type": kind, "severity": severity, "alert": 7}
    assert {name: one.body[name] for name in wanted} == wanted


def test_an_apprise_url_goes_its_own_way(told: Desk) -> None:
    assert send(told.url.replace("http:", "json:") + "/hook") is None
    assert told.posted[0].body["message"] == "a text"


def test_services_are_known_by_their_urls() -> None:
    urls = {
        "env:SLACK": "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "env:MAIL": "mailto://user:password@example.com?to=ops@example.com",
        "env:PAGER": "pagerduty://IntegrationKey@ApiKey",
        "env:HOOK": "https://hooks.example.com/x",
    }
    sinks = Sinks({name: Secret(url) for name, url in urls.items()})
    assert list(sinks.services.values()) == ["Slack", "E-Mail", "Pager Duty", "JSON"]
    assert sinks.hearing("fired") == list(urls)
    assert "env:PAGER" not in sinks.hearing("cleared"), "each message opens an incident there"


def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http", "json"])
def test_what_goes_wrong_is_said_without_the_url(
    told: Desk, scheme: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    told.status = lambda: 403
    refused = send(told.url.replace("http", scheme) + f"/services/{TOKEN}?key={TOKEN}")
    assert refused is not None and "403" in refused
    nobody = send(f"{scheme}://user:{TOKEN}@127.0.0.1:{closed_port()}/{TOKEN}")
    assert nobody is not None and "onnection" in nobody
    written = capfd.readouterr()
    for said in (refused, nobody, caplog.text, written.out, written.err):
        assert TOKEN not in said


@pytest.mark.parametrize(
    "url", [TOKEN, f"nosuch://{TOKEN}", f"http:///{TOKEN}", f"https://h:port/{TOKEN}", f"slack://{TOKEN}"]
)
def test_what_is_no_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Sinks({"env:A": Secret(url)})
    assert caught.value.code == "bad_secret" and "env:A" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_without_apprise_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert Sinks({}).hearing("fired") == [], "nobody is to be told, so nothing is needed"
    with pytest.raises(ConfigError) as caught:
        Sinks({"env:A": Secret("json://h")})
    assert "penstock[alerts]" in caught.value.fix
