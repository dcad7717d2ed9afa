"""Small random runs of every kind of model."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from fedproof.learning import exact, sgd
from fedproof.learning.architecture import SQUARED, Model
from fedproof.learning.choose import choose_precision
from fedproof.learning.exact import ModelTrace
from fedproof.learning.fixed import Int
from fedproof.learning.plan import TrainingPlan

KINDS = {
    "linear": Model.linear(4),
    "logistic": Model.logistic(4),
    "softmax": Model.softmax(3, 4),
    "perceptron of one output": Model.perceptron(3, [4], 1),
    "perceptron of classes": Model.perceptron(4, [5], 3),
    "perceptron of a target": Model.perceptron(3, [4], 1, SQUARED),
    "deep perceptron": Model.perceptron(3, [5, 4], 3),
}


def records(plan: TrainingPlan, real: int, seed: int = 5, spread: int = 600) -> tuple[Int, Int, Int]:
    """Padded random features, mask and labels."""
    rng = np.random.default_rng(seed)
    features = rng.integers(-spread, spread, (real, plan.columns - 1))
    labels = rng.integers(0, max(plan.model.outputs, 2), real)
    if plan.model.loss == SQUARED:
        labels = rng.integers(-500, 500, real)
    return sgd.pad_to(plan.rows, plan.columns, features, labels)


@cache
def make_plan(model: Model, rows: int = 64, epochs: int = 1, **changes: int) -> TrainingPlan:
    """A chosen plan, with these changes."""
    features = np.random.default_rng(2).integers(-600, 600, (40, model.widths[0]))
    return replace(choose_precision(model, features, rows, epochs, mask_count=5), **changes)


def make_trace(name: str, rows: int = 64, epochs: int = 1, real: int = 50, seed: int = 5, **changes: int) -> ModelTrace:
    """A run of one of `KINDS`; without hidden layers it starts 300 times farther out than a task, as if trained."""
    plan = make_plan(KINDS[name], rows, epochs, **changes)
    start = tuple(matrix * (300 if plan.depth == 1 else 1) for matrix in plan.start(seed))
    return exact.train(plan, *records(plan, real, seed), start)
