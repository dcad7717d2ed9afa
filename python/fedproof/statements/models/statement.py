"""Training of any model: the update is exactly E epochs of mini-batch SGD on exactly the enrolled dataset.

Public inputs
    sigma, lambda, y

External commitments, linked by `y = sum_k lambda^k v_k(sigma)`
    C_X' (the dataset with its labels, blinding and masks), C_W (the global model), C_U (the update with its blinding)

Statement
    With X and W the committed vectors, `train(plan, X, W)` of `learning/exact.py` gives U: for every batch of 32 rows
    in the published order each layer's sums, roundings and deltas, and `W -= A^T delta`, all in exact integers.

Cost
    `learning/cost.py` states it to the constraint: 2 to 3 constraints for each data value, 17 to 20 for each row and
    hidden unit, 15 to 20 for each row and class of a softmax. Nothing grows with weights times steps.

Why it is sound
    docs/training.md, section 8. All that a check reads lies in the committed segment or is a product of such values,
    fixed before sigma and lambda; so each check is an identity between polynomials in sigma with fixed coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from fedproof.errors import ProofError
from fedproof.learning.cost import DATASET_BLINDING, UPDATE_BLINDING
from fedproof.learning.cost import cost as law
from fedproof.learning.exact import ModelTrace
from fedproof.learning.plan import TrainingPlan
from fedproof.proving.lin import Lin, concatenate
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from fedproof.statements.models.challenge import Powers
from fedproof.statements.models.evaluation import link
from fedproof.statements.models.first_layer import Dataset, FirstLayer, batches
from fedproof.statements.models.gadgets import Ranges
from fedproof.statements.models.heads import Head, commit_head
from fedproof.statements.models.hidden import Units, UpperLayer

NAME = "training/model"
VERSION = 1


@final
@dataclass(frozen=True, repr=False)
class ModelWitness:
    """What a participant knows.

    Attributes:
        trace: the integer SGD on its records, which it holds, too.
        dataset_blinding: `(2 + mask_count, 4)` field elements: blinding of C_X and masks of the enrolment.
        update_blinding: `(3, 4)` field elements.
    """

    trace: ModelTrace
    dataset_blinding: FrArray
    update_blinding: FrArray


@dataclass(frozen=True)
class _Epoch:
    """Committed values of one epoch: of each hidden layer, and of the last."""

    units: list[Units]
    head: Head


class ModelStatement:
    """The training circuit of one plan, which is within its limits by construction."""

    name = NAME
    version = VERSION

    def __init__(self, plan: TrainingPlan) -> None:
        self.plan = plan

    def synthesize(self, cs: ConstraintSystem, witness: ModelWitness | None) -> None:
        """Declare all wires and constraints; with a witness, assign them.

        Raises:
            ProofError: the witness is a run of another plan.
        """
        plan, w = self.plan, witness
        if w is not None and w.trace.plan != plan:
            raise ProofError(f"{self.name}: the run is of another plan than the statement")
        n, a = plan.rows, plan.columns
        sigma, lam, y = cs.public("sigma"), cs.public("lambda"), cs.public("y")
        trace = None if w is None else w.trace
        records = None if trace is None else np.concatenate([trace.inputs[:, :-1], trace.mask[:, None]], axis=1)
        x = cs.committed((n, a), records, "X")
        labels = cs.committed((n,), trace and trace.labels, "labels")
        blinding = cs.committed((DATASET_BLINDING + plan.mask_count,), w and w.dataset_blinding, "blinding of X")
        weights = [
            cs.committed(shape, trace and trace.start[layer], f"W of layer {layer + 1}")
            for layer, shape in enumerate(plan.model.layers)
        ]
        update_blinding = cs.committed((UPDATE_BLINDING,), w and w.update_blinding, "blinding of U")
        ranges = Ranges(cs, plan)
        epochs = [self._commit(cs, ranges, epoch, trace) for epoch in range(plan.epochs)]
        cs.challenges(sigma, lam)

        powers = Powers(cs, plan, sigma)
        data = Dataset(cs, plan, powers, x, labels, blinding)
        first = FirstLayer(cs, plan, powers, data, weights[0])
        upper = [UpperLayer(cs, plan, powers, layer, weights[layer]) for layer in range(1, plan.depth)]
        for number, epoch in enumerate(epochs):
            self._epoch(cs, epoch, x[:, -1], labels, first, upper, last=number == plan.epochs - 1)
        result = link(cs, powers, data, [first, *upper], first.late, update_blinding, lam)
        if cs.assigning:
            cs.assign(y, cs.value(result))
        cs.equal(result, y, "evaluation/output")

    def _commit(self, cs: ConstraintSystem, ranges: Ranges, epoch: int, trace: ModelTrace | None) -> _Epoch:
        plan = self.plan
        units = [
            Units.commit(cs, plan, ranges, layer, epoch, trace and trace.hidden[layer])
            for layer in range(plan.depth - 1)
        ]
        return _Epoch(units, commit_head(cs, plan, ranges, epoch, trace))

    def _epoch(
        self,
        cs: ConstraintSystem,
        epoch: _Epoch,
        mask: Lin,
        labels: Lin,
        first: FirstLayer,
        upper: list[UpperLayer],
        *,
        last: bool,
    ) -> None:
        """All steps of one epoch. What needs no weights is made for all its rows at once."""
        plan = self.plan
        hidden = [units.derive(cs, plan) for units in epoch.units]
        logits, delta = epoch.head.derive(cs, plan, labels)
        sums, deltas = [*(each.z for each in hidden), logits], [*(each.delta for each in hidden), delta]
        layers = [first, *upper]
        logits_at = [layer.logits_at(z) for layer, z in zip(layers, sums, strict=True)]
        moves = [layer.deltas_at(each) for layer, each in zip(layers, deltas, strict=True)]
        reads = [
            concatenate([each.output, (mask * (1 << scale.input_bits)).reshape(-1, 1)], axis=1)
            for each, scale in zip(hidden, plan.scales[1:], strict=True)
        ]
        inputs_at = [layer.inputs_at(each.output) for layer, each in zip(upper, hidden, strict=True)]
        back_at = [layer.back_at(each.back) for layer, each in zip(upper, hidden, strict=True)]
        every = batches(plan)
        for rows in every:
            first.check(rows, logits_at[0][rows])
            for k, layer in enumerate(upper):
                layer.forward(reads[k][rows], logits_at[k + 1][rows])
                layer.check_back(deltas[k + 1][rows], back_at[k][rows])
            # weights move only after all checks of a batch
            first.move(rows, moves[0][rows], last=last and rows == every[-1])
            for k, layer in enumerate(upper):
                layer.step(reads[k][rows], moves[k + 1][rows])
                at = inputs_at[k]
                layer.step_back(deltas[k + 1][rows], None if at is None else at[rows])

    def cost(self) -> int:
        """Constraints of the circuit, without the rows of `[1 | x]` that the core appends."""
        return law(self.plan).constraints
