"""What a sponsor may open: every bound at its edge, the committee, and the escrow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.ledger.federation import Stage, TaskParams
from tests.contracts.federation.arena import BOND, REWARD, Arena
from tests.contracts.federation.board import Board, members, refuses
from tests.contracts.support import P

Committee = list[tuple[str, bytes]]
BLOCKS, UINT32, UINT128 = 2**20, 2**32 - 1, 2**128 - 1


def opening(arena: Arena, board: Board, committee: Committee | None = None, **changes: Any) -> ContractFunction:
    """An honest opening without rewards, but for the changes."""
    params: TaskParams = replace(board.enrolling.params, **({"reward_per_round": 0} | changes))
    return arena.federation.open_task_call(params, members(3) if committee is None else committee)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"rounds": 1, "mask_count": 2}, {"rounds": 0, "mask_count": 1}),
        ({"rounds": 1024, "mask_count": 1025}, {"rounds": 1025, "mask_count": 1026}),
        ({"max_participants": 2}, {"max_participants": 1}),
        ({"max_participants": 9, "min_updates": 9}, {"max_participants": 8, "min_updates": 9}),
        ({"max_participants": 255, "min_updates": 255}, {"max_participants": 254, "min_updates": 255}),
        ({"submit_blocks": 1}, {"submit_blocks": 0}),
        ({"submit_blocks": BLOCKS}, {"submit_blocks": BLOCKS + 1}),
        ({"freeze_blocks": 5}, {"freeze_blocks": 0}),
        ({"freeze_blocks": 5}, {"freeze_blocks": 4}),
        ({"freeze_blocks": BLOCKS}, {"freeze_blocks": BLOCKS + 1}),
        ({"settle_blocks": 1}, {"settle_blocks": 0}),
        ({"settle_blocks": BLOCKS}, {"settle_blocks": UINT32}),
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_rejects_a_parameter_beyond_its_edge(
    arena: Arena, board: Board, good: dict[str, int], bad: dict[str, int]
) -> None:
    names = {"rounds": "rounds", "max_participants": "maxParticipants", "submit_blocks": "submitBlocks"}
    names |= {"freeze_blocks": "freezeBlocks", "settle_blocks": "settleBlocks"}
    refuses(arena, opening(arena, board, **bad), arena.sponsor, "BadParameter", names[next(iter(bad))])
    opened = arena.chain.call(opening(arena, board, **good), sender=arena.sponsor)
    assert opened == arena.federation.tasks() + 1


def test_every_round_needs_a_mask_and_the_last_one_is_never_used(arena: Arena, board: Board) -> None:
    for count in (0, 2, 3, 1026, 65535):
        refuses(arena, opening(arena, board, rounds=3, mask_count=count), arena.sponsor, "BadParameter", "maskCount")
    for count in (4, 1025):
        arena.chain.call(opening(arena, board, rounds=3, mask_count=count), sender=arena.sponsor)


def test_rejects_a_task_that_would_sum_a_single_update(arena: Arena, board: Board) -> None:
    for minimum in (0, 1):
        refuses(arena, opening(arena, board, min_updates=minimum), arena.sponsor, "BadParameter", "minUpdates")
    arena.chain.call(opening(arena, board, min_updates=2), sender=arena.sponsor)


def test_rejects_a_committee_without_an_honest_majority(arena: Arena, board: Board) -> None:
    refuses(arena, opening(arena, board, threshold=0), arena.sponsor, "BadParameter", "threshold")
    for threshold, least in ((1, 3), (2, 5), (31, 63)):
        for size in (0, least - 1):
            call = opening(arena, board, members(size), threshold=threshold)
            refuses(arena, call, arena.sponsor, "BadParameter", "committee")
        arena.chain.call(opening(arena, board, members(least), threshold=threshold), sender=arena.sponsor)


def test_rejects_a_committee_of_more_than_64(arena: Arena, board: Board) -> None:
    refuses(arena, opening(arena, board, members(65)), arena.sponsor, "BadParameter", "committee")
    for threshold in (32, 127, 128, 255):  # 2t + 1 is not taken mod 256
        call = opening(arena, board, members(64), threshold=threshold)
        refuses(arena, call, arena.sponsor, "BadParameter", "committee")
    arena.chain.call(opening(arena, board, members(64), threshold=31), sender=arena.sponsor)


@pytest.mark.parametrize("places", [(0, 1), (0, 2), (1, 2)])
def test_rejects_a_worker_named_twice(arena: Arena, board: Board, places: tuple[int, int]) -> None:
    committee = members(3)
    first, second = places
    committee[second] = (committee[first][0], committee[second][1])  # even under another key
    refuses(arena, opening(arena, board, committee), arena.sponsor, "BadParameter", "committee")


def test_rejects_a_worker_without_an_address(arena: Arena, board: Board) -> None:
    refuses(arena, opening(arena, board, members(3, first=0)), arena.sponsor, "BadParameter", "committee")


def test_rejects_an_hpke_key_of_another_length(arena: Arena, board: Board) -> None:
    for size in (0, 1, 31, 33, 64, 1215, 1217):
        committee = [*members(2), ("0x" + "77" * 20, bytes(size))]
        refuses(arena, opening(arena, board, committee), arena.sponsor, "BadParameter", "hpkeKey")
    arena.chain.call(opening(arena, board, [*members(2), ("0x" + "77" * 20, bytes(1216))]), sender=arena.sponsor)


def test_rejects_a_first_model_that_is_no_point(arena: Arena, board: Board) -> None:
    def model(x: int, y: int) -> ContractFunction:
        return opening(arena, board, model=x.to_bytes(32, "big") + y.to_bytes(32, "big"))

    refuses(arena, model(1, 3), arena.sponsor, "NotOnCurve", 1, 3)
    refuses(arena, model(0, 1), arena.sponsor, "NotOnCurve", 0, 1)
    refuses(arena, model(P + 1, 2), arena.sponsor, "CoordinateTooLarge", P + 1)
    refuses(arena, model(1, P + 2), arena.sponsor, "CoordinateTooLarge", P + 2)
    refuses(arena, model(0, P), arena.sponsor, "CoordinateTooLarge", P)
    for good in (bytes(64), _core.g1_generator()):  # infinity is the zero model
        arena.chain.call(opening(arena, board, model=good), sender=arena.sponsor)


def test_the_task_is_what_was_asked_for(arena: Arena) -> None:
    before, held = arena.balance(arena.sponsor), arena.balance(arena.federation.address)
    task = arena.open_task(rounds=2, mask_count=4, settle_blocks=33, worker_bond=7)
    assert task.task_id == arena.federation.tasks()
    assert task.sponsor == arena.sponsor.address
    assert task.stage == Stage.ENROLLING
    assert (task.round, task.enrolled, task.retries, task.accepted, task.settled) == (0, 0, 0, 0, ())
    assert (task.params.worker_bond, task.ended_at) == (7, 0)
    assert (task.training_circuit, task.aggregation_circuit) == (
        arena.training.circuit_id,
        arena.aggregation.circuit_id,
    )
    assert task.escrow == 2 * REWARD
    assert arena.balance(arena.sponsor) == before - 2 * REWARD
    assert arena.balance(arena.federation.address) == held + 2 * REWARD  # bonds of workers are elsewhere
    view = arena.chain.call(arena.federation.contract.functions.taskOf(task.task_id))
    params = task.params
    assert view[6:19] == (
        *(params.class_id, 2, 4, 0, 1, 3, 2, params.max_participants, 0),
        *(params.submit_blocks, params.freeze_blocks, 33, REWARD),
    )
    assert view[19:] == (BOND, 2 * REWARD, 7, 0)
    for worker, member in zip(arena.workers, task.workers, strict=True):
        found = arena.chain.call(arena.federation.contract.functions.workerOf(task.task_id, worker.address))
        assert (member.address, _core.keccak256(member.hpke_key)) == (worker.address, found)
    outside = arena.chain.call(arena.federation.contract.functions.workerOf(task.task_id, arena.sponsor.address))
    assert outside == bytes(32)


def test_the_escrow_must_be_allowed_and_owned(arena: Arena, board: Board) -> None:
    federation, params = arena.federation, board.enrolling.params
    escrow = params.rounds * params.reward_per_round
    call = federation.open_task_call(params, members(3))
    arena.chain.transact(federation.token.functions.approve(federation.address, escrow - 1), arena.sponsor)
    refuses(arena, call, arena.sponsor, "ERC20InsufficientAllowance")
    arena.chain.transact(federation.token.functions.approve(federation.address, escrow), arena.sponsor)
    before = arena.balance(arena.sponsor)
    arena.chain.transact(call, arena.sponsor)
    assert arena.balance(arena.sponsor) == before - escrow
    federation.allow(arena.outsider, escrow)
    refuses(arena, call, arena.outsider, "ERC20InsufficientBalance")


def test_the_largest_reward_is_refused_only_for_want_of_tokens(arena: Arena, board: Board) -> None:
    call = opening(
        arena, board, reward_per_round=UINT128, rounds=1024, mask_count=1025, enrol_bond=UINT128, worker_bond=UINT128
    )
    refuses(
        *(arena, call, arena.sponsor, "ERC20InsufficientAllowance"),
        *(arena.federation.address, 0, 1024 * UINT128),
    )


def test_a_free_task_takes_nothing(arena: Arena, board: Board) -> None:
    before = arena.balance(arena.sponsor)
    task = arena.open_task(reward_per_round=0, enrol_bond=0)
    assert (task.escrow, arena.balance(arena.sponsor)) == (0, before)
