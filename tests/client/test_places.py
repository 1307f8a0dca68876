"""Where a wrapped client may be used: threads, running loops, loops one after another, forks, half-read streams."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sdk_session import ASK

import penstock
from penstock.simulator import Running


def test_many_threads_share_one_client(client: Any, rows: Any) -> None:
    def ask(number: int) -> str:
        with penstock.tags(user=f"u{number}"):
            answer: str = client.messages.create(**ASK).id
            return answer

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(ask, range(40)))
    assert len(set(ids)) == 40
    assert sorted(row["user"] for row in rows()) == sorted(f"u{number}" for number in range(40))


def test_a_call_starts_no_thread(client: Any) -> None:
    client.messages.create(**ASK)  # the ledger's one writer starts here
    before = set(threading.enumerate())
    for _ in range(5):
        client.messages.create(**ASK)
    # The one that keeps samples of bodies starts with the first call that is one.
    assert [thread.name for thread in set(threading.enumerate()) - before] in ([], ["penstock-bodies"])


def test_a_blocking_client_works_inside_a_running_loop(client: Any) -> None:
    async def main() -> str:
        answer: str = client.messages.create(**ASK).type
        with client.messages.stream(**ASK) as stream:
            assert stream.get_final_text()
        return answer

    assert asyncio.run(main()) == "message"


def test_one_async_client_serves_one_loop_after_another(loop_client: Any, rows: Any) -> None:
    async def ask() -> str:
        answer: str = (await loop_client.messages.create(**ASK)).id
        return answer

    assert asyncio.run(ask()) != asyncio.run(ask())
    assert [row["ending"] for row in rows()] == ["complete"] * 2


def test_concurrent_tasks_keep_their_own_tags(loop_client: Any, rows: Any) -> None:
    async def ask(number: int) -> None:
        with penstock.tags(session=f"s{number}"):
            await asyncio.sleep(0)
            await loop_client.messages.create(**ASK)

    async def main() -> None:
        await asyncio.gather(*(ask(number) for number in range(20)))

    asyncio.run(main())
    assert sorted(row["session"] for row in rows()) == sorted(f"s{number}" for number in range(20))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_client_wrapped_before_a_fork_works_in_the_children(client: Any, sim: Running, rows: Any) -> None:
    client.messages.create(**ASK)
    children = []
    for number in range(2):
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                with penstock.tags(feature=f"child{number}"):
                    answer = client.messages.create(**ASK).id
                from penstock.faces.client.compose import _compositions

                for known in _compositions:
                    known.ledger.flush()  # type: ignore[attr-defined]
                os.write(write_end, answer.encode())
                status = 0
            finally:
                os._exit(status)
        os.close(write_end)
        children.append((pid, read_end))
    for pid, read_end in children:
        assert os.waitpid(pid, 0)[1] == 0
        assert os.read(read_end, 100).startswith(b"msg_")
        os.close(read_end)
    client.messages.create(**ASK)
    assert sorted(row["feature"] or "" for row in rows()) == ["", "", "child0", "child1"]


def test_a_stream_left_early_is_settled_as_abandoned(client: Any, rows: Any) -> None:
    with client.messages.stream(**ASK) as stream:
        for event in stream:
            if event.type == "text":
                break
    assert [(row["ending"], row["cost_basis"]) for row in rows()] == [("abandoned", "estimated")]


def test_a_stream_dropped_without_close_is_settled_too(client: Any, rows: Any) -> None:
    stream = client.messages.create(**ASK, stream=True)
    next(iter(stream))
    del stream
    gc.collect()
    assert [row["ending"] for row in rows()] == ["abandoned"]


def test_an_unread_async_stream_is_settled_on_its_loop(loop_client: Any, rows: Any) -> None:
    async def main() -> None:
        await loop_client.messages.create(**ASK, stream=True)
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert [row["ending"] for row in rows()] == ["abandoned"]


def test_a_cancelled_task_lets_its_call_go(loop_client: Any, sim: Running, rows: Any) -> None:
    sim.trigger("hang")

    async def main() -> None:
        asked = asyncio.ensure_future(loop_client.messages.create(**ASK))
        while not sim.requests:  # noqa: ASYNC110  (the simulator is another thread; it has no event of ours)
            await asyncio.sleep(0.01)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    asyncio.run(main())
    assert [row["ending"] for row in rows()] == ["abandoned"]


def test_tags_nest_and_follow_copied_contexts(bare: Any, config: Any, rows: Any) -> None:
    client = penstock.wrap(bare, config=config, feature="chat", segment="acme")
    with penstock.tags(feature="summarise", user="u1"):
        with penstock.tags(session="s9"):
            client.messages.create(**ASK)
        context = contextvars.copy_context()
    worker = threading.Thread(target=lambda: context.run(client.messages.create, **ASK))
    worker.start()
    worker.join()
    client.messages.create(**ASK, extra_headers={"x-penstock-user": "u2"})
    got = [(row["feature"], row["user"], row["session"], row["segment"]) for row in rows()]
    assert got == [
        ("summarise", "u1", "s9", "acme"),
        ("summarise", "u1", None, "acme"),
        ("chat", "u2", None, "acme"),
    ]


def test_penstocks_own_fields_never_leave(client: Any, sim: Running) -> None:
    client.messages.create(**ASK, extra_headers={"x-penstock-user": "u2"})
    (served,) = sim.requests
    assert not [name for name in served.headers if name.startswith("x-penstock")]
    assert served.headers["accept-encoding"] == "identity"
    assert json.loads(served.body) == ASK


@pytest.mark.parametrize("tags", [{"feature": ""}, {"user": "u" * 257}, {"session": "a\nb"}, {"segment": 7}])
def test_what_cannot_be_a_tag_is_refused_where_it_is_said(tags: Any) -> None:
    with pytest.raises(ValueError, match=f"Tag {next(iter(tags))} "), penstock.tags(**tags):
        pass
