"""Wrong proofs that would cancel each other if the equation's coefficients were known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.ledger.federation import TaskInfo, Update
from fedproof.proving.linked import prove_linked
from fedproof.proving.transcript import Challenges, training_challenges, training_pre
from tests.contracts import toy
from tests.contracts.federation import toys
from tests.contracts.federation.arena import Arena
from tests.contracts.federation.board import is_refused, play, with_proof
from tests.contracts.support import R

OTHER_POINT = _core.g1_mul(_core.g1_generator(), _core.fr_from_ints([12345]))


@pytest.mark.parametrize("part", ["c", "d", "a", "y"])
def test_errors_that_cancel_with_equal_coefficients_do_not(arena: Arena, part: str) -> None:
    """What one update has too much the other has too little, on the same side of the same pairing."""
    task = arena.running(3)
    updates = arena.prove_all(task)
    for k, sign in ((0, 1), (1, -1)):
        proof = updates[k].proof
        shift = _core.g1_mul(OTHER_POINT, _core.fr_from_ints([sign]))
        if part == "y":
            value: Any = (proof.y + sign) % R
        elif part == "d":
            value = _core.g1_add(proof.d, shift)
        else:
            start = {"a": 0, "c": 192}[part]
            value = _core.g1_add(proof.proof[start : start + 64], shift)
        updates[k] = with_proof(updates[k], **{part: value})
    frozen = play(arena, task, updates)
    is_refused(arena, frozen, updates, arena.aggregate(frozen, arena.workers[0]))


def test_a_false_proof_and_a_false_link_of_one_update_do_not_cancel(arena: Arena) -> None:
    """C_U holds the verifying key's point of lambda, and the proof is about a lambda that makes up for it: with a known
    factor between an update's two equations their product would hold. Two participants do it with opposite signs, so
    that the aggregate shows nothing."""
    zero = np.zeros((toys.WEIGHTS, 4), dtype=np.uint64)
    arena.models[bytes(64)] = zero
    task = arena.running(3, model=bytes(64))
    updates, ic = arena.prove_all(task), arena.training.ic[2]
    for k, weight in ((0, arena.players[1].rows), (1, -arena.players[0].rows)):
        updates[k] = forge(arena, task, k, weight, _core.g1_mul(ic, _core.fr_from_ints([weight])))
    frozen = play(arena, task, updates)
    is_refused(arena, frozen, updates, arena.aggregate(frozen, arena.workers[0]))


def forge(arena: Arena, task: TaskInfo, k: int, weight: int, update: bytes) -> Update:
    player, honest = arena.players[k], arena.prove(task, arena.players[k])
    masked, model = player.masked(task.task_id), np.zeros((toys.WEIGHTS, 4), dtype=np.uint64)
    nothing = np.zeros((toys.UPDATE, 4), dtype=np.uint64)

    def challenge(d: bytes) -> Challenges:
        pre = training_pre(
            chain_id=arena.chain.chain_id,
            federation=arena.federation.address,
            task=task.task_id,
            round_number=1,
            participant=player.account.address,
            circuit_id=arena.training.circuit_id,
            masked_dataset=honest.masked_dataset,
            model=task.model,
            update=update,
            d=d,
        )
        sigma, lam = training_challenges(pre, honest.attachments)
        return Challenges(sigma, (lam - weight * lam * lam) % R)

    witness = toys.ToyTrainingWitness(masked, model, nothing)
    statement = toys.ToyTraining(arena.training_keys.circuit.name)
    proof = prove_linked(arena.training_keys, statement, witness, toy.srs(), [masked, model, nothing], challenge)
    arena.secrets[update] = nothing
    return replace(honest, update=update, proof=proof)
