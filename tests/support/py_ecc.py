"""The verdict of py_ecc on a proof without a committed segment: pairings in an implementation of its own."""

from __future__ import annotations

from fedproof.proving.keys import VerifyingKey


def accepts(key: VerifyingKey, public: list[int], proof: bytes) -> bool:
    """`e(A, B) = e(alpha, beta) e(IC(x), [1]_2) e(C, delta)` in an implementation of its own."""
    from py_ecc.optimized_bn128 import FQ, FQ2, FQ12, G2, add, b2, is_on_curve, multiply, neg, pairing
    from py_ecc.optimized_bn128 import b as b1

    def words(data: bytes) -> list[int]:
        return [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]

    def g1(data: bytes):  # type: ignore[no-untyped-def]
        x, y = words(data)
        point = (FQ(x), FQ(y), FQ(1))
        assert is_on_curve(point, b1)
        return point

    def g2(data: bytes):  # type: ignore[no-untyped-def]
        x_imaginary, x_real, y_imaginary, y_real = words(data)
        point = (FQ2([x_real, x_imaginary]), FQ2([y_real, y_imaginary]), FQ2.one())
        assert is_on_curve(point, b2)
        return point

    ic = g1(key.ic[0])
    for value, point in zip(public, key.ic[1:], strict=True):
        ic = add(ic, multiply(g1(point), value))
    product = FQ12.one()
    for left, right in (
        (neg(g1(proof[:64])), g2(proof[64:192])),
        (g1(key.alpha), g2(key.beta)),
        (ic, G2),
        (g1(proof[192:]), g2(key.delta)),
    ):
        product *= pairing(right, left)
    return bool(product == FQ12.one())
