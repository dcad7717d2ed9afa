"""What a trained model predicts: in the exact integers of training, in float64, and how far apart the two can be.

The integer forward pass is that of `exact.py` (a test holds each integer to a trace): the same sums, roundings and
tables. Where training refuses a range that no prover may leave, prediction goes on unless `provable` asks for the same
refusal; only sums that 62 bits cannot hold are always refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from fedproof.errors import InputError
from fedproof.learning import reference
from fedproof.learning.architecture import CROSS_ENTROPY, LOG, SQUARED, Model
from fedproof.learning.baseline import Float
from fedproof.learning.exact import sigmoid_outputs
from fedproof.learning.exponential import exponential_table
from fedproof.learning.fixed import FEATURE_FRACTION_BITS, FEATURE_LIMIT, Int
from fedproof.learning.plan import WEIGHT_LIMIT, TrainingPlan

UNIT = 1 << FEATURE_FRACTION_BITS


@final
@dataclass(frozen=True, eq=False)
class IntegerForward:
    """One forward pass in integers, each `(n, outputs)`.

    Attributes:
        sums: Z of the last layer at scale `input scale * weight scale`, before any rounding.
        index: q, Z rounded to `2^logit_bits`: down for a table, to nearest for a squared error; not saturated.
        output: what the loss reads at `2^delta_bits`: the sigmoid, the probabilities, or q itself.
    """

    sums: Int
    index: Int
    output: Int


def integer_forward(
    plan: TrainingPlan, weights: Sequence[Int], features: Int, *, provable: bool = False
) -> IntegerForward:
    """The forward pass of `exact.train` on real rows.

    Args:
        plan: scales and tables.
        weights: a matrix `(a, b)` for each layer at `plan.weight_scales()`, the bias last.
        features: `(n, f)`, signed 12-bit fixed point.
        provable: refuse what a training run would refuse on these rows.

    Raises:
        InputError: shapes that do not belong together, a feature outside 12 bits, or integers beyond the range.
    """
    plan.model.check(weights)
    if features.ndim != 2 or features.shape[1] != plan.model.widths[0] or features.dtype.kind not in "iu":
        raise InputError(f"features of shape {features.shape} are not {plan.model.widths[0]} integers a row")
    if features.min(initial=0) < -FEATURE_LIMIT or features.max(initial=0) >= FEATURE_LIMIT:
        raise InputError(f"a feature lies outside [-{FEATURE_LIMIT}, {FEATURE_LIMIT}); quantise with the schema first")
    read = features.astype(np.int64)
    for layer, matrix in enumerate(weights[:-1]):
        index = plan.forward(layer).divide(_sums(plan, layer, read, matrix))[0]
        if provable:
            _within(f"pre-activations of layer {layer + 1}", np.maximum(index, -1 - index), plan.activation_range)
        read = np.maximum(index, 0)
    last = plan.depth - 1
    sums = _sums(plan, last, read, weights[last])
    index = plan.forward(last).divide(sums)[0]
    if plan.model.loss == LOG:
        return IntegerForward(sums, index, _sigmoid(plan, index, provable))
    if plan.model.loss == CROSS_ENTROPY:
        return IntegerForward(sums, index, _softmax(plan, index, provable))
    if provable:
        _within("outputs", np.maximum(index, -1 - index), plan.logit_range // 2)
    return IntegerForward(sums, index, index)


def _sums(plan: TrainingPlan, layer: int, read: Int, matrix: Int) -> Int:
    """Z of a layer: its inputs and the bias input against its weights."""
    bias = np.full((len(read), 1), 1 << plan.scales[layer].input_bits, dtype=np.int64)
    full = np.hstack([read, bias])
    longest = int(np.abs(full).sum(axis=1).max(initial=0))
    largest = max(int(matrix.max(initial=0)), -int(matrix.min(initial=0)))
    if longest * largest >= WEIGHT_LIMIT:
        raise InputError(
            f"layer {layer + 1}: its exact sums on these rows need more than 62 bits; use float prediction"
        )
    return full @ matrix


def _within(name: str, values: Int, limit: int) -> None:
    if values.max(initial=0) >= limit:
        raise InputError(f"{name} leave the range of the integer statement on these rows; rescale the features")


def _sigmoid(plan: TrainingPlan, index: Int, provable: bool) -> Int:
    half = plan.table_half
    if provable:
        _within("logits", np.abs(index), plan.logit_range - half)
    return sigmoid_outputs(plan)[np.clip(index, -half, half - 1) + half]


def _softmax(plan: TrainingPlan, index: Int, provable: bool) -> Int:
    table = exponential_table(plan.logit_bits, plan.exponential_bits)
    largest = index.max(axis=1, keepdims=True)
    behind = largest - index
    if provable:
        _within("largest logits", np.maximum(largest, -1 - largest), plan.logit_range // 2)
        _within("logits beyond the exponential's table", behind - (len(table) - 1), plan.logit_range)
    exponential = table[np.minimum(behind, len(table) - 1)]
    total = exponential.sum(axis=1, keepdims=True)
    out: Int = ((2 << plan.scales[-1].delta_bits) * exponential + total) // (2 * total)
    return out


def quantise(features: Float) -> Int:
    """Standardised features to signed 12-bit fixed point, `(n, f)`; what `Schema.quantise` gives for the raw values."""
    return np.clip(np.rint(features * UNIT), -FEATURE_LIMIT, FEATURE_LIMIT - 1).astype(np.int64)


@final
@dataclass(frozen=True)
class PredictionError:
    """Integer against float predictions of the same weights on the same rows.

    Attributes:
        decision: largest difference of a logit or value.
        output: largest difference of a probability or value.
        disagreeing: rows whose predicted class differs; 0 for a regression.
        bound: `output` cannot exceed it, whatever the rows (`output_bound`).
    """

    decision: float
    output: float
    disagreeing: int
    bound: float


@final
@dataclass(frozen=True, eq=False)
class Predictor:
    """A model that predicts. Features are standardised, `(n, f)` float64, as `Schema.standardise` gives them.

    Build one with `exact`, which predicts in integers, or `real`, in float64.
    """

    model: Model
    weights: tuple[Float, ...]
    plan: TrainingPlan | None = None
    integers: tuple[Int, ...] | None = None

    @classmethod
    def exact(cls, plan: TrainingPlan, weights: Sequence[Int]) -> Predictor:
        """Predict as training does: weights are integers at `plan.weight_scales()`.

        Raises:
            InputError: weights of other shapes.
        """
        plan.model.check(weights)
        return cls(plan.model, tuple(plan.real(weights)), plan, tuple(weights))

    @classmethod
    def real(cls, model: Model, weights: Sequence[Float]) -> Predictor:
        """Predict in float64.

        Raises:
            InputError: weights of other shapes.
        """
        model.check(weights)
        return cls(model, tuple(np.asarray(matrix, dtype=np.float64) for matrix in weights))

    def floating(self) -> Predictor:
        """The same weights in float64."""
        return Predictor.real(self.model, self.weights)

    def decision(self, features: Float) -> Float:
        """Logits, or values of a regression, `(n, outputs)`; not rounded to a table's index."""
        if self.plan is None or self.integers is None:
            return reference.activations(self.model, self.weights, _finite(features))[-1]
        out = self._forward(features)
        if self.model.loss == SQUARED:
            return out.output / (1 << self.plan.logit_bits)
        return out.sums / ((1 << self.plan.scales[-1].input_bits) * self.plan.scales[-1].weight_scale)

    def predict(self, features: Float) -> NDArray[np.int64] | Float:
        """The class of each row, `(n,)` int64, or the value of a regression, `(n,)` float64.

        The largest logit wins, the lowest class among equals; one logit stands for class 1 where it is above 0.
        """
        z = self.decision(features)
        if self.model.loss == SQUARED:
            return z[:, 0]
        return np.asarray(z.argmax(axis=1) if self.model.loss == CROSS_ENTROPY else z[:, 0] > 0, dtype=np.int64)

    def predict_proba(self, features: Float) -> Float:
        """Probability of each class, `(n, classes)`, two columns for one logit; rows sum to 1.

        Raises:
            InputError: a regression has none.
        """
        if self.model.loss == SQUARED:
            raise InputError("a regression predicts no probabilities")
        if self.plan is None or self.integers is None:
            p = reference.predict(self.model, self.weights, _finite(features))
        else:
            p = self._forward(features).output / (1 << self.plan.scales[-1].delta_bits)
        if self.model.loss == LOG:
            return np.hstack([1 - p, p])
        return np.asarray(p / p.sum(axis=1, keepdims=True), dtype=np.float64)

    def error(self, features: Float) -> PredictionError:
        """How far the integers are from float64 on these rows.

        Raises:
            InputError: this predictor has no integers.
        """
        if self.plan is None:
            raise InputError("a float model has no integer predictions to compare with")
        plain = self.floating()
        if self.model.loss == SQUARED:
            ours, theirs, disagreeing = self.decision(features), plain.decision(features), 0
        else:
            ours, theirs = self.predict_proba(features), plain.predict_proba(features)
            disagreeing = int(np.count_nonzero(self.predict(features) != plain.predict(features)))
        decision = np.abs(self.decision(features) - plain.decision(features)).max(initial=0)
        output = np.abs(ours - theirs).max(initial=0)
        return PredictionError(float(decision), float(output), disagreeing, output_bound(self.plan, self.weights))

    def _forward(self, features: Float) -> IntegerForward:
        assert self.plan is not None
        assert self.integers is not None
        return integer_forward(self.plan, self.integers, quantise(_finite(features)))


def _finite(features: Float) -> Float:
    if not np.isfinite(features).all():
        raise InputError("features hold NaN or infinity; remove these records")
    return features


def output_bound(plan: TrainingPlan, weights: Sequence[Float]) -> float:
    """No probability, or value of a regression, of `Predictor.exact` is farther from `Predictor.real`.

    For features within the 12 bits. Half a unit of each rounding goes through the layers by the column sums of |W|;
    ReLU stretches nothing, a sigmoid a quarter, a softmax a half. Computed in float64, of whose own rounding it leaves
    out about 1e-12.
    """
    off = 1 / (2 * UNIT)
    for layer, matrix in enumerate(weights):
        off *= float(np.abs(matrix[:-1]).sum(axis=0).max())
        if layer < plan.depth - 1:
            off += 0.5 ** (plan.scales[layer + 1].input_bits + 1)
    half_index, half_output = 0.5 ** (plan.logit_bits + 1), 0.5 ** (plan.scales[-1].delta_bits + 1)
    if plan.model.loss == SQUARED:
        return off + half_index
    if plan.model.loss == LOG:
        tail = 1 / (1 + np.exp(plan.logit_limit - half_index))  # of a saturated index
        return float(max((off + half_index) / 4, off / 4 + tail) + half_output)
    count = plan.model.outputs
    return (off + half_index) / 2 + (count + 1) * 0.5 ** (plan.exponential_bits + 1) + (2 * count + 1) * half_output
