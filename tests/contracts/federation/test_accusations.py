"""t + 1 workers slash one whose output is not the sum of its shares; fewer do nothing, and no clock saves it."""

from __future__ import annotations

import pytest

from fedproof.ledger.committee import Kind, Stake
from fedproof.ledger.federation import Stage
from tests.contracts.federation.arena import SETTLE_BLOCKS, Arena
from tests.contracts.federation.board import refuses
from tests.contracts.federation.quarrel import WORKER_BOND, Quarrel, start, start_with_five
from tests.contracts.support import rejects


def freeze(quarrel: Quarrel) -> None:
    quarrel.wait(quarrel.windows.freeze)
    quarrel.arena.chain.mine()


def ended(arena: Arena) -> Quarrel:
    quarrel = start(arena, rounds=1, mask_count=2)
    freeze(quarrel)
    arena.finalize(quarrel.task)
    quarrel.task = arena.now(quarrel.task)
    assert quarrel.task.stage == Stage.ENDED
    return quarrel


def slash(quarrel: Quarrel, liar: int, *accusers: int, number: int = 1) -> None:
    for accuser in accusers:
        address = quarrel.workers[liar].address
        quarrel.committee.accuse(quarrel.workers[accuser], quarrel.task.task_id, number, address)


def test_t_accusations_do_nothing_and_one_more_slashes(arena: Arena) -> None:
    quarrel = start_with_five(arena)
    freeze(quarrel)
    task_id, committee, liar = quarrel.task.task_id, quarrel.committee, quarrel.workers[4]
    slash(quarrel, 4, 0, 1)
    with rejects("AlreadySaid", quarrel.workers[1].address):
        slash(quarrel, 4, 1)
    assert committee.accusations(task_id, 1, liar.address) == 2
    assert (committee.stake(task_id, liar.address), committee.has_standing(task_id, liar.address)) == (
        Stake.BONDED,
        True,
    )
    before = quarrel.credit(arena.sponsor)
    slash(quarrel, 4, 2)
    assert (committee.stake(task_id, liar.address), committee.has_standing(task_id, liar.address)) == (
        Stake.SLASHED,
        False,
    )
    assert quarrel.credit(arena.sponsor) == before + WORKER_BOND
    assert [each.by for each in committee.accused(task_id, round=1)] == [w.address for w in quarrel.workers[:3]]
    with rejects("NotAllowed", liar.address):  # once
        slash(quarrel, 4, 3)


def test_accusations_of_two_rounds_do_not_add_up(arena: Arena) -> None:
    quarrel = start(arena)
    freeze(quarrel)
    arena.finalize(quarrel.task)
    slash(quarrel, 2, 0)
    arena.play_round(quarrel.task)
    slash(quarrel, 2, 1, number=2)
    task_id, liar = quarrel.task.task_id, quarrel.workers[2].address
    assert quarrel.committee.has_standing(task_id, liar)
    slash(quarrel, 2, 1, number=1)
    assert not quarrel.committee.has_standing(task_id, liar)


def test_a_slashed_worker_says_nothing_any_more(arena: Arena) -> None:
    quarrel = start(arena, submit_blocks=40)
    complaint = quarrel.complain(0, 1, Kind.FETCH)
    quarrel.wait(quarrel.windows.freeze)
    arena.chain.mine()
    arena.finalize(quarrel.task)
    slash(quarrel, 2, 0, 1)
    committee, task_id, liar = quarrel.committee, quarrel.task.task_id, quarrel.workers[2]
    task = arena.now(quarrel.task)
    updates = arena.prove_all(task)
    for player, update in zip(arena.players, updates, strict=False):
        arena.submit(task, player, update)
    calls = [
        committee.complain_call(task, updates[0], Kind.OPEN),
        committee.attest_call(complaint),
        committee.post_output_call(task_id, 2, bytes(32)),
        committee.announce_model_call(task_id, 1, bytes(32)),
        committee.accuse_call(task_id, 1, quarrel.workers[0].address),
    ]
    for call in calls:
        refuses(arena, call, liar, "NotAllowed", liar.address)
    refuses(arena, committee.release_bond_call(task_id), liar, "NoBond")


def test_a_task_without_bonds_takes_a_liars_standing(arena: Arena) -> None:
    quarrel = start(arena, worker_bond=0)
    freeze(quarrel)
    slash(quarrel, 2, 0, 1)
    assert not quarrel.committee.has_standing(quarrel.task.task_id, quarrel.workers[2].address)
    assert quarrel.credit(arena.sponsor) == 0


def test_only_workers_accuse_and_other_workers_are_accused(arena: Arena, quarrel: Quarrel) -> None:
    freeze(quarrel)
    task_id, first, second = quarrel.task.task_id, quarrel.workers[0], quarrel.workers[1]
    for account in (arena.sponsor, quarrel.participant(0), arena.outsider):
        call = quarrel.committee.accuse_call(task_id, 1, first.address)
        refuses(arena, call, account, "NotAllowed", account.address)
    for accused in (second, arena.outsider, quarrel.participant(0)):
        call = quarrel.committee.accuse_call(task_id, 1, accused.address)
        refuses(arena, call, second, "NotAllowed", accused.address)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_round_is_judged_from_its_freeze_on(arena: Arena, quarrel: Quarrel, offset: int) -> None:
    quarrel.wait(quarrel.windows.freeze + offset)
    if offset < 0:
        with rejects("WrongRound", 1):
            slash(quarrel, 2, 0)
    else:
        slash(quarrel, 2, 0)


def test_there_are_no_outputs_of_a_round_that_was_not(arena: Arena, quarrel: Quarrel) -> None:
    freeze(quarrel)
    for number in (0, 2, 2**256 - 1):
        call = quarrel.committee.accuse_call(quarrel.task.task_id, number, quarrel.workers[2].address)
        refuses(arena, call, quarrel.workers[0], "WrongRound", 1)
    arena.finalize(quarrel.task)
    call = quarrel.committee.accuse_call(quarrel.task.task_id, 2, quarrel.workers[2].address)
    refuses(arena, call, quarrel.workers[0], "WrongRound", 2)


def test_a_task_that_closed_has_no_outputs_of_its_last_round(arena: Arena) -> None:
    task = arena.running(2, worker_bond=WORKER_BOND)
    arena.federation.close_task(arena.sponsor, task.task_id)
    call = arena.committee.accuse_call(task.task_id, 1, arena.workers[2].address)
    refuses(arena, call, arena.workers[0], "WrongRound", 1)
    task = arena.open_task(worker_bond=WORKER_BOND)
    arena.federation.close_task(arena.sponsor, task.task_id)
    call = arena.committee.accuse_call(task.task_id, 0, arena.workers[2].address)
    refuses(arena, call, arena.workers[0], "WrongRound", 0)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_accusations_end_where_bonds_are_released(arena: Arena, offset: int) -> None:
    """No block between the two, and none in both: no liar takes its bond before its accusers had their time."""
    quarrel = ended(arena)
    last = quarrel.task.ended_at + 2 * SETTLE_BLOCKS
    slash(quarrel, 2, 0)
    quarrel.wait(last + offset)
    if offset < 0:
        with rejects("TooEarly", last):
            quarrel.committee.release_bond(quarrel.workers[2], quarrel.task.task_id)
        slash(quarrel, 2, 1)
        with rejects("NoBond"):
            quarrel.committee.release_bond(quarrel.workers[2], quarrel.task.task_id)
    else:
        with rejects("TooLate", last):
            slash(quarrel, 2, 1)
        quarrel.committee.release_bond(quarrel.workers[2], quarrel.task.task_id)


def test_workers_of_a_stalled_round_answer_for_it(arena: Arena, quarrel: Quarrel) -> None:
    arena.chain.wait_until_block(quarrel.task.freeze_at + SETTLE_BLOCKS)
    arena.federation.settle_stalled(arena.outsider, quarrel.task.task_id)
    slash(quarrel, 2, 0, 1)
    assert quarrel.credit(arena.sponsor) == WORKER_BOND
