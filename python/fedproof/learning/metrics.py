"""How good a logistic model is on labelled rows. Weights are `[w..., bias]`, float64, shape `(f + 1,)`."""

import numpy as np
from numpy.typing import NDArray

from fedproof.errors import InputError
from fedproof.learning.baseline import Float, logits, sigmoid

CLIP = float(np.finfo(np.float64).eps)
"""Probabilities are clipped to [CLIP, 1 - CLIP], so one certain mistake cannot make the loss infinite."""


def accuracy(weights: Float, features: Float, labels: NDArray[np.int64]) -> float:
    """Share of the rows whose class is predicted; class 1 is predicted where the logit is above 0.

    Raises:
        InputError: no rows, or shapes that do not belong together.
    """
    _check(features, labels)
    return float(np.mean((logits(weights, features) > 0) == (labels == 1)))


def log_loss(weights: Float, features: Float, labels: NDArray[np.int64]) -> float:
    """Mean of `-log p(label)` in nats, with clipped probabilities.

    Raises:
        InputError: no rows, or shapes that do not belong together.
    """
    _check(features, labels)
    p = np.clip(sigmoid(logits(weights, features)), CLIP, 1 - CLIP)
    return float(-np.mean(np.where(labels == 1, np.log(p), np.log1p(-p))))


def _check(features: Float, labels: NDArray[np.int64]) -> None:
    if features.ndim != 2 or labels.shape != (len(features),) or not len(labels):
        raise InputError(
            f"features of shape {features.shape} and labels of shape {labels.shape} do not match, or are empty"
        )
