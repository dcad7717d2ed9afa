"""The integer federation against plain floating-point FedAvg, on real records.

The circuit proves exactly this integer SGD and this rounded average (their own tests), so what holds here holds for
proven rounds.
"""

from __future__ import annotations

import numpy as np
import pytest

from fedproof.data import Schema, capacity_rows, load, split
from fedproof.learning import sgd
from fedproof.learning.baseline import fedavg
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.metrics import accuracy
from fedproof.learning.model import GlobalModel
from fedproof.statements.aggregation import divide


@pytest.mark.parametrize(
    ("data", "positive", "participants"),
    [("breast-cancer", None, 3), ("breast-cancer", None, 10), ("digits", "8", 5)],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_stays_within_a_point_of_accuracy_and_two_percent_of_the_weights(
    data: str, positive: str | None, participants: int, seed: int
) -> None:
    parts = split(load(data, positive=positive), participants, seed)
    schema = Schema.from_public(parts.test, capacity_rows(parts.parts))
    spec = TrainingSpec(schema.rows, schema.columns)
    model = GlobalModel.start(spec, seed)
    start = model.real()
    for _ in range(5):
        total, rows = np.zeros(spec.columns, dtype=np.int64), 0
        for part in parts.parts:
            records = sgd.pad(spec, schema.quantise(part.features), part.labels)
            total += part.rows * sgd.train(spec, *records, model.weights).update
            rows += part.rows
        model = GlobalModel(model.weights + divide(total, rows)[0], spec.weight_scale)
    private = [(schema.standardise(part.features), part.labels) for part in parts.parts]
    plain = fedavg(private, 5, start=start)[-1]
    test = schema.standardise(parts.test.features), parts.test.labels
    assert abs(accuracy(model.real(), *test) - accuracy(plain, *test)) <= 0.01
    assert np.linalg.norm(model.real() - plain) <= 0.02 * np.linalg.norm(plain)
