"""Training: the update is exactly E epochs of mini-batch SGD on exactly the enrolled dataset (protocol, section 5).

Public inputs
    sigma, lambda, y

External commitments, linked by `y = sum_k lambda^k v_k(sigma)`
    C_X' (the dataset with its labels, blinding and masks), C_W (the global model), C_U (the update with its blinding)

Statement
    With W and X the committed vectors: `W_0 = W`; for every batch of 32 rows in the published order,
    `z = A W`, `q = floor(z / s)` saturated to the table, `delta = sigmoid_table(q) - s_delta * y`, `W -= A^T delta`,
    all in exact integers; and U = W_end - W. A is X with its mask column scaled to s_in (the bias input).

Cost, with n rows, a columns, E epochs, one output (b = 1), groups of g = 32 rows
    2 n a + 2 n a / 32                       the first epoch's values: fold, dataset evaluation, forward, weight step
    + (E - 1) (n a + n a / 32)               each further epoch: the fold is used again
    + 11 n E                                 logits: table, limbs, saturation, forward sum
    + 2048 + 1024 + 25                       rows of the tables
    + about 2 n + 3 a + masks                powers of sigma, labels, weights, blinding
  `cost()` states it exactly and a test holds it to the measured count.

Why it is sound
    Everything a check below uses (X, y, W, blinding, table indices, outputs, limbs, multiplicities) lies in the
    committed segment, fixed before sigma and lambda. The products x * delta and the running G are functions of them.
    So each check is a polynomial identity in sigma whose coefficients are fixed; it holds at a random sigma only if
    it holds identically, but for a chance of degree / r:
    - forward: for a group of 32 rows, `sum_i sigma^(a i) (z_i - A_i W) = 0` forces every z_i, for the stride a keeps
      the rows' monomials apart and W (b = 1) carries no sigma;
    - link: with C_k binding, the circuit's copies are the committed vectors, blinding and masks included.
    `z = s q + rem` with `rem in [0, s)` and q an exact table index or, at a table's edge only, beyond it: unique.
    Padding rows are all zero, the mask too, so that they move no weight whatever their delta.
    Integers do not wrap: |z| < 2^20 s < 2^60, |W| changes by at most `update_bound`; r is about 2^254.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from fedproof.errors import InputError
from fedproof.learning.fixed import (
    BATCH,
    ODD_FACTOR,
    OVERFLOW_LIMBS,
    RANGE_BITS,
    REMAINDER_LIMBS,
    Int,
    TrainingSpec,
    sigmoid_table,
)
from fedproof.learning.sgd import Trace
from fedproof.proving.lin import Lin, concatenate
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from fedproof.statements.layout import DATASET_BLINDING, UPDATE_BLINDING, DatasetLayout

NAME = "training/logistic"
VERSION = 1


@final
@dataclass(frozen=True, repr=False)
class TrainingWitness:
    """What a participant knows.

    Attributes:
        features, mask, labels: the padded records, shapes `(rows, columns - 1)`, `(rows,)`, `(rows,)`.
        dataset_blinding: `(2 + mask_count, 4)` field elements: blinding of C_X and masks of the enrolment.
        trace: the integer SGD run on these records.
        update_blinding: `(3, 4)` field elements.
    """

    features: Int
    mask: Int
    labels: Int
    dataset_blinding: FrArray
    trace: Trace
    update_blinding: FrArray


@dataclass(frozen=True)
class _Logits:
    """Committed wires of one epoch: the saturated index, the table's output and edge, overflow and remainder."""

    index: Lin
    output: Lin
    edge: Lin
    overflow: Lin
    remainder: Lin


class TrainingStatement:
    """The training circuit of one `TrainingSpec`."""

    name = NAME
    version = VERSION

    def __init__(self, spec: TrainingSpec) -> None:
        self.spec = spec
        self.layout = DatasetLayout(spec.rows, spec.columns)
        # z, and whatever a prover may put in its place, stays far from r, so that integers are integers
        if spec.columns * spec.update_bound * 2**64 >= 2**250:
            raise InputError("this capacity class and number of epochs could wrap modulo r")

    def synthesize(self, cs: ConstraintSystem, witness: TrainingWitness | None) -> None:
        """Declare all wires and constraints; with a witness, assign them."""
        spec, w = self.spec, witness
        n, a = spec.rows, spec.columns
        sigma, lam, y = cs.public("sigma"), cs.public("lambda"), cs.public("y")
        records = None if w is None else np.concatenate([w.features, w.mask[:, None]], axis=1)
        x = cs.committed((n, a), records, "X")
        labels = cs.committed((n,), w and w.labels, "labels")
        masks = cs.committed((DATASET_BLINDING + spec.mask_count,), w and w.dataset_blinding, "blinding of X")
        start = cs.committed((a,), w and w.trace.start, "W")
        blinding = cs.committed((UPDATE_BLINDING,), w and w.update_blinding, "blinding of U")
        epochs = self._commit_logits(cs, w)
        cs.challenges(sigma, lam)

        scale = np.ones(a, dtype=np.int64)
        scale[-1] = spec.input_scale  # the mask enters as the bias input
        inputs = x * scale
        powers = cs.powers(sigma, max(n, a + UPDATE_BLINDING) + 1, "powers of sigma")
        in_group = cs.powers(powers[a], BATCH + 1, "powers of sigma")  # sigma^(a i), i <= 32
        of_group = cs.powers(in_group[BATCH], n // BATCH + 1, "powers of sigma")  # sigma^(32 a k), k <= n / 32
        folded = self._fold(cs, x, in_group)

        weights = start
        for logits in epochs:
            weights = self._epoch(cs, logits, inputs, labels, folded * scale, in_group, weights)

        features_at = folded[:, 0] + cs.product(folded[:, 1:], powers[1:a], "evaluation/row").sum(1)
        data_at = cs.product(features_at[1:], of_group[1:-1], "evaluation/group").sum() + features_at[0]
        labels_at = labels[0] + cs.product(labels[1:], powers[1:n], "evaluation/labels").sum()
        after = of_group[n // BATCH]  # sigma^(n a)
        tail_at = (
            masks[0]
            + cs.product(masks[1:], self._extended(cs, powers, masks.size)[1 : masks.size], "evaluation/blinding").sum()
        )
        tail_at = labels_at + cs.product(tail_at, powers[n], "evaluation/tail")
        dataset_at = data_at + cs.product(tail_at, after, "evaluation/tail")
        start_at = start[0] + cs.product(start[1:], powers[1:a], "evaluation/start").sum()
        change = concatenate([weights - start, blinding])
        update_at = change[0] + cs.product(change[1:], powers[1 : a + UPDATE_BLINDING], "evaluation/update").sum()
        inner = start_at + cs.product(update_at, lam, "evaluation/lambda")
        result = dataset_at + cs.product(inner, lam, "evaluation/lambda")
        if cs.assigning:
            cs.assign(y, cs.value(result))
        cs.equal(result, y, "evaluation/output")

    @staticmethod
    def _extended(cs: ConstraintSystem, powers: Lin, count: int) -> Lin:
        """Powers of sigma up to `count`, should the masks outnumber the rows."""
        if powers.size >= count:
            return powers
        return cs.powers(powers[1], count, "powers of sigma")

    def _commit_logits(self, cs: ConstraintSystem, w: TrainingWitness | None) -> list[_Logits]:
        spec = self.spec
        shape = (spec.rows,)
        keys, outputs, edges = sigmoid_table(spec)
        sigmoid = cs.table("sigmoid", keys, outputs, edges)
        limb = cs.table("limb", np.arange(2**RANGE_BITS, dtype=np.int64))
        odd = cs.table("odd limb", np.arange(ODD_FACTOR, dtype=np.int64))
        low_shifts = np.arange(REMAINDER_LIMBS) * RANGE_BITS
        over_shifts = np.arange(OVERFLOW_LIMBS) * RANGE_BITS
        mask = 2**RANGE_BITS - 1
        out = []
        for epoch in range(spec.epochs):
            trace = None if w is None else w.trace
            index = cs.committed(shape, trace and trace.index[epoch], "table index")
            at = None if trace is None else trace.index[epoch] + spec.table_half
            output = cs.committed(shape, None if at is None else outputs[at], "sigmoid")
            edge = cs.committed(shape, None if at is None else edges[at], "edge")
            low = cs.committed(
                (spec.rows, REMAINDER_LIMBS),
                trace and (trace.remainder[epoch][:, None] >> low_shifts) & mask,
                "remainder limbs",
            )
            high = cs.committed(shape, trace and trace.remainder[epoch] >> spec.remainder_bits, "odd limb")
            over = cs.committed(
                (spec.rows, OVERFLOW_LIMBS),
                trace and (trace.overflow[epoch][:, None] >> over_shifts) & mask,
                "overflow limbs",
            )
            sigmoid.lookup(index, output, edge)
            limb.lookup(low)
            limb.lookup(over)
            odd.lookup(high)
            remainder = (low * (1 << low_shifts)).sum(1) + high * (1 << spec.remainder_bits)
            overflow = (over * (1 << over_shifts)).sum(1)
            out.append(_Logits(index, output, edge, overflow, remainder))
        return out

    def _fold(self, cs: ConstraintSystem, x: Lin, in_group: Lin) -> Lin:
        """`w[k, j] = sum_i sigma^(a i) x[32 k + i, j]`, shape `(n / 32, a)`; 31 constraints for 32 values."""
        groups = x.reshape(-1, BATCH, self.spec.columns)
        terms = cs.product(groups[:, 1:-1], in_group[1 : BATCH - 1].reshape(1, -1, 1), "fold")
        partial = groups[:, 0] + terms.sum(1)
        return cs.product(groups[:, -1], in_group[BATCH - 1], "fold", less=-partial)

    def _epoch(
        self, cs: ConstraintSystem, logits: _Logits, inputs: Lin, labels: Lin, folded: Lin, in_group: Lin, weights: Lin
    ) -> Lin:
        """One epoch of steps; returns the weights after it."""
        spec = self.spec
        beyond = cs.product(logits.overflow, logits.edge, "saturation")
        z = (logits.index + beyond) * spec.logit_divisor + logits.remainder
        delta = logits.output - labels * spec.delta_scale
        z_groups = z.reshape(-1, BATCH)
        z_sum = z_groups[:, 0] + cs.product(z_groups[:, 1:], in_group[1:BATCH], "forward/fold").sum(1)
        for step in range(spec.rows // BATCH):
            forward = cs.product(folded[step, 1:], weights[1:], "forward")
            # the last product and the check are one constraint
            cs.constrain(folded[step, 0], weights[0], z_sum[step] - forward.sum(), "forward")
            rows = slice(step * BATCH, (step + 1) * BATCH)
            moved = cs.product(inputs[rows][1:], delta[rows][1:].reshape(-1, 1), "weight step")
            rest = weights - moved.sum(0)
            # W_next = rest - x_0 delta_0, so that the last product is the new weight itself
            weights = -cs.product(inputs[rows][0], delta[rows][0], "weight step", less=rest)
        return weights

    def cost(self) -> int:
        """Constraints of the circuit, without the rows of `[1 | x]` that the core appends."""
        spec = self.spec
        n, a, masks = spec.rows, spec.columns, DATASET_BLINDING + spec.mask_count
        groups = n // BATCH
        keys = 2 * spec.table_half + (1 << RANGE_BITS) + ODD_FACTOR
        lookups = 1 + 2 + REMAINDER_LIMBS + 1 + OVERFLOW_LIMBS  # inverse and two folds, limbs, odd limb, overflow limbs
        powers = max(n, a + UPDATE_BLINDING) - 1 + BATCH - 1 + groups - 1 + (masks - 2 if masks > n + 1 else 0)
        fold = groups * a * (BATCH - 1)
        each_epoch = groups * a + n * a + n * lookups + n + n - groups
        evaluations = (
            groups * (a - 1) + groups - 1 + (n - 1) + (masks - 1) + 2 + (a - 1) + (a + UPDATE_BLINDING - 1) + 2 + 1
        )
        return fold + spec.epochs * each_epoch + evaluations + powers + keys + 2 + 1 + 1
