"""Mini-batch SGD of every model in exact integers: the semantics of the training statements (protocol, section 5).

What is computed here is what a training proof proves. The trace holds each integer that a circuit commits to or
derives; `docs/training.md` states the identities between them. For logistic regression the integers are those of
`learning/sgd.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from fedproof.errors import InputError
from fedproof.learning.architecture import LOG, SQUARED
from fedproof.learning.exponential import exponential_table
from fedproof.learning.fixed import BATCH, FEATURE_FRACTION_BITS, FEATURE_LIMIT, Int, TrainingSpec, sigmoid_values
from fedproof.learning.plan import WEIGHT_LIMIT, TrainingPlan
from fedproof.learning.sgd import check_padded


@final
@dataclass(frozen=True)
class Peak:
    """The largest magnitude that one kind of integer reached, and the bound that it may not reach."""

    name: str
    largest: int
    limit: int

    @property
    def headroom(self) -> float:
        """Bits between the two."""
        return float(np.log2(self.limit) - np.log2(max(self.largest, 1)))

    def remedy(self, bits: int) -> str:
        """How to gain so many bits."""
        if self.name.startswith("deltas"):
            return f"divide the weights of the layers above by {1 << bits}, or plan one delta limb more"
        return f"multiply the schema's scale by {1 << bits}, or choose a plan from these rows"


@final
@dataclass(frozen=True, repr=False)
class HiddenTrace:
    """One hidden layer. Arrays of shape `(epochs, rows, width)`, in the published row order.

    Attributes:
        index: pre-activation q, `Z + s/2 = s q + remainder`.
        remainder: of it, in `[0, s)`.
        positive: 1 where `q >= 0`: the derivative of ReLU.
        output: `positive * q`, the activation.
        back: `delta W^T` of the layer above, bias row left out.
        rounded: `back + s'/2 = s' rounded + back_remainder`.
        back_remainder: of it, in `[0, s')`.
        delta: `positive * rounded`.
    """

    index: Int
    remainder: Int
    positive: Int
    output: Int
    back: Int
    rounded: Int
    back_remainder: Int
    delta: Int


@final
@dataclass(frozen=True, repr=False)
class SquaredTrace:
    """The last layer under a squared error, `(epochs, rows, 1)`: output q at the delta's scale, and its remainder."""

    index: Int
    remainder: Int


@final
@dataclass(frozen=True, repr=False)
class SigmoidTrace:
    """The last layer under the logistic loss, `(epochs, rows, 1)`.

    Attributes:
        index: table index, saturated to the table.
        overflow: how far the unsaturated index lies beyond the table, >= 0.
        remainder: of the floor division by s.
        output: the table's sigmoid.
    """

    index: Int
    overflow: Int
    remainder: Int
    output: Int


@final
@dataclass(frozen=True, repr=False)
class SoftmaxTrace:
    """The last layer under cross-entropy, `(epochs, rows, classes)` but for `largest` and `total`, `(epochs, rows)`.

    Attributes:
        index: `q = floor(Z / s)`.
        remainder: of it.
        largest: m, the largest q of a row.
        distance: `min(m - q, last entry of the exponential's table)`.
        overflow: `m - q - distance`.
        exponential: the table's entry at `distance`.
        total: sum of a row's exponentials.
        probability: P with `2 s_delta E + total = 2 total P + division`.
        division: of it, in `[0, 2 total)`.
    """

    index: Int
    remainder: Int
    largest: Int
    distance: Int
    overflow: Int
    exponential: Int
    total: Int
    probability: Int
    division: Int


HeadTrace = SquaredTrace | SigmoidTrace | SoftmaxTrace


@final
@dataclass(frozen=True, repr=False)
class ModelTrace:
    """One participant's round.

    Attributes:
        plan: what was trained and how.
        mask, labels: `(rows,)`, as they came.
        inputs: what the first layer reads, `(rows, columns)`: features, and the mask at the input scale.
        start, end: weights before and after, a matrix `(a, b)` for each layer at `plan.weight_scales()`.
        hidden: of each hidden layer.
        head: of the last layer.
        delta: output deltas of the last layer, `(epochs, rows, outputs)`.
        peaks: how near integers came to their bounds.
    """

    plan: TrainingPlan
    mask: Int
    labels: Int
    inputs: Int
    start: tuple[Int, ...]
    end: tuple[Int, ...]
    hidden: tuple[HiddenTrace, ...]
    head: HeadTrace
    delta: Int
    peaks: tuple[Peak, ...]

    @property
    def update(self) -> tuple[Int, ...]:
        """U = W_end - W_start of each layer."""
        return tuple(end - start for start, end in zip(self.start, self.end, strict=True))

    @property
    def saturated(self) -> int:
        """How many logits fell beyond a sigmoid's table, where the loss no longer sees how far."""
        return int(np.count_nonzero(self.head.overflow)) if isinstance(self.head, SigmoidTrace) else 0

    def layer_input(self, layer: int, epoch: int, rows: slice) -> Int:
        """A of a layer: the records, or the activations below with the bias input."""
        if layer == 0:
            return self.inputs[rows]
        return with_bias(self.plan, layer, self.hidden[layer - 1].output[epoch, rows], self.mask[rows])

    def layer_delta(self, layer: int, epoch: int, rows: slice) -> Int:
        """Output deltas of a layer."""
        return (self.hidden[layer].delta if layer < len(self.hidden) else self.delta)[epoch, rows]

    def gradient(self, layer: int, epoch: int, rows: slice) -> Int:
        """`A^T delta` of one batch, exactly what the weights lose."""
        return self.layer_input(layer, epoch, rows).T @ self.layer_delta(layer, epoch, rows)

    def history(self, layer: int) -> list[Int]:
        """The layer's weights before each step and after the last, `steps + 1` matrices."""
        out = [self.start[layer]]
        for epoch, rows in batches(self.plan):
            out.append(out[-1] - self.gradient(layer, epoch, rows))
        return out


def batches(plan: TrainingPlan) -> list[tuple[int, slice]]:
    """Epoch and rows of each step, in the order that the statement fixes."""
    starts = range(0, plan.rows, BATCH)
    return [(epoch, slice(first, first + BATCH)) for epoch in range(plan.epochs) for first in starts]


def with_bias(plan: TrainingPlan, layer: int, values: Int, mask: Int) -> Int:
    """A layer's inputs with the row mask, at their scale, as the last column."""
    return np.concatenate([values, mask[:, None] << plan.scales[layer].input_bits], axis=1)


def check_labels(plan: TrainingPlan, labels: Int) -> None:
    """Refuse labels that the loss has no meaning for.

    Raises:
        InputError: a class out of range, or a target outside 12 bits.
    """
    low, high = 0, max(plan.model.outputs, 2)
    if plan.model.loss == SQUARED:
        low, high = -FEATURE_LIMIT, FEATURE_LIMIT
    if labels.min(initial=low) < low or labels.max(initial=low) >= high:
        raise InputError(f"a label lies outside [{low}, {high}), which is what this {plan.model.kind} takes")


def check_records(plan: TrainingPlan, features: Int, mask: Int, labels: Int) -> None:
    """Refuse records that the listing statement would refuse, and labels of another task.

    Raises:
        InputError: a wrong shape, a feature outside 12 bits, a label out of range, or padding that is not last or not
            zero.
    """
    check_padded(TrainingSpec(plan.rows, plan.columns), features, mask, labels)
    check_labels(plan, labels)


def train(plan: TrainingPlan, features: Int, mask: Int, labels: Int, weights: Sequence[Int]) -> ModelTrace:
    """Run exactly `plan.epochs` epochs of mini-batch SGD, batch 32, learning rate 0.01, in row order.

    Args:
        features: shape `(rows, columns - 1)`, signed 12-bit fixed point; padding rows zero and last.
        mask: shape `(rows,)`, 1 for real rows.
        labels: shape `(rows,)`: a class, or a target with 8 fraction bits in 12.
        weights: a matrix `(a, b)` for each layer at `plan.weight_scales()`, the bias last.

    Raises:
        InputError: records that are not those of the capacity class, or integers that would leave the range for which
            the statement is stated; the message says which, and how to rescale.
    """
    check_records(plan, features, mask, labels)
    plan.model.check(weights)
    return _Run(plan, features, mask, labels, weights).run()


class _Run:
    """One run: the arrays of the trace, filled batch by batch."""

    def __init__(self, plan: TrainingPlan, features: Int, mask: Int, labels: Int, weights: Sequence[Int]) -> None:
        self.plan, self.mask, self.labels = plan, mask, labels
        self.inputs = with_bias(plan, 0, features, mask)
        self.start = tuple(matrix.astype(np.int64) for matrix in weights)
        self.peaks: dict[str, Peak] = {}
        widths = plan.model.widths
        self.hidden = tuple(HiddenTrace(*(self._array(width) for _ in range(8))) for width in widths[1:-1])
        self.delta = self._array(plan.model.outputs)
        self.head: HeadTrace
        if plan.model.loss == SQUARED:
            self.head = SquaredTrace(*(self._array(1) for _ in range(2)))
        elif plan.model.loss == LOG:
            self.head = SigmoidTrace(*(self._array(1) for _ in range(4)))
        else:
            classes = plan.model.outputs
            index, remainder, distance, overflow, exponential, probability, division = (
                self._array(classes) for _ in range(7)
            )
            self.head = SoftmaxTrace(
                index, remainder, self._array(), distance, overflow, exponential, self._array(), probability, division
            )

    def _array(self, *width: int) -> Int:
        return np.zeros((self.plan.epochs, self.plan.rows, *width), dtype=np.int64)

    def run(self) -> ModelTrace:
        weights = list(self.start)
        for epoch, rows in batches(self.plan):
            layers = self._forward(weights, epoch, rows)
            deltas = self._backward(weights, epoch, rows)
            for layer, (read, delta) in enumerate(zip(layers, deltas, strict=True)):
                weights[layer] = weights[layer] - read.T @ delta
        for layer, matrix in enumerate(weights):
            self._bound(f"weights of layer {layer + 1}", int(np.abs(matrix).max()), WEIGHT_LIMIT)
        return ModelTrace(
            self.plan, self.mask, self.labels, self.inputs, self.start, tuple(weights), self.hidden, self.head,
            self.delta, tuple(self.peaks.values()),
        )  # fmt: skip

    def _bound(self, name: str, largest: int, limit: int) -> None:
        peak = Peak(name, largest, limit)
        if name not in self.peaks or self.peaks[name].largest < largest:
            self.peaks[name] = peak
        if largest >= limit:
            bits = (largest // limit).bit_length()
            raise InputError(
                f"{name} left the range of the integer statement by {bits} bits; rescale: {peak.remedy(bits)}"
            )

    def _product(self, name: str, left: Int, right: Int) -> Int:
        """`left @ right`; no partial sum can leave 62 bits."""
        largest = int(np.abs(left).sum(axis=1).max()) * int(np.abs(right).max(initial=0))
        self._bound(f"exact sums of {name}", largest, WEIGHT_LIMIT)
        return left @ right

    def _forward(self, weights: list[Int], epoch: int, rows: slice) -> list[Int]:
        plan, at = self.plan, (epoch, rows)
        read = self.inputs[rows]
        layers = [read]
        for layer, trace in enumerate(self.hidden):
            name = f"layer {layer + 1}"
            index, trace.remainder[at] = plan.forward(layer).divide(self._product(name, read, weights[layer]))
            self._bound(f"pre-activations of {name}", int(np.maximum(index, -1 - index).max()), plan.activation_range)
            trace.index[at] = index
            trace.positive[at] = index >= 0
            trace.output[at] = np.maximum(index, 0)
            read = with_bias(plan, layer + 1, trace.output[at], self.mask[rows])
            layers.append(read)
        last = plan.depth - 1
        index, rest = plan.forward(last).divide(self._product("the last layer", read, weights[last]))
        self.head.remainder[at] = rest
        if isinstance(self.head, SigmoidTrace):
            self._sigmoid(self.head, at, index)
        elif isinstance(self.head, SoftmaxTrace):
            self._softmax(self.head, at, index)
        else:
            self._squared(self.head, at, index)
        return layers

    def _squared(self, head: SquaredTrace, at: tuple[int, slice], index: Int) -> None:
        self._bound("outputs", int(np.maximum(index, -1 - index).max()), self.plan.logit_range // 2)
        head.index[at] = index
        shift = self.plan.scales[-1].delta_bits - FEATURE_FRACTION_BITS
        self.delta[at] = index - (self.labels[at[1], None] << shift)

    def _sigmoid(self, head: SigmoidTrace, at: tuple[int, slice], index: Int) -> None:
        plan, half = self.plan, self.plan.table_half
        self._bound("logits", int(np.abs(index).max()), plan.logit_range - half)
        head.index[at] = saturated = np.clip(index, -half, half - 1)
        head.overflow[at] = np.abs(index - saturated)
        unit = plan.scales[-1].delta_bits
        head.output[at] = sigmoid_outputs(plan)[saturated + half]
        self.delta[at] = head.output[at] - (self.labels[at[1], None] << unit)

    def _softmax(self, head: SoftmaxTrace, at: tuple[int, slice], index: Int) -> None:
        plan = self.plan
        table = exponential_table(plan.logit_bits, plan.exponential_bits)
        largest = index.max(axis=1)
        self._bound("largest logits", int(np.maximum(largest, -1 - largest).max()), plan.logit_range // 2)
        behind = largest[:, None] - index
        distance = np.minimum(behind, len(table) - 1)
        overflow = behind - distance
        self._bound("logits beyond the exponential's table", int(overflow.max()), plan.logit_range)
        exponential = table[distance]
        total = exponential.sum(axis=1)
        unit = 1 << plan.scales[-1].delta_bits
        probability, division = np.divmod(2 * unit * exponential + total[:, None], 2 * total[:, None])
        head.index[at], head.largest[at], head.distance[at], head.overflow[at] = index, largest, distance, overflow
        head.exponential[at], head.total[at], head.probability[at], head.division[at] = (
            exponential, total, probability, division,
        )  # fmt: skip
        self.delta[at] = probability - unit * one_hot(plan, self.labels[at[1]])

    def _backward(self, weights: list[Int], epoch: int, rows: slice) -> list[Int]:
        plan, at = self.plan, (epoch, rows)
        delta = self.delta[at]
        deltas = [delta]
        for layer in range(plan.depth - 1, 0, -1):
            trace, name = self.hidden[layer - 1], f"layer {layer}"
            back = self._product(f"deltas of {name}", delta, weights[layer][:-1].T)
            rounded, rest = plan.backward(layer).divide(back)
            self._bound(f"deltas of {name}", int(np.maximum(rounded, -1 - rounded).max()), plan.delta_range)
            delta = rounded * trace.positive[at]
            trace.back[at], trace.rounded[at], trace.back_remainder[at], trace.delta[at] = back, rounded, rest, delta
            deltas.insert(0, delta)
        return deltas


def one_hot(plan: TrainingPlan, labels: Int) -> Int:
    """Rows of zeros with a 1 at the class."""
    return np.asarray(labels[:, None] == np.arange(plan.model.outputs), dtype=np.int64)


def sigmoid_outputs(plan: TrainingPlan) -> Int:
    """Outputs of the sigmoid's table, `(2 table_half,)`."""
    values: Int = sigmoid_values(plan.logit_bits, plan.scales[-1].delta_bits, plan.table_half)
    return values
