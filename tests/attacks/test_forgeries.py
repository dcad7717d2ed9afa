"""Forged proofs: each is accepted under a build with one check left out, and refused under the build as it is.

The cheat is the same in both: it sees the challenges before it chooses what is not fixed yet, and lies where it can.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import KeyFileError, ProofError
from fedproof.learning.fixed import TrainingSpec
from fedproof.proving.circuit import Circuit, compile_statement
from fedproof.proving.keys import Keys, VerifyingKey, setup
from fedproof.proving.linked import LinkedProof, check_linked
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from fedproof.proving.transcript import Challenges, derived_lambda
from fedproof.statements.aggregation import AggregationStatement, AggregationWitness
from fedproof.statements.training import TrainingStatement, TrainingWitness
from fedproof.statements.vectors import dataset_vector, update_vector, weight_vector
from tests.attacks.weakened import Cheat, Check, cheat_linked, evaluate, weak_keys
from tests.contracts import toy
from tests.contracts.federation import toys
from tests.core.test_groth16 import published, unpacked
from tests.statements.conftest import make_witness
from tests.support.soundness import SIGMA

R = _core.MODULUS
SPEC = TrainingSpec(rows=32, columns=2, mask_count=2)
TRAINING = TrainingStatement(SPEC)


@dataclass(frozen=True)
class Claim:
    """What a linked proof is checked against: the commitments, and the challenges that they and D give."""

    keys: Keys
    commitments: list[bytes]
    numbers: tuple[int, ...] | None = None
    """What the link holds beside the commitments, of a statement that computes its lambda."""

    def challenge(self, d: bytes) -> Challenges:
        base = d + b"".join(self.commitments)
        sigma, lam = (int.from_bytes(_core.keccak256(use + base), "big") % R for use in (b"s", b"l"))
        return Challenges(sigma, lam if self.numbers is None else derived_lambda(sigma))

    def holds(self, proof: LinkedProof, public: tuple[int, ...] = ()) -> bool:
        try:
            check_linked(self.keys.verifying, public, self.challenge(proof.d), proof, self.commitments, self.numbers)
        except ProofError:
            return False
        return True


def number(values: FrArray) -> int:
    (value,) = _core.fr_to_ints(values)
    return value


# an update trained on another dataset, with an adjusted last coefficient


@pytest.fixture(scope="module")
def powers() -> _core.Srs:
    size = SPEC.rows * (SPEC.columns + 1) + 2 + SPEC.mask_count
    return _core.Srs.generate(size, [1, size - SPEC.mask_count])


@pytest.mark.parametrize("check", [Check.NONE, Check.BLINDING_IN_SEGMENT], ids=["as it is", "weakened"])
def test_rejects_an_update_trained_on_another_dataset_with_an_adjusted_last_coefficient(
    powers: _core.Srs, check: Check
) -> None:
    """All features are turned round. The last blinding coefficient is chosen once sigma is known, so that the circuit's
    dataset has the value of the committed one there."""
    honest = make_witness(SPEC, real=32)
    listed = dataset_vector(honest.features, honest.mask, honest.labels, honest.dataset_blinding)
    poisoned = poison(honest)
    trained = dataset_vector(poisoned.features, poisoned.mask, poisoned.labels, poisoned.dataset_blinding)
    externals = [
        listed,
        weight_vector(poisoned.trace.start),
        update_vector(poisoned.trace.update, poisoned.update_blinding),
    ]
    claim = Claim(weak_keys(check, TRAINING, powers), [powers.commit(vector) for vector in externals])

    def absorb(cs: Cheat, sigma: int, _: int) -> None:
        last = cs.made["blinding of X"][-1]
        short = (evaluate(listed, sigma) - evaluate(trained, sigma)) * pow(sigma, -(len(listed) - 1), R)
        cs.assign(last, [number(cs.value(last)) + short])

    proof = cheat_linked(check, claim.keys, TRAINING, poisoned, powers, externals, claim.challenge, afterthought=absorb)
    assert claim.holds(proof) == (check is Check.BLINDING_IN_SEGMENT)
    # without the afterthought it is the link that does not hold, in either build
    assert not claim.holds(cheat_linked(check, claim.keys, TRAINING, poisoned, powers, externals, claim.challenge))
    # and who trains on what is committed is believed
    honestly = [listed, weight_vector(honest.trace.start), update_vector(honest.trace.update, honest.update_blinding)]
    good = Claim(claim.keys, [powers.commit(vector) for vector in honestly])
    assert good.holds(cheat_linked(check, good.keys, TRAINING, honest, powers, honestly, good.challenge))


def poison(honest: TrainingWitness) -> TrainingWitness:
    """Training on the negated features of another dataset."""
    from fedproof.learning import sgd

    features = -honest.features
    trace = sgd.train(SPEC, features, honest.mask, honest.labels, honest.trace.start)
    assert not np.array_equal(trace.update, honest.trace.update)
    return replace(honest, features=features, trace=trace)


# an evaluation link with values chosen after sigma


@pytest.mark.parametrize("check", [Check.NONE, Check.UPDATE_IN_SEGMENT], ids=["as it is", "weakened"])
def test_rejects_a_link_to_values_chosen_after_sigma(check: Check) -> None:
    """C_U commits to what nobody trained. The circuit's copy of it gets its last coefficient when sigma is known."""
    srs, invented, trained = toy.srs(), _core.fr_random(toys.UPDATE), _core.fr_random(toys.UPDATE)
    dataset, model = _core.fr_random(toys.DATASET), _core.fr_random(toys.WEIGHTS)
    statement, externals = toys.ToyTraining(), [dataset, model, invented]
    claim = Claim(weak_keys(check, statement, srs), [srs.commit(vector) for vector in externals])

    def absorb(cs: Cheat, sigma: int, _: int) -> None:
        last = cs.made["U"][-1]
        short = (evaluate(invented, sigma) - evaluate(trained, sigma)) * pow(sigma, -(toys.UPDATE - 1), R)
        cs.assign(last, [number(cs.value(last)) + short])

    witness = toys.ToyTrainingWitness(dataset, model, trained)
    proof = cheat_linked(check, claim.keys, statement, witness, srs, externals, claim.challenge, afterthought=absorb)
    assert claim.holds(proof) == (check is Check.UPDATE_IN_SEGMENT)
    assert not claim.holds(cheat_linked(check, claim.keys, statement, witness, srs, externals, claim.challenge))


# a new model that is no average


@pytest.mark.parametrize("check", [Check.NONE, Check.QUOTIENT_IN_RANGE], ids=["as it is", "weakened"])
def test_rejects_a_step_that_only_division_modulo_r_explains(check: Check) -> None:
    """`q = (S - rem) / N mod r` for a remainder of the leader's choice: any small rem gives some new model."""
    statement, count = AggregationStatement(2, TrainingSpec(32, 2).update_bound), 455
    total, remainder = np.array([10**9, -(10**9)], dtype=object), np.array([5, 7], dtype=object)
    step = [(int(s) - int(rem)) * pow(count, -1, R) % R for s, rem in zip(total, remainder, strict=True)]
    assert min(step) > 2**200
    blinding, srs = _core.fr_random(3), toy.srs()
    honest, rest = np.zeros(2, dtype=np.int64), np.array([5, 7], dtype=np.int64)
    externals = [_core.fr_from_ints(step), np.concatenate([_core.fr_from_ints([5, 7]), blinding])]
    claim = Claim(weak_keys(check, statement, srs), [srs.commit(vector) for vector in externals], (count,))

    def beyond(values: FrArray) -> FrArray:
        limbs = _core.fr_to_ints(values)  # of q = 0
        for k in range(2):
            limbs[k * len(limbs) // 2] += step[k]
        return _core.fr_from_ints(limbs)

    witness = AggregationWitness(count, honest, rest, blinding)
    arguments: tuple[Any, ...] = (check, claim.keys, statement, witness, srs, externals, claim.challenge)
    if check is Check.NONE:
        with pytest.raises(ValueError, match="row"):
            cheat_linked(*arguments, forgeries={"q": beyond})
    else:
        assert claim.holds(cheat_linked(*arguments, forgeries={"q": beyond}))


# D shifted by the point of a public input


@dataclass(frozen=True)
class Dangling:
    """Keys with D under gamma = 1: the points of the committed segment are published like those of public inputs."""

    proving: _core.ProvingKey
    circuit: Circuit
    public: int
    verifying: VerifyingKey

    def commit(self, values: FrArray) -> bytes:
        return _core.g1_msm(b"".join(self.proving.verifying_key()["ic"][1 + self.public :]), values)


def dangling(statement: toy.ToyListing, srs: _core.Srs) -> Dangling:
    """What one gets by a plain setup over `[1 | x | c]` and the first points for the verifier."""
    cs = ConstraintSystem(structure=True)
    statement.synthesize(cs, None)
    whole = compile_statement(statement)
    place = np.empty(cs._wires, dtype=np.int64)
    place[cs.order()] = np.arange(cs._wires)
    keep = np.ones(cs.num_constraints, dtype=bool)
    matrices = tuple(cs._matrix(part, place, keep) for part in cs._parts)
    public, committed = whole.r1cs.num_public, whole.r1cs.num_committed
    r1cs = _core.R1cs(public + committed, 0, cs._wires, _core.fr_from_ints(cs.pool.values), *matrices)
    circuit = replace(whole, r1cs=r1cs)
    keys = setup(circuit, srs)
    verifying = replace(
        keys.verifying, eta=_core.g2_generator(), ic=keys.verifying.ic[: 1 + public], circuit_id=whole.circuit_id
    )
    return Dangling(keys.proving, circuit, public, verifying)


def equation_holds(vk: VerifyingKey, public: list[int], proof: bytes, d: bytes) -> bool:
    """The Groth16 equation with a committed segment, by the precompile; it does not look at the key."""
    assert vk.eta is not None
    ic = _core.g1_msm(b"".join(vk.ic), _core.fr_from_ints([1, *public]))
    a, b, c = proof[:64], proof[64:192], proof[192:]
    pairs = (_core.g1_neg(a), b), (vk.alpha, vk.beta), (ic, _core.g2_generator()), (c, vk.delta), (d, vk.eta)
    return _core.ec_pairing(b"".join(point for pair in pairs for point in pair))


@pytest.mark.parametrize("weakened", [False, True], ids=["as it is", "weakened"])
def test_rejects_d_shifted_by_a_public_inputs_point(weakened: bool) -> None:
    """The committed vector is one larger in its first place than the one that the circuit has seen. Both values at
    sigma differ by one whatever sigma is, and D takes back what the false y adds to IC(x)."""
    statement, srs, rows = toy.ToyListing(), toy.srs(), 40
    seen = toy.vector()
    committed = seen.copy()
    committed[0] = _core.fr_add(seen[:1], _core.fr_from_ints([1]))[0]
    commitment = srs.commit(committed)
    ours = toy.listing_keys()
    key: Any = dangling(statement, srs) if weakened else ours.proving
    vk: VerifyingKey = key.verifying if weakened else ours.verifying
    circuit = key.circuit if weakened else ours.circuit
    points: list[bytes] = []

    def challenge(values: FrArray) -> tuple[int, int]:
        # y is the fourth public input: where it is published too large by one, D is less by its point
        points.append(_core.g1_add(key.commit(values), _core.g1_neg(vk.ic[4])))
        return _pair(points[0] + commitment)

    cs = ConstraintSystem(structure=False, challenge=challenge)
    statement.synthesize(cs, toy.ToyListingWitness(rows, seen))
    proof = (key.proving if weakened else key).prove(circuit.r1cs, cs.witness())
    sigma, lam = _pair(points[0] + commitment)
    value, q = srs.open(committed, _core.fr_from_ints([sigma]))
    y = number(value)
    assert y == (cs.public_values()[-1] + 1) % R
    assert equation_holds(vk, [rows, sigma, lam, y], proof, points[0]) == weakened
    # the link holds: it is about the commitment and y, both as published
    left = _core.g1_add(commitment, _core.g1_mul(_core.g1_generator(), _core.fr_from_ints([-y])))
    left = _core.g1_add(left, _core.g1_mul(q, _core.fr_from_ints([sigma])))
    assert _core.ec_pairing(left + _core.g2_generator() + _core.g1_neg(q) + vk.tau)
    if weakened:  # and such a key is refused where keys are read
        with pytest.raises(KeyFileError, match="equal up to sign"):
            VerifyingKey.decode(vk.encode())


def _pair(base: bytes) -> tuple[int, int]:
    sigma, lam = (int.from_bytes(_core.keccak256(use + base), "big") % R for use in (b"s", b"l"))
    return sigma, lam


# eta or delta of another circuit


class Roomy(toy.ToyListing):
    """With rows that say nothing, so that the domain has room for the other circuit's few rows more."""

    def synthesize(self, cs: ConstraintSystem, witness: toy.ToyListingWitness | None) -> None:
        super().synthesize(cs, witness)
        for _ in range(2):
            cs.constrain(cs.one, cs.one, cs.one, "says nothing")


def hiding(statement: Roomy, committed: bool) -> tuple[Circuit, _core.R1cs]:
    """A statement, and the constraints of another circuit with its rules and wires in which y is no public input: it is
    the first committed wire, or the first private one.

    Nothing is wrong with the other circuit by itself. Its own rows that make each public input stand in a constraint
    come later than here, and are given once more where this circuit has them.
    """
    cs = ConstraintSystem(structure=True)
    statement.synthesize(cs, None)
    whole = compile_statement(statement)
    public, segment = whole.r1cs.num_public, whole.r1cs.num_committed
    there = np.arange(cs._wires)  # where the other circuit has each wire; y is the last public one
    if not committed:
        there[public : public + segment + 1] = np.roll(there[public : public + segment + 1], 1)
    place = np.empty(cs._wires, dtype=np.int64)
    place[cs.order()] = there
    a, b, c = (cs._matrix(part, place, np.ones(cs.num_constraints, dtype=bool)) for part in cs._parts)
    one = cs.pool.values.index(1)
    ends = a[0][-1] + np.arange(1, public + 2)
    names = there[: public + 1].astype(a[1].dtype)
    a = (
        np.concatenate([a[0], ends]),
        np.concatenate([a[1], names]),
        np.concatenate([a[2], np.full(public + 1, one, dtype=a[2].dtype)]),
    )
    b, c = ((np.concatenate([m[0], np.full(public + 1, m[0][-1])]), m[1], m[2]) for m in (b, c))
    pool = _core.fr_from_ints(cs.pool.values)
    other = _core.R1cs(public - 1, segment + committed, cs._wires, pool, a, b, c)
    assert other.domain_size == whole.r1cs.domain_size
    return whole, other


@dataclass
class Pieces:
    """A key file, apart: what stands before delta in G1, between it and delta in G2, and between that and h; h; the
    points of wires in A and B1; which private wires have a point, and these over delta; and the rest."""

    before: bytes
    delta_g1: bytes
    between: bytes
    delta_g2: bytes
    middle: bytes
    h: bytes
    wires: bytes
    bitmap: bytes
    private: bytes
    rest: bytes

    @classmethod
    def of(cls, key: _core.ProvingKey) -> Pieces:
        data, at = key.to_bytes(), 16
        public, committed, wires = (int.from_bytes(data[at + 4 * i : at + 4 * i + 4], "little") for i in range(3))
        ends = [at := 16 + 12 + 32 + 2 * 64, at := at + 64, at := at + 128, at := at + 128]
        at += 128  # eta
        for number in range(3):
            if number == 2:
                ends.append(at)
            at += 4 + 64 * int.from_bytes(data[at : at + 4], "little")
        ends.append(at)
        for length in (wires, wires, wires - 1 - public - committed):
            if length < wires:
                ends += [at, at + -(-length // 8)]
            bitmap = data[at : at + -(-length // 8)]
            at += len(bitmap) + 64 * sum(byte.bit_count() for byte in bitmap)
        ends.append(at)
        return cls(*(data[first:last] for first, last in zip([0, *ends], [*ends, len(data)], strict=True)))

    def with_delta(self, other: Pieces) -> tuple[_core.ProvingKey, bytes]:
        """This key with the delta of another circuit that has one private wire more, in front; and that wire's point.

        No secret is needed to put it together: what is published for the other circuit is enough.
        """
        flags = [int.from_bytes(each.bitmap, "little") for each in (self, other)]
        assert flags[1] == 2 * flags[0] + 1
        assert len(self.h) == len(other.h)
        changes = {"delta_g1": other.delta_g1, "delta_g2": other.delta_g2, "h": other.h, "private": other.private[64:]}
        whole = b"".join(vars(replace(self, **changes)).values())
        return _core.ProvingKey.from_bytes(whole, check=True), unpacked(other.private[:64])


@pytest.mark.parametrize("weakened", [False, True], ids=["as it is", "weakened"])
@pytest.mark.parametrize("secret", ["eta", "delta"])
def test_rejects_a_proof_shifted_by_a_point_of_another_circuit(secret: str, weakened: bool) -> None:
    """Two circuits of one dealer. What is public in one is committed or private in the other, whose key has its point
    over eta or delta: with one eta for both, D takes back with it what a false y adds to IC(x); with one delta, C."""
    statement, srs, rows, dealer = Roomy(), toy.srs(), 40, _core.Dealer()
    circuit, other = hiding(statement, committed=secret == "eta")
    keys = setup(circuit, srs, dealer=dealer)
    theirs = _core.ProvingKey.setup(other, dealer=dealer)
    vk, proving, own = keys.verifying, keys.proving, published(keys.proving)[1]
    if secret == "eta":  # over the other's eta: y, and then this circuit's committed wires
        shift, *shared = published(theirs)[1]
        if weakened:
            vk, own = replace(vk, eta=theirs.verifying_key()["eta_g2"]), shared
    else:
        joined, shift = Pieces.of(keys.proving).with_delta(Pieces.of(theirs))
        if weakened:
            vk, proving = replace(vk, delta=theirs.verifying_key()["delta_g2"]), joined
    in_d, in_c = (shift, bytes(64)) if secret == "eta" else (bytes(64), shift)
    seen = toy.vector()
    committed = seen.copy()
    committed[0] = _core.fr_add(seen[:1], _core.fr_from_ints([1]))[0]
    commitment = srs.commit(committed)

    def attempt(shifted: bool) -> bool:
        """A listing of `committed` by somebody who has proven another vector; or of the other one, honestly."""
        about, points = commitment if shifted else srs.commit(seen), list[bytes]()

        def challenge(values: FrArray) -> tuple[int, int]:
            d = _core.g1_msm(b"".join(own), values)
            points.append(_core.g1_add(d, _core.g1_neg(in_d)) if shifted else d)
            return _pair(points[0] + about)

        cs = ConstraintSystem(structure=False, challenge=challenge)
        statement.synthesize(cs, toy.ToyListingWitness(rows, seen))
        proof = proving.prove(circuit.r1cs, cs.witness())
        if shifted:
            proof = proof[:192] + _core.g1_add(proof[192:], _core.g1_neg(in_c))
        sigma, lam = _pair(points[0] + about)
        value, q = srs.open(committed if shifted else seen, _core.fr_from_ints([sigma]))
        y = number(value)
        assert y == (cs.public_values()[-1] + shifted) % R
        linked = LinkedProof(proof, points[0], q, y)
        holds = equation_holds(vk, [rows, sigma, lam, y], proof, points[0])
        try:  # by the verifier of the package, with its link
            check_linked(vk, (rows,), Challenges(sigma, lam), linked, [about])
        except ProofError:
            assert not holds
        else:
            assert holds
        return holds

    assert attempt(shifted=False)
    assert attempt(shifted=True) == weakened


def test_the_equation_is_the_one_that_is_checked() -> None:
    """What the shifted D is measured against."""
    keys, lam = toy.listing_keys(), 77
    proof = toy.prove_listing(40, toy.vector(), lambda _: Challenges(SIGMA, lam))
    assert equation_holds(keys.verifying, [40, SIGMA, lam, proof.y], proof.proof, proof.d)
    assert not equation_holds(keys.verifying, [40, SIGMA, lam, proof.y + 1], proof.proof, proof.d)
