"""Estimators in the manner of scikit-learn over federated training in exact integers (`federated.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin

from fedproof.interop import validate
from fedproof.interop.federated import Federated
from fedproof.interop.inputs import Standardisation
from fedproof.interop.validate import DataError, Rows
from fedproof.learning.architecture import CROSS_ENTROPY, LOG, SQUARED
from fedproof.learning.baseline import Float
from fedproof.learning.fixed import Int
from fedproof.learning.predicting import quantise


class FederatedClassifier(ClassifierMixin, Federated):  # type: ignore[misc]
    """Logistic regression for two classes, softmax classification for more, perceptrons with hidden layers.

    Parameters and attributes are those of the base class; `classes_` are the labels, sorted.
    """

    _stratify = True

    def predict(self, X: Any) -> np.ndarray:
        """The class of each row, `(n,)`."""
        ready = self._ready(X)
        return np.asarray(self.classes_[self.predictor_.predict(ready)])

    def predict_proba(self, X: Any) -> Float:
        """Probability of each class, `(n, classes)`, in the integers of training."""
        ready = self._ready(X)
        return self.predictor_.predict_proba(ready)

    def decision_function(self, X: Any) -> Float:
        """Logits: `(n,)` of the second class for two classes, `(n, classes)` for more."""
        ready = self._ready(X)
        z = self.predictor_.decision(ready)
        return z[:, 0] if z.shape[1] == 1 else z

    def _head(self) -> tuple[int, str]:
        return (1, LOG) if len(self.classes_) == 2 else (len(self.classes_), CROSS_ENTROPY)

    def _learn_labels(self, tables: Sequence[Rows]) -> None:
        if len({table.y.dtype.kind in "OUS" for table in tables}) > 1:
            raise DataError("y: some participants name their classes and others number them")
        self.classes_ = validate.classes(np.concatenate([table.y for table in tables]))

    def _float_labels(self, y: np.ndarray) -> Float:
        return np.searchsorted(self.classes_, y).astype(np.float64)

    def _labels(self, labels: Float) -> Int:
        return labels.astype(np.int64)


class FederatedRegressor(RegressorMixin, Federated):  # type: ignore[misc]
    """Linear regression, or a perceptron with hidden layers, on one target.

    Parameters and attributes are those of the base class; `target_` is the target's centre and scale.
    """

    def predict(self, X: Any) -> Float:
        """The value of each row, `(n,)`, in the target's unit."""
        ready = self._ready(X)
        return np.asarray(self.target_[0] + self.target_[1] * self.predictor_.predict(ready), dtype=np.float64)

    def _head(self) -> tuple[int, str]:
        return 1, SQUARED

    def _learn_labels(self, tables: Sequence[Rows]) -> None:
        known = Standardisation.of_rows(validate.targets(tables[-1].y)[:, None], ("y",))
        self.target_ = (known.centre[0], known.scale[0])

    def _float_labels(self, y: np.ndarray) -> Float:
        return self._standard.standardise(validate.targets(y)[:, None])[:, 0]

    def _labels(self, labels: Float) -> Int:
        return quantise(labels[:, None])[:, 0]

    def _clipped_labels(self, parts: Sequence[Rows]) -> int:
        return sum(self._standard.clipped(validate.targets(part.y)[:, None]) for part in parts)

    @property
    def _standard(self) -> Standardisation:
        return Standardisation(("y",), (self.target_[0],), (self.target_[1],))
