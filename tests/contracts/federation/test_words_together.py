"""Honest workers say the same thing at the same time: in one block, each with the gas of its own estimate."""

from __future__ import annotations

import pytest
from web3.contract.contract import ContractFunction

from fedproof.ledger import Account, Receipt
from fedproof.ledger.committee import Kind, Stake
from tests.contracts.federation.arena import Arena
from tests.contracts.federation.quarrel import WORKER_BOND, Quarrel, start_with_five


def in_one_block(quarrel: Quarrel, calls: dict[int, ContractFunction], threshold: int = 0) -> list[Receipt]:
    """Each worker signs when nobody else has spoken; then one block takes them all, as far as they have gas."""
    chain, committee = quarrel.arena.chain, quarrel.committee
    words = [committee.prepare([call], quarrel.workers[k], threshold) for k, call in calls.items()]
    with chain.hold_mining():
        for word in words:
            chain.broadcast(word)
    receipts = [chain.wait(word) for word in words[:3]]  # what comes after the deciding one is refused
    assert len({receipt.block_number for receipt in receipts}) == 1
    return receipts


@pytest.mark.parametrize("kind", Kind)
def test_workers_who_attest_in_one_block_remove_the_update(arena: Arena, kind: Kind) -> None:
    quarrel = start_with_five(arena)
    complaint = quarrel.complain(0, 1, kind)
    quarrel.wait(quarrel.windows.fetch_answers if kind == Kind.FETCH else quarrel.windows.open_answers)
    call = quarrel.committee.attest_call(complaint)
    in_one_block(quarrel, dict.fromkeys((1, 2), call))
    assert not quarrel.is_in(1)


def test_workers_who_complain_in_one_block_remove_the_update(arena: Arena) -> None:
    quarrel = start_with_five(arena)
    call = quarrel.committee.complain_call(quarrel.task, quarrel.updates[1], Kind.OPEN)
    in_one_block(quarrel, dict.fromkeys((0, 1, 2), call), quarrel.task.threshold)
    assert not quarrel.is_in(1)


def test_workers_who_accuse_in_one_block_slash_the_liar(arena: Arena) -> None:
    quarrel = start_with_five(arena, worker_bond=WORKER_BOND)
    liar: Account = quarrel.workers[0]
    quarrel.wait(quarrel.windows.freeze + 1)
    arena.chain.mine(1)
    call = quarrel.committee.accuse_call(quarrel.task.task_id, 1, liar.address)
    in_one_block(quarrel, dict.fromkeys((1, 2, 3), call))
    assert quarrel.committee.stake(quarrel.task.task_id, liar.address) == Stake.SLASHED
