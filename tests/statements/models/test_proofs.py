"""Real proofs of training, one for each kind of model: they verify, link to their vectors, and to no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.learning import exact
from fedproof.learning.cost import cost
from fedproof.learning.exact import SoftmaxTrace
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import VerifyingKey, setup
from fedproof.proving.linked import LinkedProof, check_linked, prove_linked
from fedproof.proving.r1cs import FrArray
from fedproof.proving.transcript import Challenges
from fedproof.statements.layout import DatasetLayout
from fedproof.statements.models.statement import ModelStatement
from fedproof.statements.models.vectors import model_update_vector, model_vector
from fedproof.statements.vectors import dataset_vector
from tests.learning.scenes import make_plan, records
from tests.statements.models.scenes import SCENES, witness_of
from tests.support.pyecc import groth16_holds, link_holds

PROVEN = ("linear", "logistic", "softmax", "perceptron of classes", "perceptron of a target", "deep perceptron")


@dataclass(frozen=True)
class Proven:
    """A proof with all that its verifier knows, and other commitments of the same shapes."""

    vk: VerifyingKey
    drawn: Challenges
    proof: LinkedProof
    commitments: list[bytes]
    others: list[bytes]


def drawn_after(d: bytes, commitments: Sequence[bytes]) -> Challenges:
    """Challenges as a transcript draws them: after D and all commitments."""
    hashed = (_core.keccak256(name + d + b"".join(commitments)) for name in (b"sigma", b"lambda"))
    return Challenges(*(int.from_bytes(digest, "big") % _core.MODULUS for digest in hashed))


@cache
def proven(name: str) -> Proven:
    """One batch with padding, trained on and proven with keys of one dealer."""
    model, changes = SCENES[name]
    plan = make_plan(model, 32, 1, **changes)
    features, mask, labels = records(plan, 30)
    start = plan.start(5)
    trace = exact.train(plan, features, mask, labels, start)
    w, statement = witness_of(trace), ModelStatement(plan)
    masks = DatasetLayout(plan.rows, plan.columns).masks
    srs = _core.Srs.generate(cost(plan).powers, [1, masks])
    keys = setup(compile_statement(statement), srs, masks)

    def all_vectors(first: int, update: tuple[np.ndarray, ...]) -> list[FrArray]:
        shifted = features.copy()
        shifted[0, 0] += first
        weights = [matrix + first for matrix in start]
        return [
            dataset_vector(shifted, mask, labels, w.dataset_blinding),
            model_vector(plan, weights),
            model_update_vector(plan, update, w.update_blinding),
        ]

    vectors = all_vectors(0, trace.update)
    others = [srs.commit(vector) for vector in all_vectors(1, tuple(matrix + 1 for matrix in trace.update))]
    commitments = [srs.commit(vector) for vector in vectors]
    proof = prove_linked(keys, statement, w, srs, vectors, lambda d: drawn_after(d, commitments))
    return Proven(keys.verifying, drawn_after(proof.d, commitments), proof, commitments, others)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROVEN)
def test_a_proof_verifies_and_links_to_its_own_vectors_alone(name: str) -> None:
    p = proven(name)
    check_linked(p.vk, [], p.drawn, p.proof, p.commitments)
    for place, other in enumerate(p.others):
        false = [*p.commitments[:place], other, *p.commitments[place + 1 :]]
        with pytest.raises(ProofError, match="link"):
            check_linked(p.vk, [], p.drawn, p.proof, false)
    with pytest.raises(ProofError):
        check_linked(p.vk, [], p.drawn, replace(p.proof, y=p.proof.y + 1), p.commitments)
    swapped = Challenges(p.drawn.lam, p.drawn.sigma)
    with pytest.raises(ProofError):
        check_linked(p.vk, [], swapped, p.proof, p.commitments)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["perceptron of classes"])
def test_py_ecc_accepts_the_proof_and_no_other(name: str) -> None:
    """An implementation that shares no code with ours."""
    p = proven(name)
    sigma, lam = p.drawn
    assert groth16_holds(p.vk, [sigma, lam, p.proof.y], p.proof)
    assert link_holds(p.vk, sigma, lam, p.proof, p.commitments)
    false = replace(p.proof, y=p.proof.y + 1)
    assert not groth16_holds(p.vk, [sigma, lam, false.y], false)
    assert not link_holds(p.vk, sigma, lam, p.proof, [*p.commitments[:2], p.others[2]])


@pytest.mark.slow
def test_refuses_to_prove_with_vectors_that_are_not_those_of_the_run() -> None:
    model, changes = SCENES["softmax"]
    plan = make_plan(model, 32, 1, **changes)
    features, mask, labels = records(plan, 32)
    trace = exact.train(plan, features, mask, labels, plan.start(5))
    w = witness_of(trace)
    srs = _core.Srs.generate(cost(plan).powers, [1])
    keys = setup(compile_statement(ModelStatement(plan)), srs)
    vectors = [
        dataset_vector(features, mask, labels, w.dataset_blinding),
        model_vector(plan, trace.start),
        model_update_vector(plan, trace.end, w.update_blinding),
    ]
    with pytest.raises(ProofError, match="not what the commitments hold"):
        prove_linked(keys, ModelStatement(plan), w, srs, vectors, lambda d: drawn_after(d, []))
    assert isinstance(trace.head, SoftmaxTrace)
    head = replace(trace.head, probability=trace.head.probability + 1)
    lying = replace(w, trace=replace(trace, head=head))
    with pytest.raises(ProofError, match="loss/division"):
        prove_linked(keys, ModelStatement(plan), lying, srs, vectors, lambda d: drawn_after(d, []))
