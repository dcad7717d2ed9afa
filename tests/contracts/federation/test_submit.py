"""Who may fill a slot, when, and what is kept of an update."""

from __future__ import annotations

import pytest
from web3.contract.contract import ContractFunction

from fedproof.errors import LedgerError
from fedproof.ledger.federation import Stage, TaskInfo, Update
from fedproof.proving.transcript import seat_hash
from tests.contracts.federation.arena import Arena
from tests.contracts.federation.board import Board, calldata, player_of, refuses, refuses_raw
from tests.contracts.support import rejects

INDEX, ROWS, MASKED_X, MASKED_Y, LAST = range(3, 8)
"""Words of the seat among the arguments."""
SIZE = 4 + 25 * 32
"""Bytes of the calldata."""


@pytest.fixture
def task(board: Board) -> TaskInfo:
    """The first of its three participants has submitted."""
    return board.submitting


@pytest.fixture
def update(board: Board) -> Update:
    """The second player's honest update."""
    return board.pending


@pytest.fixture
def honest(arena: Arena, task: TaskInfo, update: Update) -> ContractFunction:
    return arena.federation.submit_update_call(task, update)


def test_the_seat_and_the_event_are_all_that_is_kept(arena: Arena, task: TaskInfo, update: Update) -> None:
    federation, player = arena.federation, player_of(arena, update)
    functions, address = federation.contract.functions, player.account.address
    empty = seat_hash(index=1, participant=address, rows=player.rows, masked_dataset=update.masked_dataset)
    assert arena.chain.call(functions.seatOf(task.task_id, address)) == empty
    receipt = arena.submit(task, player, update)
    digest = federation.update_digest(task.task_id, 1, update)
    filled = seat_hash(
        index=1, participant=address, rows=player.rows, masked_dataset=update.masked_dataset, last_digest=digest
    )
    assert arena.chain.call(functions.seatOf(task.task_id, address)) == filled
    assert federation.updates(task.task_id, 1)[1] == update
    event = receipt.event("UpdateSubmitted").args
    assert (event["task"], event["round"], event["participant"]) == (task.task_id, 1, address)
    assert arena.now(task).accepted == 0b011
    assert arena.now(task).stage == Stage.SUBMITTING
    assert len(receipt.events) == 1


def test_the_last_update_closes_the_round(arena: Arena, board: Board, task: TaskInfo) -> None:
    first = arena.submit(task, arena.players[2], board.updates[Stage.SUBMITTING][2])
    assert (arena.now(task).deadline, arena.now(task).freeze_at) == (task.deadline, task.freeze_at)
    assert len(first.events) == 1
    last = arena.submit(task, arena.players[1], board.pending)
    freeze_at = last.block_number + task.params.freeze_blocks
    assert len(last.events) == 1
    now = arena.now(task)
    assert (now.stage, now.accepted, now.freeze_at, now.deadline) == (Stage.REJECTING, 0b111, freeze_at, task.deadline)


@pytest.mark.parametrize("word", [ROWS, MASKED_X, MASKED_Y, LAST])
def test_rejects_a_seat_with_another_field(arena: Arena, update: Update, honest: ContractFunction, word: int) -> None:
    sender = player_of(arena, update).account
    right = int.from_bytes(calldata(honest)[4 + 32 * word : 36 + 32 * word], "big")
    for value in (right + 1, right ^ (1 << 255), 2**256 - 1):
        refuses_raw(arena, calldata(honest, {word: value}), sender, "WrongOpening", update.participant)


def test_rejects_another_index(arena: Arena, update: Update, honest: ContractFunction) -> None:
    sender = player_of(arena, update).account
    refuses_raw(arena, calldata(honest, {INDEX: 2}), sender, "WrongOpening", update.participant)
    for index in (0, 3, 159, 160, 255, 256, 257, 2**256 - 1):  # submitted already, or nobody's
        refuses_raw(arena, calldata(honest, {INDEX: index}), sender, "NothingDue", index)


def test_rejects_another_round_or_task(
    arena: Arena, board: Board, task: TaskInfo, update: Update, honest: ContractFunction
) -> None:
    sender = player_of(arena, update).account
    for number in (0, 2, 2**16 + 1, 2**256 - 1):
        refuses_raw(arena, calldata(honest, {1: number}), sender, "WrongRound", 1)
    for number in (0, arena.federation.tasks() + 1, 2**256 - 1):
        refuses_raw(arena, calldata(honest, {0: number}), sender, "WrongStage", Stage.NONE)
    other = arena.running(3)  # same participants, same first model
    refuses_raw(arena, calldata(honest, {0: other.task_id}), sender, "WrongOpening", update.participant)


def test_rejects_a_second_update(arena: Arena, board: Board, task: TaskInfo, honest: ContractFunction) -> None:
    update = board.pending
    sender = player_of(arena, update).account
    arena.chain.transact(honest, sender)
    refuses(arena, honest, sender, "NothingDue", 1)
    again = arena.federation.submit_update_call(task, arena.prove(task, arena.players[1]))
    refuses(arena, again, sender, "NothingDue", 1)


def test_rejects_an_update_in_anothers_slot(arena: Arena, honest: ContractFunction) -> None:
    third = arena.players[2].account
    refuses(arena, honest, third, "WrongOpening", third.address)
    refuses_raw(arena, calldata(honest, {INDEX: 2}), third, "WrongOpening", third.address)


def test_rejects_whoever_is_not_enrolled(arena: Arena, honest: ContractFunction) -> None:
    for account in (arena.players[3].account, arena.outsider, arena.sponsor, arena.workers[0]):
        refuses(arena, honest, account, "WrongOpening", account.address)
        refuses_raw(arena, calldata(honest, {INDEX: 3}), account, "NothingDue", 3)


@pytest.mark.parametrize("late", [False, True], ids=["one block before the deadline", "at the deadline"])
def test_the_deadline_is_the_first_block_without_updates(
    arena: Arena, task: TaskInfo, update: Update, honest: ContractFunction, late: bool
) -> None:
    sender = player_of(arena, update).account
    arena.chain.wait_until_block(task.deadline - (1 if late else 2))
    if late:
        with rejects("WrongStage", Stage.FAILED):
            arena.chain.transact(honest, sender)
    else:
        assert arena.chain.transact(honest, sender).block_number == task.deadline - 1
        assert arena.federation.stage(task.task_id) in (Stage.SUBMITTING, Stage.REJECTING)
        third = arena.federation.submit_update_call(task, arena.prove(task, arena.players[2]))
        with rejects("WrongStage", Stage.REJECTING):
            arena.chain.transact(third, arena.players[2].account)
        assert arena.now(task).freeze_at == task.freeze_at


def test_rejects_calldata_with_more_than_its_contents(arena: Arena, update: Update, honest: ContractFunction) -> None:
    sender, data = player_of(arena, update).account, calldata(honest)
    assert len(data) == SIZE
    for extra in (b"\0", bytes(32), bytes(64)):
        refuses_raw(arena, data + extra, sender, "WrongLength", SIZE, SIZE + len(extra))


def test_rejects_truncated_calldata(arena: Arena, update: Update, honest: ContractFunction) -> None:
    sender, data = player_of(arena, update).account, calldata(honest)
    for size in (4, 36, len(data) - 64, len(data) - 32, len(data) - 1):
        with pytest.raises(LedgerError):
            arena.chain.call_raw(arena.federation.address, data[:size], sender=sender)
