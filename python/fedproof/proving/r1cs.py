"""The constraint system: wires in bulk, a committed segment, and challenges that come after it (protocol, section 3).

A statement is one function that declares wires and constraints in NumPy-like arrays (`Lin`). The same function serves
three uses:

- *structure*: without values, to make the matrices, the circuit id and the keys;
- *assignment*: with values, to make a witness; constraints are then not stored again;
- both at once, for tests that ask whether a mutated witness still satisfies.

The order of wires is `[1 | x public | c committed | private]`. Everything a lookup or the link needs is committed
before `challenges()` is called; after that no committed wire can be made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.proving.lin import CoefficientPool, Index, Lin, concatenate
from fedproof.proving.lookup import LookupArgument, Table
from fedproof.proving.transcript import LAMBDA_SQUARINGS

FrArray = NDArray[np.uint64]
Values = FrArray | Sequence[int] | NDArray[np.int64] | None
Challenge = Callable[[FrArray], tuple[int, int]]

_ONE, _PUBLIC, _COMMITTED, _PRIVATE = range(4)


def field(values: Values, size: int) -> FrArray:
    """Field elements `(size, 4)` from integers of any sign, an int64 array of any shape, or themselves."""
    if isinstance(values, np.ndarray) and values.dtype == np.uint64:
        out: FrArray = values.reshape(-1, 4).astype(np.uint64, copy=False)
    elif isinstance(values, np.ndarray) and values.dtype == np.int64:
        out = _core.fr_from_i64(np.ascontiguousarray(values.reshape(-1)))
    else:
        out = _core.fr_from_ints([int(v) for v in np.asarray(values, dtype=object).reshape(-1)])
    if len(out) != size:
        raise ProofError(f"an assignment has {len(out)} values where the circuit has {size} wires")
    return out


class ConstraintSystem:
    """Collects wires, constraints and, if asked, their values.

    Args:
        structure: store the constraints (to build an `R1cs`).
        challenge: called once with the values of the committed segment, in order; returns `(sigma, lambda)`. Its
            presence turns assignment on.
        strict: refuse a lookup of a value that is not in its table. Tests switch it off to show that the circuit
            refuses, too.
    """

    def __init__(self, *, structure: bool, challenge: Challenge | None = None, strict: bool = True) -> None:
        self.structure = structure
        self.assigning = challenge is not None
        self.strict = strict
        self.pool = CoefficientPool(_core.MODULUS)
        self.lookups = LookupArgument(self)
        self.groups: dict[str, list[tuple[int, int]]] = {}
        self.names: list[tuple[str, int, int]] = []
        self._challenge = challenge
        self._segments: list[tuple[int, int]] = []
        self._wires = 0
        self._rows = 0
        self._parts: tuple[list[Lin], list[Lin], list[Lin]] = ([], [], [])
        self._z: FrArray = np.zeros((1024, 4), dtype=np.uint64)
        self._closed = False
        self._pool_values: FrArray = _core.fr_from_ints([])
        self.one = self._allocate(_ONE, (), [1], "one")

    # wires

    def _allocate(self, segment: int, shape: tuple[int, ...], values: Values, name: str) -> Lin:
        size = int(np.prod(shape, dtype=np.int64))
        first, self._wires = self._wires, self._wires + size
        self._segments.append((segment, size))
        self.names.append((name, first, size))
        if self.assigning:
            if self._wires > len(self._z):
                grown = np.zeros((max(self._wires, 2 * len(self._z)), 4), dtype=np.uint64)
                grown[:first] = self._z[:first]
                self._z = grown
            if values is not None:
                self._z[first : self._wires] = field(values, size)
        wires = np.arange(first, self._wires, dtype=np.int64)
        coeffs = np.full(size, self.pool.one, dtype=np.int32)
        return Lin(self, shape, np.arange(size, dtype=np.int64), wires, coeffs)

    def public(self, name: str, value: int | None = None) -> Lin:
        """One public input, in order of declaration. Its value may be assigned later."""
        return self._allocate(_PUBLIC, (), None if value is None else [value], name)

    def committed(self, shape: tuple[int, ...], values: Values, name: str) -> Lin:
        """Wires of the committed segment, fixed before the challenges.

        Raises:
            ProofError: the challenges have been drawn already.
        """
        if self._closed:
            raise ProofError(f"committed wires {name!r} after the challenges: a prover could choose them to fit")
        return self._allocate(_COMMITTED, shape, values if self.assigning else None, name)

    def private(self, shape: tuple[int, ...], values: Values, name: str) -> Lin:
        """Private wires. Only for values that constraints determine from the committed segment."""
        return self._allocate(_PRIVATE, shape, values if self.assigning else None, name)

    def constant(self, value: int | NDArray[np.int64]) -> Lin:
        """A public constant, or an array of them, as linear combinations of the wire 1."""
        array = np.asarray(value, dtype=object)
        ids = np.array([self.pool.id(int(v)) for v in array.reshape(-1)], dtype=np.int32)
        index = np.arange(array.size, dtype=np.int64)
        return Lin(self, array.shape, index, np.zeros(array.size, dtype=np.int64), ids)

    def assign(self, wire: Lin, values: Values) -> None:
        """Give wires that were declared without values (public outputs) their values."""
        if self.assigning:
            self._z[wire.wires] = field(values, wire.size)

    def value(self, lin: Lin) -> FrArray:
        """Values `(size, 4)` of linear combinations; only while assigning."""
        if len(self._pool_values) != len(self.pool.values):
            self._pool_values = _core.fr_from_ints(self.pool.values)
        wires, z = lin.wires, self._z[: self._wires]
        if wires.size < self._wires:  # the core copies what it is given, and steps of a few rows come by the thousand
            wires, z = np.arange(wires.size, dtype=np.int64), z[wires]
        return _core.sparse_apply(lin.indptr, wires, lin.coeffs, self._pool_values, z)

    def _spread(self, lin: Lin, shape: tuple[int, ...]) -> FrArray:
        """Values of `lin` broadcast to `shape`, each combination evaluated once."""
        values = self.value(lin)
        if lin.shape == shape:
            return values
        place = np.broadcast_to(np.arange(lin.size).reshape(lin.shape), shape).reshape(-1)
        return np.ascontiguousarray(values[place])

    # constraints

    def constrain(self, a: Lin, b: Lin, c: Lin | int, group: str) -> None:
        """Require `a * b = c` for every element; shapes broadcast. `group` names the rule for tests and reports."""
        if isinstance(c, int):
            c = self.constant(c)
        shape = np.broadcast_shapes(a.shape, b.shape, c.shape)
        size = int(np.prod(shape, dtype=np.int64))
        self.groups.setdefault(group, []).append((self._rows, self._rows + size))
        self._rows += size
        if self.structure:
            for part, lin in zip(self._parts, (a, b, c), strict=True):
                part.append(lin.broadcast_to(shape))

    def equal(self, a: Lin, b: Lin | int, group: str) -> None:
        """Require `a = b`."""
        self.constrain(a - b, self.one, 0, group)

    def product(self, a: Lin, b: Lin, group: str, less: Lin | None = None) -> Lin:
        """New private wires `a * b - less`, one constraint each.

        `less` folds a linear term into the new wire, so that a running sum needs no constraint of its own.
        """
        shape = np.broadcast_shapes(a.shape, b.shape)
        values: Values = None
        if self.assigning:
            values = _core.fr_mul(self._spread(a, shape), self._spread(b, shape))
            if less is not None:
                values = _core.fr_sub(values, self._spread(less, shape))
        out = self.private(shape, values, group)
        self.constrain(a, b, out if less is None else out + less, group)
        return out

    def powers(self, base: Lin, count: int, group: str) -> Lin:
        """`(1, base, base^2, ...)`, shape `(count,)`; `count - 2` constraints."""
        out = concatenate([self.one.reshape(1), base.reshape(1)])[:count]
        while out.size < count:
            top = self.product(out[out.size - 1], base, group).reshape(1)
            fresh = min(out.size, count - out.size)
            rest = [self.product(out[1:fresh], top[0], group)] if fresh > 1 else []
            out = concatenate([out, top, *rest])
        return out

    # lookups and challenges

    def table(self, name: str, *columns: NDArray[np.int64]) -> Table:
        """Declare a table of constants; the first column is its key."""
        return self.lookups.table(name, columns)

    def challenges(self, sigma: Lin, lam: Lin | None = None) -> Lin:
        """Close the committed segment, draw `(sigma, lambda)` into these public wires, and emit the lookup argument.

        Without a wire for lambda it is `sigma^(2^30)`, which the circuit computes: one public input less. `linked.py`
        says why that is enough.

        Returns:
            lambda.
        """
        self.lookups.commit()
        # A uniformly random committed wire with a non-zero point: without it D is a function of private data
        # (CVE-2024-45040).
        blind = self.committed((), _core.fr_random(1) if self.assigning else None, "blinding of D")
        self.product(blind, self.one, "commitment blinding")
        self._closed = True
        if self._challenge is not None:
            drawn = self._challenge(self._z[: self._wires][self.segment_wires(_COMMITTED)])
            self.assign(sigma, [drawn[0]])
            if lam is not None:
                self.assign(lam, [drawn[1]])
        if lam is None:
            if self.lookups.degree >= 1 << LAMBDA_SQUARINGS:
                raise ProofError(f"{self.lookups.degree} lookups and table rows are too many for a derived lambda")
            lam = sigma
            for _ in range(LAMBDA_SQUARINGS):
                lam = self.product(lam, lam, "challenge/lambda")
        self.lookups.prove(sigma, lam)
        return lam

    # results

    def segment_wires(self, segment: int) -> Index:
        """Allocation indices of the wires of a segment, in order."""
        kinds = np.repeat([kind for kind, _ in self._segments], [size for _, size in self._segments])
        return np.flatnonzero(kinds == segment).astype(np.int64)

    def order(self) -> Index:
        """Allocation indices in the final order `[1 | x | c | private]`."""
        return np.concatenate([self.segment_wires(kind) for kind in (_ONE, _PUBLIC, _COMMITTED, _PRIVATE)])

    def witness(self) -> FrArray:
        """The assignment z in the final order, shape `(wires, 4)`."""
        return np.ascontiguousarray(self._z[: self._wires][self.order()])

    def public_values(self) -> list[int]:
        """Values of the public inputs."""
        return _core.fr_to_ints(np.ascontiguousarray(self._z[self.segment_wires(_PUBLIC)]))

    @property
    def num_constraints(self) -> int:
        """Constraints so far."""
        return self._rows

    def build(self, without: str | None = None) -> _core.R1cs:
        """The matrices. `without` leaves one group out: only tests use it, to show that something notices."""
        place = np.empty(self._wires, dtype=np.int64)
        place[self.order()] = np.arange(self._wires)
        keep = np.ones(self._rows, dtype=bool)
        for first, last in self.groups[without] if without else ():
            keep[first:last] = False
        matrices = tuple(self._matrix(part, place, keep) for part in self._parts)
        public, committed = (len(self.segment_wires(kind)) for kind in (_PUBLIC, _COMMITTED))
        return _core.R1cs(public, committed, self._wires, _core.fr_from_ints(self.pool.values), *matrices)

    @staticmethod
    def _matrix(part: list[Lin], place: Index, keep: NDArray[np.bool_]) -> tuple[Index, Index, NDArray[np.int32]]:
        counts = np.concatenate([np.diff(lin.indptr) for lin in part])
        wires = place[np.concatenate([lin.wires for lin in part])]
        coeffs = np.concatenate([lin.coeffs for lin in part])
        terms = np.repeat(keep, counts)
        indptr = np.concatenate([[0], np.cumsum(counts[keep])]).astype(np.int64)
        return indptr, wires[terms], coeffs[terms].astype(np.int32)
