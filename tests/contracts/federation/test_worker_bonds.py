"""Bonds of workers: placed before anyone enrols, paid back when no accusation can come any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof.ledger.committee import Stake
from fedproof.ledger.federation import Stage
from tests.contracts.federation.arena import SETTLE_BLOCKS, Arena
from tests.contracts.federation.board import Board, refuses
from tests.contracts.federation.quarrel import WORKER_BOND
from tests.contracts.support import rejects


def test_nobody_enrols_before_every_worker_has_placed_its_bond(arena: Arena) -> None:
    task = arena.federation.open_task(arena.sponsor, **arena.fields(worker_bond=WORKER_BOND))
    player = arena.players[0]
    for count, worker in enumerate(arena.workers):
        with rejects("CommitteeNotBonded", count):
            arena.enrol(task, player)
        before = arena.balance(worker), arena.balance(arena.committee.address)
        arena.committee.bond(worker, task.task_id)
        after = arena.balance(worker), arena.balance(arena.committee.address)
        assert after == (before[0] - WORKER_BOND, before[1] + WORKER_BOND)
        assert arena.committee.bonded(task.task_id) == count + 1
        assert arena.committee.stake(task.task_id, worker.address) == Stake.BONDED
    arena.enrol(task, player)


def test_a_task_without_worker_bonds_takes_none(arena: Arena) -> None:
    task = arena.open_task()
    refuses(arena, arena.committee.bond_call(task.task_id, task.terms), arena.workers[0], "NoBond")
    arena.enrol(task, arena.players[0])


def test_a_bond_is_placed_once_and_by_members_alone(arena: Arena) -> None:
    task = arena.open_task(worker_bond=WORKER_BOND)
    call = arena.committee.bond_call(task.task_id, task.terms)
    arena.committee.allow(arena.workers[0], WORKER_BOND)
    refuses(arena, call, arena.workers[0], "AlreadyBonded")
    for account in (arena.sponsor, arena.players[0].account, arena.outsider):
        refuses(arena, call, account, "NotAllowed", account.address)


def test_a_bond_must_be_allowed(arena: Arena) -> None:
    task = arena.federation.open_task(arena.sponsor, **arena.fields(worker_bond=WORKER_BOND))
    arena.chain.transact(
        arena.federation.token.functions.approve(arena.committee.address, WORKER_BOND - 1), arena.workers[0]
    )
    refuses(arena, arena.committee.bond_call(task.task_id, task.terms), arena.workers[0], "ERC20InsufficientAllowance")


def test_a_bond_is_of_one_task_whatever_number_that_gets(arena: Arena) -> None:
    """Its bytes were signed on a branch where the task is another one, with the same number: it takes nothing here."""
    chain, worker = arena.chain, arena.workers[0]
    arena.committee.allow(worker, 50 * WORKER_BOND)
    branch = chain.dev.snapshot()
    task = arena.federation.open_task(arena.sponsor, **arena.fields(worker_bond=WORKER_BOND))
    signed = chain.prepare(arena.committee.bond_call(task.task_id, task.terms), worker)
    for sponsor, bond in ((arena.sponsor, 40 * WORKER_BOND), (arena.outsider, WORKER_BOND)):
        chain.dev.revert(branch)
        arena.federation.forget()
        branch = chain.dev.snapshot()
        other = arena.federation.open_task(sponsor, **arena.fields(worker_bond=bond, reward_per_round=0))
        assert other.task_id == task.task_id
        before = arena.balance(worker)
        chain.broadcast(signed)
        with rejects("OtherTerms", other.terms):
            chain.wait(signed)
        assert arena.balance(worker) == before
        assert arena.committee.stake(other.task_id, worker.address) == Stake.NONE


def test_the_terms_name_the_sponsor(arena: Arena) -> None:
    fields = arena.fields(reward_per_round=0)
    tasks = [arena.federation.open_task(sponsor, **fields) for sponsor in (arena.sponsor, arena.outsider)]
    ours, theirs = tasks
    assert replace(ours.params, training_key="", aggregation_key="") == replace(
        theirs.params, training_key="", aggregation_key=""
    )
    committee = [(each.address, each.hpke_key) for each in ours.workers]
    assert ours.terms == arena.federation.terms_of(arena.sponsor.address, ours.params, committee)
    assert ours.terms != arena.federation.terms_of(arena.outsider.address, ours.params, committee)
    assert theirs.terms == arena.federation.terms_of(arena.outsider.address, theirs.params, committee)


def test_a_bond_is_placed_while_the_task_enrols_alone(arena: Arena, board: Board) -> None:
    for stage, task in board.tasks.items():
        error = ("NoBond",) if stage == Stage.ENROLLING else ("WrongStage", stage)
        refuses(arena, arena.committee.bond_call(task.task_id, task.terms), arena.workers[0], *error)
    task = arena.federation.open_task(arena.sponsor, **arena.fields(worker_bond=WORKER_BOND))
    arena.federation.close_task(arena.sponsor, task.task_id)
    refuses(arena, arena.committee.bond_call(task.task_id, task.terms), arena.workers[0], "WrongStage", Stage.ENDED)


def test_a_bond_of_a_task_that_closes_before_it_starts_is_paid_back(arena: Arena) -> None:
    task = arena.federation.open_task(arena.sponsor, **arena.fields(worker_bond=WORKER_BOND))
    worker = arena.workers[0]
    before = arena.balance(worker)
    arena.committee.bond(worker, task.task_id)
    end = arena.federation.close_task(arena.sponsor, task.task_id).block_number
    assert arena.now(task).ended_at == end
    arena.chain.wait_until_block(end + 2 * SETTLE_BLOCKS - 1)
    arena.committee.release_bond(worker, task.task_id)
    assert arena.balance(worker) == before


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_bond_is_paid_back_once_no_accusation_can_come(arena: Arena, late: int) -> None:
    task = arena.running(2, worker_bond=WORKER_BOND, rounds=1, mask_count=2)
    worker = arena.workers[1]
    release = arena.committee.release_bond_call(task.task_id)
    refuses(arena, release, worker, "WrongStage", Stage.SUBMITTING)
    arena.play_round(task)
    task = arena.now(task)
    assert task.stage == Stage.ENDED
    due = task.ended_at + 2 * SETTLE_BLOCKS
    arena.chain.wait_until_block(due - 1 + late)
    before = arena.balance(worker)
    if late < 0:
        with rejects("TooEarly", due):
            arena.chain.transact(release, worker)
        return
    assert arena.chain.transact(release, worker).block_number == due + late
    assert arena.balance(worker) == before + WORKER_BOND
    assert arena.committee.stake(task.task_id, worker.address) == Stake.RELEASED
    refuses(arena, release, worker, "NoBond")
    refuses(arena, release, arena.outsider, "NoBond")
    for account in (arena.workers[0], arena.workers[2]):
        arena.committee.release_bond(account, task.task_id)
    assert arena.balance(arena.committee.address) == 0


def test_the_end_of_a_task_does_not_move(arena: Arena, board: Board) -> None:
    ended = arena.now(board.ended).ended_at
    assert ended == board.ended.settled[-1].block_number
    arena.chain.mine(3)
    arena.federation.refund(arena.outsider, board.ended.task_id)
    assert arena.now(board.ended).ended_at == ended
    assert all(arena.now(task).ended_at == 0 for stage, task in board.tasks.items() if stage != Stage.ENDED)
