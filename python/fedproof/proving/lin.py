"""Arrays of linear combinations of wires: what the statements are written in.

A `Lin` is an array of any shape whose elements are sparse sums `sum_t coefficient_t * wire_t`. Adding, scaling,
summing along an axis and indexing cost no constraint; only `ConstraintSystem.product` and `constrain` do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fedproof.proving.r1cs import ConstraintSystem

Index = NDArray[np.int64]
Ids = NDArray[np.int32]


class Lin:
    """An array of linear combinations over one constraint system. Terms are kept sorted by element."""

    __slots__ = ("coeffs", "cs", "element", "shape", "wires")

    def __init__(self, cs: ConstraintSystem, shape: tuple[int, ...], element: Index, wires: Index, coeffs: Ids) -> None:
        self.cs = cs
        self.shape = shape
        self.element = element
        self.wires = wires
        self.coeffs = coeffs

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def indptr(self) -> Index:
        """Row pointers `(size + 1,)` of the sparse matrix whose rows are the elements in C order."""
        counts = np.bincount(self.element, minlength=self.size)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def _with(self, shape: tuple[int, ...], element: Index, wires: Index, coeffs: Ids) -> Lin:
        order = np.argsort(element, kind="stable")
        return Lin(self.cs, shape, element[order], wires[order], coeffs[order])

    def reshape(self, *shape: int) -> Lin:
        """The same elements in C order under another shape; one entry may be -1."""
        new = np.empty(self.size, dtype=np.int8).reshape(shape).shape
        return Lin(self.cs, new, self.element, self.wires, self.coeffs)

    def __getitem__(self, key: Any) -> Lin:
        picked = np.arange(self.size, dtype=np.int64).reshape(self.shape)[key]
        return self._take(np.asarray(picked))

    def broadcast_to(self, shape: tuple[int, ...]) -> Lin:
        """NumPy broadcasting."""
        if shape == self.shape:
            return self
        positions = np.broadcast_to(np.arange(self.size, dtype=np.int64).reshape(self.shape), shape)
        return self._take(positions)

    def _take(self, positions: Index) -> Lin:
        indptr = self.indptr
        flat = positions.reshape(-1)
        counts = indptr[flat + 1] - indptr[flat]
        element = np.repeat(np.arange(flat.size, dtype=np.int64), counts)
        first = np.repeat(indptr[flat] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        source = first + np.arange(counts.sum(), dtype=np.int64)
        return Lin(self.cs, positions.shape, element, self.wires[source], self.coeffs[source])

    def __add__(self, other: Lin | int) -> Lin:
        if isinstance(other, int):
            other = self.cs.constant(other)
        shape = np.broadcast_shapes(self.shape, other.shape)
        a, b = self.broadcast_to(shape), other.broadcast_to(shape)
        return self._with(
            shape,
            np.concatenate([a.element, b.element]),
            np.concatenate([a.wires, b.wires]),
            np.concatenate([a.coeffs, b.coeffs]),
        )

    __radd__ = __add__

    def __neg__(self) -> Lin:
        return self * -1

    def __sub__(self, other: Lin | int) -> Lin:
        return self + (-other)

    def __rsub__(self, other: Lin | int) -> Lin:
        return (-self) + other

    def __mul__(self, factor: int | Sequence[int] | Index) -> Lin:
        """Scale by a public constant, or by an array of constants that broadcasts against the shape."""
        if isinstance(factor, int):
            return Lin(self.cs, self.shape, self.element, self.wires, self.cs.pool.scaled(self.coeffs, factor))
        factors = np.asarray(factor, dtype=object)
        shape = np.broadcast_shapes(self.shape, factors.shape)
        out = self.broadcast_to(shape)
        distinct, inverse = np.unique(factors.reshape(-1), return_inverse=True)
        per_element = np.broadcast_to(inverse.reshape(factors.shape), shape).reshape(-1)
        coeffs = self.cs.pool.products(out.coeffs, per_element[out.element], [int(v) for v in distinct])
        return Lin(self.cs, shape, out.element, out.wires, coeffs)

    __rmul__ = __mul__

    def sum(self, axis: int | None = None) -> Lin:
        """Sum along one axis, or of everything (shape `()`)."""
        if axis is None:
            return Lin(self.cs, (), np.zeros_like(self.element), self.wires, self.coeffs)
        axis %= len(self.shape)
        shape = self.shape[:axis] + self.shape[axis + 1 :]
        target = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.int64).reshape(shape)
        target = np.broadcast_to(np.expand_dims(target, axis), self.shape).reshape(-1)
        return self._with(shape, target[self.element], self.wires, self.coeffs)


def concatenate(parts: Sequence[Lin], axis: int = 0) -> Lin:
    """Join along an axis, as `np.concatenate`. The parts share one constraint system."""
    cs = parts[0].cs
    offsets = np.cumsum([0, *(part.size for part in parts)])
    places = [
        np.arange(part.size, dtype=np.int64).reshape(part.shape) + offset
        for part, offset in zip(parts, offsets, strict=False)
    ]
    flat = Lin(
        cs,
        (int(offsets[-1]),),
        np.concatenate([part.element + offset for part, offset in zip(parts, offsets, strict=False)]),
        np.concatenate([part.wires for part in parts]),
        np.concatenate([part.coeffs for part in parts]),
    )
    return flat[np.concatenate(places, axis=axis)]


def stack(parts: Sequence[Lin], axis: int = 0) -> Lin:
    """Join along a new axis, as `np.stack`."""
    position = axis % (len(parts[0].shape) + 1)
    return concatenate(
        [part.reshape(*part.shape[:position], 1, *part.shape[position:]) for part in parts], axis=position
    )


class CoefficientPool:
    """The distinct constants of a circuit; matrices hold indices into it."""

    def __init__(self, modulus: int) -> None:
        self.modulus = modulus
        self.values: list[int] = []
        self._ids: dict[int, int] = {}
        self.one = self.id(1)

    def id(self, value: int) -> int:
        """Index of a constant, reduced mod r."""
        value %= self.modulus
        found = self._ids.get(value)
        if found is None:
            found = self._ids[value] = len(self.values)
            self.values.append(value)
        return found

    def scaled(self, ids: Ids, factor: int) -> Ids:
        """Indices of `factor * constant` for each index."""
        if factor % self.modulus == 1 or not ids.size:
            return ids
        present, inverse = np.unique(ids, return_inverse=True)
        mapped = np.array([self.id(self.values[i] * factor) for i in present], dtype=np.int32)
        return mapped[inverse]

    def products(self, ids: Ids, which: Index, factors: list[int]) -> Ids:
        """Indices of `constant * factors[which]`, element by element."""
        pairs, inverse = np.unique(ids.astype(np.int64) * len(factors) + which, return_inverse=True)
        mapped = [self.id(self.values[pair // len(factors)] * factors[pair % len(factors)]) for pair in pairs.tolist()]
        return np.array(mapped, dtype=np.int32)[inverse]
