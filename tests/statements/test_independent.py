"""Every linked statement proven once and judged by py_ecc: its five pairings and its link, true and false."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.learning.fixed import TrainingSpec
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import VerifyingKey, setup
from fedproof.proving.linked import LinkedProof, check_linked, prove_linked
from fedproof.proving.r1cs import FrArray
from fedproof.proving.transcript import Challenges
from fedproof.statements.aggregation import AggregationStatement, AggregationWitness, divide
from fedproof.statements.layout import UPDATE_BLINDING, DatasetLayout, srs_size
from fedproof.statements.listing import ListingStatement, ListingWitness
from fedproof.statements.training import TrainingStatement
from fedproof.statements.vectors import dataset_vector, update_vector, weight_vector
from tests.statements.conftest import make_witness
from tests.support.pyecc import groth16_holds, link_holds

pytestmark = pytest.mark.slow

SPEC = TrainingSpec(rows=32, columns=3, mask_count=3)
ROWS = [29, 32]
"""Real rows of two participants."""


@dataclass(frozen=True)
class Proven:
    """A proof with all that its verifier knows."""

    vk: VerifyingKey
    public: list[int]
    challenges: Challenges
    proof: LinkedProof
    commitments: list[bytes]
    numbers: list[int] | None = None
    """What the link holds beside the commitments, of a statement that computes its lambda."""

    def groth16_holds(self, **changes: Any) -> bool:
        """What py_ecc says of the proof."""
        p = replace(self, **changes)
        challenges = p.challenges if self.numbers is None else p.challenges[:1]
        return groth16_holds(p.vk, [*p.public, *challenges, p.proof.y], p.proof)

    def link_holds(self, **changes: Any) -> bool:
        """What py_ecc says of its link."""
        p = replace(self, **changes)
        lam = p.challenges.lam
        y = p.proof.y - sum(n * lam ** (len(p.commitments) + k) for k, n in enumerate(p.numbers or ()))
        return link_holds(p.vk, *p.challenges, replace(p.proof, y=y % _core.MODULUS), p.commitments)


def prove(
    statement: Any,
    witness: Any,
    vectors: Sequence[FrArray],
    public: list[int],
    srs: _core.Srs,
    numbers: list[int] | None = None,
) -> Proven:
    keys = setup(compile_statement(statement), srs, DatasetLayout(SPEC.rows, SPEC.columns).masks)
    commitments = [srs.commit(vector) for vector in vectors]

    def challenge(d: bytes) -> Challenges:
        base = d + b"".join(commitments)
        hashed = (_core.keccak256(name + base) for name in (b"sigma", b"lambda"))
        sigma, lam = (int.from_bytes(digest, "big") % _core.MODULUS for digest in hashed)
        return Challenges(sigma, lam if numbers is None else pow(sigma, 2**30, _core.MODULUS))

    proof = prove_linked(keys, statement, witness, srs, vectors, challenge, numbers)
    drawn = challenge(proof.d)
    check_linked(keys.verifying, public, drawn, proof, commitments, numbers)
    return Proven(keys.verifying, public, drawn, proof, commitments, numbers)


@cache
def proven() -> dict[str, Proven]:
    """A dataset listed, trained on in an enrolment, and the average of two updates, linked to each other."""
    layout = DatasetLayout(SPEC.rows, SPEC.columns)
    srs = _core.Srs.generate(srs_size(SPEC.rows, SPEC.columns, SPEC.mask_count), [1, layout.masks])
    witnesses = [make_witness(SPEC, seed=seed, real=real) for seed, real in enumerate(ROWS)]
    w = witnesses[0]
    own, masks = w.dataset_blinding[:2], w.dataset_blinding[2:]
    listed = dataset_vector(w.features, w.mask, w.labels, np.ascontiguousarray(own))
    masked = dataset_vector(w.features, w.mask, w.labels, w.dataset_blinding)
    start, update = weight_vector(w.trace.start), update_vector(w.trace.update, w.update_blinding)
    out = {
        "listing": prove(
            ListingStatement(SPEC.rows, SPEC.columns),
            ListingWitness(w.features, w.mask, w.labels, np.ascontiguousarray(own)),
            [listed],
            [ROWS[0]],
            srs,
        ),
        "training": prove(TrainingStatement(SPEC), w, [masked, start, update], [], srs),
    }
    c_x, c_masked = out["listing"].commitments[0], out["training"].commitments[0]
    assert c_masked == _core.g1_add(c_x, srs.commit(np.ascontiguousarray(masks), layout.masks))

    count = sum(ROWS)
    total = sum(n * x.trace.update for n, x in zip(ROWS, witnesses, strict=True))
    blinding = np.zeros((UPDATE_BLINDING, 4), dtype=np.uint64)
    for n, x in zip(ROWS, witnesses, strict=True):
        blinding = _core.fr_add(blinding, _core.fr_mul(x.update_blinding, _core.fr_from_ints([n])))
    quotient, remainder = divide(total, count)
    out["aggregation"] = prove(
        AggregationStatement(SPEC.columns, SPEC.update_bound),
        AggregationWitness(count, quotient, remainder, blinding),
        [weight_vector(quotient), update_vector(remainder, blinding)],
        [],
        srs,
        [count],
    )
    # the second commitment is what a contract computes from the updates: C_S - N (C_W' - C_W)
    points = [srs.commit(update_vector(x.trace.update, x.update_blinding)) for x in witnesses]
    step, rest = out["aggregation"].commitments
    assert _core.g1_msm(b"".join([*points, step]), _core.fr_from_ints([*ROWS, -count])) == rest
    return out


@pytest.mark.parametrize("name", ["listing", "training", "aggregation"])
def test_py_ecc_accepts_an_honest_proof_and_no_other(name: str) -> None:
    good = proven()[name]
    assert good.groth16_holds()
    assert good.link_holds()
    another_value = replace(good.proof, y=good.proof.y + 1)
    assert not good.groth16_holds(proof=another_value)
    assert not good.link_holds(proof=another_value)
    assert not good.groth16_holds(proof=replace(good.proof, d=_core.g1_add(good.proof.d, good.vk.ic[-1])))


def test_an_average_over_another_number_of_rows_does_not_link() -> None:
    good = proven()["aggregation"]
    assert good.numbers is not None
    assert not good.link_holds(numbers=[good.numbers[0] + 1])


def test_an_update_over_another_dataset_does_not_link() -> None:
    """The proof itself holds; that it is about this participant's dataset only the link can tell."""
    training, listing = proven()["training"], proven()["listing"]
    assert not training.link_holds(commitments=[listing.commitments[0], *training.commitments[1:]])
