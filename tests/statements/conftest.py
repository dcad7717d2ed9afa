"""Small records on which the statements are attacked."""

from __future__ import annotations

import numpy as np
import pytest

from fedproof import _core
from fedproof.learning import sgd
from fedproof.learning.fixed import TrainingSpec
from fedproof.statements.training import TrainingStatement, TrainingWitness


def make_witness(
    spec: TrainingSpec, *, seed: int = 7, real: int | None = None, spread: int = 600, model: int = 10**10
) -> TrainingWitness:
    """Random records of a capacity class, trained on honestly."""
    rng = np.random.default_rng(seed)
    real = spec.rows - 3 if real is None else real
    features = rng.integers(-spread, spread, (real, spec.columns - 1))
    labels = (features[:, 0] + rng.integers(-200, 200, real) > 0).astype(np.int64)
    features, mask, labels = sgd.pad(spec, features, labels)
    trace = sgd.train(spec, features, mask, labels, rng.integers(-model, model, spec.columns))
    return TrainingWitness(features, mask, labels, _core.fr_random(2 + spec.mask_count), trace, _core.fr_random(3))


@pytest.fixture(scope="session")
def small_spec() -> TrainingSpec:
    """Two batches of three columns."""
    return TrainingSpec(rows=64, columns=3, mask_count=4)


@pytest.fixture(scope="session")
def small(small_spec: TrainingSpec) -> tuple[TrainingStatement, TrainingWitness]:
    """The small statement and an honest witness."""
    return TrainingStatement(small_spec), make_witness(small_spec)
