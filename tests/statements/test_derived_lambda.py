"""The lambda that the aggregation circuit computes is a power of sigma beyond all powers of tau, and has to be."""

from __future__ import annotations

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import InputError, ProofError
from fedproof.learning.fixed import Int
from fedproof.proving import r1cs, transcript
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import setup
from fedproof.proving.linked import check_linked, prove_linked
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.proving.transcript import LAMBDA_SQUARINGS, Challenges, derived_lambda
from fedproof.statements import aggregation
from fedproof.statements.aggregation import AggregationStatement, AggregationWitness, divide
from fedproof.statements.layout import WeightLayout

R = _core.MODULUS
INPUTS, OUTPUTS, GROUP = 4, 64, 32
STRIDE = INPUTS * GROUP
SQUARINGS = 12
"""2^12 is a place of the model below, 32 outputs on from the first."""
COUNT = 455


def wide() -> AggregationStatement:
    """A layer whose update has coefficients up to 8,070."""
    made = AggregationStatement.__new__(AggregationStatement)
    made.layout = WeightLayout(STRIDE * (OUTPUTS - 1) + INPUTS)
    made._fix(((INPUTS, OUTPUTS),), GROUP, (10**9,))
    return made


def placed(values: list[int], size: int) -> list[int]:
    out = [0] * size
    for k, value in enumerate(values):
        out[STRIDE * (k // INPUTS) + k % INPUTS] = value
    return out


def test_no_power_of_tau_reaches_the_power_of_sigma() -> None:
    with pytest.raises(ValueError, match="67108864"):
        _core.Srs.generate(2**26 + 1, [])
    assert 1 << LAMBDA_SQUARINGS > 2**26


def test_refuses_what_would_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregation, "LAMBDA_SQUARINGS", SQUARINGS)
    with pytest.raises(InputError, match="too long"):
        wide()
    monkeypatch.setattr(r1cs, "LAMBDA_SQUARINGS", 3)
    cs = ConstraintSystem(structure=True)
    sigma = cs.public("sigma")
    cs.table("bit", np.arange(8)).lookup(cs.committed((1,), None, "b"))
    with pytest.raises(ProofError, match="too many for a derived lambda"):
        cs.challenges(sigma)


@pytest.mark.parametrize("squarings", [SQUARINGS, LAMBDA_SQUARINGS])
def test_a_leader_chooses_the_model_where_it_is_reached_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, squarings: int
) -> None:
    """A coefficient of the remainder at p and one of the step at p + D are one where lambda is sigma^D. So the leader
    takes any step for the first half of the outputs, and hides the difference in the second half of the circuit's."""
    statement = wide()
    for module in (transcript, r1cs):
        monkeypatch.setattr(module, "LAMBDA_SQUARINGS", squarings)
    total: Int = np.random.default_rng(1).integers(-(10**8), 10**8, INPUTS * OUTPUTS)
    quotient, remainder = (part.tolist() for part in divide(total, COUNT))
    half = INPUTS * OUTPUTS // 2
    false = [value + 10**6 for value in quotient[:half]] + quotient[half:]
    rest = [int(sum_) - COUNT * q for sum_, q in zip(total.tolist(), false, strict=True)]
    hidden = false[:half] + [q + rest[k] - remainder[k] for k, q in enumerate(false[half:])]
    blinding = [11, 12, 13]
    size = statement.layout.update_size
    step = placed(false, size - 3)
    other = [*placed(rest, size - 3), *blinding]
    vectors = [_core.fr_from_ints([value % R for value in vector]) for vector in (step, other)]
    srs = _core.Srs.generate(size, [])
    keys, commitments = setup(compile_statement(statement), srs), [srs.commit(vector) for vector in vectors]
    witness = AggregationWitness(COUNT, np.array(hidden), np.array(remainder), _core.fr_from_ints(blinding))

    def challenge(d: bytes) -> Challenges:
        sigma = int.from_bytes(_core.keccak256(d + b"".join(commitments)), "big") % R
        return Challenges(sigma, derived_lambda(sigma))

    if squarings == LAMBDA_SQUARINGS:
        with pytest.raises(ProofError, match="not what the commitments hold"):
            prove_linked(keys, statement, witness, srs, vectors, challenge, [COUNT])
        return
    proof = prove_linked(keys, statement, witness, srs, vectors, challenge, [COUNT])
    check_linked(keys.verifying, [], challenge(proof.d), proof, commitments, [COUNT])
