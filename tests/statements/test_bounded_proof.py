"""A real proof of a bounded update: it verifies for its participant, links to its vectors, and to no others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, VerifyingKey, setup
from fedproof.proving.linked import LinkedProof, check_linked, prove_linked
from fedproof.proving.transcript import Challenges, training_challenges, training_pre
from fedproof.statements.bounded import BoundedStatement, BoundedWitness
from fedproof.statements.vectors import update_vector
from tests.learning.bounded import PLAN, at_norm
from tests.statements.test_bounded import vectors, witness
from tests.support.pyecc import groth16_holds, link_holds

pytestmark = pytest.mark.slow

FIELDS: dict[str, Any] = {
    "chain_id": 31_337, "federation": "0x" + "11" * 20, "task": 3, "round_number": 2, "participant": "0x" + "22" * 20,
}  # fmt: skip
BOUND = PLAN.norm_squared
SEALED = bytes(31) + b"\x07"


@dataclass(frozen=True)
class Proven:
    """A proof with all that its verifier knows."""

    vk: VerifyingKey
    drawn: Challenges
    proof: LinkedProof
    commitments: list[bytes]


@cache
def dealt(bound: int) -> tuple[BoundedStatement, _core.Srs, Keys]:
    """Powers of tau and keys of the plan with a bound."""
    statement = BoundedStatement(replace(PLAN, norm_squared=bound))
    srs = _core.Srs.generate(statement.powers, [1, statement.layout.masks])
    return statement, srs, setup(compile_statement(statement), srs, statement.layout.masks)


def challenges(keys: Keys, commitments: list[bytes], d: bytes, **changes: Any) -> Challenges:
    """The transcript of an update, as a contract computes it: the one of training."""
    masked, model, update = commitments
    names = {"masked_dataset": masked, "model": model, "update": update, "d": d}
    pre = training_pre(circuit_id=keys.circuit.circuit_id, **(FIELDS | names | changes))
    return training_challenges(pre, SEALED)


def prove(w: BoundedWitness, bound: int = BOUND) -> Proven:
    statement, srs, keys = dealt(bound)
    commitments = [srs.commit(vector) for vector in vectors(w)]
    proof = prove_linked(keys, statement, w, srs, vectors(w), lambda d: challenges(keys, commitments, d))
    return Proven(keys.verifying, challenges(keys, commitments, proof.d), proof, commitments)


@cache
def honest() -> tuple[BoundedWitness, Proven]:
    """An update whose norm is the bound itself."""
    w = witness(at_norm(BOUND))
    return w, prove(w)


def test_a_proof_verifies_and_links_to_its_own_vectors_alone() -> None:
    w, p = honest()
    check_linked(p.vk, [], p.drawn, p.proof, p.commitments)
    _, srs, _ = dealt(BOUND)
    others = [
        srs.commit(_core.fr_random(len(w.dataset))),
        srs.commit(_core.fr_from_i64(w.weights + 1)),
        srs.commit(update_vector(w.update * 2, w.update_blinding)),
    ]
    for place, other in enumerate(others):
        false = [*p.commitments[:place], other, *p.commitments[place + 1 :]]
        with pytest.raises(ProofError, match="link"):
            check_linked(p.vk, [], p.drawn, p.proof, false)
    with pytest.raises(ProofError):
        check_linked(p.vk, [], p.drawn, replace(p.proof, y=p.proof.y + 1), p.commitments)


@pytest.mark.parametrize(
    "change",
    [
        {"participant": "0x" + "23" * 20}, {"round_number": 3}, {"task": 4}, {"chain_id": 1},
        {"federation": "0x" + "12" * 20}, {"circuit_id": bytes(32)},
    ],
)  # fmt: skip
def test_a_proof_is_about_its_participant_round_task_and_circuit_alone(change: dict[str, Any]) -> None:
    _, p = honest()
    _, _, keys = dealt(BOUND)
    circuit_id = change.pop("circuit_id", None)
    if circuit_id is not None:
        keys = replace(keys, circuit=replace(keys.circuit, circuit_id=circuit_id))
    drawn = challenges(keys, p.commitments, p.proof.d, **change)
    with pytest.raises(ProofError, match="does not verify"):
        check_linked(p.vk, [], drawn, p.proof, p.commitments)


def test_a_key_of_a_smaller_bound_refuses_the_proof() -> None:
    _, p = honest()
    _, _, keys = dealt(BOUND - 1)
    with pytest.raises(ProofError, match="does not verify"):
        check_linked(keys.verifying, [], p.drawn, p.proof, p.commitments)


def test_refuses_to_prove_what_is_beyond_the_bounds() -> None:
    w, _ = honest()
    with pytest.raises(ProofError, match="looked up in table 'limb'"):
        prove(w, BOUND - 1)
    with pytest.raises(ProofError, match="looked up in table 'limb'"):
        prove(replace(w, update=np.array([PLAN.entry_limit, 0, 0, 0, 0])))
    statement, srs, keys = dealt(BOUND)
    false = [*vectors(w)[:2], update_vector(w.update + 1, w.update_blinding)]
    with pytest.raises(ProofError, match="not what the commitments hold"):
        prove_linked(keys, statement, w, srs, false, lambda d: challenges(keys, [d, d, d], d))


def test_two_proofs_of_one_update_differ_and_have_the_shape_of_training() -> None:
    w, p = honest()
    again = prove(w)
    assert again.commitments == p.commitments
    assert again.proof.d != p.proof.d
    assert again.proof.proof != p.proof.proof
    assert p.vk.num_public == 3
    statement, srs, _ = dealt(BOUND)
    assert p.vk.tau_d == srs.g2_power(statement.layout.masks)
    assert VerifyingKey.decode(p.vk.encode()) == p.vk


def test_py_ecc_accepts_the_proof_and_no_other() -> None:
    """An implementation that shares no code with ours."""
    _, p = honest()
    assert groth16_holds(p.vk, [*p.drawn, p.proof.y], p.proof)
    assert link_holds(p.vk, *p.drawn, p.proof, p.commitments)
    false = replace(p.proof, y=p.proof.y + 1)
    assert not groth16_holds(p.vk, [*p.drawn, false.y], false)
    assert not link_holds(p.vk, *p.drawn, p.proof, [*p.commitments[:2], p.commitments[0]])
