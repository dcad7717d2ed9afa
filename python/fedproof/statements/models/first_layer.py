"""The first layer and the dataset that it reads (docs/training.md, section 4).

The fold of g rows by powers of sigma serves the dataset's evaluation and the forward checks of all epochs:
`2 + 2/g` constraints for each data value and epoch one, whatever the layer's width.
"""

from __future__ import annotations

import numpy as np

from fedproof.learning.fixed import BATCH, FEATURE_FRACTION_BITS
from fedproof.learning.plan import TrainingPlan
from fedproof.proving.lin import Lin
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.statements.models.challenge import Powers
from fedproof.statements.models.dense import DenseLayer
from fedproof.statements.models.gadgets import dot


class Dataset:
    """The records as the circuit reads them.

    Attributes:
        inputs: what the first layer reads, `(n, a)`: X with its mask at the input scale.
        folded: `sum_i' sigma^(a i') X_i'` of each group of g rows, `(n / g, a)`.
        at: X(sigma) with labels, blinding and masks, one value.
    """

    def __init__(
        self, cs: ConstraintSystem, plan: TrainingPlan, powers: Powers, x: Lin, labels: Lin, blinding: Lin
    ) -> None:
        n, a, groups = plan.rows, plan.columns, plan.rows // plan.group
        self.scale = np.ones(a, dtype=np.int64)
        self.scale[-1] = 1 << FEATURE_FRACTION_BITS
        self.inputs = x * self.scale
        # rows of a group last, where the inner product runs
        turned = np.arange(n * a).reshape(groups, plan.group, a).transpose(0, 2, 1)
        self.folded = dot(cs, x.reshape(-1)[turned], powers.in_group[:-1], "data/fold")
        self._products = cs.product(self.folded[:, 1:], powers.run[1:a], "data/row")
        self._rows_at = self.folded[:, 0] + self._products.sum(1)
        records = dot(cs, self._rows_at, powers.of_group[:groups], "data/group")
        labels_at = dot(cs, labels, powers.run[:n], "data/labels")
        tail = dot(cs, blinding, powers.masks[: blinding.size], "data/blinding")
        tail = labels_at + cs.product(tail, powers.run[n], "data/tail")
        self.at = records + cs.product(tail, powers.of_group[groups], "data/tail")

    def groups(self, rows: slice, size: int) -> Lin:
        """The folds of a batch at the input scale, `(32 / g, a)`."""
        return self.folded[rows.start // size : rows.stop // size] * self.scale

    def rows_at(self, rows: slice) -> Lin:
        """`p . A_i` of rows that are groups of their own: the evaluation of X_i, and the mask's scale made good."""
        extra = self._products[rows][:, -1] * ((1 << FEATURE_FRACTION_BITS) - 1)
        return self._rows_at[rows] + extra


class FirstLayer(DenseLayer):
    """The layer that reads the dataset in groups.

    Attributes:
        late: `p . (A^T delta v)` of the last batch of a run where no later G is read, else None.
    """

    def __init__(self, cs: ConstraintSystem, plan: TrainingPlan, powers: Powers, data: Dataset, weights: Lin) -> None:
        super().__init__(cs, 1, weights, powers.outputs[0])
        self.group, self.data, self.in_group = plan.group, data, powers.in_group
        self.late: Lin | None = None

    def check(self, rows: slice, logits_at: Lin) -> None:
        """`sum_i' sigma^(a i') (Z_i' . v) = w . G` for each group of a batch; `logits_at` is `(32,)`."""
        total = dot(self.cs, logits_at.reshape(-1, self.group), self.in_group[:-1], f"{self.name}/groups")
        self.forward(self.data.groups(rows, self.group), total)

    def move(self, rows: slice, moves: Lin, *, last: bool) -> None:
        """One step; after the last of a run with groups of one only the evaluation of G is made."""
        if last and self.group == 1:
            self.late = self.cs.product(self.data.rows_at(rows), moves, f"{self.name}/last step").sum()
        else:
            self.step(self.data.inputs[rows], moves)


def batches(plan: TrainingPlan) -> list[slice]:
    """The batches of an epoch."""
    return [slice(first, first + BATCH) for first in range(0, plan.rows, BATCH)]
