"""Lies of a leader, replays, and wrong proofs that would cancel each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import ContractRejected
from fedproof.ledger.federation import Stage, TaskInfo, Update
from tests.contracts.federation import toys
from tests.contracts.federation.arena import Arena
from tests.contracts.federation.board import Board, calldata, is_refused, play, refuses, refuses_raw, with_proof
from tests.contracts.support import P, R, int_words, rejects

OTHER_POINT = _core.g1_mul(_core.g1_generator(), _core.fr_from_ints([12345]))
NEW_MODEL, D, A, B, C, Q, Y = 5, 7, 10, 12, 16, 18, 20
"""Words of the aggregate among the arguments."""


@pytest.fixture
def task(board: Board) -> TaskInfo:
    return board.frozen


@pytest.fixture
def updates(board: Board) -> list[Update]:
    return board.updates[Stage.FROZEN]


LIES: dict[str, Any] = {
    "chain_id": 1,
    "federation": "0x" + "11" * 20,
    "task": 10**6,
    "round_number": 2,
    "sender": "0x" + "22" * 20,
    "circuit_id": b"\x33" * 32,
    "digests": [],
    "total_rows": 1,
    "model": OTHER_POINT,
    "new_model": OTHER_POINT,
    "d": OTHER_POINT,
}


@pytest.mark.parametrize("item", LIES)
def test_rejects_an_aggregate_proven_with_another_item(
    arena: Arena, task: TaskInfo, updates: list[Update], item: str
) -> None:
    is_refused(arena, task, updates, arena.aggregate(task, arena.workers[0], **{item: LIES[item]}))


@pytest.mark.parametrize("difference", [-1, 1, 2**128])
def test_rejects_another_number_of_rows(arena: Arena, task: TaskInfo, updates: list[Update], difference: int) -> None:
    rows = sum(update.rows for update in updates)
    is_refused(arena, task, updates, arena.aggregate(task, arena.workers[0], count=rows + difference))


def test_rejects_reweighted_updates(arena: Arena, task: TaskInfo, updates: list[Update]) -> None:
    """The sum that a leader makes with one row more for the first and one less for the second."""
    u = [arena.secrets[update.update] for update in updates]
    weights = [updates[0].rows + 1, updates[1].rows - 1, updates[2].rows]
    total = np.zeros((toys.UPDATE, 4), dtype=np.uint64)
    for n, vector in zip(weights, u, strict=True):
        total = _core.fr_add(total, toys.weighted(n, vector))
    q = _core.fr_random(toys.WEIGHTS)
    for claimed in (total, *u):  # or one update alone
        rest = _core.fr_sub(claimed, toys.weighted(sum(weights), toys.padded(q, toys.UPDATE)))
        is_refused(arena, task, updates, arena.aggregate(task, arena.workers[0], step=q, remainder=rest))


@pytest.mark.parametrize("position", range(toys.UPDATE))
def test_rejects_another_remainder(arena: Arena, task: TaskInfo, updates: list[Update], position: int) -> None:
    q, rows = _core.fr_random(toys.WEIGHTS), sum(update.rows for update in updates)
    total = np.zeros((toys.UPDATE, 4), dtype=np.uint64)
    for update in updates:
        total = _core.fr_add(total, toys.weighted(update.rows, arena.secrets[update.update]))
    rest = _core.fr_sub(total, toys.weighted(rows, toys.padded(q, toys.UPDATE)))
    rest[position] = _core.fr_add(rest[position : position + 1], _core.fr_from_ints([1]))[0]
    is_refused(arena, task, updates, arena.aggregate(task, arena.workers[0], step=q, remainder=rest))


def test_rejects_another_new_model_than_the_proven_one(
    arena: Arena, board: Board, task: TaskInfo, updates: list[Update]
) -> None:
    for model in (OTHER_POINT, task.model, bytes(64), _core.g1_neg(board.aggregate.new_model)):
        is_refused(arena, task, updates, replace(board.aggregate, new_model=model))


def test_the_proof_does_not_fix_the_blobs_name(
    arena: Arena, board: Board, task: TaskInfo, updates: list[Update]
) -> None:
    """A leader that names another blob fools nobody: the model is its commitment, and any worker names it again."""
    call = arena.federation.finalize_round_call(task, updates, replace(board.aggregate, content_id=bytes(32)))
    arena.chain.transact(call, arena.workers[0])
    arena.federation.committee.announce_model(arena.workers[1], task.task_id, 1, board.aggregate.content_id)


@pytest.mark.parametrize("part", ["a", "c", "d", "q", "y", "b"])
def test_rejects_another_part_of_the_aggregates_proof(
    arena: Arena, board: Board, task: TaskInfo, updates: list[Update], part: str
) -> None:
    values: dict[str, Any] = {"y": (board.aggregate.proof.y + 1) % R, "b": int_words(_core.g2_generator())}
    changed = with_proof(board.aggregate, **{part: values.get(part, OTHER_POINT)})
    is_refused(arena, task, updates, changed)
    if part in ("a", "c", "d", "q"):
        is_refused(arena, task, updates, with_proof(board.aggregate, **{part: bytes(64)}))


def test_rejects_a_proof_of_zeros(arena: Arena, board: Board, task: TaskInfo, updates: list[Update]) -> None:
    call = arena.federation.finalize_round_call(task, updates, board.aggregate)
    zeros = dict.fromkeys([D, D + 1, *range(A, Y + 1)], 0)
    refuses_raw(arena, calldata(call, zeros), arena.workers[0], "RoundDoesNotVerify")
    zeros |= {NEW_MODEL: 0, NEW_MODEL + 1: 0}
    refuses_raw(arena, calldata(call, zeros), arena.workers[0], "RoundDoesNotVerify")


@pytest.mark.parametrize("place", [NEW_MODEL, D, A, C, Q], ids=["C_W'", "D", "A", "C", "Q"])
def test_a_malformed_point_of_an_aggregate_reverts(
    arena: Arena, board: Board, task: TaskInfo, updates: list[Update], place: int
) -> None:
    call = arena.federation.finalize_round_call(task, updates, board.aggregate)
    data = calldata(call)
    x, y = int_words(data[4 + 32 * place : 68 + 32 * place])
    aliases = ((x + P, y), (x, y + P), (0, P))  # the same points, and infinity, by other names
    for bad in ((1, 3), (P, 0), *aliases):
        changed = calldata(call, {place: bad[0], place + 1: bad[1]})
        with pytest.raises(ContractRejected) as caught:
            arena.chain.call_raw(arena.federation.address, changed, sender=arena.workers[0])
        assert caught.value.name in ("CoordinateTooLarge", "PrecompileFailed")


def test_rejects_y_beyond_the_field(arena: Arena, board: Board, task: TaskInfo, updates: list[Update]) -> None:
    call = arena.federation.finalize_round_call(task, updates, board.aggregate)
    for value in (board.aggregate.proof.y + R, R, 2**256 - 1):
        refuses_raw(arena, calldata(call, {Y: value}), arena.workers[0], "ScalarTooLarge", value)


def test_rejects_a_replay_in_the_next_round(arena: Arena, board: Board, task: TaskInfo, updates: list[Update]) -> None:
    worker = arena.workers[0]
    first = arena.federation.finalize_round_call(task, updates, board.aggregate)
    arena.chain.transact(first, worker)
    refuses(arena, first, worker, "WrongStage", Stage.SUBMITTING)
    second = arena.now(task)
    mine = arena.prove_all(second)
    frozen = play(arena, second, mine)
    refuses(arena, first, worker, "WrongStanding")
    with rejects("WrongOpening"):
        arena.chain.call(arena.federation.finalize_round_call(frozen, updates, board.aggregate), sender=worker)
    is_refused(arena, frozen, mine, board.aggregate)
    arena.finalize(frozen)


def test_an_update_replayed_in_the_next_round_can_be_rejected(
    arena: Arena, board: Board, task: TaskInfo, updates: list[Update]
) -> None:
    arena.finalize(task)
    second = arena.now(task)
    arena.submit(second, arena.players[0], updates[0])
    arena.federation.reject_update(arena.outsider, arena.now(second), updates[0])


def test_rejects_a_replay_in_another_task(arena: Arena, board: Board, task: TaskInfo, updates: list[Update]) -> None:
    """Same participants, same first model, same committee, same rows."""
    twin = arena.running(3)
    frozen = play(arena, twin, arena.prove_all(twin))
    is_refused(arena, frozen, arena.federation.updates(twin.task_id, 1), board.aggregate)
    call = arena.federation.finalize_round_call(task, updates, board.aggregate)
    refuses_raw(arena, calldata(call, {0: twin.task_id}), arena.workers[0], "WrongOpening")
