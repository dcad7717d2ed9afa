"""The sum of a round as integers: exact whatever its size, and refused beyond what the proofs guarantee."""

from __future__ import annotations

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.learning.architecture import Model
from fedproof.nodes.sums import placed, weight_sums
from fedproof.proving.r1cs import FrArray
from tests.learning.scenes import make_plan

PLAN = make_plan(Model.perceptron(3, [4], 2), 32, 1)
ROWS = 77


def summed(values: np.ndarray) -> FrArray:
    """A sum as workers reconstruct it: the values at their positions, and three blinding coefficients."""
    return np.concatenate([placed(PLAN, values), _core.fr_random(3)])


def test_a_sum_at_its_bounds_is_exact() -> None:
    bounds = ROWS * PLAN.update_bounds()
    for values in (bounds, -bounds, np.zeros_like(bounds)):
        assert weight_sums(PLAN, summed(values), ROWS).tolist() == values.tolist()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_beyond_a_bound_is_refused(sign: int) -> None:
    bounds = ROWS * PLAN.update_bounds()
    for place in range(len(bounds)):
        beyond = np.zeros_like(bounds)
        beyond[place] = sign * (bounds[place] + 1)
        with pytest.raises(SharingError, match="out of the range that the proofs"):
            weight_sums(PLAN, summed(beyond), ROWS)
