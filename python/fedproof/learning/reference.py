"""The same training in float64, to compare the integers with: batches, order and rate are those of `exact.py`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedproof.errors import InputError
from fedproof.learning.architecture import CROSS_ENTROPY, LOG, SQUARED, Model
from fedproof.learning.baseline import LEARNING_RATE, Float, sigmoid
from fedproof.learning.fixed import BATCH


def activations(model: Model, weights: Sequence[Float], features: Float) -> list[Float]:
    """Input of each layer, `(n, a)` with the bias input, and last the logits `(n, b)`.

    Raises:
        InputError: shapes that do not belong together.
    """
    model.check(weights)
    if features.ndim != 2 or features.shape[1] != model.widths[0]:
        raise InputError(f"features of shape {features.shape} do not belong to a model of {model.widths[0]} features")
    one = np.ones((len(features), 1))
    out = [np.hstack([features, one])]
    for layer, matrix in enumerate(weights):
        z = out[-1] @ matrix
        out.append(z if layer == len(weights) - 1 else np.hstack([np.maximum(z, 0), one]))
    return out


def softmax(z: Float) -> Float:
    """Rows of probabilities, without overflow."""
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


def predict(model: Model, weights: Sequence[Float], features: Float) -> Float:
    """What the model says, `(n, outputs)`: values, the probability of class 1, or one of each class."""
    z = activations(model, weights, features)[-1]
    if model.loss == CROSS_ENTROPY:
        return softmax(z)
    return sigmoid(z) if model.loss == LOG else z


def classes(model: Model, weights: Sequence[Float], features: Float) -> NDArray[np.int64]:
    """The predicted class of each row.

    Raises:
        InputError: a regression has none.
    """
    if model.loss == SQUARED:
        raise InputError("a regression predicts no classes")
    z = activations(model, weights, features)[-1]
    return np.asarray(z.argmax(axis=1) if model.loss == CROSS_ENTROPY else z[:, 0] > 0, dtype=np.int64)


def gradient(model: Model, weights: Sequence[Float], features: Float, labels: NDArray[np.float64]) -> list[Float]:
    """Gradient of `sum(loss) / 32` over one batch, for each layer; a squared error is `(z - y)^2 / 2`."""
    read = activations(model, weights, features)
    output = predict(model, weights, features)
    if model.loss == CROSS_ENTROPY:
        delta = output - (labels[:, None] == np.arange(model.outputs))
    else:
        delta = output - labels[:, None]
    out: list[Float] = []
    for layer in range(len(weights) - 1, -1, -1):
        out.insert(0, read[layer].T @ delta / BATCH)
        if layer:
            delta = (delta @ weights[layer][:-1].T) * (read[layer][:, :-1] > 0)
    return out


def float_sgd(
    model: Model, weights: Sequence[Float], features: Float, labels: NDArray[np.float64], epochs: int = 1
) -> list[Float]:
    """The weights after `epochs` epochs. Real rows only; a shorter last batch divides by 32 as well.

    Args:
        weights: a matrix `(a, b)` for each layer, the bias last.
        features: `(n, f)`.
        labels: `(n,)`, classes or real targets.

    Raises:
        InputError: no epoch, or shapes that do not belong together.
    """
    if epochs < 1 or labels.shape != (len(features),):
        raise InputError(f"{epochs} epochs, {len(features)} rows, labels of shape {labels.shape}: they do not fit")
    current = [np.array(matrix, dtype=np.float64) for matrix in weights]
    for _ in range(epochs):
        for first in range(0, len(features), BATCH):
            batch = slice(first, first + BATCH)
            steps = gradient(model, current, features[batch], labels[batch])
            current = [matrix - LEARNING_RATE * step for matrix, step in zip(current, steps, strict=True)]
    return current
