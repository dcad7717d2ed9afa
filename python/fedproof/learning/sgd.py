"""Mini-batch SGD on logistic regression in exact integers: the semantics of the training statement (protocol, section
5).

What this function computes is what a training proof proves; `statements/training.py` holds the circuit of it and a test
holds the two together.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from fedproof.errors import InputError
from fedproof.learning.fixed import BATCH, FEATURE_LIMIT, OVERFLOW_LIMBS, RANGE_BITS, Int, TrainingSpec, sigmoid_table


@final
@dataclass(frozen=True)
class Trace:
    """One participant's round. Arrays of shape `(epochs, rows)` are in the published row order.

    Attributes:
        start, end: weights before and after, shape `(columns,)`, at `spec.weight_scale`.
        index: table index of each logit, saturated to the table.
        overflow: how far the unsaturated index lies beyond the table, >= 0.
        remainder: what floor division by `spec.logit_divisor` leaves, in `[0, logit_divisor)`.
    """

    start: Int
    end: Int
    index: Int
    overflow: Int
    remainder: Int

    @property
    def update(self) -> Int:
        """U = W_end - W_start, shape `(columns,)`."""
        return self.end - self.start

    @property
    def saturated(self) -> int:
        """How many logits fell beyond the table."""
        return int(np.count_nonzero(self.overflow))


def check_records(spec: TrainingSpec, features: Int, mask: Int, labels: Int) -> None:
    """Refuse records that the listing statement would refuse.

    Raises:
        InputError: as `check_padded`, or a label that is not 0 or 1.
    """
    check_padded(spec, features, mask, labels)
    if not np.isin(labels, (0, 1)).all():
        raise InputError("labels must be 0 or 1")


def check_padded(spec: TrainingSpec, features: Int, mask: Int, labels: Int) -> None:
    """Refuse records that are not padded to the capacity class, whatever their labels mean.

    Raises:
        InputError: a wrong shape, a feature outside 12 bits, or padding that is not last and zero.
    """
    rows, columns = spec.rows, spec.columns
    if features.shape != (rows, columns - 1) or mask.shape != (rows,) or labels.shape != (rows,):
        raise InputError(
            f"records have shapes {features.shape}, {mask.shape}, {labels.shape}; "
            f"the capacity class wants ({rows}, {columns - 1}), ({rows},), ({rows},)"
        )
    if features.min(initial=0) < -FEATURE_LIMIT or features.max(initial=0) >= FEATURE_LIMIT:
        raise InputError(f"a feature lies outside [-{FEATURE_LIMIT}, {FEATURE_LIMIT}); quantise with the schema first")
    real = int(mask.sum())
    if not np.array_equal(mask, (np.arange(rows) < real).astype(np.int64)):
        raise InputError("the mask must be 1 for the real rows, which come first, and 0 for padding")
    if features[real:].any() or labels[real:].any():
        raise InputError("padding rows must be all zero")


def pad(spec: TrainingSpec, features: Int, labels: Int) -> tuple[Int, Int, Int]:
    """`pad_to` for the capacity class of a specification."""
    return pad_to(spec.rows, spec.columns, features, labels)


def pad_to(rows: int, columns: int, features: Int, labels: Int) -> tuple[Int, Int, Int]:
    """Pad `(n, f)` features and `(n,)` labels to a capacity class; returns features, mask and labels.

    Raises:
        InputError: more rows than the class holds, or another number of columns.
    """
    n = len(labels)
    if n > rows or features.shape != (n, columns - 1):
        raise InputError(f"{features.shape} features do not fit the capacity class of {rows} x {columns}")
    padded = np.zeros((rows, columns - 1), dtype=np.int64)
    padded[:n] = features
    mask = (np.arange(rows) < n).astype(np.int64)
    out = np.zeros(rows, dtype=np.int64)
    out[:n] = labels
    return padded, mask, out


def train(spec: TrainingSpec, features: Int, mask: Int, labels: Int, weights: Int) -> Trace:
    """Run exactly `spec.epochs` epochs of mini-batch SGD, batch 32, learning rate 0.01, in row order.

    Args:
        features: shape `(rows, columns - 1)`, signed 12-bit fixed point; padding rows zero and last.
        mask: shape `(rows,)`, 1 for real rows.
        labels: shape `(rows,)`, 0 or 1.
        weights: shape `(columns,)` at `spec.weight_scale`, the bias last.

    Raises:
        InputError: records that are not those of the capacity class, or weights so large that an integer would leave
            the range for which the statement is stated.
    """
    check_records(spec, features, mask, labels)
    _, outputs, _ = sigmoid_table(spec)
    half, divisor = spec.table_half, spec.logit_divisor
    inputs = np.concatenate([features, spec.input_scale * mask[:, None]], axis=1)
    start = weights.astype(np.int64)
    current = start.copy()
    shape = (spec.epochs, spec.rows)
    index, overflow, remainder = (np.empty(shape, dtype=np.int64) for _ in range(3))
    limit = (1 << (OVERFLOW_LIMBS * RANGE_BITS)) - half
    for epoch in range(spec.epochs):
        for first in range(0, spec.rows, BATCH):
            rows = slice(first, first + BATCH)
            if int(np.abs(current).max()) >= 2**62 // (FEATURE_LIMIT * spec.columns):
                raise InputError("the weights left the range of the integer statement; rescale the features")
            quotient, rest = np.divmod(inputs[rows] @ current, divisor)
            if int(np.abs(quotient).max()) >= limit:
                raise InputError("a logit left the range of the integer statement; rescale the features")
            saturated = np.clip(quotient, -half, half - 1)
            delta = outputs[saturated + half] - spec.delta_scale * labels[rows]
            index[epoch, rows], remainder[epoch, rows] = saturated, rest
            overflow[epoch, rows] = np.abs(quotient - saturated)
            current = current - inputs[rows].T @ delta
    return Trace(start, current, index, overflow, remainder)
