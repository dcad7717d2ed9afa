"""G1 arithmetic agrees with py_ecc; bytes that are no point are refused by every function."""

from collections.abc import Callable

import pytest
from py_ecc import optimized_bn128 as bn

from fedproof import _core

from .support import G1, G2, INFINITY_G1, INFINITY_G2, P, R, fr, from_g1, from_g2, to_g1, word

BAD_G1 = {
    "off the curve": word(1) + word(3),
    "x is p": word(P) + word(2),
    "y above p": word(1) + word(P + 2),
    "alias of the generator": word(P + 1) + word(2),
    "x is zero": word(0) + word(1),
    "all ones": b"\xff" * 64,
    "short": G1[:-1],
    "long": G1 + b"\0",
    "empty": b"",
}


def outside_the_subgroup() -> bytes:
    """A point of the twist y^2 = x^3 + 3/(9 + u) whose order is not r."""
    half = (P + 1) // 4
    for seed in range(1, 50):
        x = bn.FQ2([seed, 1])
        square = x * x * x + bn.b2
        # Root in Fp[u]/(u^2 + 1): by the norm, both candidates tried.
        a, b = (int(c) for c in square.coeffs)
        norm = pow(a * a + b * b, half, P)
        for sign in (1, -1):
            real = pow((a + sign * norm) * pow(2, -1, P) % P, half, P)
            if real and (y := bn.FQ2([real, b * pow(2 * real, -1, P) % P])) * y == square:
                point = (x, y, bn.FQ2.one())
                assert bn.is_on_curve(point, bn.b2)
                if not bn.is_inf(bn.multiply(point, R)):
                    return from_g2(point)
    raise AssertionError("no point found")


def test_generators_are_those_of_the_precompiles() -> None:
    assert from_g1(bn.G1) == G1
    assert from_g2(bn.G2) == G2


@pytest.mark.parametrize(("j", "k"), [(1, 1), (1, 2), (5, R - 5), (123, 456), (0, 7), (0, 0)])
def test_addition_and_multiples(j: int, k: int) -> None:
    p, q = bn.multiply(bn.G1, j), bn.multiply(bn.G1, k)
    assert _core.g1_mul(G1, fr(j)) == from_g1(p)
    assert _core.g1_add(from_g1(p), from_g1(q)) == from_g1(bn.add(p, q))
    assert _core.g1_neg(from_g1(p)) == from_g1(bn.neg(p))


@pytest.mark.parametrize("n", [0, 1, 2, 37])
def test_msm(n: int) -> None:
    scalars = [0, 1, R - 1, 255, R - 256, 65535, 2**32 - 1, R - 2**32, 2**64 - 1, R - 2**64 + 1, 2**200, R // 2][:n]
    scalars += [pow(3, 200 + i, R) for i in range(n - len(scalars))]
    points = [_core.g1_mul(G1, 1000 + i) for i in range(n)]
    expected = bn.multiply(bn.G1, sum(k * (1000 + i) for i, k in enumerate(scalars)) % R)
    assert _core.g1_msm(b"".join(points), fr(*scalars)) == from_g1(expected)


def test_multiples_of_the_generators() -> None:
    scalars = [0, 1, R - 1, 2**128 + 7]
    g1, g2 = _core.g1_multiples(fr(*scalars)), _core.g2_multiples(fr(*scalars))
    assert g1 == b"".join(from_g1(bn.multiply(bn.G1, k)) for k in scalars)
    assert g2[:128] == INFINITY_G2
    assert g2[128:] == b"".join(from_g2(bn.multiply(bn.G2, k)) for k in scalars[1:])
    assert _core.g1_multiples(fr()) == _core.g2_multiples(fr()) == b""


def test_msm_takes_repeated_and_infinite_points() -> None:
    points = G1 + G1 + INFINITY_G1 + _core.g1_neg(G1)
    assert _core.g1_msm(points, fr(5, 7, 9, 11)) == _core.g1_mul(G1, 1)


def test_msm_rejects_lengths_that_differ() -> None:
    with pytest.raises(ValueError, match="2 points but 1 scalars"):
        _core.g1_msm(G1 + G1, fr(1))
    with pytest.raises(ValueError, match="64 bytes each"):
        _core.g1_msm(G1 + b"\0", fr(1))


@pytest.mark.parametrize("bad", BAD_G1.values(), ids=BAD_G1.keys())
@pytest.mark.parametrize(
    "function",
    [
        _core.g1_check,
        _core.g1_neg,
        lambda p: _core.g1_add(G1, p),
        lambda p: _core.g1_add(p, G1),
        lambda p: _core.g1_mul(p, fr(3)),
        lambda p: _core.g1_msm(G1 + p, fr(1, 0)) if p else _core.g1_check(p),
    ],
)
def test_rejects_what_is_no_g1_point(function: Callable[[bytes], object], bad: bytes) -> None:
    with pytest.raises(ValueError):
        function(bad)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (outside_the_subgroup(), "not in the subgroup"),
        (G2[:64] + word(1) + word(1), "not on the curve"),
        (word(P) + G2[32:], "not below p"),
        (G2[:-1], "128 bytes"),
        (G2 + b"\0", "128 bytes"),
        (G2[32:64] + G2[:32] + G2[96:] + G2[64:96], "not on the curve"),
    ],
)
def test_rejects_what_is_no_g2_point(bad: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.g2_check(bad)


def test_accepts_points_and_infinity() -> None:
    for point in (G1, INFINITY_G1, _core.g1_mul(G1, 77)):
        _core.g1_check(point)
    for point in (G2, INFINITY_G2, from_g2(bn.multiply(bn.G2, 77))):
        _core.g2_check(point)
    assert to_g1(INFINITY_G1) == bn.Z1
