"""Field vectors agree with Python integers, and refuse everything that is not a field vector."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof import _core

from .support import FrArray, R, fr, one, word

ELEMENTS = st.one_of(
    st.integers(0, R - 1), st.sampled_from([0, 1, 2, R - 1, R - 2, R // 2, R // 2 + 1, 2**64, 2**128, 2**192])
)
VECTORS = st.lists(ELEMENTS, max_size=9)


def test_modulus_is_the_order_of_bn254() -> None:
    # EIP-197, "curve_order"
    assert R == 21888242871839275222246405745257275088548364400416034343698204186575808495617


@given(st.lists(st.integers(), max_size=20))
def test_integers_of_any_sign_and_size_are_reduced(values: list[int]) -> None:
    assert _core.fr_to_ints(_core.fr_from_ints(values)) == [v % R for v in values]


def test_huge_integers_are_reduced() -> None:
    values = [2**5000 + 3, -(2**5000) - 3, R, -R, 2**63, -(2**63), 2**63 - 1, -(2**63) - 1]
    assert _core.fr_to_ints(_core.fr_from_ints(values)) == [v % R for v in values]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_int64_goes_there_and_back(values: list[int]) -> None:
    a = _core.fr_from_i64(np.array(values, np.int64))
    assert _core.fr_to_ints(a) == [v % R for v in values]
    assert _core.fr_to_i64(a).tolist() == values


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, R // 2, R // 2 + 1, 2**64, -(2**64)])
def test_rejects_values_that_do_not_fit_into_int64(value: int) -> None:
    with pytest.raises(ValueError, match="element 1 does not fit"):
        _core.fr_to_i64(fr(0, value))


@given(VECTORS)
def test_bytes_are_big_endian_words(values: list[int]) -> None:
    data = b"".join(map(word, values))
    assert _core.fr_to_bytes(_core.fr_from_ints(values)) == data
    assert _core.fr_to_ints(_core.fr_from_bytes(data)) == values


@pytest.mark.parametrize("value", [R, R + 1, 2**256 - 1])
def test_rejects_words_not_below_the_modulus(value: int) -> None:
    with pytest.raises(ValueError, match="word 1 is not below"):
        _core.fr_from_bytes(word(5) + word(value))


@pytest.mark.parametrize("length", [1, 31, 33])
def test_rejects_bytes_that_are_not_whole_words(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes each"):
        _core.fr_from_bytes(bytes(length))


@given(st.lists(st.tuples(ELEMENTS, ELEMENTS), max_size=9))
def test_elementwise_arithmetic(pairs: list[tuple[int, int]]) -> None:
    a, b = _core.fr_from_ints([x for x, _ in pairs]), _core.fr_from_ints([y for _, y in pairs])
    assert _core.fr_to_ints(_core.fr_add(a, b)) == [(x + y) % R for x, y in pairs]
    assert _core.fr_to_ints(_core.fr_sub(a, b)) == [(x - y) % R for x, y in pairs]
    assert _core.fr_to_ints(_core.fr_mul(a, b)) == [x * y % R for x, y in pairs]
    assert _core.fr_to_ints(_core.fr_neg(a)) == [-x % R for x, _ in pairs]
    assert one(_core.fr_dot(a, b)) == sum(x * y for x, y in pairs) % R
    assert one(_core.fr_sum(a)) == sum(x for x, _ in pairs) % R


@given(VECTORS, ELEMENTS)
def test_a_vector_of_length_one_is_repeated(values: list[int], scalar: int) -> None:
    a = _core.fr_from_ints(values)
    assert _core.fr_to_ints(_core.fr_sub(a, fr(scalar))) == [(v - scalar) % R for v in values]
    assert _core.fr_to_ints(_core.fr_sub(fr(scalar), a)) == [(scalar - v) % R for v in values]


@pytest.mark.parametrize("function", [_core.fr_add, _core.fr_sub, _core.fr_mul, _core.fr_dot])
def test_rejects_lengths_that_differ(function: Callable[[FrArray, FrArray], FrArray]) -> None:
    with pytest.raises(ValueError, match="lengths 2 and 3 differ"):
        function(fr(1, 2), fr(1, 2, 3))


@given(st.lists(ELEMENTS.filter(bool), max_size=9))
def test_inverse(values: list[int]) -> None:
    assert _core.fr_to_ints(_core.fr_inverse(_core.fr_from_ints(values))) == [pow(v, -1, R) for v in values]


def test_rejects_the_inverse_of_zero() -> None:
    with pytest.raises(ValueError, match="element 2 is zero"):
        _core.fr_inverse(fr(1, 2, 0, 3))


@pytest.mark.parametrize("n", [0, 1, 5, 5000])
def test_powers(n: int) -> None:
    base = 3**100 % R
    expected, power = [], 1
    for _ in range(n):
        expected.append(power)
        power = power * base % R
    assert _core.fr_to_ints(_core.fr_powers(fr(base), n)) == expected
    assert _core.fr_to_ints(_core.fr_powers(base, n)) == expected


def test_long_vectors_agree_with_short_ones() -> None:
    """Long vectors are cut into blocks for the second core."""
    rng = np.random.default_rng(5)
    values = rng.integers(-(2**62), 2**62, 10_000)
    a = _core.fr_from_i64(values)
    numbers = [int(v) for v in values]
    assert _core.fr_to_ints(_core.fr_mul(a, a)) == [v * v % R for v in numbers]
    assert one(_core.fr_dot(a, a)) == sum(v * v for v in numbers) % R
    assert one(_core.fr_sum(a)) == sum(numbers) % R
    assert _core.fr_to_ints(_core.fr_mul(_core.fr_inverse(a), a)) == [1] * len(numbers)


def test_empty_vectors_stay_empty() -> None:
    empty = _core.fr_from_ints([])
    assert empty.shape == (0, 4)
    assert empty.dtype == np.uint64
    for result in (
        _core.fr_neg(empty),
        _core.fr_inverse(empty),
        _core.fr_add(empty, empty),
        _core.fr_mul(empty, fr(2)),
    ):
        assert result.shape == (0, 4)
    assert one(_core.fr_sum(empty)) == 0
    assert one(_core.fr_dot(empty, empty)) == 0
    assert _core.fr_to_bytes(empty) == b""
    assert _core.fr_to_i64(empty).shape == (0,)


def test_random_elements_differ_between_calls_and_follow_a_seed() -> None:
    assert _core.fr_to_ints(_core.fr_random(4)) != _core.fr_to_ints(_core.fr_random(4))
    seeded = _core.fr_to_ints(_core.fr_random(500, b"\x01" * 32))
    assert seeded == _core.fr_to_ints(_core.fr_random(500, b"\x01" * 32))
    assert seeded != _core.fr_to_ints(_core.fr_random(500, b"\x02" * 32))
    assert len(set(seeded)) == 500
    # Uniform over [0, r): both halves, and values that need all 254 bits.
    assert 190 < sum(v > R // 2 for v in seeded) < 310
    assert max(seeded).bit_length() == 254


def test_rejects_a_seed_of_another_length() -> None:
    with pytest.raises(ValueError, match="32 bytes, got 31"):
        _core.fr_random(1, bytes(31))


def test_rejects_lengths_that_would_exhaust_memory() -> None:
    for length in (2**26 + 1, 2**40):
        with pytest.raises(ValueError, match="above the limit"):
            _core.fr_random(length)
        with pytest.raises(ValueError, match="above the limit"):
            _core.fr_powers(fr(2), length)


LIMBS = [(R >> (64 * i)) & (2**64 - 1) for i in range(4)]


@pytest.mark.parametrize("limbs", [LIMBS, [LIMBS[0] + 1, *LIMBS[1:]], [2**64 - 1] * 4, [0, 0, 0, LIMBS[3] + 1]])
def test_rejects_limbs_not_below_the_modulus(limbs: list[int]) -> None:
    array = np.array([[1, 0, 0, 0], limbs], np.uint64)
    with pytest.raises(ValueError, match="row 1 is not a field element"):
        _core.fr_neg(array)


def test_accepts_the_largest_limbs() -> None:
    largest = np.array([[LIMBS[0] - 1, *LIMBS[1:]]], np.uint64)
    assert _core.fr_to_ints(_core.fr_add(largest, _core.fr_neg(largest))) == [0]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(4, np.uint64),
        np.zeros((2, 3), np.uint64),
        np.zeros((2, 5), np.uint64),
        np.zeros((1, 2, 4), np.uint64),
        np.zeros((4, 0), np.uint64),
        np.array(3, np.uint64),
    ],
)
def test_rejects_another_shape(array: FrArray) -> None:
    with pytest.raises(ValueError, match=r"shape \(n, 4\)"):
        _core.fr_neg(array)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((2, 4), np.int64),
        np.zeros((2, 4), np.float64),
        np.zeros((2, 4), ">u8"),
        np.zeros((2, 4), object),
        [[0, 0, 0, 0]],
        None,
        b"\0" * 32,
        7,
    ],
)
def test_rejects_another_type(value: object) -> None:
    with pytest.raises(TypeError):
        _core.fr_neg(value)  # type: ignore[arg-type]


def test_reads_views_in_any_memory_order() -> None:
    a = _core.fr_from_ints(list(range(10)))
    assert _core.fr_to_ints(_core.fr_neg(a[::-3])) == [-v % R for v in (9, 6, 3, 0)]
    assert _core.fr_to_ints(np.asfortranarray(a)) == list(range(10))


def test_rejects_an_unaligned_array() -> None:
    buffer = np.zeros(33, np.uint8)[1:]
    with pytest.raises(ValueError, match="aligned"):
        _core.fr_neg(buffer.view(np.uint64).reshape(1, 4))


@pytest.mark.parametrize("value", [-1, R, 2**300])
def test_rejects_a_scalar_outside_the_field(value: int) -> None:
    with pytest.raises(ValueError, match=r"not negative|not below"):
        _core.fr_powers(value, 3)


@pytest.mark.parametrize("count", [0, 2])
def test_rejects_a_vector_for_a_scalar(count: int) -> None:
    with pytest.raises(ValueError, match=f"one field element, got {count}"):
        _core.fr_powers(fr(*range(count)), 3)


@pytest.mark.parametrize("value", [1.0, "1", None, b"1"])
def test_rejects_what_is_no_integer(value: object) -> None:
    with pytest.raises(TypeError):
        _core.fr_from_ints([1, value])  # type: ignore[list-item]


@settings(max_examples=30)
@given(st.lists(ELEMENTS, min_size=1, max_size=12), ELEMENTS)
def test_polynomials(coeffs: list[int], x: int) -> None:
    f = _core.fr_from_ints(coeffs)
    value = sum(c * pow(x, i, R) for i, c in enumerate(coeffs)) % R
    assert one(_core.poly_eval(f, fr(x))) == value
    quotient = _core.fr_to_ints(_core.poly_divide_linear(f, fr(x)))
    assert len(quotient) == len(coeffs) - 1
    # (X - x) * quotient + f(x) = f, coefficient by coefficient
    product = [0, *quotient]
    for i, c in enumerate(quotient):
        product[i] = (product[i] - x * c) % R
    product[0] = (product[0] + value) % R
    assert product == coeffs


def test_long_polynomials_agree_with_horner() -> None:
    coeffs = _core.fr_to_ints(_core.fr_random(5000, bytes(32)))
    x, expected = 2**200 + 1, 0
    for c in reversed(coeffs):
        expected = (expected * x + c) % R
    assert one(_core.poly_eval(_core.fr_from_ints(coeffs), x)) == expected


def test_the_empty_polynomial_is_zero() -> None:
    empty = _core.fr_from_ints([])
    assert one(_core.poly_eval(empty, 5)) == 0
    assert _core.poly_divide_linear(empty, 5).shape == (0, 4)
