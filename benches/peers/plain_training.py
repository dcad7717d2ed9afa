"""Training in the circuit that one writes first: what the project's way of proving is measured against.

One constraint for each multiplication of forward, backward and update; k constraints for a k-bit range, a bit each; no
lookups; every weight rounded at every step. Where there was a choice, this circuit has the cheaper one: all divisors
are powers of two (a learning rate of 1/128), a rounding's equation is folded into the last product of its sum, a cubic
stands for the sigmoid and for the exponential, softmax subtracts no maximum, features are taken as in range, and
nobody commits: the challenge that dataset and weights are evaluated at is a public input.

`count` counts for every model; `PlainTraining` builds the logistic loss, with hidden layers or without.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

from fedproof.learning.architecture import CROSS_ENTROPY, LOG
from fedproof.learning.fixed import BATCH, Int
from fedproof.learning.plan import TrainingPlan
from fedproof.proving.lin import Lin, concatenate
from fedproof.proving.r1cs import ConstraintSystem

WEIGHT_FRACTION, WEIGHT_BITS = 16, 24
STEP_BITS = 12  # batch 32, learning rate 1/128
LOGIT_FRACTION, LOGIT_BITS = 7, 12
CUBIC_BITS = 3 * LOGIT_FRACTION + 6  # q^3 / 64 at three times the fraction


def count(plan: TrainingPlan) -> dict[str, int]:
    """Constraints of one epoch by what they are for."""
    layers, scales, n = plan.model.layers, plan.scales, plan.rows
    parameters = sum(a * b for a, b in layers)
    hidden = list(zip(plan.model.widths[1:-1], scales, scales[1:], strict=False))
    activation, delta = plan.activation_limbs * plan.limb_bits + 1, plan.delta_limbs * plan.limb_bits
    classes, unit = plan.model.outputs, scales[-1].delta_bits
    steps = plan.rows // BATCH
    update_bits = sum(
        a * b * (scale.input_bits + scale.delta_bits + STEP_BITS - WEIGHT_FRACTION + WEIGHT_BITS)
        for (a, b), scale in zip(layers, scales, strict=True)
    )
    logit = scales[-1].input_bits + WEIGHT_FRACTION - LOGIT_FRACTION + LOGIT_BITS
    if plan.model.loss == CROSS_ENTROPY:
        # cubic, its rounding, the quotient's product, three ranges, and the label's bit
        e = plan.exponential_bits
        division = e + 2 + (classes - 1).bit_length()
        loss = 2 + CUBIC_BITS + e + 2 + 1 + 2 * division + unit + 1 + 1
    else:
        loss = 2 + CUBIC_BITS + unit + 2
    values = n * (plan.columns + 1) + 2 * parameters
    width = isqrt(values)
    height = -(-values // width)
    return {
        "forward": n * parameters,
        "backward": n * sum((a - 1) * b for a, b in layers[1:]),
        "update": n * parameters,
        "rounded activations": n
        * sum(h * (low.input_bits + WEIGHT_FRACTION - high.input_bits + activation) for h, low, high in hidden),
        "rounded deltas": n
        * sum(h * (high.delta_bits + WEIGHT_FRACTION - low.delta_bits + delta) for h, low, high in hidden),
        "relu": 2 * n * sum(h for h, _, _ in hidden),
        "rounded weights": steps * update_bits,
        "loss": n * classes * (logit + loss),
        "evaluation": height * (width - 1) + (height - 1) + (width + 1 - 2) + max(height - 2, 0) + 1,
    }  # fmt: skip


@dataclass(frozen=True)
class Value:
    """Linear combinations, and their integers where there is a witness."""

    lin: Lin
    ints: Int | None

    def __getitem__(self, key: object) -> Value:
        return Value(self.lin[key], None if self.ints is None else self.ints[key])


@dataclass(frozen=True)
class PlainWitness:
    """Features with the mask column at the input scale `(rows, a)`, labels, the first weights, and the challenge."""

    inputs: Int
    labels: Int
    weights: list[Int]
    sigma: int


@dataclass(frozen=True)
class PlainTraining:
    """One epoch of a plan's model under the logistic loss, on its rows, in batches of 32."""

    plan: TrainingPlan
    name: str = "plain training"
    version: int = 1

    def synthesize(self, cs: ConstraintSystem, witness: PlainWitness | None) -> None:
        """Declare wires and constraints."""
        plan = self.plan
        assert plan.epochs == 1, "one epoch"
        assert plan.model.loss == LOG, "the logistic loss"
        sigma, out = cs.public("sigma", None if witness is None else witness.sigma), cs.public("y")
        inputs = _wires(cs, None if witness is None else witness.inputs, (plan.rows, plan.columns))
        labels = _wires(cs, None if witness is None else witness.labels, (plan.rows, 1))
        weights = [
            _wires(cs, None if witness is None else witness.weights[layer], shape)
            for layer, shape in enumerate(plan.model.layers)
        ]
        parts = [inputs.lin, labels.lin, *(weight.lin for weight in weights)]
        for start in range(0, plan.rows, BATCH):
            rows = slice(start, start + BATCH)
            weights = self._step(cs, inputs[rows], labels[rows], weights)
        parts += [weight.lin for weight in weights]
        values = concatenate([part.reshape(part.size) for part in parts])
        # as many products as with Horner's rule, in fewer steps of Python
        width = isqrt(values.size)
        zeros = np.zeros((-values.size) % width, dtype=np.int64)
        table = (concatenate([values, cs.constant(zeros)]) if zeros.size else values).reshape(-1, width)
        powers = cs.powers(sigma, width + 1, "evaluation")
        lines = table[:, 0] + cs.product(table[:, 1:], powers[1:width].reshape(1, -1), "evaluation").sum(1)
        places = cs.powers(powers[width], lines.size, "evaluation")
        total = lines[0] + cs.product(lines[1:], places[1:], "evaluation").sum()
        if witness is not None:
            cs.assign(out, cs.value(total.reshape(1)))
        cs.equal(out, total, "evaluation")

    def _step(self, cs: ConstraintSystem, inputs: Value, labels: Value, weights: list[Value]) -> list[Value]:
        plan, scales = self.plan, self.plan.scales
        below, signs = [inputs], []
        for layer, weight in enumerate(weights[:-1]):
            shift = scales[layer].input_bits + WEIGHT_FRACTION - scales[layer + 1].input_bits
            bits = plan.activation_limbs * plan.limb_bits + 1
            index, sign = _rounded_product(cs, below[-1], weight, shift, bits)
            bias = _scaled(inputs[:, -1:], 1 << scales[layer + 1].input_bits - scales[0].input_bits)
            below.append(_joined(_product(cs, sign, index), bias))
            signs.append(sign)
        shift = scales[-1].input_bits + WEIGHT_FRACTION - LOGIT_FRACTION
        index, _ = _rounded_product(cs, below[-1], weights[-1], shift, LOGIT_BITS)
        delta = _minus(self._sigmoid(cs, index), _scaled(labels, 1 << scales[-1].delta_bits))
        out = []
        for layer in reversed(range(len(weights))):
            weight = weights[layer]
            shift = scales[layer].input_bits + scales[layer].delta_bits + STEP_BITS - WEIGHT_FRACTION
            transposed = Value(_swapped(below[layer].lin), None if below[layer].ints is None else below[layer].ints.T)
            out.append(_rounded_product(cs, _scaled(transposed, -1), delta, shift, WEIGHT_BITS, weight)[0])
            if layer:
                kept = weight[:-1]
                back = Value(_swapped(kept.lin), None if kept.ints is None else kept.ints.T)
                shift = scales[layer].delta_bits + WEIGHT_FRACTION - scales[layer - 1].delta_bits
                found, _ = _rounded_product(cs, delta, back, shift, plan.delta_limbs * plan.limb_bits)
                delta = _product(cs, signs[layer - 1], found)
        return out[::-1]

    def _sigmoid(self, cs: ConstraintSystem, index: Value) -> Value:
        """`1/2 + q/4 - q^3/64` at the delta's scale."""
        unit, fraction = self.plan.scales[-1].delta_bits, LOGIT_FRACTION
        square = _product(cs, index, index)
        linear = _scaled(index, 1 << unit + 2 * fraction + 4)
        constant = 1 << unit + 3 * fraction + 5
        # the last product takes the rounding's equation in
        ints = None
        if index.ints is not None and square.ints is not None and linear.ints is not None:
            ints = constant + linear.ints - ((square.ints * index.ints) << unit)
        rounded, target, _ = _round(cs, ints, index.lin.shape, CUBIC_BITS, unit + 2)
        cs.constrain(square.lin, index.lin * -(1 << unit), target - linear.lin - constant, "loss")
        return rounded


def _wires(cs: ConstraintSystem, ints: Int | None, shape: tuple[int, ...]) -> Value:
    return Value(cs.private(shape, ints, "values"), ints)


def _swapped(lin: Lin) -> Lin:
    return lin[np.arange(lin.shape[0])[None, :], np.arange(lin.shape[1])[:, None]]


def _scaled(value: Value, factor: int) -> Value:
    return Value(value.lin * factor, None if value.ints is None else value.ints * factor)


def _minus(left: Value, right: Value) -> Value:
    ints = None if left.ints is None or right.ints is None else left.ints - right.ints
    return Value(left.lin - right.lin, ints)


def _joined(left: Value, right: Value) -> Value:
    ints = None if left.ints is None or right.ints is None else np.concatenate([left.ints, right.ints], axis=1)
    return Value(concatenate([left.lin, right.lin], axis=1), ints)


def _product(cs: ConstraintSystem, left: Value, right: Value) -> Value:
    ints = None if left.ints is None or right.ints is None else left.ints * right.ints
    return Value(cs.product(left.lin, right.lin, "products"), ints)


def _bits(cs: ConstraintSystem, ints: Int | None, shape: tuple[int, ...], bits: int) -> Lin:
    """Bits of non-negative integers, the lowest first, along a last axis."""
    places = np.arange(bits, dtype=np.int64)
    assert ints is None or ((ints >= 0).all() and (ints >> bits == 0).all()), "an integer leaves its range"
    wires = cs.private((*shape, bits), None if ints is None else (ints[..., None] >> places) & 1, "bits")
    cs.constrain(wires, wires - 1, 0, "ranges")
    return wires


def _round(
    cs: ConstraintSystem, ints: Int | None, shape: tuple[int, ...], shift: int, bits: int
) -> tuple[Value, Lin, Value]:
    """The signed quotient to nearest in `bits` bits, what it and its remainder say was divided, and its sign bit."""
    half, offset = 1 << bits - 1, 1 << shift - 1
    found = None if ints is None else (ints + offset) >> shift
    quotient = _bits(cs, None if found is None else found + half, shape, bits)
    rest = _bits(cs, None if ints is None or found is None else ints + offset - (found << shift), shape, shift)
    value = (quotient * (1 << np.arange(bits, dtype=np.int64))).sum(-1) - half
    remainder = (rest * (1 << np.arange(shift, dtype=np.int64))).sum(-1)
    sign = Value(quotient[..., bits - 1], None if found is None else (found >= 0).astype(np.int64))
    return Value(value, found), value * (1 << shift) + remainder - offset, sign


def _rounded_product(
    cs: ConstraintSystem, left: Value, right: Value, shift: int, bits: int, start: Value | None = None
) -> tuple[Value, Value]:
    """`start + left right / 2^shift` to nearest, and its sign: a constraint for each multiplication, and the bits."""
    (n, a), b = left.lin.shape, right.lin.shape[1]
    ints = None if left.ints is None or right.ints is None else left.ints @ right.ints
    if start is not None and start.ints is not None and ints is not None:
        ints = ints + (start.ints << shift)
    found, target, sign = _round(cs, ints, (n, b), shift, bits)
    if start is not None:
        target = target - start.lin * (1 << shift)
    if a > 1:
        terms = cs.product(left.lin[:, :-1].reshape(n, a - 1, 1), right.lin[:-1].reshape(1, a - 1, b), "products")
        target = target - terms.sum(1)
    cs.constrain(left.lin[:, -1].reshape(n, 1), right.lin[-1].reshape(1, b), target, "products")
    return found, sign
