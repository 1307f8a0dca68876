"""SystemChance: identifiers."""

from __future__ import annotations

import os

from penstock.ports.blocking import SystemChance


def test_ids_are_sorted_by_time_and_do_not_repeat() -> None:
    chance = SystemChance()
    made = [chance.id("call") for _ in range(20_000)]
    assert len(set(made)) == len(made)
    assert {len(one) for one in made} == {len("call_") + 26}
    assert [one[:17] for one in made] == sorted(one[:17] for one in made)


def test_a_forked_child_draws_its_own() -> None:
    chance = SystemChance()
    chance.id("call")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, chance.id("call").encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode()[-14:] != chance.id("call")[-14:]
