"""Calls as they end, told to a page that is open: those that are wanted, bounded, and never in a gateway's way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jinja2 import DictLoader, Environment
from place import Place, Placed, a_record
from starlette.requests import Request
from starlette.responses import StreamingResponse

from gateways import Process, gateway
from penstock.dashboard.access import Access
from penstock.dashboard.app import ROOT
from penstock.dashboard.desk import Desk
from penstock.dashboard.live import CHANNELS_EACH_MAX, EXAMINED_MAX, ROWS_MAX, Live
from penstock.ports.blocking import BlockingClock, SystemChance
from penstock.stores.keys import KeyStore
from script import HELLO


@pytest.fixture
def live(placed: Placed) -> tuple[Live, Place]:
    place = placed(**{"identity.keys_required": False})
    place.fill([a_record(0)])

    async def desk() -> Desk:
        return Desk(place.config, place.clock)

    templates = Environment(loader=DictLoader({"calls_rows.html": "{{ rows[0].id }}"}))
    access = Access(lambda: place.config, place.clock, b"salt", place.chance.token, lambda _: None, lambda _: None)
    return Live(access, desk, place.clock.wall_us, templates, ROOT), place


def request(query: str, *, is_draining: Callable[[], bool] = lambda: False, **headers: str) -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/penstock/calls/live",
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "state": {"is_draining": is_draining},
        }
    )


async def told(events: AsyncIterator[Any]) -> tuple[str, dict[str, Any]]:
    """The next event that has data: its id and what it says."""
    async for event in events:
        if "data:" in event:
            number, data = str(event).strip().split("\n")
            return number.removeprefix("id: "), json.loads(data.removeprefix("data: "))
    raise AssertionError("the channel ended")


def within(live: Live, asked: Request, act: Callable[[AsyncIterator[Any]], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        answer = await live.answer(asked)
        assert isinstance(answer, StreamingResponse), answer
        return await asyncio.wait_for(act(answer.body_iterator.__aiter__()), 20)

    return asyncio.run(run())


def test_rows_that_came_since_are_told_in_order_and_no_others(live: tuple[Live, Place]) -> None:
    channels, place = live
    place.fill([a_record(1, feature="mail"), a_record(2), a_record(3, feature="mail")])
    number, said = within(channels, request("after=1&feature=mail"), told)
    assert (number, said) == ("4", {"rows": [a_record(1).call_id, a_record(3).call_id], "passed": 0})


def test_a_channel_goes_on_where_the_last_one_ended(live: tuple[Live, Place]) -> None:
    channels, place = live
    place.fill([a_record(1), a_record(2)])
    number, said = within(channels, request("after=0", last_event_id="2"), told)
    assert (number, said["rows"]) == ("3", [a_record(2).call_id])


def test_a_flood_is_told_by_its_end(live: tuple[Live, Place]) -> None:
    channels, place = live
    rows = place.fill(a_record(number) for number in range(1, EXAMINED_MAX + 101))
    number, said = within(channels, request("after=1"), told)
    assert said == {"rows": [row.call_id for row in rows[-ROWS_MAX:]], "passed": 100}
    assert int(number) == EXAMINED_MAX + 101


def test_a_page_of_another_ledger_hears_what_comes_from_now_on(live: tuple[Live, Place]) -> None:
    channels, place = live

    async def act(events: AsyncIterator[Any]) -> str:
        assert await anext(events) == "retry: 2000\n\n"
        listening = asyncio.ensure_future(told(events))
        await asyncio.sleep(0.2)
        place.fill([a_record(1)])
        return str((await listening)[1]["rows"])

    for after in ("999", "x", ""):
        assert a_record(1).call_id in within(channels, request(f"after={after}"), act)
        place = _emptied(place)


def _emptied(place: Place) -> Place:
    from penstock.stores.schema import connect

    connection = connect(place.data)
    connection.execute("DELETE FROM calls WHERE call_id = ?", (a_record(1).call_id,))
    connection.close()
    return place


def test_it_ends_when_the_gateway_drains(live: tuple[Live, Place]) -> None:
    began = time.monotonic()

    async def act(events: AsyncIterator[Any]) -> list[Any]:
        return [event async for event in events]

    events = within(live[0], request("after=1", is_draining=lambda: time.monotonic() > began + 0.3), act)
    assert events == ["retry: 2000\n\n"] and time.monotonic() < began + 5


def test_one_visitor_has_so_many_channels_and_no_more(live: tuple[Live, Place]) -> None:
    async def run() -> tuple[list[int], int]:
        answers = [await live[0].answer(request("")) for _ in range(CHANNELS_EACH_MAX + 1)]
        asked = request("", is_draining=lambda: True)
        await (await live[0].answer(asked))(asked.scope, _nothing, _nobody)
        first = answers[0]
        over = {"type": "http", "asgi": {"spec_version": "2.4"}, "state": {}}
        ending = asyncio.ensure_future(first(over, _nothing, _nobody))
        await asyncio.sleep(0.1)
        ending.cancel()  # as the server does when the visitor hangs up
        await asyncio.wait([ending])
        return [answer.status_code for answer in answers], (await live[0].answer(request(""))).status_code

    statuses, after = asyncio.run(run())
    assert statuses == [200] * CHANNELS_EACH_MAX + [503]
    assert after == 200


async def _nothing() -> dict[str, Any]:
    await asyncio.sleep(60)
    return {"type": "http.disconnect"}


async def _nobody(message: Any) -> None:
    """Nobody hears."""


# -- through a gateway


@contextmanager
def visitor(process: Process) -> Iterator[httpx2.Client]:
    store = KeyStore(process.data, BlockingClock())
    _, secret = store.create("looker", chance=SystemChance(), token=SystemChance().token, scopes=("view",))
    with httpx2.Client(base_url=process.url, timeout=20) as client:
        assert client.post("/penstock/login", data={"key": secret.reveal()}).status_code == 303
        yield client


def call(process: Process, feature: str) -> str:
    headers = {"x-api-key": process.key, "anthropic-version": "2023-06-01", "x-penstock-feature": feature}
    answer = httpx2.post(f"{process.url}/v1/messages", json=HELLO, headers=headers, timeout=20)
    assert answer.status_code == 200
    return str(answer.headers["x-penstock-call-id"])


def test_a_call_is_on_the_page_as_it_ends_and_the_open_page_holds_up_no_shutdown(tmp_path: Path) -> None:
    with gateway(data=tmp_path / "data") as process, visitor(process) as client:
        anonymous = httpx2.get(f"{process.url}/penstock/calls/live")
        assert anonymous.status_code == 401
        with client.stream("GET", "/penstock/calls/live?feature=wanted&after=0") as channel:
            assert client.head("/penstock/calls/live").headers["content-type"] == channel.headers["content-type"]
            assert channel.headers["content-type"].startswith("text/event-stream")
            assert channel.headers["cache-control"] == "no-store"
            lines = channel.iter_lines()
            assert next(lines) == "retry: 2000"
            other, wanted = call(process, "other"), call(process, "wanted")
            began = time.monotonic()
            data = next(line for line in lines if line.startswith("data: "))
            assert time.monotonic() - began < 3
            rows = "".join(json.loads(data.removeprefix("data: "))["rows"])
            assert wanted in rows and other not in rows
            began = time.monotonic()
            assert process.stop() == 0
            assert time.monotonic() - began < 5
            assert [line for line in lines if line.startswith("data: ")] == []


def test_a_channel_ends_with_the_key_behind_it(tmp_path: Path) -> None:
    with gateway(data=tmp_path / "data") as process, visitor(process) as client:
        store = KeyStore(process.data, BlockingClock())
        (key,) = store.find("looker")
        with client.stream("GET", "/penstock/calls/live") as channel:
            lines = channel.iter_lines()
            assert next(lines) == "retry: 2000"
            store.revoke(key.id)
            began = time.monotonic()
            for _ in lines:
                pass
            assert time.monotonic() - began < 10
        assert client.get("/penstock/calls/live").status_code == 401
