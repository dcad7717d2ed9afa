"""How good a model of any kind is on labelled rows, and the float training of a whole task that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from fedproof.errors import InputError
from fedproof.learning.architecture import CROSS_ENTROPY, SQUARED, Model
from fedproof.learning.baseline import Float
from fedproof.learning.metrics import CLIP
from fedproof.learning.reference import classes, float_sgd, predict

Weights = list[Float]
"""A matrix `(a, b)` for each layer, the bias last."""


@final
@dataclass(frozen=True)
class Scores:
    """Of a classifier `accuracy` and `log_loss` (mean, in nats), of a regression `rmse` and `r2`; the others are None.

    Attributes:
        rmse: root of the mean squared error, in units of the standardised target.
        r2: share of the target's variance that the model explains.
    """

    accuracy: float | None = None
    log_loss: float | None = None
    rmse: float | None = None
    r2: float | None = None

    def to_json(self) -> dict[str, float]:
        """The figures that there are."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def line(self) -> str:
        """For people."""
        if self.accuracy is not None:
            return f"accuracy {self.accuracy:.3f}, log loss {self.log_loss:.3f}"
        return f"error {self.rmse:.3f} of the target's scale, R2 {self.r2:.3f}"

    def brief(self) -> str:
        """The one figure that a longer line has room for."""
        return f"R2 {self.r2:.4f}" if self.accuracy is None else f"accuracy {self.accuracy:.4f}"


def score(model: Model, weights: Sequence[Float], features: Float, labels: Float) -> Scores:
    """Score a model.

    Args:
        weights: a matrix for each layer.
        features: `(n, f)`, standardised.
        labels: `(n,)`, classes or standardised targets.

    Raises:
        InputError: no rows, or shapes that do not belong together.
    """
    if features.ndim != 2 or labels.shape != (len(features),) or not len(labels):
        raise InputError(
            f"features of shape {features.shape} and labels of shape {labels.shape} do not match, or are empty"
        )
    output = predict(model, weights, features)
    if model.loss == SQUARED:
        squares = float(((output[:, 0] - labels) ** 2).sum())
        spread = float(((labels - labels.mean()) ** 2).sum())
        return Scores(rmse=float(np.sqrt(squares / len(labels))), r2=1 - squares / spread if spread else 0.0)
    right = classes(model, weights, features) == labels
    if model.loss == CROSS_ENTROPY:
        p = np.clip(output[np.arange(len(labels)), labels.astype(np.int64)], CLIP, 1)
        loss = -np.log(p)
    else:
        p = np.clip(output[:, 0], CLIP, 1 - CLIP)
        loss = -np.where(labels == 1, np.log(p), np.log1p(-p))
    return Scores(accuracy=float(right.mean()), log_loss=float(loss.mean()))


def best_constant(model: Model, labels: Float) -> float:
    """What the best answer that looks at no feature scores on labelled rows: an accuracy, or of a regression R2."""
    if model.loss == SQUARED:
        return 0.0
    return float(np.bincount(labels.astype(np.int64)).max() / len(labels))


def float_fedavg(
    model: Model, parts: Sequence[tuple[Float, Float]], start: Sequence[Float], rounds: int, epochs: int = 1
) -> list[Weights]:
    """The weights after each round of plain federated averaging in float64; everybody takes part in every round.

    Args:
        parts: standardised features `(n_i, f)` and labels `(n_i,)`, in training order.
        start: weights that round 1 begins with.

    Raises:
        InputError: no part, no round, no row, or shapes that do not belong together.
    """
    if not parts or rounds < 1 or any(not len(labels) for _, labels in parts):
        raise InputError("federated averaging needs at least one round, one participant and one row of each")
    counts = [len(labels) for _, labels in parts]
    history: list[Weights] = []
    current = [np.array(matrix, dtype=np.float64) for matrix in start]
    for _ in range(rounds):
        local = [float_sgd(model, current, features, labels, epochs) for features, labels in parts]
        current = [
            np.asarray(sum(n * part[layer] for n, part in zip(counts, local, strict=True)) / sum(counts))
            for layer in range(len(current))
        ]
        history.append(current)
    return history
