"""Aggregation: the new model is the rounded average of the accepted updates, weighted by rows (protocol, section 5).

Public inputs
    N (the sum of the n_i), sigma, lambda, y

External commitments, linked by `y = q(sigma) + lambda rem(sigma)`
    lambda^0: C_W' - C_W, the step q
    lambda^1: C_S - N (C_W' - C_W), the remainder, where C_S = sum_i n_i C_U,i

Statement
    With N = 2h + e: `S = N q + rem`, `-h <= rem < N - h` at every weight, q within its range; q has coefficients at
    weight positions only (a public model carries no blinding), rem at weights and at the blinding of the updates.
    Nothing anywhere else.

Cost, with a weights and k limbs of q
    (k + 6) a lookups of 10-bit limbs, 1024 rows of the table, about 3 a for the evaluation

Why it is sound
    q and rem lie in the committed segment, fixed before sigma and lambda, so that the link makes them *the*
    coefficients of the two external polynomials. Then S = N q + rem holds mod r coefficient by coefficient. |S| <= N
    * update_bound because every training proof bounds its update; `|N q + rem| <= N q_max + N < r / 2` by the ranges
    here; so the equation holds over the integers, and with the range of rem it has one solution: W' is a function of
    S and W, which any worker can rebuild. Without the range of q every rem would give some W'.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from fedproof.errors import InputError
from fedproof.learning.fixed import RANGE_BITS, Int
from fedproof.proving.lin import Lin, concatenate
from fedproof.proving.lookup import Table
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from fedproof.statements.layout import UPDATE_BLINDING, WeightLayout

NAME = "aggregation/public"
VERSION = 1
COUNT_LIMBS = 3  # N < 2^30


@final
@dataclass(frozen=True, repr=False)
class AggregationWitness:
    """What the leader knows: the sum only.

    Attributes:
        count: N, the sum of the accepted row counts.
        quotient, remainder: shape `(columns,)`; see `divide`.
        blinding: `(3, 4)` field elements, the sum's coefficients at the blinding positions.
    """

    count: int
    quotient: Int
    remainder: Int
    blinding: FrArray


def divide(total: Int, count: int) -> tuple[Int, Int]:
    """`S = N q + rem` with `-h <= rem < N - h`, h = N // 2: the rounded average and what is left, shapes as `total`."""
    half = count // 2
    quotient = np.floor_divide(total + half, count)
    return quotient, total - count * quotient


class AggregationStatement:
    """The aggregation circuit for `columns` weights whose updates stay within `update_bound`."""

    name = NAME
    version = VERSION

    def __init__(self, columns: int, update_bound: int) -> None:
        self.layout = WeightLayout(columns)
        self.quotient_limbs = -(-(update_bound.bit_length() + 1) // RANGE_BITS)
        if 2 ** (RANGE_BITS * (COUNT_LIMBS + self.quotient_limbs)) * 4 >= 2**250:
            raise InputError("the update bound is too large for the aggregation statement")

    @property
    def quotient_offset(self) -> int:
        """q lies in `[-offset, offset)`."""
        return int(2 ** (RANGE_BITS * self.quotient_limbs - 1))

    def synthesize(self, cs: ConstraintSystem, witness: AggregationWitness | None) -> None:
        """Declare all wires and constraints; with a witness, assign them."""
        w, a = witness, self.layout.columns
        count = cs.public("N", w and w.count)
        sigma, lam, y = cs.public("sigma"), cs.public("lambda"), cs.public("y")
        limb = cs.table("limb", np.arange(2**RANGE_BITS, dtype=np.int64))
        half_value = None if w is None else np.array([w.count // 2], dtype=np.int64)
        half = self._limbs(cs, limb, half_value, 1, COUNT_LIMBS, "h")[0]
        odd = cs.committed((), None if w is None else [w.count % 2], "e")
        offset = self.quotient_offset
        quotient = (
            self._limbs(cs, limb, None if w is None else w.quotient + offset, a, self.quotient_limbs, "q") - offset
        )
        lifted = None if w is None else w.remainder + w.count // 2
        above = self._limbs(cs, limb, lifted, a, COUNT_LIMBS, "rem above")
        rest = None if w is None or lifted is None else w.count - 1 - lifted
        below = self._limbs(cs, limb, rest, a, COUNT_LIMBS, "rem below")
        blinding = cs.committed((UPDATE_BLINDING,), w and w.blinding, "blinding of S")
        cs.challenges(sigma, lam)

        cs.constrain(odd, 1 - odd, 0, "N/parity is boolean")
        cs.equal(half * 2 + odd, count, "N/halves")
        cs.equal(above + below, count - 1, "rem/below N")  # with both at least 0: 0 <= rem + h <= N - 1
        remainder = concatenate([above - half, blinding])
        powers = cs.powers(sigma, a + UPDATE_BLINDING, "powers of sigma")
        quotient_at = quotient[0] + cs.product(quotient[1:], powers[1:a], "evaluation/quotient").sum()
        remainder_at = remainder[0] + cs.product(remainder[1:], powers[1:], "evaluation/remainder").sum()
        result = quotient_at + cs.product(remainder_at, lam, "evaluation/lambda")
        if cs.assigning:
            cs.assign(y, cs.value(result))
        cs.equal(result, y, "evaluation/output")

    @staticmethod
    def _limbs(cs: ConstraintSystem, table: Table, values: Int | None, size: int, limbs: int, name: str) -> Lin:
        """Committed limbs of `size` non-negative integers below `2^(10 limbs)`; returns the integers."""
        shifts = np.arange(limbs) * RANGE_BITS
        split = None if values is None else (values[:, None] >> shifts) & (2**RANGE_BITS - 1)
        wires = cs.committed((size, limbs), split, name)
        table.lookup(wires)
        return (wires * (1 << shifts)).sum(1)

    def cost(self) -> int:
        """Constraints of the circuit, without the rows of `[1 | x]` that the core appends."""
        a = self.layout.columns
        lookups = COUNT_LIMBS + a * (self.quotient_limbs + 2 * COUNT_LIMBS) + (1 << RANGE_BITS) + 1
        evaluation = (a - 1) + (a + UPDATE_BLINDING - 1) + 1 + 1 + (a + UPDATE_BLINDING - 2)
        return lookups + evaluation + 1 + 1 + a + 1
