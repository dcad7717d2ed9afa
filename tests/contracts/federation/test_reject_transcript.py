"""Every item of an update's transcript counts, and no amount of gas changes a verdict."""

from __future__ import annotations

from typing import Any

import pytest
from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.ledger.federation import Stage, Update
from fedproof.ledger.rpc import RpcError
from tests.contracts import toy
from tests.contracts.federation import toys
from tests.contracts.federation.arena import BOND, Arena
from tests.contracts.federation.board import Board, player_of, refuses, with_proof, wrong
from tests.contracts.support import call_with_gas
from tests.contracts.test_bn254 import point_outside_the_subgroup

OTHER_POINT = _core.g1_mul(_core.g1_generator(), _core.fr_from_ints([12345]))
LIES: dict[str, Any] = {
    "chain_id": 1,
    "federation": "0x" + "11" * 20,
    "task": 10**6,
    "round_number": 2,
    "participant": "0x" + "22" * 20,
    "circuit_id": b"\x33" * 32,
    "masked_dataset": OTHER_POINT,
    "model": OTHER_POINT,
    "update": OTHER_POINT,
    "d": OTHER_POINT,
    "share_digest": b"\x55" * 32,
    "sealed_digest": b"\x44" * 32,
}
GAS = [*range(30_000, 700_000, 20_000), 800_000, 1_000_000, 1_500_000, 2_000_000, 5_000_000, 16_000_000]


@pytest.mark.parametrize("item", LIES)
def test_an_update_proven_with_another_item_can_be_rejected(arena: Arena, board: Board, item: str) -> None:
    task = board.submitting
    bad = arena.prove(task, arena.players[1], **{item: LIES[item]})
    arena.submit(task, arena.players[1], bad)
    before = arena.balance(arena.outsider)
    arena.federation.reject_update(arena.outsider, arena.now(task), bad)
    assert arena.balance(arena.outsider) == before + BOND


def test_an_update_proven_for_the_same_items_cannot_be_rejected(arena: Arena, board: Board) -> None:
    """What the lies above are measured against."""
    task = board.submitting
    good = arena.prove(task, arena.players[1], chain_id=arena.chain.chain_id, task=task.task_id, round_number=1)
    arena.submit(task, arena.players[1], good)
    call = arena.federation.reject_update_call(arena.now(task), good)
    refuses(arena, call, arena.outsider, "UpdateIsValid", good.participant)


@pytest.mark.parametrize("segment", ["dataset", "model", "update"])
def test_an_update_about_other_vectors_than_the_committed_ones_can_be_rejected(
    arena: Arena, board: Board, segment: str
) -> None:
    """A valid proof of another dataset, model or update: the link is to the commitments of the chain."""
    task, player = board.submitting, arena.players[1]
    masked, model, update = player.masked(task.task_id), arena.models[task.model], _core.fr_random(toys.UPDATE)
    if segment == "dataset":
        player.masks[task.task_id] = _core.fr_random(task.params.mask_count)
        bad = arena.prove(task, player, vector=update, masked_dataset=toy.srs().commit(masked))
    elif segment == "model":
        arena.models[task.model] = _core.fr_random(toys.WEIGHTS)
        bad = arena.prove(task, player, vector=update)
        arena.models[task.model] = model
    else:
        bad = arena.prove(task, player, update=toy.srs().commit(update))
    honest = {"masked_dataset": toy.srs().commit(masked), "rows": player.rows}
    player.masks[task.task_id] = masked[toy.MASK_POSITION :][: task.params.mask_count]
    bad = Update(
        participant=player.account.address,
        update=toy.srs().commit(update),
        share_digest=bad.share_digest,
        sealed_digest=bad.sealed_digest,
        proof=bad.proof,
        **honest,
    )
    arena.submit(task, player, bad)
    arena.federation.reject_update(arena.outsider, arena.now(task), bad)


def outcomes(arena: Arena, call: ContractFunction) -> dict[int, str]:
    """The name of the error at each amount of gas; "done" where there is none."""
    names = {}
    for gas in GAS:
        try:
            call_with_gas(arena.chain, call, gas, arena.outsider)
            names[gas] = "done"
        except RpcError as error:
            names[gas] = arena.chain._diagnosis.meaning(error, "").name if error.data else "no gas"
    return names


HUNGER = {"no gas", "NotEnoughGas", "PrecompileFailed", "reverted without a reason"}


@pytest.mark.parametrize("which", [0, 2])
def test_no_amount_of_gas_rejects_a_valid_update(arena: Arena, board: Board, which: int) -> None:
    task, update = board.rejecting, board.updates[Stage.REJECTING][which]
    found = outcomes(arena, arena.federation.reject_update_call(task, update))
    assert set(found.values()) - HUNGER == {"UpdateIsValid"}
    assert found[GAS[-1]] == "UpdateIsValid"
    assert found[GAS[0]] in HUNGER


BAD = {
    "wrong equation": wrong,
    "outside the subgroup": lambda update: with_proof(update, b=point_outside_the_subgroup()),
    "off the curve": lambda update: with_proof(update, b=[1, 2, 3, 4]),
}


@pytest.mark.parametrize("kind", BAD)
def test_no_amount_of_gas_calls_an_invalid_update_valid(arena: Arena, board: Board, kind: str) -> None:
    task, bad = board.submitting, BAD[kind](board.pending)
    arena.submit(task, player_of(arena, bad), bad)
    found = outcomes(arena, arena.federation.reject_update_call(arena.now(task), bad))
    assert set(found.values()) - HUNGER == {"done"}
    assert found[GAS[-1]] == "done"
    assert found[GAS[0]] in HUNGER
