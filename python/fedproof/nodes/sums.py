"""The integers of a round: from the sum over all updates to its weights, and from weights to their positions.

A sum of n_i U_i over many rows may be beyond 64 bits although no update is: hidden layers have wide ranges. Then it is
kept in Python's integers.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.learning.plans import Plan
from fedproof.proving.r1cs import FrArray

SMALL: Final = 1 << 61
"""A sum below this stays exact in 64 bits whatever is added to round it."""


def placed(plan: Plan, values: np.ndarray) -> FrArray:
    """Values `(parameters,)` of any size at the positions of the weights, `(O_L, 4)`; zeros in the gaps."""
    out = [0] * plan.blinding_at
    for position, value in zip(plan.positions().tolist(), values.tolist(), strict=True):
        out[position] = value
    return _core.fr_from_ints(out)


def weight_sums(plan: Plan, vector: FrArray, count: int) -> np.ndarray:
    """The signed integers at the positions of the weights, `(parameters,)`: int64 where they fit, else Python's.

    Args:
        vector: a sum of updates over so many rows, `(O_L + 3, 4)`.

    Raises:
        SharingError: one is beyond what the proofs of its updates guarantee.
    """
    raw = _core.fr_to_ints(np.ascontiguousarray(vector[plan.positions()]))
    signed = [value - _core.MODULUS if value > _core.MODULUS // 2 else value for value in raw]
    bounds = count * plan.update_bounds()
    if any(abs(value) > bound for value, bound in zip(signed, bounds, strict=True)):
        raise SharingError("the sum is out of the range that the proofs of its updates guarantee")
    small = all(abs(value) < SMALL for value in signed)
    return np.array(signed, dtype=np.int64 if small else object)
