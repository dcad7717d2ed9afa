"""Which wires of a satisfied system can change on their own without any rule noticing, all wires at once."""

from __future__ import annotations

import numpy as np

from fedproof import _core
from fedproof.proving.r1cs import ConstraintSystem, FrArray


def unnoticed_wires(cs: ConstraintSystem, by: int) -> set[str]:
    """Names of the wires to which `by` can be added, one wire at a time, such that every constraint still holds.

    Only rows that read a wire can notice it, so each non-zero entry of the matrices is looked at once.
    """
    z = cs.witness()
    place = np.empty(cs._wires, dtype=np.int64)
    place[cs.order()] = np.arange(cs._wires)
    pool = _core.fr_from_ints(cs.pool.values)
    matrices = [cs._matrix(part, place, np.ones(cs.num_constraints, dtype=bool)) for part in cs._parts]
    entries = [
        np.repeat(np.arange(cs.num_constraints), np.diff(indptr)) * len(z) + wires for indptr, wires, _ in matrices
    ]
    every = np.unique(np.concatenate(entries))
    rows, wires = every // len(z), every % len(z)
    step = _core.fr_from_ints([by])
    changed: list[FrArray] = []
    for (indptr, columns, ids), entry in zip(matrices, entries, strict=True):
        value = np.ascontiguousarray(_core.sparse_apply(indptr, columns, ids, pool, z)[rows])
        order = np.argsort(entry, kind="stable")
        starts = np.searchsorted(entry[order], every)
        ends = np.concatenate([starts, [len(entry)]]).astype(np.int64)
        factor = _core.sparse_apply(ends, np.zeros(len(entry), dtype=np.int64), ids[order], pool, step)
        changed.append(_core.fr_add(value, factor))
    a, b, c = changed
    noticed = np.zeros(len(z), dtype=bool)
    noticed[wires[(_core.fr_mul(a, b) != c).any(axis=1)]] = True
    noticed[0] = True  # the constant 1 is not the prover's
    free = set(cs.order()[~noticed].tolist())
    return {name for name, first, size in cs.names if free.intersection(range(first, first + size))}
