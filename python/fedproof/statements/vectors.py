"""The vectors that commitments hold, built from records and weights by the layouts of `layout.py`."""

from __future__ import annotations

import numpy as np

from fedproof import _core
from fedproof.learning.fixed import Int
from fedproof.proving.r1cs import FrArray


def dataset_vector(features: Int, mask: Int, labels: Int, blinding: FrArray) -> FrArray:
    """Padded records, labels and blinding (with or without masks) as one vector; see `DatasetLayout`."""
    records = np.concatenate([features, mask[:, None]], axis=1).reshape(-1)
    return np.concatenate([_core.fr_from_i64(np.concatenate([records, labels])), blinding])


def update_vector(update: Int, blinding: FrArray) -> FrArray:
    """Weights of an update `(columns,)` and its blinding `(3, 4)`; see `WeightLayout`."""
    return np.concatenate([_core.fr_from_i64(update), blinding])


def weight_vector(weights: Int) -> FrArray:
    """Weights of a public model `(columns,)`; it has no blinding."""
    return _core.fr_from_i64(np.ascontiguousarray(weights))
