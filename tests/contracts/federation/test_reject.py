"""Proving an update invalid: what can be rejected, what cannot at any price, and what a rejection changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.errors import LedgerError
from fedproof.ledger.federation import Stage, TaskInfo, Update
from fedproof.proving.transcript import seat_hash
from tests.contracts.federation.arena import BOND, FREEZE_BLOCKS, Arena
from tests.contracts.federation.board import Board, calldata, player_of, refuses, refuses_raw, with_proof, wrong
from tests.contracts.support import P, R, rejects
from tests.contracts.test_bn254 import point_outside_the_subgroup

INDEX, PARTICIPANT, ROWS = 4, 5, 6
SEALED = range(4, 25)
"""Words of the update among the arguments."""


@pytest.fixture
def task(board: Board) -> TaskInfo:
    """Closed, and the second of its three updates is invalid."""
    return board.rejecting


@pytest.fixture
def updates(board: Board) -> list[Update]:
    return board.updates[Stage.REJECTING]


@pytest.fixture
def rejection(arena: Arena, task: TaskInfo, updates: list[Update]) -> ContractFunction:
    return arena.federation.reject_update_call(task, updates[1])


def test_rejects_nothing_that_is_valid(arena: Arena, task: TaskInfo, updates: list[Update]) -> None:
    for update in (updates[0], updates[2]):
        for account in (arena.outsider, arena.sponsor, arena.workers[0], player_of(arena, update).account):
            call = arena.federation.reject_update_call(task, update)
            refuses(arena, call, account, "UpdateIsValid", update.participant)


def test_the_bond_goes_to_whoever_proves_it(
    arena: Arena, task: TaskInfo, updates: list[Update], rejection: ContractFunction
) -> None:
    functions, bad = arena.federation.contract.functions, updates[1]
    before, held = arena.balance(arena.outsider), arena.balance(arena.federation.address)
    receipt = arena.chain.transact(rejection, arena.outsider)
    assert arena.balance(arena.outsider) == before + BOND
    assert arena.balance(arena.federation.address) == held - BOND
    rows = player_of(arena, bad).rows
    assert arena.chain.call(functions.memberOf(task.task_id, bad.participant)) == (rows, 0, 1, True, False)
    now = arena.now(task)
    assert (now.accepted, now.stage) == (0b101, Stage.SUBMITTING)
    freeze_at = task.deadline + task.params.freeze_blocks
    assert receipt.event("UpdateRejected").args == {
        "task": task.task_id,
        "round": 1,
        "participant": bad.participant,
        "by": arena.outsider.address,
        "freezeAt": freeze_at,
    }
    assert (now.freeze_at, now.deadline) == (freeze_at, task.deadline)
    refuses(arena, rejection, arena.outsider, "NotAccepted", 1)
    assert [update.participant for update in arena.federation.updates(task.task_id, 1)] == [
        updates[0].participant,
        updates[2].participant,
    ]


def test_a_rejected_slot_opens_only_with_a_new_bond(
    arena: Arena, task: TaskInfo, updates: list[Update], rejection: ContractFunction
) -> None:
    federation, player = arena.federation, arena.players[1]
    functions = federation.contract.functions
    refuses(arena, functions.renewBond(task.task_id), player.account, "AlreadyBonded")
    arena.chain.transact(rejection, arena.outsider)
    again = arena.prove(task, player)
    call = federation.submit_update_call(arena.now(task), again)
    refuses(arena, call, player.account, "WrongOpening", player.account.address)
    before = arena.balance(player.account)
    federation.renew_bond(player.account, task.task_id)
    assert arena.balance(player.account) == before - BOND
    refuses(arena, functions.renewBond(task.task_id), player.account, "AlreadyBonded")
    # the seat is the one that the rejected update left
    digest = federation.update_digest(task.task_id, 1, updates[1])
    seat = seat_hash(
        index=1,
        participant=player.account.address,
        rows=player.rows,
        masked_dataset=again.masked_dataset,
        last_digest=digest,
    )
    assert arena.chain.call(functions.seatOf(task.task_id, player.account.address)) == seat
    receipt = arena.chain.transact(call, player.account)
    assert arena.now(task).freeze_at == receipt.block_number + task.params.freeze_blocks
    assert federation.updates(task.task_id, 1) == [updates[0], again, updates[2]]
    refuses(arena, federation.reject_update_call(task, again), arena.outsider, "UpdateIsValid")
    refuses(arena, rejection, arena.outsider, "WrongOpening", player.account.address)


def test_a_bond_is_renewed_by_its_participant_alone(arena: Arena, task: TaskInfo, rejection: ContractFunction) -> None:
    arena.chain.transact(rejection, arena.outsider)
    call = arena.federation.contract.functions.renewBond(task.task_id)
    for account in (arena.outsider, arena.sponsor, arena.workers[0], arena.players[3].account):
        refuses(arena, call, account, "NotAllowed", account.address)
    refuses(arena, call, arena.players[0].account, "AlreadyBonded")
    arena.chain.transact(
        arena.federation.token.functions.approve(arena.federation.address, 0), arena.players[1].account
    )
    refuses(arena, call, arena.players[1].account, "ERC20InsufficientAllowance")


def test_who_is_out_for_one_round_is_back_in_the_next(arena: Arena) -> None:
    task = arena.running(3)
    updates = arena.prove_all(task)
    for update in (updates[0], wrong(updates[1]), updates[2]):
        arena.submit(task, player_of(arena, update), update)
    arena.federation.reject_update(arena.outsider, task, wrong(updates[1]))
    arena.freeze(task)
    arena.finalize(arena.now(task))
    task = arena.now(task)
    assert (task.round, task.settled[0].accepted) == (2, 0b101)
    second = arena.prove(task, arena.players[1])
    call = arena.federation.submit_update_call(task, second)
    refuses(arena, call, arena.players[1].account, "WrongOpening")
    arena.federation.renew_bond(arena.players[1].account, task.task_id)
    arena.chain.transact(call, arena.players[1].account)


@pytest.mark.parametrize("late", [False, True], ids=["one block before the freeze", "at the freeze"])
def test_the_freeze_is_the_first_block_without_rejections(
    arena: Arena, task: TaskInfo, rejection: ContractFunction, late: bool
) -> None:
    arena.chain.wait_until_block(task.freeze_at - (1 if late else 2))
    if late:
        with rejects("AlreadyFrozen", task.freeze_at):
            arena.chain.transact(rejection, arena.outsider)
        assert arena.federation.stage(task.task_id) == Stage.REJECTING  # the last block still shows the last chance
    else:
        assert arena.chain.transact(rejection, arena.outsider).block_number == task.freeze_at - 1


def test_a_rejection_after_the_deadline_moves_no_freeze(arena: Arena) -> None:
    task = arena.running(3)
    bad = wrong(arena.prove(task, arena.players[0]))
    good = arena.prove(task, arena.players[1])
    for update in (bad, good, wrong(arena.prove(task, arena.players[2]))):
        arena.chain.wait_until_block(task.deadline - 4)
        arena.submit(task, player_of(arena, update), update)
    closed = arena.now(task)
    assert closed.freeze_at == arena.chain.block_number() + FREEZE_BLOCKS < task.freeze_at
    arena.chain.wait_until_block(task.deadline - 1)
    arena.federation.reject_update(arena.outsider, closed, bad)  # in the block of the deadline: too late to do it again
    now = arena.now(task)
    assert (now.freeze_at, now.stage, now.accepted) == (closed.freeze_at, Stage.REJECTING, 0b110)
    arena.federation.renew_bond(arena.players[0].account, task.task_id)
    again = arena.federation.submit_update_call(now, arena.prove(now, arena.players[0]))
    refuses(arena, again, arena.players[0].account, "WrongStage", Stage.REJECTING)


@pytest.mark.parametrize("word", SEALED)
def test_rejects_a_rejection_of_anything_but_the_submitted(
    arena: Arena, updates: list[Update], rejection: ContractFunction, word: int
) -> None:
    right = int.from_bytes(calldata(rejection)[4 + 32 * word : 36 + 32 * word], "big")
    data = calldata(rejection, {word: right + 1})
    participant = updates[1].participant
    if word == PARTICIPANT:
        participant = f"0x{right + 1:040x}"
        with rejects("WrongOpening"):
            arena.chain.call_raw(arena.federation.address, data, sender=arena.outsider)
    else:
        refuses_raw(arena, data, arena.outsider, "WrongOpening", participant)


def test_rejects_a_rejection_of_no_update(arena: Arena, board: Board, rejection: ContractFunction) -> None:
    for index in (3, 159, 160, 255, 256, 257, 2**256 - 1):
        refuses_raw(arena, calldata(rejection, {INDEX: index}), arena.outsider, "NotAccepted", index)
    call = arena.federation.reject_update_call(board.submitting, board.pending)
    refuses(arena, call, arena.outsider, "NotAccepted", 1)


def test_rejects_a_rejection_with_another_standing(arena: Arena, rejection: ContractFunction) -> None:
    for word in (1, 2, 3):
        right = int.from_bytes(calldata(rejection)[4 + 32 * word : 36 + 32 * word], "big")
        refuses_raw(arena, calldata(rejection, {word: right ^ 1}), arena.outsider, "WrongStanding")


def test_rejects_a_rejection_with_trailing_bytes(arena: Arena, rejection: ContractFunction) -> None:
    data = calldata(rejection)
    for extra in (b"\0", bytes(32)):
        refuses_raw(arena, data + extra, arena.outsider, "WrongLength", len(data), len(data) + len(extra))
    with pytest.raises(LedgerError):
        arena.chain.call_raw(arena.federation.address, data[:-32], sender=arena.outsider)


BAD_B = {
    "off the curve": [1, 2, 3, 4],
    "outside the subgroup": point_outside_the_subgroup(),
    "another point": [int.from_bytes(_core.g2_generator()[k : k + 32], "big") for k in range(0, 128, 32)],
    "negated": None,
}


@pytest.mark.parametrize("kind", BAD_B)
def test_an_update_with_a_bad_b_can_be_rejected(arena: Arena, board: Board, kind: str) -> None:
    task, honest = board.submitting, board.pending
    words = [int.from_bytes(honest.proof.proof[k : k + 32], "big") for k in range(64, 192, 32)]
    b = BAD_B[kind] or [*words[:2], P - words[2], P - words[3]]
    bad = with_proof(honest, b=b)
    arena.submit(task, player_of(arena, bad), bad)
    before = arena.balance(arena.outsider)
    arena.federation.reject_update(arena.outsider, arena.now(task), bad)
    assert arena.balance(arena.outsider) == before + BOND


@pytest.mark.parametrize("part", ["a", "c", "d", "q", "y"])
def test_an_update_with_another_part_of_its_proof_can_be_rejected(arena: Arena, board: Board, part: str) -> None:
    task, honest = board.submitting, board.pending
    value = (honest.proof.y + 1) % R if part == "y" else _core.g1_generator()
    bad = with_proof(honest, **{part: value})
    arena.submit(task, player_of(arena, bad), bad)
    arena.federation.reject_update(arena.outsider, arena.now(task), bad)


def test_an_update_with_anothers_proof_can_be_rejected(arena: Arena, board: Board) -> None:
    """All that the first player has submitted, under the second player's name."""
    task, honest, copied = board.submitting, board.pending, board.updates[Stage.SUBMITTING][0]
    bad = replace(copied, participant=honest.participant, rows=honest.rows, masked_dataset=honest.masked_dataset)
    arena.submit(task, player_of(arena, honest), bad)
    arena.federation.reject_update(arena.outsider, arena.now(task), bad)


def test_one_updates_d_with_anothers_c_u_can_be_rejected(arena: Arena, board: Board) -> None:
    task, honest = board.submitting, board.pending
    other = arena.prove(task, arena.players[1])
    bad = replace(honest, update=other.update)
    arena.submit(task, arena.players[1], bad)
    arena.federation.reject_update(arena.outsider, arena.now(task), bad)
