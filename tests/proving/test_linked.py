"""Linked proofs through the public interface: what is refused, and two independent checks of the equations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from py_ecc.optimized_bn128 import FQ, FQ2, FQ12, add, b, b2, curve_order, is_on_curve, multiply, neg, pairing

from fedproof import _core
from fedproof.errors import KeyFileError, ProofError
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, VerifyingKey, setup
from fedproof.proving.linked import LinkedProof, check_linked, prove_linked
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from fedproof.proving.transcript import Challenges

R = _core.MODULUS


@dataclass(frozen=True)
class Toy:
    """Two committed vectors of four small numbers each, looked up and linked."""

    name: str = "toy"
    version: int = 1

    def synthesize(self, cs: ConstraintSystem, witness: tuple[list[int], FrArray] | None) -> None:
        sigma, lam, y = cs.public("sigma"), cs.public("lambda"), cs.public("y")
        small = cs.committed((4,), witness and witness[0], "small")
        free = cs.committed((4,), witness and witness[1], "free")
        cs.table("limb", np.arange(16, dtype=np.int64)).lookup(small)
        cs.challenges(sigma, lam)
        powers = cs.powers(sigma, 4, "powers")
        first = small[0] + cs.product(small[1:], powers[1:], "first").sum()
        second = free[0] + cs.product(free[1:], powers[1:], "second").sum()
        result = first + cs.product(second, lam, "lambda")
        if cs.assigning:
            cs.assign(y, cs.value(result))
        cs.equal(result, y, "output")


@dataclass(frozen=True)
class Setting:
    """Keys, powers, an honest witness and its commitments."""

    keys: Keys
    srs: _core.Srs
    small: list[int]
    free: FrArray
    commitments: list[bytes]

    def challenge(self, d: bytes) -> Challenges:
        base = d + b"".join(self.commitments)
        return Challenges(*(int.from_bytes(_core.keccak256(t + base), "big") % R for t in (b"s", b"l")))

    def prove(self) -> LinkedProof:
        vectors = [_core.fr_from_ints(self.small), self.free]
        return prove_linked(self.keys, Toy(), (self.small, self.free), self.srs, vectors, self.challenge)

    def check(self, proof: LinkedProof, **changes: object) -> None:
        given = {"challenges": self.challenge(proof.d), "commitments": self.commitments, **changes}
        check_linked(self.keys.verifying, [], proof=proof, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def setting() -> Setting:
    srs = _core.Srs.generate(8, [1, 4])
    keys = setup(compile_statement(Toy()), srs, 4)
    small, free = [1, 2, 3, 15], _core.fr_random(4)
    return Setting(keys, srs, small, free, [srs.commit(_core.fr_from_ints(small)), srs.commit(free)])


@pytest.fixture(scope="module")
def proof(setting: Setting) -> LinkedProof:
    return setting.prove()


def g1(point: bytes) -> tuple[FQ, FQ, FQ]:
    """A point for py_ecc."""
    x, y = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    out = (FQ(x), FQ(y), FQ.one())
    assert is_on_curve(out, b)
    return out


def g2(point: bytes) -> tuple[FQ2, FQ2, FQ2]:
    """A point for py_ecc; the wire has the imaginary part first."""
    xi, xr, yi, yr = (int.from_bytes(point[k : k + 32], "big") for k in (0, 32, 64, 96))
    out = (FQ2([xr, xi]), FQ2([yr, yi]), FQ2.one())
    assert is_on_curve(out, b2)
    return out


def test_both_equations_hold_in_an_independent_implementation(setting: Setting, proof: LinkedProof) -> None:
    vk, (sigma, lam) = setting.keys.verifying, setting.challenge(proof.d)
    ic = g1(vk.ic[0])
    for point, value in zip(vk.ic[1:], (sigma, lam, proof.y), strict=True):
        ic = add(ic, multiply(g1(point), value))
    one = g2(_core.g2_generator())
    left = pairing(g2(proof.proof[64:192]), g1(proof.proof[:64]))
    assert vk.eta is not None
    right = (
        pairing(g2(vk.beta), g1(vk.alpha))
        * pairing(one, ic)
        * pairing(g2(vk.delta), g1(proof.proof[192:]))
        * pairing(g2(vk.eta), g1(proof.d))
    )
    assert left == right
    folded = add(g1(setting.commitments[0]), multiply(g1(setting.commitments[1]), lam))
    inner = add(add(folded, neg(multiply(g1(_core.g1_generator()), proof.y))), multiply(g1(proof.q), sigma))
    assert pairing(one, inner) == pairing(g2(vk.tau), g1(proof.q))
    assert left != FQ12.one()
    assert curve_order == R


def test_accepts_an_honest_proof(setting: Setting, proof: LinkedProof) -> None:
    setting.check(proof)


def test_two_proofs_of_one_statement_differ_in_every_part(setting: Setting, proof: LinkedProof) -> None:
    again = setting.prove()
    assert again.d != proof.d
    assert all(again.proof[k : k + 64] != proof.proof[k : k + 64] for k in (0, 64, 128, 192))
    assert again.y != proof.y


def test_rejects_another_commitment(setting: Setting, proof: LinkedProof) -> None:
    other = setting.srs.commit(_core.fr_random(4))
    with pytest.raises(ProofError, match="link does not hold"):
        setting.check(proof, commitments=[setting.commitments[0], other])
    with pytest.raises(ProofError, match="link does not hold"):
        setting.check(proof, commitments=setting.commitments[::-1])


def test_rejects_other_challenges(setting: Setting, proof: LinkedProof) -> None:
    sigma, lam = setting.challenge(proof.d)
    for wrong in (Challenges(sigma + 1, lam), Challenges(sigma, lam + 1), Challenges(lam, sigma)):
        with pytest.raises(ProofError):
            setting.check(proof, challenges=wrong)


def test_rejects_scalars_beyond_r(setting: Setting, proof: LinkedProof) -> None:
    sigma, lam = setting.challenge(proof.d)
    with pytest.raises(ProofError, match=r"\[0, r\)"):
        setting.check(proof, challenges=Challenges(sigma + R, lam))
    with pytest.raises(ProofError, match=r"\[0, r\)"):
        setting.check(replace(proof, y=proof.y + R))


def test_rejects_each_part_of_another_proof(setting: Setting, proof: LinkedProof) -> None:
    other = setting.prove()
    for mixed in (
        replace(proof, proof=other.proof[:64] + proof.proof[64:]),
        replace(proof, proof=proof.proof[:64] + other.proof[64:192] + proof.proof[192:]),
        replace(proof, proof=proof.proof[:192] + other.proof[192:]),
        replace(proof, q=other.q),
        replace(proof, y=other.y),
    ):
        with pytest.raises(ProofError):
            setting.check(mixed)
    with pytest.raises(ProofError):
        setting.check(replace(proof, d=other.d), challenges=setting.challenge(proof.d))


def test_rejects_zero_and_malformed_points(setting: Setting, proof: LinkedProof) -> None:
    p = 21888242871839275222246405745257275088696311157297823662689037894645226208583
    off_curve = (5).to_bytes(32, "big") + (5).to_bytes(32, "big")
    beyond = (int.from_bytes(proof.q[:32], "big") + p).to_bytes(33, "big")[-32:] + proof.q[32:]
    for bad in (
        replace(proof, proof=bytes(256)),
        replace(proof, proof=proof.proof + b"\0"),
        replace(proof, proof=proof.proof[:-1]),
        replace(proof, d=bytes(64)),
        replace(proof, q=bytes(64)),
        replace(proof, q=off_curve),
        replace(proof, d=off_curve),
        replace(proof, q=beyond),
    ):
        with pytest.raises(ProofError):
            setting.check(bad, challenges=setting.challenge(proof.d))


def test_rejects_d_shifted_by_a_public_inputs_point(setting: Setting, proof: LinkedProof) -> None:
    for point in setting.keys.verifying.ic:
        shifted = replace(proof, d=_core.g1_add(proof.d, point))
        with pytest.raises(ProofError):
            setting.check(shifted, challenges=setting.challenge(proof.d))


def test_refuses_to_prove_about_other_vectors_than_the_committed(setting: Setting) -> None:
    vectors = [_core.fr_from_ints([1, 2, 3, 14]), setting.free]
    with pytest.raises(ProofError, match="not what the commitments hold"):
        prove_linked(setting.keys, Toy(), (setting.small, setting.free), setting.srs, vectors, setting.challenge)


def test_refuses_to_prove_a_value_out_of_range(setting: Setting) -> None:
    with pytest.raises(ProofError, match="'limb'"):
        prove_linked(
            setting.keys,
            Toy(),
            ([1, 2, 3, 16], setting.free),
            setting.srs,
            [setting.free, setting.free],
            setting.challenge,
        )


def test_a_key_comes_back_as_it_went_and_nothing_else_is_read(setting: Setting) -> None:
    vk = setting.keys.verifying
    blob = vk.encode()
    assert VerifyingKey.decode(blob) == vk
    assert vk.development
    assert len({vk.delta, vk.eta, _core.g2_generator()}) == 3
    for bad in (
        blob[:-32], blob + bytes(32), blob[:100], b"", blob[:63] + b"\2" + blob[64:], blob[:61] + b"\4" + blob[62:],
        blob[:96] + (5).to_bytes(32, "big") + blob[128:], blob[:160] + blob[161:] + b"\0",
    ):  # fmt: skip
        with pytest.raises(KeyFileError):
            VerifyingKey.decode(bad)


@pytest.mark.parametrize("pair", [("delta", "eta"), ("delta", "gamma"), ("eta", "gamma")])
def test_refuses_a_key_in_which_gamma_delta_or_eta_coincide(setting: Setting, pair: tuple[str, str]) -> None:
    """With such a key a proof needs no witness."""
    vk = setting.keys.verifying
    points = {"delta": vk.delta, "eta": vk.eta, "gamma": _core.g2_generator()}
    bad = replace(vk, **{pair[0]: points[pair[1]]})
    with pytest.raises(KeyFileError, match="without a witness"):
        VerifyingKey.decode(bad.encode())


def test_a_circuits_id_names_every_constraint() -> None:
    base = compile_statement(Toy()).circuit_id
    assert compile_statement(Toy()).circuit_id == base
    assert compile_statement(Toy(version=2)).circuit_id != base
    assert compile_statement(Toy(name="toy2")).circuit_id != base

    class Changed(Toy):
        def synthesize(self, cs: ConstraintSystem, witness: tuple[list[int], FrArray] | None) -> None:
            super().synthesize(cs, witness)
            cs.equal(cs.one, cs.one, "more")

    assert compile_statement(Changed()).circuit_id != base


def test_rejects_a_proof_under_the_key_of_another_setup(setting: Setting, proof: LinkedProof) -> None:
    other = setup(setting.keys.circuit, setting.srs, 4).verifying
    with pytest.raises(ProofError):
        check_linked(other, [], setting.challenge(proof.d), proof, setting.commitments)
