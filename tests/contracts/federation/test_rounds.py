"""Whole tasks with real proofs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof.ledger.federation import Stage
from tests.contracts.federation import toys
from tests.contracts.federation.arena import BOND, REWARD, Arena
from tests.contracts.federation.board import is_refused, play


@pytest.mark.parametrize("participants", [3, 10])
def test_plays_a_whole_task(arena: Arena, participants: int) -> None:
    federation = arena.federation
    held = arena.balance(federation.address)
    task = arena.running(participants)
    before = [arena.balance(player.account) for player in arena.players[:participants]]
    for number in (1, 2, 3):
        task = arena.now(task)
        assert (task.round, task.stage) == (number, Stage.SUBMITTING)
        receipts, end = arena.play_round(task)
        print(number, [r.gas_used for r in receipts], end.gas_used)
    task = arena.now(task)
    assert task.stage == Stage.ENDED
    total = sum(player.rows for player in arena.players[:participants])
    per_row = REWARD // total
    for player, had in zip(arena.players, before, strict=False):
        paid = federation.claim(player.account, task.task_id)
        assert (paid.reward, paid.bond) == (3 * per_row * player.rows, BOND)
        assert arena.balance(player.account) == had + paid.reward + paid.bond
    assert federation.refund(arena.outsider, task.task_id) == 3 * (REWARD - per_row * total)
    assert arena.balance(federation.address) == held


def test_settles_under_keys_with_one_alpha_and_beta_for_a_pairing_less(arena: Arena) -> None:
    training, aggregation = toys.shared_keys()
    assert training.verifying.alpha == aggregation.verifying.alpha
    assert arena.training.alpha != arena.aggregation.alpha
    gas = []
    for keys in ((arena.training_keys, arena.aggregation_keys), (training, aggregation)):
        there = replace(arena, training_keys=keys[0], aggregation_keys=keys[1])
        task = there.running(3)
        submissions, end = there.play_round(task)
        assert there.now(task).round == 2
        gas.append((sum(receipt.gas_used for receipt in submissions) + end.gas_used) / 3)
    assert gas[0] - gas[1] > 10_000
    assert gas[1] < 310_000


def test_rejects_a_wrong_round_under_keys_with_one_alpha_and_beta(arena: Arena) -> None:
    training, aggregation = toys.shared_keys()
    there = replace(arena, training_keys=training, aggregation_keys=aggregation)
    task = there.running(2)
    frozen = play(there, task, there.prove_all(task))
    updates, worker = there.federation.updates(task.task_id, 1), there.workers[0]
    is_refused(there, frozen, updates, there.aggregate(frozen, worker, count=1))
    is_refused(there, frozen, updates, replace(there.aggregate(frozen, worker), new_model=task.model))
    there.finalize(frozen)
