"""KZG commitments open to the value the polynomial has, and to no other; powers files are checked."""

import pytest

from fedproof import _core

from .support import G1, G2, INFINITY_G1, R, fr, one, pairing_product, word

SIZE = 16
SRS = _core.Srs.generate(SIZE, [5, 9], bytes(32))
COEFFS = [3, R - 1, 0, 2**100, 7, R - 12345]


def opens(srs: _core.Srs, commitment: bytes, x: int, y: int, quotient: bytes) -> bool:
    """`e(C - y[1] + x Q, [1]) = e(Q, [tau])` (protocol, section 4), by py_ecc."""
    left = _core.g1_add(_core.g1_add(commitment, _core.g1_mul(quotient, x)), _core.g1_mul(G1, -y % R))
    return pairing_product((left, G2), (_core.g1_neg(quotient), srs.g2_power(1)))


def test_an_opening_is_the_value_and_verifies() -> None:
    f, x = fr(*COEFFS), 98765
    value, quotient = SRS.open(f, fr(x))
    assert one(value) == sum(c * pow(x, i, R) for i, c in enumerate(COEFFS)) % R
    commitment = SRS.commit(f)
    assert opens(SRS, commitment, x, one(value), quotient)
    assert not opens(SRS, commitment, x, one(value) + 1, quotient)
    assert not opens(SRS, commitment, x + 1, one(value), quotient)
    assert not opens(SRS, SRS.commit(fr(*COEFFS[:-1])), x, one(value), quotient)


def test_commitments_add() -> None:
    a, b = SRS.commit(fr(1, 2, 3)), SRS.commit(fr(10, 20))
    assert _core.g1_add(a, b) == SRS.commit(fr(11, 22, 3))


def test_an_offset_shifts_the_positions() -> None:
    assert SRS.commit(fr(1, 2), 5) == SRS.commit(fr(0, 0, 0, 0, 0, 1, 2))
    assert SRS.commit(fr(4), SIZE - 1) == SRS.commit(fr(*[0] * (SIZE - 1), 4))


def test_the_powers_of_g2_are_those_of_g1() -> None:
    for k in (1, 5, 9):
        assert pairing_product((SRS.commit(fr(1), k), G2), (_core.g1_neg(G1), SRS.g2_power(k)))
    assert not pairing_product((SRS.commit(fr(1), 6), G2), (_core.g1_neg(G1), SRS.g2_power(5)))


def test_constants_and_the_empty_polynomial() -> None:
    assert SRS.commit(fr(7)) == _core.g1_mul(G1, 7)
    assert SRS.commit(fr()) == INFINITY_G1
    assert SRS.commit(fr(), SIZE) == INFINITY_G1
    value, quotient = SRS.open(fr(7), 3)
    assert (one(value), quotient) == (7, INFINITY_G1)
    value, quotient = SRS.open(fr(), 3)
    assert (one(value), quotient) == (0, INFINITY_G1)


def test_rejects_polynomials_beyond_the_powers() -> None:
    SRS.commit(fr(*range(SIZE)))
    for length, offset in ((SIZE + 1, 0), (2, SIZE - 1), (1, SIZE), (0, SIZE + 1), (1, 2**63)):
        with pytest.raises(ValueError, match="do not fit into 16 powers"):
            SRS.commit(fr(*range(length)), offset)
    with pytest.raises(ValueError, match="do not fit into 16 powers"):
        SRS.open(fr(*range(SIZE + 1)), 3)


def test_rejects_a_power_of_g2_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"power 6 of G2 is not among \[1, 5, 9\]"):
        SRS.g2_power(6)


@pytest.mark.parametrize(
    ("size", "powers", "message"),
    [(0, [], "at least 2"), (1, [], "at least 2"), (4, [4], "not below the size 4"), (2**40, [], "above the limit")],
)
def test_rejects_sizes_that_make_no_sense(size: int, powers: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.Srs.generate(size, powers)


def test_two_dealers_draw_different_taus() -> None:
    assert _core.Srs.generate(2, []).g2_power(1) != _core.Srs.generate(2, []).g2_power(1)
    assert _core.Srs.generate(SIZE, [5, 9], bytes(32)).to_bytes() == SRS.to_bytes()


HEADER = 16 + 4
G2_START = HEADER + 64 * SIZE + 4


def test_a_file_goes_there_and_back() -> None:
    data = SRS.to_bytes()
    again = _core.Srs.from_bytes(data)
    assert again.size == SIZE
    assert again.to_bytes() == data == _core.Srs.from_bytes(data, check=False).to_bytes()
    assert again.open(fr(*COEFFS), 5)[1] == SRS.open(fr(*COEFFS), 5)[1]


def replaced(at: int, new: bytes) -> bytes:
    data = SRS.to_bytes()
    return data[:at] + new + data[at + len(new) :]


def g1_at(i: int) -> int:
    return HEADER + 64 * i


def g2_at(i: int) -> int:
    return G2_START + i * (4 + 128) + 4


OTHER = _core.Srs.generate(SIZE, [5, 9], b"\x01" * 32)
TAMPERED = {
    "one power of G1": replaced(g1_at(7), G1),
    "the last power of G1": replaced(g1_at(SIZE - 1), SRS.commit(fr(2), SIZE - 1)),
    "two powers swapped": replaced(g1_at(3), SRS.commit(fr(1), 4) + SRS.commit(fr(1), 3)),
    "another first power": replaced(g1_at(0), _core.g1_mul(G1, 2)),
    "tau is zero": replaced(g1_at(1), bytes(64 * (SIZE - 1))),
    "tau of G2 from elsewhere": replaced(g2_at(0), OTHER.g2_power(1)),
    "a later power of G2 from elsewhere": replaced(g2_at(2), OTHER.g2_power(9)),
    "powers of G2 relabelled": replaced(g2_at(1) - 4, (6).to_bytes(4, "little")),
}


@pytest.mark.parametrize("data", TAMPERED.values(), ids=TAMPERED.keys())
def test_rejects_a_file_that_does_not_hold_powers_of_one_tau(data: bytes) -> None:
    _core.Srs.from_bytes(data, check=False)
    with pytest.raises(ValueError, match="powers of one tau"):
        _core.Srs.from_bytes(data)


MALFORMED = {
    "empty": b"",
    "magic": b"X" + SRS.to_bytes()[1:],
    "truncated": SRS.to_bytes()[:-1],
    "trailing byte": SRS.to_bytes() + b"\0",
    "huge count": replaced(16, b"\xff" * 4),
    "off the curve": replaced(g1_at(7), word(1) + word(3)),
    "power of G2 twice": replaced(g2_at(2) - 4, (5).to_bytes(4, "little")),
    "power of G2 beyond the size": replaced(g2_at(2) - 4, (SIZE).to_bytes(4, "little")),
    "no tau in G2": replaced(g2_at(0) - 4, (2).to_bytes(4, "little")),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_rejects_a_malformed_file(data: bytes) -> None:
    with pytest.raises(ValueError):
        _core.Srs.from_bytes(data)
