"""A Groth16 proof linked to KZG commitments: prove and check (protocol, sections 3 and 4).

The order of work is the soundness: assign the committed segment, compute D, hash D and the external commitments to
`(sigma, lambda)`, assign the rest, prove, and open `F = sum_k lambda^k C_k` at sigma to the circuit's output y.

A public input costs the chain a multiplication, so a statement that is proven once a round has fewer of them:

- **Known numbers in the link.** With K commitments and numbers v_j that everybody knows, the circuit outputs
  `y = sum_k lambda^k v_k(sigma) + sum_j lambda^(K + j) v_j` from committed wires, and F is opened to y less the last
  sum. The wires are fixed before sigma, as all that is linked, so they hold the v_j by the same argument.
- **A lambda that the circuit computes.** `lambda = sigma^D`, D = 2^30, in place of a second hash. Whatever sigma and
  lambda are to show is a polynomial P(sigma, lambda) that is fixed before them and must be zero. If its degree in sigma
  is below D, it stays the same list of coefficients when lambda becomes sigma^D, so that P(sigma, sigma^D) is zero only
  if P is, and otherwise for at most D (deg_lambda P + 1) < 2^58 of all r values. Two things make P. Differences of
  linked vectors: they have no coefficient beyond the powers of tau, of which the core makes 2^26 at most and which no
  circuit's points reach beyond (`src/field.rs`). And the lookup argument with its denominators cleared, where each
  factor has degree 1 in lambda and at most the width of its table in sigma (`ConstraintSystem.challenges` refuses D or
  more in all). With a D within reach of the powers a coefficient at D of one vector is one at 0 of the next, and a
  leader proves any model (`tests/statements/test_derived_lambda.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.proving.circuit import Statement, Witness
from fedproof.proving.keys import Keys, VerifyingKey
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from fedproof.proving.transcript import Challenges, derived_lambda

INFINITY = bytes(64)


@dataclass(frozen=True)
class LinkedProof:
    """What a prover publishes beside its commitments.

    Attributes:
        proof: A, B, C, 256 bytes. d: D, 64 bytes. q: the opening Q, 64 bytes. y: the opened value in `[0, r)`.
    """

    proof: bytes
    d: bytes
    q: bytes
    y: int


def prove_linked(
    keys: Keys,
    statement: Statement[Witness],
    witness: Witness,
    srs: _core.Srs,
    externals: Sequence[FrArray],
    challenge: Callable[[bytes], Challenges],
    numbers: Sequence[int] | None = None,
) -> LinkedProof:
    """Prove a statement about vectors that are committed outside it.

    Args:
        externals: coefficients of the external commitments C_0, C_1, ..., each `(n_k, 4)`.
        numbers: known numbers that the link binds, of a statement that computes its lambda.
        challenge: given D, hashes it with all commitments and returns `(sigma, lambda)`.

    Raises:
        ProofError: the witness does not satisfy the statement, or is not the committed vectors.
    """
    drawn: list[Challenges] = []
    points: list[bytes] = []

    def commit(values: FrArray) -> tuple[int, int]:
        points.append(keys.proving.commit(values))
        drawn.append(challenge(points[0]))
        return drawn[0]

    cs = ConstraintSystem(structure=False, challenge=commit)
    statement.synthesize(cs, witness)
    proof = _prove(keys, cs.witness())
    sigma, lam = drawn[0]
    if numbers is not None:
        lam = derived_lambda(sigma)
    value, q = srs.open(fold(externals, lam), _core.fr_from_ints([sigma]))
    y = cs.public_values()[-1]
    rest = _known(numbers or (), len(externals), lam)
    if [(each + rest) % _core.MODULUS for each in _core.fr_to_ints(value)] != [y]:
        raise ProofError(f"{statement.name}: the witness is not what the commitments hold")
    return LinkedProof(proof, points[0], q, y)


def prove_plain(keys: Keys, statement: Statement[Witness], witness: Witness) -> tuple[bytes, list[int]]:
    """Prove a statement without a committed segment; returns the proof (256 bytes) and its public inputs."""
    cs = ConstraintSystem(structure=False, challenge=lambda _: (0, 0))
    statement.synthesize(cs, witness)
    return _prove(keys, cs.witness()), cs.public_values()


def _prove(keys: Keys, z: FrArray) -> bytes:
    row = keys.circuit.r1cs.first_unsatisfied(z)
    if row is not None:
        raise ProofError(f"{keys.circuit.name}: the witness breaks the rule {keys.circuit.group_of(row)!r} (row {row})")
    return keys.proving.prove(keys.circuit.r1cs, z)


def fold(vectors: Sequence[FrArray], lam: int) -> FrArray:
    """`sum_k lambda^k v_k` as coefficients, as long as the longest vector."""
    out = np.zeros((max(len(v) for v in vectors), 4), dtype=np.uint64)
    for k, vector in enumerate(vectors):
        factor = _core.fr_from_ints([pow(lam, k, _core.MODULUS)])
        out[: len(vector)] = _core.fr_add(np.ascontiguousarray(out[: len(vector)]), _core.fr_mul(vector, factor))
    return out


def check_plain(vk: VerifyingKey, public: Sequence[int], proof: bytes) -> None:
    """Check a proof without a committed segment.

    Raises:
        ProofError: it does not verify.
    """
    _check_groth16(vk, public, proof, None)


def _known(numbers: Sequence[int], commitments: int, lam: int) -> int:
    """`sum_j lambda^(K + j) v_j` for K commitments."""
    return sum(number * pow(lam, commitments + j, _core.MODULUS) for j, number in enumerate(numbers)) % _core.MODULUS


def check_linked(
    vk: VerifyingKey,
    public: Sequence[int],
    challenges: Challenges,
    proof: LinkedProof,
    commitments: Sequence[bytes],
    numbers: Sequence[int] | None = None,
) -> None:
    """Check a linked proof: the Groth16 equation and the KZG link.

    Args:
        public: the public inputs before `sigma, lambda, y`.
        commitments: the external commitments C_0, C_1, ..., 64 bytes each.
        numbers: known numbers that the link binds, of a statement that computes its lambda: inputs `sigma, y`.

    Raises:
        ProofError: one of the two does not hold, or a point or number is malformed.
    """
    sigma, lam = challenges
    if numbers is None:
        inputs = [*public, sigma, lam, proof.y]
    else:
        lam, inputs = derived_lambda(sigma), [*public, sigma, proof.y]
    _check_groth16(vk, inputs, proof.proof, proof.d)
    opened = proof.y - _known(numbers or (), len(commitments), lam)
    try:
        total = INFINITY
        for k, commitment in enumerate(commitments):
            total = _core.g1_add(total, _core.g1_mul(commitment, _core.fr_from_ints([pow(lam, k, _core.MODULUS)])))
        total = _core.g1_add(total, _core.g1_mul(_core.g1_generator(), _core.fr_from_ints([-opened])))
        total = _core.g1_add(total, _core.g1_mul(proof.q, _core.fr_from_ints([sigma])))
        holds = _core.ec_pairing(total + _core.g2_generator() + _core.g1_neg(proof.q) + vk.tau)
    except ValueError as error:
        raise ProofError(f"the link holds a malformed point: {error}") from None
    if not holds:
        raise ProofError("the link does not hold: the proof is about other vectors than the committed ones")


def _check_groth16(vk: VerifyingKey, public: Sequence[int], proof: bytes, d: bytes | None) -> None:
    if len(public) != vk.num_public or not all(0 <= value < _core.MODULUS for value in public):
        raise ProofError(f"{len(public)} public inputs where the key takes {vk.num_public}, each in [0, r)")
    try:
        holds = _core.groth16_verify(vk.groth16(), _core.fr_from_ints(list(public)), proof, d)
    except ValueError as error:
        raise ProofError(f"the proof holds a malformed point: {error}") from None
    if not holds:
        raise ProofError("the proof does not verify")
