"""The last layer under each loss: from committed values to its forward sums Z and output deltas (section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from fedproof.learning.architecture import CROSS_ENTROPY, LOG
from fedproof.learning.exact import ModelTrace, SigmoidTrace, SoftmaxTrace, SquaredTrace, one_hot
from fedproof.learning.exponential import exponential_size
from fedproof.learning.fixed import FEATURE_FRACTION_BITS
from fedproof.learning.plan import TrainingPlan
from fedproof.proving.lin import Lin, concatenate
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.statements.models.gadgets import Ranges, sigmoid_columns

Sums = tuple[Lin, Lin]
"""Z and delta of the last layer in one epoch, each `(n, b)`."""


@final
@dataclass(frozen=True)
class SquaredHead:
    """`Z = s q + rem - s/2`, `delta = q - target`: no constraint but the ranges of q and rem, each `(n, 1)`."""

    index: Lin
    remainder: Lin

    @classmethod
    def commit(
        cls, cs: ConstraintSystem, plan: TrainingPlan, ranges: Ranges, epoch: int, head: SquaredTrace | None
    ) -> SquaredHead:
        """Declare the wires of an epoch and their ranges."""
        del cs  # all of them are limbs
        shape, half = (plan.rows, 1), plan.logit_range // 2
        rounding = plan.forward(plan.depth - 1)
        remainder = ranges.remainder(shape, head and head.remainder[epoch], rounding, "loss/remainder")
        index = ranges.limbs(shape, head and head.index[epoch] + half, plan.logit_limbs, "loss/output")
        return cls(index - half, remainder)

    def derive(self, cs: ConstraintSystem, plan: TrainingPlan, labels: Lin) -> Sums:
        """Z and delta."""
        del cs
        rounding = plan.forward(plan.depth - 1)
        target = labels.reshape(-1, 1) * (1 << (plan.scales[-1].delta_bits - FEATURE_FRACTION_BITS))
        return self.index * rounding.divisor + self.remainder - rounding.offset, self.index - target


@final
@dataclass(frozen=True)
class SigmoidHead:
    """`Z = s (q + over * edge) + rem`, `delta = sigmoid(q) - label`, each `(n, 1)`."""

    index: Lin
    output: Lin
    edge: Lin
    overflow: Lin
    remainder: Lin

    @classmethod
    def commit(
        cls, cs: ConstraintSystem, plan: TrainingPlan, ranges: Ranges, epoch: int, head: SigmoidTrace | None
    ) -> SigmoidHead:
        """Declare the wires of an epoch, look up the sigmoid and the limbs."""
        assert ranges.sigmoid is not None
        shape = (plan.rows, 1)
        _, outputs, edges = sigmoid_columns(plan)
        at = None if head is None else head.index[epoch] + plan.table_half
        index = cs.committed(shape, head and head.index[epoch], "loss/index")
        output = cs.committed(shape, None if at is None else outputs[at], "loss/sigmoid")
        edge = cs.committed(shape, None if at is None else edges[at], "loss/edge")
        ranges.sigmoid.lookup(index, output, edge)
        rounding = plan.forward(plan.depth - 1)
        remainder = ranges.remainder(shape, head and head.remainder[epoch], rounding, "loss/remainder")
        overflow = ranges.limbs(shape, head and head.overflow[epoch], plan.logit_limbs, "loss/overflow")
        return cls(index, output, edge, overflow, remainder)

    def derive(self, cs: ConstraintSystem, plan: TrainingPlan, labels: Lin) -> Sums:
        """Z and delta; a constraint for each row: an overflow counts at an edge of the table only."""
        beyond = cs.product(self.overflow, self.edge, "loss/saturation")
        z = (self.index + beyond) * plan.forward(plan.depth - 1).divisor + self.remainder
        return z, self.output - labels.reshape(-1, 1) * (1 << plan.scales[-1].delta_bits)


@final
@dataclass(frozen=True)
class SoftmaxHead:
    """The softmax of each row, values `(n, K)` but for `largest`, `(n,)`; named as in docs/training.md, section 6.

    Of the two ranges of a division the lowest limb of `spare` is the linear combination that makes
    `left + spare = 2 Sum - 1`: that equation costs nothing. `hot[:, 0]` is 1 minus the others.
    """

    largest: Lin
    remainder: Lin
    distance: Lin
    exponential: Lin
    overflow: Lin
    probability: Lin
    left: Lin
    hot: Lin

    @classmethod
    def commit(
        cls,
        cs: ConstraintSystem,
        plan: TrainingPlan,
        ranges: Ranges,
        epoch: int,
        head: SoftmaxTrace | None,
        labels: np.ndarray | None,
    ) -> SoftmaxHead:
        """Declare the wires of an epoch, look up the exponentials and the limbs."""
        assert ranges.exponential is not None
        n, classes = plan.rows, plan.model.outputs
        shape, half = (n, classes), plan.logit_range // 2
        h = head
        largest = ranges.limbs((n,), h and h.largest[epoch] + half, plan.logit_limbs, "loss/largest") - half
        rounding = plan.forward(plan.depth - 1)
        remainder = ranges.remainder(shape, h and h.remainder[epoch], rounding, "loss/remainder")
        distance = cs.committed(shape, h and h.distance[epoch], "loss/distance")
        exponential = cs.committed(shape, h and h.exponential[epoch], "loss/exponential")
        ranges.exponential.lookup(distance, exponential)
        overflow = ranges.limbs(shape, h and h.overflow[epoch], plan.logit_limbs, "loss/overflow")
        probability = ranges.limbs(shape, h and h.probability[epoch], plan.probability_limbs, "loss/probability")
        left = ranges.limbs(shape, h and h.division[epoch], plan.division_limbs, "loss/left")
        spare = exponential.sum(1).reshape(-1, 1) * 2 - 1 - left
        high = plan.division_limbs - 1
        if high:
            values = None if h is None else 2 * h.total[epoch][:, None] - 1 - h.division[epoch]
            split = ranges.split(None if values is None else values >> ranges.bits, high)
            upper = cs.committed((*shape, high), split, "loss/spare")
            ranges.limb.lookup(upper)
            spare = spare - ranges.join(upper) * (1 << ranges.bits)
        ranges.limb.lookup(spare)
        others = None if labels is None else np.ascontiguousarray(one_hot(plan, labels)[:, 1:])
        wires = cs.committed((n, classes - 1), others, "loss/hot")
        hot = concatenate([(1 - wires.sum(1)).reshape(-1, 1), wires], axis=1)
        return cls(largest, remainder, distance, exponential, overflow, probability, left, hot)

    def derive(self, cs: ConstraintSystem, plan: TrainingPlan, labels: Lin) -> Sums:
        """Z and delta; `4 K` constraints for each row beside lookups."""
        classes, unit = plan.model.outputs, 1 << plan.scales[-1].delta_bits
        last = exponential_size(plan.logit_bits, plan.exponential_bits) - 1
        behind = self.distance + self.overflow
        z = (self.largest.reshape(-1, 1) - behind) * plan.forward(plan.depth - 1).divisor + self.remainder
        cs.constrain(self.overflow, last - self.distance, 0, "loss/saturation")
        none = behind[:, 0]  # product of the classes' distances so far: zero in the end, for one class is the largest
        for k in range(1, classes - 1):
            none = cs.product(behind[:, k], none, "loss/maximum")
        cs.constrain(behind[:, classes - 1], none, 0, "loss/maximum")
        total = self.exponential.sum(1).reshape(-1, 1)
        cs.constrain(self.probability, total * 2, self.exponential * (2 * unit) + total - self.left, "loss/division")
        cs.constrain(self.hot, self.hot - 1, 0, "loss/one class")
        cs.equal((self.hot * np.arange(classes)).sum(1), labels, "loss/label")
        return z, self.probability - self.hot * unit


Head = SquaredHead | SigmoidHead | SoftmaxHead


def commit_head(cs: ConstraintSystem, plan: TrainingPlan, ranges: Ranges, epoch: int, trace: ModelTrace | None) -> Head:
    """Declare the last layer's wires of one epoch."""
    head = trace and trace.head
    if plan.model.loss == LOG:
        assert head is None or isinstance(head, SigmoidTrace)
        return SigmoidHead.commit(cs, plan, ranges, epoch, head)
    if plan.model.loss == CROSS_ENTROPY:
        assert head is None or isinstance(head, SoftmaxTrace)
        return SoftmaxHead.commit(cs, plan, ranges, epoch, head, trace and trace.labels)
    assert head is None or isinstance(head, SquaredTrace)
    return SquaredHead.commit(cs, plan, ranges, epoch, head)
