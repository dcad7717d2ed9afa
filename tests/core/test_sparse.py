"""Sparse matrix times vector agrees with Python integers, and refuses matrices that reach outside."""

import numpy as np
import numpy.typing as npt
import pytest

from fedproof import _core

from .support import R, fr

POOL = [1, -1, 0, 12345678901234567890, R - 5]


def apply(
    indptr: list[int], cols: list[int], ids: list[int], pool: list[int] = POOL, z: tuple[int, ...] = (7, 11, R - 1)
) -> list[int]:
    arrays = np.array(indptr, np.int64), np.array(cols, np.int64), np.array(ids, np.int32)
    return _core.fr_to_ints(_core.sparse_apply(*arrays, fr(*pool), fr(*z)))


def test_agrees_with_integers() -> None:
    rng = np.random.default_rng(1)
    rows, wires = 3000, 50
    lengths = rng.integers(0, 6, rows)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    cols: npt.NDArray[np.int64] = rng.integers(0, wires, indptr[-1])
    ids = rng.integers(0, len(POOL), indptr[-1]).astype(np.int32)
    z = [int(v) for v in rng.integers(-(2**40), 2**40, wires)]
    expected = [sum(POOL[ids[k]] * z[cols[k]] for k in range(indptr[i], indptr[i + 1])) % R for i in range(rows)]
    assert _core.fr_to_ints(_core.sparse_apply(indptr, cols, ids, fr(*POOL), fr(*z))) == expected


def test_a_row_may_name_a_column_twice() -> None:
    assert apply([0, 3], [0, 0, 1], [0, 3, 1]) == [(7 + 7 * POOL[3] - 11) % R]


def test_a_matrix_without_rows_gives_an_empty_vector() -> None:
    assert apply([0], [], []) == []
    assert apply([0, 0, 0], [], []) == [0, 0]
    assert apply([0, 0], [], [], pool=[], z=()) == [0]


@pytest.mark.parametrize(
    ("indptr", "cols", "ids", "message"),
    [
        ([], [], [], "indptr must rise"),
        ([1], [], [], "indptr must rise"),
        ([0, 2], [0], [0], "indptr must rise"),
        ([0, 1], [0, 1], [0, 0], "indptr must rise"),
        ([0, 2, 1, 2], [0, 1], [0, 0], "indptr must rise"),
        ([0, -1, 1], [0], [0], "indptr -1 is out of range"),
        ([0, 1], [3], [0], "column 3 is not below 3"),
        ([0, 1], [-1], [0], "column -1 is out of range"),
        ([0, 1], [2**40], [0], "column 1099511627776 is out of range"),
        ([0, 1], [0], [5], "coefficient id 5 is not below 5"),
        ([0, 1], [0], [-1], "coefficient id -1 is out of range"),
        ([0, 2], [0, 1], [0], "2 columns but 1 coefficient ids"),
    ],
)
def test_rejects_a_malformed_matrix(indptr: list[int], cols: list[int], ids: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply(indptr, cols, ids)


def test_rejects_another_dtype_or_shape() -> None:
    good = np.array([0, 1], np.int64), np.array([0], np.int64), np.array([0], np.int32)
    with pytest.raises(TypeError, match="int32"):
        _core.sparse_apply(good[0], good[1], good[1], fr(1), fr(1))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="int64"):
        _core.sparse_apply(good[0].astype(np.float64), good[1], good[2], fr(1), fr(1))
    with pytest.raises(ValueError, match=r"shape \(n,\)"):
        _core.sparse_apply(good[0].reshape(1, 2), good[1], good[2], fr(1), fr(1))
