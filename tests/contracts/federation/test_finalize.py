"""Ending a round: who may, when, and with which updates."""

from __future__ import annotations

from dataclasses import replace

import pytest
from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.errors import LedgerError
from fedproof.ledger.federation import Stage, TaskInfo, Update
from fedproof.ledger.rpc import RpcError
from fedproof.proving.transcript import extend_history, standing_hash
from tests.contracts.federation import toys
from tests.contracts.federation.arena import BOND, REWARD, Arena
from tests.contracts.federation.board import Board, calldata, refuses, refuses_raw, wrong
from tests.contracts.support import call_with_gas, rejects

FIXED, UPDATE = 22, 21
"""Words before the first update, and of each update."""
OFFSET, LENGTH = 4, 21


@pytest.fixture
def task(board: Board) -> TaskInfo:
    return board.frozen


@pytest.fixture
def updates(board: Board) -> list[Update]:
    return board.updates[Stage.FROZEN]


@pytest.fixture
def honest(arena: Arena, board: Board, task: TaskInfo, updates: list[Update]) -> ContractFunction:
    """From the first worker."""
    return arena.federation.finalize_round_call(task, updates, board.aggregate)


def test_a_finalized_round_is_the_next_ones_start(
    arena: Arena, board: Board, task: TaskInfo, honest: ContractFunction
) -> None:
    receipt = arena.chain.transact(honest, arena.workers[0])
    rows = sum(player.rows for player in arena.players[:3])
    now = arena.now(task)
    assert (now.model, now.round, now.stage) == (board.aggregate.new_model, 2, Stage.SUBMITTING)
    assert (now.accepted, now.escrow) == (0, task.escrow)
    assert now.deadline == receipt.block_number + task.params.submit_blocks
    assert now.freeze_at == now.deadline + task.params.freeze_blocks
    (settled,) = now.settled
    assert (settled.round, settled.leader, settled.total_rows) == (1, arena.workers[0].address, rows)
    assert (settled.accepted, settled.content_id) == (0b111, board.aggregate.content_id)
    history = extend_history(bytes(32), round_number=1, accepted=0b111, total_rows=rows)
    standing = arena.chain.call(arena.federation.contract.functions.taskOf(task.task_id))[5]
    assert standing == standing_hash(now.model, history)


@pytest.mark.parametrize("leader", [0, 1, 2])
def test_any_worker_may_finalize_and_the_first_one_wins(arena: Arena, task: TaskInfo, leader: int) -> None:
    arena.finalize(task, arena.workers[leader])
    other = arena.workers[(leader + 1) % 3]
    call = arena.federation.finalize_round_call(
        task, arena.federation.updates(task.task_id, 1), arena.aggregate(task, other)
    )
    refuses(arena, call, other, "WrongStage", Stage.SUBMITTING)


def test_rejects_a_finalize_by_anyone_but_a_worker(arena: Arena, task: TaskInfo, updates: list[Update]) -> None:
    for account in (arena.sponsor, arena.players[0].account, arena.outsider):
        call = arena.federation.finalize_round_call(task, updates, arena.aggregate(task, account))
        refuses(arena, call, account, "NotAllowed", account.address)


def test_rejects_a_finalize_copied_by_another_sender(arena: Arena, honest: ContractFunction) -> None:
    refuses(arena, honest, arena.workers[1], "RoundDoesNotVerify")
    refuses(arena, honest, arena.workers[2], "RoundDoesNotVerify")
    arena.chain.call(honest, sender=arena.workers[0])


@pytest.mark.parametrize("early", [True, False], ids=["one block before the freeze", "at the freeze"])
def test_the_freeze_is_the_first_block_that_takes_a_finalize(arena: Arena, early: bool) -> None:
    task = arena.running(2)
    updates = arena.prove_all(task)
    for player, update in zip(arena.players, updates, strict=False):
        arena.submit(task, player, update)
    task = arena.now(task)
    call = arena.federation.finalize_round_call(task, updates, arena.aggregate(task, arena.workers[0]))
    arena.chain.wait_until_block(task.freeze_at - (2 if early else 1))
    if early:
        with rejects("WrongStage", Stage.REJECTING):
            arena.chain.transact(call, arena.workers[0])
    else:
        assert arena.chain.transact(call, arena.workers[0]).block_number == task.freeze_at


def test_rejects_a_finalize_without_an_accepted_update(arena: Arena, task: TaskInfo, updates: list[Update]) -> None:
    """Each time with an aggregate that is right for the updates that are given."""
    worker = arena.workers[0]
    for places in ((1, 2), (0, 2), (0, 1), (0,), ()):
        given = [updates[k] for k in places]
        call = arena.federation.finalize_round_call(task, given, arena.aggregate(task, worker, given))
        bitmap = sum(1 << place for place in places)
        refuses(arena, call, worker, "WrongSet", 0b111, bitmap)


def test_rejects_a_repeated_or_reordered_update(arena: Arena, task: TaskInfo, updates: list[Update]) -> None:
    worker = arena.workers[0]
    for places, offending in (((0, 0, 1, 2), 0), ((0, 1, 2, 2), 2), ((1, 0, 2), 0), ((0, 2, 1), 1), ((0, 1, 1), 1)):
        given = [updates[k] for k in places]
        call = arena.federation.finalize_round_call(task, given, arena.aggregate(task, worker, given))
        refuses(arena, call, worker, "WrongOrder", offending)


def test_rejects_an_index_beyond_all_places(arena: Arena, honest: ContractFunction) -> None:
    for index in (255, 256, 2**256 - 1):
        data = calldata(honest, {FIXED + 2 * UPDATE: index})
        refuses_raw(arena, data, arena.workers[0], "WrongOrder", index)
    for index in (3, 159, 160, 254):  # free, and not this participant's
        data = calldata(honest, {FIXED + 2 * UPDATE: index})
        refuses_raw(arena, data, arena.workers[0], "WrongOpening")


@pytest.mark.parametrize("word", range(1, UPDATE))
def test_rejects_an_update_that_differs_from_the_submitted_one(
    arena: Arena, honest: ContractFunction, word: int
) -> None:
    """Among them: another weight, another C_U, another proof."""
    place = FIXED + UPDATE + word
    right = int.from_bytes(calldata(honest)[4 + 32 * place : 36 + 32 * place], "big")
    for value in (right + 1, right - 1):
        refuses_raw(arena, calldata(honest, {place: value}), arena.workers[0], "WrongOpening")


def test_rejects_an_update_that_was_only_proven(arena: Arena, task: TaskInfo, updates: list[Update]) -> None:
    worker = arena.workers[0]
    given = [updates[0], arena.prove(task, arena.players[1]), updates[2]]
    call = arena.federation.finalize_round_call(task, given, arena.aggregate(task, worker, given))
    refuses(arena, call, worker, "WrongOpening", updates[1].participant)


def test_rejects_a_rejected_update_and_settles_without_it(arena: Arena, board: Board) -> None:
    task, given = board.rejecting, board.updates[Stage.REJECTING]
    arena.federation.reject_update(arena.outsider, task, given[1])
    task = arena.now(task)
    arena.freeze(task)
    arena.chain.mine()
    worker = arena.workers[0]
    call = arena.federation.finalize_round_call(task, given, arena.aggregate(task, worker, given))
    refuses(arena, call, worker, "WrongOpening", given[1].participant)
    arena.finalize(arena.now(task))
    assert arena.now(task).settled[0].accepted == 0b101


def test_an_invalid_update_that_nobody_rejected_stops_the_round_and_is_paid_as_stalled(arena: Arena) -> None:
    """Nothing deadlocks: who watched and said nothing has agreed to pay."""
    task = arena.running(2)
    for player in arena.players[:2]:
        arena.submit(task, player, wrong(arena.prove(task, player)))
    arena.freeze(task)
    arena.chain.mine()
    task = arena.now(task)
    call = arena.federation.finalize_round_call(
        task, arena.federation.updates(task.task_id, 1), arena.aggregate(task, arena.workers[0])
    )
    refuses(arena, call, arena.workers[0], "RoundDoesNotVerify")
    arena.chain.wait_until_block(task.freeze_at + task.params.settle_blocks)
    arena.federation.settle_stalled(arena.outsider, task.task_id)
    paid = arena.federation.claim(arena.players[0].account, task.task_id)
    rows = [player.rows for player in arena.players[:2]]
    assert (paid.reward, paid.bond) == (REWARD // sum(rows) * rows[0], BOND)


def test_rejects_a_round_below_the_minimum(arena: Arena, board: Board) -> None:
    task, given = board.failed, board.updates[Stage.FAILED][:1]
    call = arena.federation.finalize_round_call(task, given, arena.aggregate(task, arena.workers[0], given))
    refuses(arena, call, arena.workers[0], "WrongStage", Stage.FAILED)


@pytest.mark.parametrize("word", [1, 2, 3], ids=["model x", "model y", "history"])
def test_rejects_another_standing(arena: Arena, honest: ContractFunction, word: int) -> None:
    right = int.from_bytes(calldata(honest)[4 + 32 * word : 36 + 32 * word], "big")
    refuses_raw(arena, calldata(honest, {word: right ^ 1}), arena.workers[0], "WrongStanding")


def test_rejects_a_finalize_from_another_model(arena: Arena, task: TaskInfo, updates: list[Update]) -> None:
    weights = _core.fr_random(toys.WEIGHTS)
    other = replace(task, model=toys.toy.srs().commit(weights))
    arena.models[other.model] = weights
    aggregate = arena.aggregate(other, arena.workers[0], updates)
    call = arena.federation.finalize_round_call(other, updates, aggregate)
    refuses(arena, call, arena.workers[0], "WrongStanding")
    call = arena.federation.finalize_round_call(task, updates, aggregate)
    refuses(arena, call, arena.workers[0], "RoundDoesNotVerify")


def test_rejects_calldata_with_more_than_its_contents(arena: Arena, honest: ContractFunction) -> None:
    worker, data = arena.workers[0], calldata(honest)
    size = 4 + 32 * (FIXED + 3 * UPDATE)
    assert len(data) == size
    for extra in (b"\0", bytes(32), bytes(32 * UPDATE)):
        refuses_raw(arena, data + extra, worker, "WrongLength", size, size + len(extra))
    moved = calldata(honest, {OFFSET: 22 * 32})
    moved = moved[: 4 + 21 * 32] + b"\xaa" * 32 + data[4 + 21 * 32 :]
    refuses_raw(arena, moved, worker, "WrongLength", size, size + 32)
    refuses_raw(arena, calldata(honest, {LENGTH: 2}), worker, "WrongLength", size - 32 * UPDATE, size)
    for size in (4, 100, len(data) - 32 * UPDATE, len(data) - 32, len(data) - 1):
        with pytest.raises(LedgerError):
            arena.chain.call_raw(arena.federation.address, data[:size], sender=worker)


def test_a_starved_finalize_never_says_that_a_round_is_wrong(
    arena: Arena, task: TaskInfo, updates: list[Update], honest: ContractFunction
) -> None:
    false = arena.federation.finalize_round_call(
        task, updates, arena.aggregate(task, arena.workers[0], remainder=_core.fr_random(toys.UPDATE))
    )
    for call, verdict in ((honest, "done"), (false, "RoundDoesNotVerify")):
        seen = []
        for gas in [*range(60_000, 800_000, 30_000), 900_000, 1_200_000, 5_000_000]:
            try:
                call_with_gas(arena.chain, call, gas, arena.workers[0])
                seen.append("done")
            except RpcError as error:
                seen.append(arena.chain._diagnosis.meaning(error, "").name if error.data else "no gas")
        assert set(seen) <= {"no gas", "PrecompileFailed", "reverted without a reason", verdict}
        assert seen[0] != verdict == seen[-1]
