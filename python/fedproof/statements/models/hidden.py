"""Hidden layers: ReLU and the rounded delta of their units, and the layer above that reads them (section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from fedproof.learning.exact import HiddenTrace
from fedproof.learning.plan import TrainingPlan
from fedproof.proving.lin import Lin, concatenate
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.statements.models.challenge import Powers
from fedproof.statements.models.dense import DenseLayer, descend
from fedproof.statements.models.gadgets import Ranges, dot, dot_is


@final
@dataclass(frozen=True)
class Units:
    """Committed values of one hidden layer in one epoch, each `(n, h)`.

    Attributes:
        layer: number of the layer from 0.
        remainder, magnitude, positive: of ReLU; `magnitude` is q where `positive` is 1, else `-1 - q`.
        back_remainder, rounded: of the delta that comes from above, before it is masked.
    """

    layer: int
    remainder: Lin
    magnitude: Lin
    positive: Lin
    back_remainder: Lin
    rounded: Lin

    @classmethod
    def commit(
        cls, cs: ConstraintSystem, plan: TrainingPlan, ranges: Ranges, layer: int, epoch: int, trace: HiddenTrace | None
    ) -> Units:
        """Declare the wires of a layer's epoch and their ranges."""
        shape, name = (plan.rows, plan.model.widths[layer + 1]), f"layer {layer + 1}"
        t = trace
        magnitude = None if t is None else abs(2 * t.index[epoch] + 1) // 2  # q, or -1 - q below zero
        return cls(
            layer,
            ranges.remainder(shape, t and t.remainder[epoch], plan.forward(layer), f"{name}/remainder"),
            ranges.limbs(shape, magnitude, plan.activation_limbs, f"{name}/magnitude"),
            cs.committed(shape, t and t.positive[epoch], f"{name}/positive"),
            ranges.remainder(shape, t and t.back_remainder[epoch], plan.backward(layer + 1), f"{name}/back remainder"),
            ranges.limbs(shape, t and t.rounded[epoch] + plan.delta_range, plan.delta_limbs, f"{name}/rounded")
            - plan.delta_range,
        )

    def derive(self, cs: ConstraintSystem, plan: TrainingPlan) -> Activations:
        """ReLU, `q = 2 act + t - 1 - u`, and the masked delta: 3 constraints for each unit beside the ranges."""
        name = f"layer {self.layer + 1}"
        forward, backward = plan.forward(self.layer), plan.backward(self.layer + 1)
        t, u = self.positive, self.magnitude
        cs.constrain(t, t - 1, 0, f"{name}/sign")
        act = cs.product(u, t, f"{name}/activation")
        q = act * 2 + t - 1 - u
        return Activations(
            z=q * forward.divisor + self.remainder - forward.offset,
            output=act,
            back=self.rounded * backward.divisor + self.back_remainder - backward.offset,
            delta=cs.product(self.rounded, t, f"{name}/delta"),
        )


@final
@dataclass(frozen=True)
class Activations:
    """What follows from the committed values of a hidden layer in one epoch, each `(n, h)`.

    Attributes:
        z: the layer's forward sums. output: its activations.
        back: `delta W^T` of the layer above. delta: the layer's output deltas.
    """

    z: Lin
    output: Lin
    back: Lin
    delta: Lin


class UpperLayer(DenseLayer):
    """A layer that reads a hidden one.

    With several outputs it also tracks `h = W^T p`, through which the way back is one inner product for each row; with
    one, G is W itself and every unit is checked.
    """

    def __init__(self, cs: ConstraintSystem, plan: TrainingPlan, powers: Powers, layer: int, weights: Lin) -> None:
        super().__init__(cs, layer + 1, weights, powers.outputs[layer])
        inputs, outputs = plan.model.layers[layer]
        self.p = powers.run[: inputs - 1]  # the bias row passes no delta back
        self.h: Lin | None = None
        if outputs > 1:
            flat = concatenate([weights[:-1, k].reshape(1, -1) for k in range(outputs)])
            self.h = dot(cs, flat, self.p, f"{self.name}/initial way back")

    def back_at(self, back: Lin) -> Lin:
        """`back_i . p` of each row, `(n,)`; with one output the values themselves, `(n, a - 1)`."""
        return back if self.h is None else dot(self.cs, back, self.p, f"{self.name}/back sums")

    def inputs_at(self, output: Lin) -> Lin | None:
        """`A_i . p` of each row, `(n,)`, without the bias input; nothing where there is no h."""
        return None if self.h is None else dot(self.cs, output, self.p, f"{self.name}/inputs")

    def check_back(self, delta: Lin, back_at: Lin) -> None:
        """`back . p = delta . h` of each row of a batch; or `back_j = delta W_j` of each unit."""
        group = f"{self.name}/back"
        if self.h is None:
            self.cs.constrain(self.now[:-1], delta, back_at, group)
        else:
            dot_is(self.cs, delta, self.h, back_at, group)

    def step_back(self, delta: Lin, inputs_at: Lin | None) -> None:
        """`h -= delta^T (A p)` over a batch."""
        if self.h is not None and inputs_at is not None:
            self.h = descend(self.cs, self.h, delta, inputs_at, f"{self.name}/back step")
