"""What proving a plan costs, without making its circuit: constraints, committed values and table rows.

`parts` follows `docs/training.md` term by term; the circuit of `statements/models/` has so many, to the constraint.
With n rows, E epochs, first layer a x b in groups of g, hidden widths h and outputs K:

    n a (2 + 1/g)              the data: fold, dataset, forward, step; n a (1 + 1/g) in each further epoch
    n h E (2 + limbs)          ReLU: remainder, range, sign, activation; and two sums by challenge for each unit
    n h E (3 to 4)             the next layer reads h: forward, step, and the way back
    n h E (1 + limbs)          rounding of its delta
    n K E (15 to 20)           softmax
    a b, and b h more          initial weights of a layer, and of a hidden one

Nothing grows with weights times steps, and nothing with multiply-accumulates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import final

from fedproof.learning.architecture import CROSS_ENTROPY, LOG
from fedproof.learning.exponential import exponential_size
from fedproof.learning.fixed import BATCH
from fedproof.learning.plan import Rounding, TrainingPlan

DATASET_BLINDING, UPDATE_BLINDING = 2, 3  # as statements/layout.py; this room cannot import that one


@final
@dataclass(frozen=True)
class Cost:
    """Constraints by what they are for, rows of each table, committed values, and powers of tau."""

    parts: dict[str, int]
    tables: dict[str, int]
    committed: int
    powers: int

    @property
    def constraints(self) -> int:
        """All constraints, without the rows of `[1 | x]` that the core appends."""
        return sum(self.parts.values())

    @property
    def domain(self) -> int:
        """The evaluation domain: the next power of two."""
        return 1 << (self.constraints + 3).bit_length()

    def lines(self) -> list[str]:
        """A report, one line each."""
        named = [f"{name}: {value:,}" for name, value in self.parts.items()]
        return [f"{self.constraints:,} constraints, {self.committed:,} committed values", *named]


def _remainder(rounding: Rounding) -> int:
    """Lookups of one remainder: its low limbs and the top limb."""
    return rounding.limbs + 1


def tables(plan: TrainingPlan) -> dict[str, int]:
    """Rows of each table: one constraint and one committed multiplicity each."""
    out = {"limb": 1 << plan.limb_bits}
    roundings = [plan.forward(layer) for layer in range(plan.depth)]
    roundings += [plan.backward(layer) for layer in range(1, plan.depth)]
    for size in sorted({rounding.top_size for rounding in roundings}):
        out[f"top limb below {size}"] = size
    if plan.model.loss == LOG:
        out["sigmoid"] = 2 * plan.table_half
    if plan.model.loss == CROSS_ENTROPY:
        out["exponential"] = exponential_size(plan.logit_bits, plan.exponential_bits)
    return out


def _head(plan: TrainingPlan) -> tuple[int, int]:
    """Constraints of the last layer's loss, and the values it commits to, for one row."""
    classes, limbs = plan.model.outputs, plan.logit_limbs
    remainder = _remainder(plan.forward(plan.depth - 1))
    if plan.model.loss == LOG:
        # the table with two folds; limbs beyond it; saturation
        return remainder + 3 + limbs + 1, remainder + 3 + limbs
    if plan.model.loss != CROSS_ENTROPY:
        return remainder + limbs, remainder + limbs
    # exponential with its fold; limbs beyond it and their gate; one-hot; division, its two ranges, and P's
    division = 2 * plan.division_limbs + plan.probability_limbs
    each = remainder + 2 + limbs + 1 + 1 + 1 + division
    # one limb of each pair of division ranges, and one bit of the one-hot label, follow from the others
    committed = remainder + 2 + limbs + 1 + division - 1
    # the product of distances has one factor fewer; the range of m; the label
    return classes * each + (classes - 1) + limbs + 1, classes * committed + limbs - 1


def cost(plan: TrainingPlan) -> Cost:
    """The cost law of a plan."""
    n, epochs, g = plan.rows, plan.epochs, plan.group
    layers = plan.model.layers
    a, b = layers[0]
    groups, masks = n // g, DATASET_BLINDING + plan.mask_count
    # with g = 1 the last batch needs no new G: p . (A^T delta v) = sum (p . A_i)(delta_i . v)
    steps = epochs * n * a - (BATCH * (a - 1) if g == 1 else 0)
    parts = {
        "data: fold": groups * a * (g - 1),
        "data: evaluation": groups * (a - 1) + (groups - 1) + (n - 1) + (masks - 1) + 2,
        "layer 1: forward": epochs * groups * a,
        "layer 1: sums by challenge": epochs * (n * b - groups + n * (b - 1)),
        "layer 1: steps": steps,
        "layer 1: initial weights": a * (b - 1),
    }
    committed = n * a + n + masks + plan.model.parameters + UPDATE_BLINDING + 1
    for layer in range(1, plan.depth):
        below, name = plan.model.widths[layer], f"layer {layer + 1}"
        inputs, outputs = layers[layer]
        rounding = _remainder(plan.forward(layer - 1)) + plan.activation_limbs
        back = _remainder(plan.backward(layer)) + plan.delta_limbs
        parts[f"layer {layer}: relu"] = epochs * n * below * (rounding + 2)
        parts[f"{name}: forward"] = epochs * n * inputs
        parts[f"{name}: steps"] = epochs * n * inputs
        # b = 1: Z is the forward sum itself, and back is delta W
        sums = epochs * n * 2 * (outputs - 1)
        through = epochs * n * (below if outputs == 1 else 2 * (below - 1) + 2 * outputs)
        parts[f"{name}: sums by challenge"] = sums
        parts[f"{name}: back"] = through
        parts[f"layer {layer}: delta"] = epochs * n * below * (back + 1)
        parts[f"{name}: initial weights"] = inputs * (outputs - 1) + (outputs * (below - 1) if outputs > 1 else 0)
        committed += epochs * n * below * (rounding + 1 + back)
    head, head_committed = _head(plan)
    parts[f"loss: {plan.model.loss}"] = epochs * n * head
    committed += epochs * n * head_committed

    start = sum(inputs - 1 for inputs, _ in layers) + plan.depth - 1
    parts["evaluation of W and U"] = 2 * start + UPDATE_BLINDING + 3
    parts["powers of sigma"] = _powers(plan, groups, masks)
    sizes = tables(plan)
    widest = 3 if plan.model.loss == LOG else 2 if plan.model.loss == CROSS_ENTROPY else 1
    parts["tables"] = sum(sizes.values()) + (widest - 1) + 1  # powers for the folds, and the sum
    parts["blinding of D"] = 1
    dataset = n * (a + 1) + masks
    update = plan.offset(plan.depth) + UPDATE_BLINDING
    return Cost(parts, sizes, committed + sum(sizes.values()), max(dataset, update))


@final
@dataclass(frozen=True)
class Law:
    """`constraints = fixed + rows * (once + each * epochs)`, exact for the scales, widths and group of a plan."""

    fixed: int
    once: Fraction
    each: Fraction

    def at(self, rows: int, epochs: int) -> int:
        """Constraints of so many rows and epochs; rows at least the inputs of the widest layer."""
        return int(self.fixed + rows * (self.once + self.each * epochs))

    def __str__(self) -> str:
        return f"{self.fixed:,} + rows * ({float(self.once):,.2f} + {float(self.each):,.2f} * epochs)"


def law(plan: TrainingPlan) -> Law:
    """The cost law of a plan as a function of rows and epochs."""
    # beyond this many rows, the powers of sigma follow the rows
    inputs = max(a for a, _ in plan.model.layers)
    masks = DATASET_BLINDING + plan.mask_count
    rows = BATCH * (inputs + UPDATE_BLINDING + masks + plan.model.layers[0][1])
    rows -= rows % BATCH

    def measured(rows: int, epochs: int) -> int:
        return cost(replace(plan, rows=rows, epochs=epochs)).constraints

    each = Fraction(measured(rows, 2) - measured(rows, 1), rows)
    once = Fraction(measured(2 * rows, 1) - measured(rows, 1), rows) - each
    return Law(int(measured(rows, 1) - rows * (once + each)), once, each)


def _powers(plan: TrainingPlan, groups: int, masks: int) -> int:
    """Constraints for the powers of sigma: a run from 0, rows within a group, groups, and each layer's v and O."""
    layers = plan.model.layers
    a, b = layers[0]
    run = max(plan.rows, a + UPDATE_BLINDING, *(inputs for inputs, _ in layers))
    out = run - 1 + plan.group - 1 + max(groups, b) - 1
    out += masks - 2 if masks > run + 1 else 0
    for layer, (_, outputs) in enumerate(layers):
        if layer:
            out += max(outputs - 2, 0)
        # where the layer ends: sigma^(O + stride (b - 1) + a)
        out += (1 if outputs > 1 else 0) + (1 if layer else 0)
    return out
