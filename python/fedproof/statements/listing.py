"""Listing: what a dataset token commits to is a well-formed dataset of n rows (protocol, section 5).

Public inputs
    n, sigma, lambda, y

External commitment, linked by `y = v(sigma)`
    C_X: the dataset with its labels and two blinding coefficients

Statement
    every feature is in [-2048, 2048); every mask is 0 or 1, real rows come first, and there are n of them; labels are
    of the kind that the circuit names (`labels.py`): 0 or 1, a class below K, or a target in [-2048, 2048); padding
    rows and their labels are zero.

Cost, with N rows and a columns of the capacity class
    2 N (a - 1)      a range lookup and a fold for each feature
    + 4096           rows of the range table
    + 9 N + 2        masks, labels and their evaluation (for N >= a)
    + K              rows of the classes' table, for K > 2 classes; a target costs what a binary label costs

    that is, for each of the N (a - 1) values, 2.8 constraints in a class of 256 x 31 and 2.2 in one of 4096 x 50;
    larger datasets are listed in blocks of a class, at the same cost for each (`benches/listing.py`).

Why it is sound
    All values lie in the committed segment, fixed before sigma. `e_i = sum_j sigma^j x_ij` and `e_i * mask_i = e_i`
    force a row whose mask is 0 to vanish, but for a chance of a / r. The link binds the values to C_X. Labels take one
    constraint each: a product for two classes, a lookup in a table of K constants, or one in the features' table. The
    kind is in the circuit's matrices and in its name, so a key of one kind verifies no other. That the records are
    *true* no proof can show.
"""

from dataclasses import dataclass
from typing import Self, final

import numpy as np

from fedproof.learning.fixed import FEATURE_LIMIT, Int
from fedproof.learning.plans import Plan
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from fedproof.statements.labels import BINARY, TARGET, LabelKind
from fedproof.statements.layout import DATASET_BLINDING, DatasetLayout

VERSION = 1


@final
@dataclass(frozen=True, repr=False)
class ListingWitness:
    """The provider's padded records, shapes `(rows, columns - 1)`, `(rows,)`, `(rows,)`, and `(2, 4)` blinding."""

    features: Int
    mask: Int
    labels: Int
    blinding: FrArray


class ListingStatement:
    """The listing circuit of one capacity class.

    Args:
        rows, columns: of the class; the last column is the mask.
        kind: what the labels are.
    """

    version = VERSION

    def __init__(self, rows: int, columns: int, kind: LabelKind = BINARY) -> None:
        self.layout = DatasetLayout(rows, columns)
        self.kind = kind
        self.name = kind.statement

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """The circuit for datasets of a plan's tasks."""
        return cls(plan.rows, plan.columns, LabelKind.of(plan.model))

    def synthesize(self, cs: ConstraintSystem, witness: ListingWitness | None) -> None:
        """Declare all wires and constraints; with a witness, assign them."""
        w, rows, columns = witness, self.layout.rows, self.layout.columns
        count = cs.public("n", None if w is None else int(w.mask.sum()))
        sigma, lam, y = cs.public("sigma"), cs.public("lambda"), cs.public("y")
        records = None if w is None else np.concatenate([w.features, w.mask[:, None]], axis=1)
        x = cs.committed((rows, columns), records, "X")
        labels = cs.committed((rows,), w and w.labels, "labels")
        blinding = cs.committed((DATASET_BLINDING,), w and w.blinding, "blinding of X")
        features, mask = x[:, :-1], x[:, -1]
        table = cs.table("feature", np.arange(-FEATURE_LIMIT, FEATURE_LIMIT, dtype=np.int64))
        table.lookup(features)
        if self.kind == TARGET:
            table.lookup(labels)
        elif self.kind != BINARY:
            cs.table("class", np.arange(self.kind.classes, dtype=np.int64)).lookup(labels)
        cs.challenges(sigma, lam)

        cs.constrain(mask, 1 - mask, 0, "mask/boolean")
        cs.constrain(mask[1:], 1 - mask[:-1], 0, "mask/real rows first")
        cs.equal(mask.sum(), count, "mask/count")
        if self.kind == BINARY:
            cs.constrain(labels, 1 - labels, 0, "labels/boolean")
        cs.constrain(labels, 1 - mask, 0, "labels/padding")

        powers = cs.powers(sigma, max(rows, columns) + 1, "powers of sigma")
        of_row = cs.powers(powers[columns], rows + 1, "powers of sigma")
        row_at = x[:, 0] + cs.product(x[:, 1:], powers[1:columns], "evaluation/row").sum(1)
        cs.constrain(row_at, mask, row_at, "padding is zero")
        data_at = row_at[0] + cs.product(row_at[1:], of_row[1:rows], "evaluation/rows").sum()
        labels_at = labels[0] + cs.product(labels[1:], powers[1:rows], "evaluation/labels").sum()
        blinding_at = blinding[0] + cs.product(blinding[1:], powers[1:DATASET_BLINDING], "evaluation/blinding").sum()
        tail_at = labels_at + cs.product(blinding_at, powers[rows], "evaluation/tail")
        result = data_at + cs.product(tail_at, of_row[rows], "evaluation/tail")
        if cs.assigning:
            cs.assign(y, cs.value(result))
        cs.equal(result, y, "evaluation/output")
        # one evaluation is opened at lambda^0 = 1; lambda serves the lookups alone

    def cost(self) -> int:
        """Constraints of the circuit, without the rows of `[1 | x]` that the core appends."""
        n, a = self.layout.rows, self.layout.columns
        checks = n + (n - 1) + 1 + n + n + n
        powers = max(n, a) - 1 + n - 1
        evaluation = n * (a - 1) + (n - 1) + (n - 1) + (DATASET_BLINDING - 1) + 2 + 1
        lookup = n * (a - 1) + 2 * FEATURE_LIMIT + self.kind.rows + 1
        return checks + powers + evaluation + lookup + 1
