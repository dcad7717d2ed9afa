"""A dataset that gets a new version, or another owner, while a task runs: what was enrolled stays."""

from __future__ import annotations

from tests.contracts.federation.arena import Arena
from tests.contracts.support import rejects


def test_a_task_keeps_what_was_enrolled(arena: Arena) -> None:
    task = arena.running()
    world, enrolled = arena.world, arena.players[0].dataset_id
    before = world.market.dataset(enrolled)
    world.update(seed=77, dataset_id=enrolled)
    assert world.market.dataset(enrolled).commitment != before.commitment
    arena.play_round(task)
    move = world.market.registry.functions.transferFrom(world.provider.address, world.stranger.address, enrolled)
    world.chain.transact(move, world.provider)
    world.market.retire(world.stranger, enrolled)
    arena.play_round(task)
    assert arena.now(task).round == task.round + 2


def test_a_new_enrolment_is_about_the_present_version(arena: Arena) -> None:
    task = arena.open_task()
    player = arena.players[0]
    arena.world.update(seed=77, dataset_id=player.dataset_id)
    with rejects("NotAMasking"):
        arena.enrol(task, player)
