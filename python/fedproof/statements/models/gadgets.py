"""Inner products by constraints, and the ranges that all layers share."""

from __future__ import annotations

import numpy as np

from fedproof.learning.architecture import CROSS_ENTROPY, LOG
from fedproof.learning.cost import tables
from fedproof.learning.exponential import exponential_table
from fedproof.learning.fixed import Int, sigmoid_values
from fedproof.learning.plan import Rounding, TrainingPlan
from fedproof.proving.lin import Lin
from fedproof.proving.lookup import Table
from fedproof.proving.r1cs import ConstraintSystem


def dot(cs: ConstraintSystem, values: Lin, powers: Lin, group: str) -> Lin:
    """`values . powers` along the last axis, where `powers[0]` is 1: `m - 1` constraints for m terms.

    The last product takes the sum in, so that the result is one wire: where it becomes a factor of many constraints it
    must not bring m terms into each.

    Args:
        values: shape `(..., m)`. powers: shape `(m,)`.
    """
    if values.shape[-1] == 1:
        return values[..., 0]
    partial = values[..., 0]
    if values.shape[-1] > 2:
        partial = partial + cs.product(values[..., 1:-1], powers[1:-1], group).sum(-1)
    return cs.product(values[..., -1], powers[-1], group, less=-partial)


def dot_is(cs: ConstraintSystem, values: Lin, factors: Lin, total: Lin, group: str) -> None:
    """Require `values . factors = total` along the last axis: m constraints, for one product is the check itself.

    Args:
        values: shape `(..., m)`. factors: shape `(m,)`. total: shape `(...)`.
    """
    rest = total
    if values.shape[-1] > 1:
        rest = total - cs.product(values[..., 1:], factors[1:], group).sum(-1)
    cs.constrain(values[..., 0], factors[0], rest, group)


class Ranges:
    """The tables of a plan (docs/training.md, section 9), and values committed in limbs.

    Attributes:
        sigmoid: `(index, output, edge)` under the logistic loss.
        exponential: `(distance, E)` under cross-entropy, the last entry E = 0.
    """

    def __init__(self, cs: ConstraintSystem, plan: TrainingPlan) -> None:
        self.cs, self.bits = cs, plan.limb_bits
        self.sigmoid = self.exponential = None
        if plan.model.loss == LOG:
            self.sigmoid = cs.table("sigmoid", *sigmoid_columns(plan))
        if plan.model.loss == CROSS_ENTROPY:
            entries = exponential_table(plan.logit_bits, plan.exponential_bits)
            self.exponential = cs.table("exponential", np.arange(len(entries), dtype=np.int64), entries)
        self.limb = cs.table("limb", np.arange(1 << plan.limb_bits, dtype=np.int64))
        sizes = [size for name, size in tables(plan).items() if name.startswith("top limb")]
        self._top: dict[int, Table] = {
            size: cs.table(f"top limb below {size}", np.arange(size, dtype=np.int64)) for size in sizes
        }

    def shifts(self, count: int) -> Int:
        """Bits below each of so many limbs."""
        return np.arange(count, dtype=np.int64) * self.bits

    def split(self, values: Int | None, count: int) -> Int | None:
        """Limbs of non-negative integers, lowest first, along a new last axis."""
        if values is None:
            return None
        limbs: Int = (values[..., None] >> self.shifts(count)) & ((1 << self.bits) - 1)
        return limbs

    def join(self, limbs: Lin) -> Lin:
        """The integers that limbs along the last axis stand for."""
        return (limbs * (1 << self.shifts(limbs.shape[-1]))).sum(-1)

    def limbs(self, shape: tuple[int, ...], values: Int | None, count: int, name: str) -> Lin:
        """Committed integers in `[0, 2^(bits count))`, of this shape: `count` wires and lookups each."""
        wires = self.cs.committed((*shape, count), self.split(values, count), name)
        self.limb.lookup(wires)
        return self.join(wires)

    def remainder(self, shape: tuple[int, ...], values: Int | None, rounding: Rounding, name: str) -> Lin:
        """Committed remainders in `[0, s)`: low limbs, and a top limb from the table of its own size."""
        low = rounding.limbs
        split = None
        if values is not None:
            top = (values >> (low * self.bits))[..., None]
            split = np.concatenate([(values[..., None] >> self.shifts(low)) & ((1 << self.bits) - 1), top], axis=-1)
        wires = self.cs.committed((*shape, low + 1), split, name)
        if low:
            self.limb.lookup(wires[..., :-1])
        self._top[rounding.top_size].lookup(wires[..., -1])
        return self.join(wires)


def sigmoid_columns(plan: TrainingPlan) -> tuple[Int, Int, Int]:
    """Index, sigmoid at the delta's scale, and edge: 1 at the last index, -1 at the first, else 0."""
    half = plan.table_half
    keys = np.arange(-half, half, dtype=np.int64)
    edges = np.zeros_like(keys)
    edges[0], edges[-1] = -1, 1
    return keys, sigmoid_values(plan.logit_bits, plan.scales[-1].delta_bits, half), edges
