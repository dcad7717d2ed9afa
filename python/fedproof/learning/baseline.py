"""Plain FedAvg in float64: what the proven integer training is compared with.

Logistic regression with a bias, mini-batches of 32 in the published row order, learning rate 0.01, start at zero: the
same run as `learning/sgd.py` except for the rounding of the sigmoid and of the aggregate. A partial last batch divides
by 32 too, because the integers of the statement do (protocol, section 5).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedproof.errors import InputError
from fedproof.learning.fixed import BATCH, INVERSE_LEARNING_RATE

Float = NDArray[np.float64]
LEARNING_RATE = 1 / INVERSE_LEARNING_RATE


def logits(weights: Float, features: Float) -> Float:
    """`z = features @ w + bias`, shape `(n,)`, for weights `[w..., bias]` of shape `(f + 1,)`.

    Raises:
        InputError: the shapes do not belong together.
    """
    if features.ndim != 2 or weights.shape != (features.shape[1] + 1,):
        raise InputError(
            f"weights of shape {weights.shape} do not fit features of shape {features.shape}; "
            "there is one weight for each feature, and the bias last"
        )
    return np.asarray(features @ weights[:-1] + weights[-1], dtype=np.float64)


def sigmoid(z: Float) -> Float:
    """`1 / (1 + exp(-z))`, without overflow at either end."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))


def gradient(weights: Float, features: Float, labels: NDArray[np.int64]) -> Float:
    """Gradient of `sum(log loss) / 32` over one batch, shape `(f + 1,)`. A shorter batch divides by 32 as well."""
    delta = sigmoid(logits(weights, features)) - labels
    return np.append(features.T @ delta, delta.sum()) / BATCH


def local_sgd(weights: Float, features: Float, labels: NDArray[np.int64], epochs: int = 1) -> Float:
    """The weights of one participant after `epochs` epochs from `weights`; shapes as in `logits`, labels `(n,)`.

    Raises:
        InputError: no epoch, or shapes that do not belong together.
    """
    if epochs < 1:
        raise InputError(f"epochs: {epochs}; at least one is needed")
    if labels.shape != (len(features),):
        raise InputError(f"labels have shape {labels.shape}, but there are {len(features)} rows")
    current = np.array(weights, dtype=np.float64)
    for _ in range(epochs):
        for first in range(0, len(features), BATCH):
            batch = slice(first, first + BATCH)
            current -= LEARNING_RATE * gradient(current, features[batch], labels[batch])
    return current


def fedavg(
    parts: Sequence[tuple[Float, NDArray[np.int64]]], rounds: int, epochs: int = 1, start: Float | None = None
) -> Float:
    """The global weights after each round, shape `(rounds, f + 1)`; every participant takes part in every round.

    Args:
        parts: features `(n_i, f)`, standardised with the schema, and labels `(n_i,)`, in training order.
        rounds: rounds of the task.
        epochs: local epochs of each round.
        start: weights that round 1 begins with, shape `(f + 1,)`; zeros without it.

    Raises:
        InputError: no part, no round, no row, or shapes that do not belong together.
    """
    if not parts or rounds < 1 or any(not len(labels) for _, labels in parts):
        raise InputError("federated averaging needs at least one round, one participant and one row of each")
    counts = np.array([len(labels) for _, labels in parts], dtype=np.float64)
    weights = np.zeros(parts[0][0].shape[-1] + 1) if start is None else np.array(start, dtype=np.float64)
    history = []
    for _ in range(rounds):
        local = np.stack([local_sgd(weights, features, labels, epochs) for features, labels in parts])
        weights = counts @ local / counts.sum()
        history.append(weights)
    return np.stack(history)
