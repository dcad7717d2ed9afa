"""The integer federation against plain floating-point FedAvg, on real records.

Every number goes the way it goes in a round: the integer SGD that the circuit proves (its own tests), updates shared
over the field with their blinding, shares summed with their weights, any t + 1 sums combined, and the average rounded
as the aggregation proof says. Proofs and ciphertexts alone are left out: they change no number.
"""

from __future__ import annotations

import numpy as np
import pytest

from fedproof import _core
from fedproof.data import Schema, capacity_rows, load
from fedproof.data import split as split_records
from fedproof.learning import exact, sgd
from fedproof.learning.baseline import fedavg
from fedproof.learning.fixed import Int, TrainingSpec
from fedproof.learning.metrics import accuracy
from fedproof.learning.model import GlobalModel
from fedproof.learning.plan import TrainingPlan
from fedproof.sharing import reconstruct, split, weighted_sum
from fedproof.statements.aggregation import divide
from fedproof.statements.layout import UPDATE_BLINDING, WeightLayout
from fedproof.statements.vectors import update_vector

WORKERS, THRESHOLD = 5, 2


def next_model(model: GlobalModel, updates: list[Int], rows: list[int], powers: _core.Srs) -> GlobalModel:
    """A round without proofs: share, sum on shares, combine what the last t + 1 workers give, and round."""
    parameters = len(model.weights)
    sharings = [
        split(update_vector(update, _core.fr_random(UPDATE_BLINDING)), THRESHOLD, WORKERS, powers) for update in updates
    ]
    outputs = [
        weighted_sum([sharing.shares[place] for sharing in sharings], rows)
        for place in range(WORKERS - THRESHOLD - 1, WORKERS)
    ]
    total = _core.fr_to_i64(np.ascontiguousarray(reconstruct(outputs, THRESHOLD)[:parameters]))
    quotient, _ = divide(total, sum(rows))
    # exactly the rounded average of what was trained, whatever went through the field
    exact = sum(n * update.astype(object) for n, update in zip(rows, updates, strict=True))
    assert all(abs(2 * (sum(rows) * int(q) - int(s))) <= sum(rows) for q, s in zip(quotient, exact, strict=True))
    return model.moved(quotient)


@pytest.mark.parametrize(
    ("data", "positive", "participants"),
    [("breast-cancer", None, 3), ("breast-cancer", None, 10), ("digits", "8", 5)],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_stays_within_a_point_of_accuracy_and_two_percent_of_the_weights(
    data: str, positive: str | None, participants: int, seed: int
) -> None:
    parts = split_records(load(data, positive=positive), participants, seed)
    schema = Schema.from_public(parts.test, capacity_rows(parts.parts))
    spec = TrainingSpec(schema.rows, schema.columns)
    plan = TrainingPlan.of(spec)
    model = GlobalModel.start(plan, seed)
    start = model.real()[0][:, 0]
    powers = _core.Srs.generate(WeightLayout(spec.columns).update_size, [1])
    for _ in range(5):
        updates = []
        for part in parts.parts:
            records = sgd.pad(spec, schema.quantise(part.features), part.labels)
            updates.append(plan.model.flatten(exact.train(plan, *records, model.layers).update))
        model = next_model(model, updates, [part.rows for part in parts.parts], powers)
    private = [(schema.standardise(part.features), part.labels) for part in parts.parts]
    plain = fedavg(private, 5, start=start)[-1]
    test = schema.standardise(parts.test.features), parts.test.labels
    ours = model.real()[0][:, 0]
    assert abs(accuracy(ours, *test) - accuracy(plain, *test)) <= 0.01
    assert np.linalg.norm(ours - plain) <= 0.02 * np.linalg.norm(plain)
