"""Bounded update: the committed update has an L2 norm of at most the plan's bound and every entry in range.

For models outside the family that `models/` trains. It is *no proof of training*: any vector within the bounds passes,
whatever it was made from. What it stops is an update that outweighs all others, and integers that wrap in the sum.

Public inputs
    sigma, lambda, y

External commitments, linked by `y = sum_k lambda^k v_k(sigma)`
    C_X' (the enrolled dataset), C_W (the global model), C_U (the update with its blinding): as for training, so that a
    contract checks both statements by one equation and a task's key alone says which one it asked for

Statement
    With U the vector of C_U without its blinding: `sum U_i^2 <= norm_squared` and `-limit <= U_i < limit`. Nothing is
    said of X and W.

Cost, with P parameters, M values of C_X' (records, mask column, labels, blinding, masks), entries of k limbs of w bits
    P (k + 3)        entries: limbs, square, two evaluations (U and W)
    + M              evaluation of X
    + 2^w            rows of the limb table
    + s + width + groups + 3
                     limbs of the slack and powers of sigma, both about sqrt(max(M, P)): `cost()` states it exactly

Why it is sound
    Limbs of U and of the slack, blinding, and copies of X and W lie in the committed segment, fixed before sigma and
    lambda. So `x(sigma) + lambda w(sigma) + lambda^2 u(sigma) = F(sigma)` holds only if it holds identically, and u,
    the blinding included, is the vector of C_U. Limbs bound every entry and the slack, so that `sum u_i^2 + slack` is
    below 2^250 (`BoundedPlan.wrap_bits`): what equals norm_squared mod r equals it, and a slack of at least 0 makes
    norm_squared a bound. Square and entry are one linear combination of the same limbs. The bound and the limb widths
    are constants of the circuit and so part of its id; the blinding enters no norm.

Why X and W have copies that nothing constrains
    The equation opens one value of the three commitments together. A circuit that took x(sigma) and w(sigma) as wires
    outside the segment would let a prover choose them after sigma, one of them to absorb any difference between u and
    C_U: the bound would then be about a vector of the prover's choice. An honest prover must be bound to X and W before
    sigma is known, in some form that the circuit can evaluate at sigma; that is as many committed values and products
    as they have coefficients. Only a contract that opens C_U alone could do without. So the link to C_X' proves nothing
    about the dataset's part in the update; it ties the update to the enrolment as the transcript does, which also holds
    chain, task, round and participant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from fedproof.learning.clipping import STATEMENT, BoundedPlan, squares
from fedproof.learning.fixed import Int
from fedproof.proving.lin import Lin, concatenate
from fedproof.proving.lookup import Table
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from fedproof.statements.layout import UPDATE_BLINDING, DatasetLayout

NAME = STATEMENT
VERSION = 1
GROUP = "powers of sigma"


@final
@dataclass(frozen=True, repr=False)
class BoundedWitness:
    """What a participant knows.

    Attributes:
        dataset: the vector of C_X', `(M, 4)`, as `dataset_vector` makes it.
        weights: the global model, `(parameters,)`, which is public.
        update: `(parameters,)`, within the plan's bounds.
        update_blinding: `(3, 4)` field elements.
    """

    dataset: FrArray
    weights: Int
    update: Int
    update_blinding: FrArray


class BoundedStatement:
    """The circuit of one plan, which is within its limits by construction."""

    name = NAME
    version = VERSION

    def __init__(self, plan: BoundedPlan) -> None:
        self.plan = plan
        self.layout = DatasetLayout(plan.rows, plan.columns)

    @property
    def dataset_size(self) -> int:
        """M: length of the vector of C_X'."""
        return self.layout.size(self.plan.mask_count)

    @property
    def powers(self) -> int:
        """Powers of tau that the three vectors need: the longest of them."""
        return max(self.dataset_size, self.plan.parameters + UPDATE_BLINDING)

    @property
    def width(self) -> int:
        """Values of a vector that are evaluated together: a power of two, at least the root of the longest."""
        return 1 << -(-(self.powers - 1).bit_length() // 2)

    def synthesize(self, cs: ConstraintSystem, witness: BoundedWitness | None) -> None:
        """Declare all wires and constraints; with a witness, assign them."""
        plan, w = self.plan, witness
        sigma, lam, y = cs.public("sigma"), cs.public("lambda"), cs.public("y")
        limb = cs.table("limb", np.arange(1 << plan.limb_bits, dtype=np.int64))
        dataset = cs.committed((self.dataset_size,), w and w.dataset, "X")
        weights = cs.committed((plan.parameters,), w and w.weights, "W")
        lifted = None if w is None else (w.update + plan.entry_limit).tolist()
        update = self._limbs(cs, limb, lifted, plan.parameters, plan.entry_limbs, "U") - plan.entry_limit
        blinding = cs.committed((UPDATE_BLINDING,), w and w.update_blinding, "blinding of U")
        left = None if w is None else [plan.norm_squared - squares(w.update.tolist())]
        slack = self._limbs(cs, limb, left, 1, plan.slack_limbs, "slack")
        cs.challenges(sigma, lam)

        total = cs.product(update, update, "norm/square").sum()
        cs.equal(total + slack[0], plan.norm_squared, "norm/bound")

        run = cs.powers(sigma, self.width + 1, GROUP)
        of_group = cs.powers(run[self.width], -(-self.powers // self.width), GROUP)
        parts = {"dataset": dataset, "weights": weights, "update": concatenate([update, blinding])}
        x_at, w_at, u_at = (
            _evaluate(cs, values, run[: self.width], of_group, f"evaluation/{name}") for name, values in parts.items()
        )
        inner = w_at + cs.product(u_at, lam, "evaluation/lambda")
        result = x_at + cs.product(inner, lam, "evaluation/lambda")
        if cs.assigning:
            cs.assign(y, cs.value(result))
        cs.equal(result, y, "evaluation/output")

    def _limbs(
        self, cs: ConstraintSystem, table: Table, values: list[int] | None, size: int, limbs: int, name: str
    ) -> Lin:
        """Committed limbs of `size` integers in `[0, 2^(limb_bits limbs))`, lowest first; returns the integers.

        The top limb of an integer that is out of range is left out of range, for the lookup to refuse.
        """
        bits = self.plan.limb_bits
        split = None
        if values is not None:
            split = [
                v >> (at * bits) if at == limbs - 1 else (v >> (at * bits)) & ((1 << bits) - 1)
                for v in values
                for at in range(limbs)
            ]
        wires = cs.committed((size, limbs), split, name)
        table.lookup(wires)
        return (wires * np.array([1 << (at * bits) for at in range(limbs)], dtype=object)).sum(1)

    def cost(self) -> int:
        """Constraints of the circuit, without the rows of `[1 | x]` that the core appends."""
        plan, p = self.plan, self.plan.parameters
        lookups = p * plan.entry_limbs + plan.slack_limbs + (1 << plan.limb_bits) + 1
        norm = p + 1
        powers = self.width - 1 + max(-(-self.powers // self.width) - 2, 0)
        evaluation = (self.dataset_size - 1) + (p - 1) + (p + UPDATE_BLINDING - 1) + 2 + 1
        return lookups + norm + powers + evaluation + 1


def _evaluate(cs: ConstraintSystem, values: Lin, run: Lin, of_group: Lin, group: str) -> Lin:
    """`sum_i sigma^i values_i`, one value, from `run = (sigma^j), j < width` and the powers of `sigma^width`.

    m - 1 products for m values: width - 1 within each group of `width`, and one for each group but the first.
    """
    width = run.size
    whole = values.size // width * width
    parts = []
    if whole:
        rows = values[:whole].reshape(-1, width)
        parts.append(rows[:, 0] + cs.product(rows[:, 1:], run[1:], group).sum(1))
    if whole < values.size:
        rest = values[whole:]
        at = rest[0] + cs.product(rest[1:], run[1 : rest.size], group).sum() if rest.size > 1 else rest[0]
        parts.append(at.reshape(1))
    sums = concatenate(parts)
    if sums.size == 1:
        return sums[0]
    return sums[0] + cs.product(sums[1:], of_group[1 : sums.size], f"{group} of a group").sum()
