"""The table of `exp(-d)` that softmax looks up, in integers."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np

from fedproof.learning.fixed import Int


@lru_cache(maxsize=8)
def exponential_table(index_bits: int, exponential_bits: int) -> Int:
    """`round(2^exponential_bits * exp(-d / 2^index_bits))` for d = 0, 1, ... up to the first d that gives 0.

    The last entry is 0, and so is every entry that would follow: an index beyond the table saturates without an error.
    Computed in decimal, so that no platform's `exp` can change a circuit.
    """
    with localcontext() as context:
        context.prec = 40
        step, scale = Decimal(2**index_bits), Decimal(2**exponential_bits)
        size = exponential_size(index_bits, exponential_bits)
        out = [int((scale * (-Decimal(d) / step).exp()).to_integral_value()) for d in range(size)]
    return np.array(out, dtype=np.int64)


def exponential_size(index_bits: int, exponential_bits: int) -> int:
    """Entries of the table: one more than the first d with `2^exponential_bits * exp(-d / 2^index_bits) < 1/2`."""
    with localcontext() as context:
        context.prec = 40
        return int(2**index_bits * (exponential_bits + 1) * Decimal(2).ln()) + 2
