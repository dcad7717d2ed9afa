"""The two equations of a linked proof by py_ecc: an implementation that shares no code with ours."""

from __future__ import annotations

from collections.abc import Sequence

from py_ecc.optimized_bn128 import (
    FQ,
    FQ2,
    FQ12,
    G1,
    G2,
    Z1,
    add,
    b,
    b2,
    curve_order,
    final_exponentiate,
    is_on_curve,
    multiply,
    neg,
    pairing,
)

from fedproof.proving.keys import VerifyingKey
from fedproof.proving.linked import LinkedProof

Point = tuple[FQ, FQ, FQ]
Twist = tuple[FQ2, FQ2, FQ2]


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]


def g1(data: bytes) -> Point:
    """A point of 64 bytes."""
    x, y = _words(data)
    point = (FQ(x), FQ(y), FQ.one())
    assert is_on_curve(point, b)
    return point


def g2(data: bytes) -> Twist:
    """A point of 128 bytes, the imaginary parts first."""
    x_imaginary, x_real, y_imaginary, y_real = _words(data)
    point = (FQ2([x_real, x_imaginary]), FQ2([y_real, y_imaginary]), FQ2.one())
    assert is_on_curve(point, b2)
    return point


def _product(pairs: Sequence[tuple[Point, Twist]]) -> bool:
    product = FQ12.one()
    for left, right in pairs:
        product *= pairing(right, left, final_exponentiate=False)
    return bool(final_exponentiate(product) == FQ12.one())


def groth16_holds(vk: VerifyingKey, public: Sequence[int], proof: LinkedProof) -> bool:
    """`e(A, B) = e(alpha, beta) e(IC(x), [1]_2) e(C, delta) e(D, [eta]_2)`."""
    assert vk.eta is not None
    ic = g1(vk.ic[0])
    for value, point in zip(public, vk.ic[1:], strict=True):
        ic = add(ic, multiply(g1(point), value))
    return _product(
        [
            (neg(g1(proof.proof[:64])), g2(proof.proof[64:192])),
            (g1(vk.alpha), g2(vk.beta)),
            (ic, G2),
            (g1(proof.proof[192:]), g2(vk.delta)),
            (g1(proof.d), g2(vk.eta)),
        ]
    )


def link_holds(vk: VerifyingKey, sigma: int, lam: int, proof: LinkedProof, commitments: Sequence[bytes]) -> bool:
    """`e(F - y [1]_1 + sigma Q, [1]_2) = e(Q, [tau]_2)` with `F = sum_k lambda^k C_k`."""
    total = Z1
    for k, commitment in enumerate(commitments):
        total = add(total, multiply(g1(commitment), pow(lam, k, curve_order)))
    total = add(total, multiply(neg(G1), proof.y))
    total = add(total, multiply(g1(proof.q), sigma))
    return _product([(total, G2), (neg(g1(proof.q)), g2(vk.tau))])
