"""Keys under which a proof needs no witness, each with the proof it would let through; none is read from a blob."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof import _core
from fedproof.errors import KeyFileError, ProofError
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import VerifyingKey, setup
from fedproof.proving.linked import check_plain
from fedproof.statements.eligibility import EligibilityStatement
from tests.core.support import G1, G2, INFINITY_G1, INFINITY_G2, P, R, fr
from tests.core.test_points import outside_the_subgroup

VK = setup(compile_statement(EligibilityStatement(0, 1)), _core.Srs.generate(8, [1, 4]), 4).verifying
PUBLIC = [1, 2, 3, 2**127, 5, 6]
"""Six numbers for which nobody has a witness."""


def minus(point: bytes) -> bytes:
    """`-p` in G2."""
    words = [int.from_bytes(point[k : k + 32], "big") for k in range(0, 128, 32)]
    return b"".join(word.to_bytes(32, "big") for word in (*words[:2], *(-word % P for word in words[2:])))


def ic(vk: VerifyingKey) -> bytes:
    return _core.g1_msm(b"".join(vk.ic), fr(1, *PUBLIC))


IC, NEG = ic(VK), _core.g1_neg
WEAK = {
    "delta is gamma": (replace(VK, delta=G2), VK.alpha + VK.beta + NEG(IC)),
    "delta is minus gamma": (replace(VK, delta=minus(G2)), VK.alpha + VK.beta + IC),
    "beta is gamma": (replace(VK, beta=G2), _core.g1_add(VK.alpha, IC) + G2 + INFINITY_G1),
    "beta is minus gamma": (replace(VK, beta=minus(G2)), _core.g1_add(NEG(VK.alpha), IC) + G2 + INFINITY_G1),
    "beta is delta": (replace(VK, beta=VK.delta), IC + G2 + NEG(VK.alpha)),
    "beta is minus delta": (replace(VK, beta=minus(VK.delta)), IC + G2 + VK.alpha),
    "alpha is infinity": (replace(VK, alpha=INFINITY_G1), IC + G2 + INFINITY_G1),
    "beta is infinity": (replace(VK, beta=INFINITY_G2), IC + G2 + INFINITY_G1),
    "delta is infinity": (replace(VK, delta=INFINITY_G2), None),
}


@pytest.mark.parametrize("name", WEAK)
def test_refuses_a_key_under_which_a_proof_needs_no_witness(name: str) -> None:
    vk, forged = WEAK[name]
    with pytest.raises(KeyFileError):
        VerifyingKey.decode(vk.encode())
    if forged is None:
        return
    a, b, c = forged[:64], forged[64:192], forged[192:]
    equation = [NEG(a), b, vk.alpha, vk.beta, ic(vk), G2, c, vk.delta]
    assert _core.ec_pairing(b"".join(equation)), "the forgery is no forgery"
    with pytest.raises(ProofError):
        check_plain(vk, PUBLIC, forged)


@pytest.mark.parametrize("at", range(7))
def test_refuses_a_key_that_leaves_a_public_input_free(at: int) -> None:
    """With an IC point at infinity one proof holds for every value of its input."""
    bad = replace(VK, ic=(*VK.ic[:at], INFINITY_G1, *VK.ic[at + 1 :]))
    with pytest.raises(KeyFileError):
        VerifyingKey.decode(bad.encode())


@pytest.mark.parametrize("sign", [lambda point: point, minus], ids=["equal", "minus"])
@pytest.mark.parametrize("name", ["beta", "delta", "tau", "tau_d"])
def test_refuses_a_key_with_a_point_of_known_logarithm_or_twice(name: str, sign: object) -> None:
    """With tau = 1 every commitment opens to every value; the points of one key are pairwise different up to sign."""
    assert callable(sign)
    others = {"gamma": G2, "beta": VK.beta, "delta": VK.delta, "tau": VK.tau, "tau_d": VK.tau_d}
    for other, point in others.items():
        if other != name:
            with pytest.raises(KeyFileError, match="without a witness"):
                VerifyingKey.decode(replace(VK, **{name: sign(point)}).encode())


@pytest.mark.parametrize("name", ["beta", "delta", "eta", "tau", "tau_d"])
def test_refuses_a_key_with_one_bad_point_of_g2(name: str) -> None:
    """The pairing would take a point outside of the subgroup for something else, or refuse every proof."""
    good = replace(VK, eta=_core.Srs.generate(2, [1]).g2_power(1))
    assert VerifyingKey.decode(good.encode()) == good
    for bad in (outside_the_subgroup(), G2[:64] + VK.beta[64:], b"\xff" * 128):
        with pytest.raises(KeyFileError, match="a bad point"):
            VerifyingKey.decode(replace(good, **{name: bad}).encode())


def test_refuses_a_key_of_more_than_64_public_inputs() -> None:
    """As the contracts do: a proof's cost grows with each."""
    most = replace(VK, ic=(VK.ic * 10)[:65])
    assert VerifyingKey.decode(most.encode()) == most
    with pytest.raises(KeyFileError, match="does not fit 65 public inputs"):
        VerifyingKey.decode(replace(most, ic=(*most.ic, VK.alpha)).encode())


def test_a_key_has_one_blob() -> None:
    """Words of an absent eta are zero, as on chain; else one key would have many code hashes."""
    blob = VK.encode()
    assert VerifyingKey.decode(blob) == VK
    assert VK.eta is None
    with pytest.raises(KeyFileError, match="eta"):
        VerifyingKey.decode(blob[:416] + G2 + blob[544:])


@pytest.mark.parametrize(("tau", "factor"), [(G2, 1), (minus(G2), -1)], ids=["1", "-1"])
def test_a_known_tau_opens_a_commitment_to_anything(tau: bytes, factor: int) -> None:
    """Why tau is among the points above: the opening `Q = (F - y) / (tau - sigma)` needs no polynomial."""
    sigma, y = 1234, 999
    f = _core.g1_mul(G1, fr(77))
    rest = _core.g1_add(f, _core.g1_mul(G1, fr(-y)))
    q = _core.g1_mul(rest, fr(pow(factor - sigma, -1, R)))
    left = _core.g1_add(rest, _core.g1_mul(q, fr(sigma)))
    assert _core.ec_pairing(left + G2 + NEG(q) + tau)
