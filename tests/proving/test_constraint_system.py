"""The constraint system: arrays of combinations behave as NumPy arrays of numbers do, and phases cannot be crossed."""

from __future__ import annotations

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.proving.lin import Lin, concatenate, stack
from fedproof.proving.r1cs import ConstraintSystem

R = _core.MODULUS


def fresh() -> ConstraintSystem:
    """A system that assigns, with fixed challenges."""
    return ConstraintSystem(structure=True, challenge=lambda _: (3, 5))


def values(lin: Lin) -> np.ndarray:
    """Values as signed numbers in the shape of the array."""
    signed = [v if v < R // 2 else v - R for v in _core.fr_to_ints(lin.cs.value(lin))]
    return np.array(signed, dtype=object).reshape(lin.shape)


@pytest.fixture
def array() -> tuple[np.ndarray, Lin]:
    """A 4 x 3 array of numbers and its wires."""
    numbers = np.arange(-5, 7, dtype=np.int64).reshape(4, 3)
    return numbers, fresh().private((4, 3), numbers, "x")


def test_arithmetic_is_that_of_arrays(array: tuple[np.ndarray, Lin]) -> None:
    n, x = array
    assert np.array_equal(values(x + x * 3 - 7), 4 * n - 7)
    assert np.array_equal(values(5 - x), 5 - n)
    assert np.array_equal(values(x * np.array([1, -2, 3])), n * np.array([1, -2, 3]))
    assert np.array_equal(values((x * 3) * np.array([[2], [3], [5], [7]])), 3 * n * np.array([[2], [3], [5], [7]]))
    assert np.array_equal(values(x[1:3] + x[0]), n[1:3] + n[0])
    assert np.array_equal(values(x.sum(0)), n.sum(0))
    assert np.array_equal(values(x.sum(-1)), n.sum(-1))
    assert values(x.sum()) == n.sum()
    assert np.array_equal(values(x.reshape(2, -1)), n.reshape(2, -1))
    assert np.array_equal(values(x[:, ::-1]), n[:, ::-1])
    assert np.array_equal(values(concatenate([x, x[:1] * 2])), np.concatenate([n, 2 * n[:1]]))
    assert np.array_equal(values(concatenate([x, x], axis=1)), np.concatenate([n, n], axis=1))
    assert np.array_equal(values(stack([x[0], x[1]], axis=-1)), np.stack([n[0], n[1]], axis=-1))
    assert np.array_equal(values(x[[3, 0, 0]]), n[[3, 0, 0]])


def test_coefficients_are_reduced_modulo_r(array: tuple[np.ndarray, Lin]) -> None:
    n, x = array
    assert np.array_equal(values(x * (R + 2)), 2 * n)
    assert np.array_equal(values(x * (R - 1)), -n)


def test_products_and_powers_are_constrained() -> None:
    cs = fresh()
    x = cs.private((3,), [2, 3, 4], "x")
    less = cs.private((3,), [1, 1, 1], "less")
    assert values(cs.product(x, x, "square")).tolist() == [4, 9, 16]
    assert values(cs.product(x, x, "square", less=less)).tolist() == [3, 8, 15]
    for count in range(1, 10):
        before = cs.num_constraints
        assert values(cs.powers(x[0], count, "powers")).tolist() == [2**k for k in range(count)]
        assert cs.num_constraints - before == max(0, count - 2)
    r1cs, z = cs.build(), cs.witness()
    assert r1cs.first_unsatisfied(z) is None
    for position in range(1, len(z)):
        broken = z.copy()
        broken[position] = _core.fr_from_ints([999])[0]
        assert r1cs.first_unsatisfied(broken) is not None


def test_wires_are_ordered_by_segment() -> None:
    cs = fresh()
    cs.private((1,), [30], "p")
    sigma, lam = cs.public("sigma"), cs.public("lambda")
    cs.committed((2,), [20, 21], "c")
    cs.challenges(sigma, lam)
    z = _core.fr_to_ints(cs.witness())
    assert z[:5] == [1, 3, 5, 20, 21]
    assert z[6] == 30
    assert cs.public_values() == [3, 5]


def test_refuses_committed_wires_and_lookups_after_the_challenges() -> None:
    cs = fresh()
    sigma, lam = cs.public("sigma"), cs.public("lambda")
    table = cs.table("bit", np.arange(2, dtype=np.int64))
    x = cs.committed((1,), [1], "x")
    cs.challenges(sigma, lam)
    with pytest.raises(ProofError, match="after the challenges"):
        cs.committed((1,), [0], "late")
    with pytest.raises(ProofError, match="after the challenges"):
        table.lookup(x)


def test_refuses_a_value_that_is_in_no_table_before_it_proves() -> None:
    for value in (2, -1, R - 1, 2**70):
        cs = fresh()
        sigma, lam = cs.public("sigma"), cs.public("lambda")
        cs.table("bit", np.arange(2, dtype=np.int64)).lookup(cs.committed((1,), [value], "x"))
        with pytest.raises(ProofError, match="'bit'"):
            cs.challenges(sigma, lam)


def test_refuses_a_table_with_a_repeated_key() -> None:
    with pytest.raises(ProofError, match="repeated"):
        fresh().table("bad", np.array([1, 1], dtype=np.int64))


def test_the_committed_segment_always_holds_fresh_randomness() -> None:
    """Without it D would be a function of private data (CVE-2024-45040)."""
    drawn = []
    for _ in range(2):
        seen: list[np.ndarray] = []

        def challenge(c: np.ndarray, seen: list[np.ndarray] = seen) -> tuple[int, int]:
            seen.append(c)
            return 3, 5

        cs = ConstraintSystem(structure=False, challenge=challenge)
        sigma, lam = cs.public("sigma"), cs.public("lambda")
        cs.committed((2,), [7, 8], "c")
        cs.challenges(sigma, lam)
        drawn.append(_core.fr_to_ints(seen[0]))
    assert drawn[0][:2] == drawn[1][:2] == [7, 8]
    assert drawn[0][2] != drawn[1][2]


def test_refuses_an_assignment_of_another_length() -> None:
    with pytest.raises(ProofError, match="2 values where the circuit has 3"):
        fresh().private((3,), [1, 2], "x")
