"""The challenge's powers: of single positions, rows, groups, and of each layer's outputs and place in the layout."""

from __future__ import annotations

from collections.abc import Sequence

from fedproof.learning.cost import DATASET_BLINDING, UPDATE_BLINDING
from fedproof.learning.plan import TrainingPlan
from fedproof.proving.lin import Lin
from fedproof.proving.r1cs import ConstraintSystem

GROUP = "powers of sigma"


class Powers:
    """Powers of sigma that the circuit of a plan reads.

    Attributes:
        run: `sigma^k` for `k <= max(n, a + 3, inputs of any layer)`.
        masks: the same, and on to the number of a dataset's blinding coefficients.
        in_group: `sigma^(a i)`, `i <= g`, of the rows of a group.
        of_group: `sigma^(g a k)`, of groups and of the first layer's outputs.
        outputs: v of each layer, `sigma^(g_l a_l k)`, `k < b_l`.
        offset: `sigma^O_l` of each layer l, and of the update's blinding at last.
    """

    def __init__(self, cs: ConstraintSystem, plan: TrainingPlan, sigma: Lin) -> None:
        layers, n, a, g = plan.model.layers, plan.rows, plan.columns, plan.group
        masks, groups = DATASET_BLINDING + plan.mask_count, n // g
        run = max(n, a + UPDATE_BLINDING, *(inputs for inputs, _ in layers))
        self.run = cs.powers(sigma, run + 1, GROUP)
        self.masks = self.run if masks <= run + 1 else cs.powers(sigma, masks, GROUP)
        self.in_group = cs.powers(self.run[a], g + 1, GROUP)
        self.of_group = cs.powers(self.in_group[g], max(groups, layers[0][1]) + 1, GROUP)
        self.outputs = output_powers(cs, layers, self.run, self.of_group)
        self.offset = offset_powers(cs, layers, self.run, self.outputs, len(layers))


Shapes = Sequence[tuple[int, int]]


def output_powers(cs: ConstraintSystem, layers: Shapes, run: Lin, of_group: Lin) -> list[Lin]:
    """v of each layer, `sigma^(g_l a_l k)` for `k < b_l`; `of_group` holds that of the first, and may hold more."""
    rest = [cs.powers(run[inputs], outputs, GROUP) for inputs, outputs in layers[1:]]
    return [of_group[: layers[0][1]], *rest]


def offset_powers(cs: ConstraintSystem, layers: Shapes, run: Lin, outputs: Sequence[Lin], count: int) -> list[Lin]:
    """`sigma^O_l` for `l <= count`; that of all layers is where the update's blinding starts."""
    out = [cs.one]
    for layer, (inputs, width) in enumerate(layers[:count]):
        end = run[inputs]
        if width > 1:
            end = cs.product(outputs[layer][-1], end, GROUP)
        out.append(cs.product(out[-1], end, GROUP) if layer else end)
    return out
