"""The vectors that commitments to a model and to an update hold (protocol, section 5: layout of weights)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedproof import _core
from fedproof.learning.fixed import Int
from fedproof.learning.plans import Plan
from fedproof.proving.r1cs import FrArray


def model_vector(plan: Plan, weights: Sequence[Int]) -> FrArray:
    """Weights of a public model, `(O_L, 4)` in the layout of the plan (O_L is `blinding_at`); it has no blinding."""
    return _placed(plan, weights)


def model_update_vector(plan: Plan, update: Sequence[Int], blinding: FrArray) -> FrArray:
    """Weights of an update and its blinding `(3, 4)`, which follows the last layer: `(O_L + 3, 4)`."""
    return np.concatenate([_placed(plan, update), blinding])


def _placed(plan: Plan, weights: Sequence[Int]) -> FrArray:
    out = np.zeros(plan.blinding_at, dtype=np.int64)
    out[plan.positions()] = plan.model.flatten(weights)
    return _core.fr_from_i64(out)
