"""Workers name blobs: the sealed outputs of a frozen round, and the weights that a round made."""

from __future__ import annotations

import pytest

from fedproof.ledger.committee import Posted, Stake
from fedproof.ledger.federation import Stage
from tests.contracts.federation.arena import SETTLE_BLOCKS, Arena
from tests.contracts.federation.board import Board, refuses
from tests.contracts.support import rejects

BLOB = b"\x07" * 32


def test_workers_name_their_outputs_of_the_frozen_round(arena: Arena, board: Board) -> None:
    task, worker = board.frozen, arena.workers[1]
    receipts = [arena.committee.post_output(worker, task.task_id, 1, blob) for blob in (BLOB, b"\x08" * 32)]
    assert arena.committee.outputs(task.task_id, round=1) == [
        Posted(task.task_id, 1, worker.address, blob, receipt.tx_hash, receipt.block_number)
        for blob, receipt in zip((BLOB, b"\x08" * 32), receipts, strict=True)
    ]
    for account in (arena.sponsor, arena.players[0].account, arena.outsider):
        refuses(arena, arena.committee.post_output_call(task.task_id, 1, BLOB), account, "NotAllowed", account.address)
    for number in (0, 2, 2**256 - 1):
        refuses(arena, arena.committee.post_output_call(task.task_id, number, BLOB), worker, "WrongRound", 1)


def test_an_output_waits_for_the_freeze(arena: Arena, board: Board) -> None:
    for stage, task in board.tasks.items():
        if stage not in (Stage.FROZEN, Stage.ENDED):
            call = arena.committee.post_output_call(task.task_id, 1, BLOB)
            refuses(arena, call, arena.workers[0], "WrongRound", 0 if stage == Stage.ENROLLING else 1)


def test_outputs_of_a_settled_round_are_taken_and_answered_for(arena: Arena, board: Board) -> None:
    """Its leader may keep the model to itself: then the others need t + 1 outputs."""
    task, liar = board.frozen, arena.workers[1]
    arena.finalize(task)
    for running in (2, 3):
        arena.committee.post_output(liar, task.task_id, 1, BLOB)
        call = arena.committee.post_output_call(task.task_id, running, BLOB)
        refuses(arena, call, liar, "WrongRound", running)
        if running == 2:
            arena.play_round(task)
    for accuser in (arena.workers[0], arena.workers[2]):
        arena.committee.accuse(accuser, task.task_id, 1, liar.address)
    call = arena.committee.post_output_call(task.task_id, 1, BLOB)
    refuses(arena, call, liar, "NotAllowed", liar.address)
    arena.committee.post_output(arena.workers[0], task.task_id, 1, BLOB)


@pytest.mark.parametrize("late", [-1, 0])
def test_an_output_after_the_end_leaves_time_to_accuse_its_liar(arena: Arena, late: int) -> None:
    task = arena.running(2, worker_bond=7, rounds=1, mask_count=2)
    arena.play_round(task)
    task, liar = arena.now(task), arena.workers[1]
    assert task.outputs_until == task.ended_at + SETTLE_BLOCKS
    arena.chain.wait_until_block(task.outputs_until - 1 + late)
    if late == 0:
        with rejects("TooLate", task.outputs_until):
            arena.committee.post_output(liar, task.task_id, 1, BLOB)
        return
    posted = arena.committee.post_output(liar, task.task_id, 1, BLOB).block_number
    assert task.accusable_until - posted > SETTLE_BLOCKS
    arena.chain.wait_until_block(task.accusable_until - 2)
    with rejects("TooEarly", task.accusable_until):
        arena.committee.release_bond(liar, task.task_id)
    with arena.chain.hold_mining():
        for accuser in (arena.workers[0], arena.workers[2]):
            call = arena.committee.accuse_call(task.task_id, 1, liar.address)
            arena.chain.broadcast(arena.committee.prepare([call], accuser))
    assert arena.chain.block_number() == task.accusable_until - 1
    assert arena.committee.stake(task.task_id, liar.address) == Stake.SLASHED


def test_a_round_that_closed_without_a_set_has_no_outputs(arena: Arena, board: Board) -> None:
    task = board.failed
    arena.federation.close_task(arena.sponsor, task.task_id)
    refuses(arena, arena.committee.post_output_call(task.task_id, 1, BLOB), arena.workers[0], "WrongRound", 1)


def test_workers_name_the_models_of_rounds_that_are_done(arena: Arena, board: Board) -> None:
    task, worker = board.ended, arena.workers[1]
    receipt = arena.committee.announce_model(worker, task.task_id, 1, BLOB)
    assert arena.committee.announced(task.task_id) == [
        Posted(task.task_id, 1, worker.address, BLOB, receipt.tx_hash, receipt.block_number)
    ]
    for number in (0, 2, 2**256 - 1):
        refuses(arena, arena.committee.announce_model_call(task.task_id, number, BLOB), worker, "WrongRound", 1)
    for account in (arena.sponsor, arena.players[0].account, arena.outsider):
        call = arena.committee.announce_model_call(task.task_id, 1, BLOB)
        refuses(arena, call, account, "NotAllowed", account.address)


def test_the_running_round_has_no_model(arena: Arena, board: Board) -> None:
    worker = arena.workers[0]
    for stage in (Stage.SUBMITTING, Stage.REJECTING, Stage.FROZEN, Stage.FAILED):
        call = arena.committee.announce_model_call(board.tasks[stage].task_id, 1, BLOB)
        refuses(arena, call, worker, "WrongRound", 1)
    refuses(arena, arena.committee.announce_model_call(board.enrolling.task_id, 1, BLOB), worker, "WrongRound", 0)
    task = board.frozen
    arena.finalize(task)
    arena.committee.announce_model(worker, task.task_id, 1, BLOB)
    refuses(arena, arena.committee.announce_model_call(task.task_id, 2, BLOB), worker, "WrongRound", 2)


def test_a_round_that_closed_without_a_set_has_no_model(arena: Arena, board: Board) -> None:
    task = board.failed
    arena.federation.close_task(arena.sponsor, task.task_id)
    refuses(arena, arena.committee.announce_model_call(task.task_id, 1, BLOB), arena.workers[0], "WrongRound", 1)
