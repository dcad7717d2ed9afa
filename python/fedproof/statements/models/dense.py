"""What all dense layers have in common: the weights, seen through the challenge vector of their outputs.

Nothing but `G = W v` is tracked (a values, whatever the number of outputs), so that a forward sum is one inner product
and a step one product for each value read (docs/training.md, sections 4 and 5).
"""

from __future__ import annotations

from fedproof.proving.lin import Lin
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.statements.models.gadgets import dot, dot_is


class DenseLayer:
    """A layer of `a` inputs and `b` outputs in the run of a plan.

    Attributes:
        name: "layer 1" for the first.
        weights: W at the start, committed, `(a, b)`.
        start: `W v` at the start, `(a,)`. now: the same after the steps so far.
    """

    def __init__(self, cs: ConstraintSystem, number: int, weights: Lin, v: Lin) -> None:
        self.cs, self.name, self.weights, self.v = cs, f"layer {number}", weights, v
        self.start = self.now = dot(cs, weights, v, f"{self.name}/initial weights")

    def logits_at(self, z: Lin) -> Lin:
        """`Z_i . v` of each row, `(n,)` from `(n, b)`."""
        return dot(self.cs, z, self.v, f"{self.name}/logits")

    def deltas_at(self, delta: Lin) -> Lin:
        """`delta_i . v` of each row, `(n,)` from `(n, b)`: how far the row moves G."""
        return dot(self.cs, delta, self.v, f"{self.name}/deltas")

    def forward(self, read: Lin, total: Lin) -> None:
        """Check `read . G = total` with the weights as they are now: `(m, a)` and `(m,)`, m rows or groups."""
        dot_is(self.cs, read, self.now, total, f"{self.name}/forward")

    def step(self, read: Lin, move: Lin) -> None:
        """`G -= A^T (delta v)` over a batch: `(32, a)` and `(32,)`."""
        self.now = descend(self.cs, self.now, read, move, f"{self.name}/step")


def descend(cs: ConstraintSystem, now: Lin, values: Lin, moves: Lin, group: str) -> Lin:
    """`now - values^T moves`, `(m,)` from `(rows, m)` and `(rows,)`: a constraint for each value.

    The last product takes the sum in, so that the new vector is wires again and not ever longer sums.
    """
    moved = cs.product(values[1:], moves[1:].reshape(-1, 1), group)
    rest = now - moved.sum(0)
    return -cs.product(values[0], moves[0], group, less=rest)
