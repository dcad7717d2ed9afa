"""Whole tasks with real proofs."""

from __future__ import annotations

import pytest

from fedproof.ledger.federation import Stage
from tests.contracts.federation.arena import BOND, REWARD, Arena


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
