"""The precompiles do what py-evm's do, malformed input included."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from eth.exceptions import VMError
from eth.precompiles.ecadd import ecadd
from eth.precompiles.ecmul import ecmul
from eth.precompiles.ecpairing import ecpairing
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof import _core

from .support import G1, G2, INFINITY_G1, INFINITY_G2, P, R, fr, pairing_product, word
from .test_points import outside_the_subgroup


def reference(precompile: Callable[..., object], data: bytes) -> bytes | None:
    """Output of py-evm's precompile, None where it fails."""
    message = SimpleNamespace(data=data, data_as_bytes=data)
    computation = SimpleNamespace(msg=message, consume_gas=lambda cost, reason: None, output=b"")
    try:
        precompile(computation)
    except VMError:
        return None
    return bytes(computation.output)


def ours(precompile: Callable[[bytes], bytes | bool], data: bytes) -> bytes | None:
    try:
        result = precompile(data)
    except ValueError:
        return None
    return word(int(result)) if isinstance(result, bool) else result


POINTS = st.one_of(
    st.integers(0, 2**16).map(lambda k: _core.g1_mul(G1, k)),
    st.sampled_from([G1, _core.g1_neg(G1), INFINITY_G1, word(1) + word(3), word(P) + word(2), word(P + 1) + word(2)]),
)
SCALARS = st.one_of(st.integers(0, 2**256 - 1), st.sampled_from([0, 1, R - 1, R, R + 1, P, 2**256 - 1]))
CUTS = st.one_of(st.none(), st.integers(0, 140))
TAILS = st.sampled_from([b"", b"\0", b"tail", bytes(64)])


@settings(max_examples=80, deadline=None)
@given(POINTS, POINTS, CUTS, TAILS)
def test_addition_is_that_of_the_evm(p: bytes, q: bytes, cut: int | None, tail: bytes) -> None:
    data = (p + q + tail)[:cut]
    assert ours(_core.ec_add, data) == reference(ecadd, data)


@settings(max_examples=60, deadline=None)
@given(POINTS, SCALARS, CUTS, TAILS)
def test_multiplication_is_that_of_the_evm(p: bytes, k: int, cut: int | None, tail: bytes) -> None:
    data = (p + word(k) + tail)[:cut]
    assert ours(_core.ec_mul, data) == reference(ecmul, data)


def test_short_input_reads_as_zeros() -> None:
    assert _core.ec_add(b"") == INFINITY_G1
    assert _core.ec_mul(b"") == INFINITY_G1
    assert _core.ec_add(G1) == G1
    assert _core.ec_mul(G1) == INFINITY_G1
    assert _core.ec_mul(G1 + b"\x01") == _core.g1_mul(G1, 2**248)


def test_a_scalar_above_the_order_is_reduced() -> None:
    assert _core.ec_mul(G1 + word(R + 5)) == _core.g1_mul(G1, 5)


BALANCED = _core.g1_mul(G1, 6) + G2 + _core.g1_mul(G1, R - 6) + G2
PAIRINGS = {
    "empty": (b"", True),
    "balanced": (BALANCED, True),
    "unbalanced": (G1 + G2 + G1 + G2, False),
    "one pair": (G1 + G2, False),
    "infinity in G1": (INFINITY_G1 + G2, True),
    "infinity in G2": (G1 + INFINITY_G2, True),
}
MALFORMED = {
    "trailing byte": BALANCED + b"\0",
    "missing byte": BALANCED[:-1],
    "G1 off the curve": word(1) + word(3) + G2,
    "G1 coordinate p": word(P) + word(2) + G2,
    "G2 off the curve": G1 + G2[:64] + word(1) + word(1),
    "G2 coordinate above p": G1 + word(int.from_bytes(G2[:32], "big") + P) + G2[32:],
    "G2 outside the subgroup": G1 + outside_the_subgroup(),
    "G2 outside the subgroup beside infinity": INFINITY_G1 + outside_the_subgroup(),
    "bad second pair": G1 + G2 + word(1) + word(3) + G2,
}


@pytest.mark.parametrize(("data", "expected"), PAIRINGS.values(), ids=PAIRINGS.keys())
def test_pairing(data: bytes, expected: bool) -> None:
    assert _core.ec_pairing(data) is expected
    assert reference(ecpairing, data) == word(int(expected))


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_pairing_rejects_malformed_input(data: bytes) -> None:
    with pytest.raises(ValueError):
        _core.ec_pairing(data)
    assert reference(ecpairing, data) is None


def test_pairing_is_bilinear() -> None:
    srs = _core.Srs.generate(4, [2, 3], bytes(32))
    # e([tau^3], [1]) = e([tau], [tau^2])
    left, right = srs.commit(fr(1), 3), _core.g1_neg(srs.commit(fr(1), 1))
    data = left + G2 + right + srs.g2_power(2)
    assert _core.ec_pairing(data)
    assert pairing_product((left, G2), (right, srs.g2_power(2)))
    assert not _core.ec_pairing(left + G2 + right + srs.g2_power(3))
