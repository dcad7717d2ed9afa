"""Every place at which a statement imposes a rule is needed: for each there is a forgery that only this place notices.

Most places fall to one changed wire (`attacked_by_one_wire`). The others, named below, take a lie that is consistent
everywhere else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.learning.fixed import BATCH, Int, TrainingSpec, sigmoid_table
from fedproof.learning.sgd import Trace
from fedproof.statements.aggregation import AggregationStatement
from fedproof.statements.listing import ListingStatement, ListingWitness
from fedproof.statements.training import TrainingStatement, TrainingWitness
from tests.statements.conftest import make_witness
from tests.statements.test_aggregation import BOUND
from tests.statements.test_aggregation import witness as average
from tests.support.occurrences import Change, Occurrence, attacked_by_one_wire, broken_occurrences, changed, occurrences
from tests.support.soundness import SIGMA, forged

R = _core.MODULUS
SPEC = TrainingSpec(rows=64, columns=3, epochs=2, mask_count=4)
STATEMENT = TrainingStatement(SPEC)
STEPS = range(SPEC.steps)
EPOCHS = range(SPEC.epochs)
GROUPS = SPEC.rows // BATCH
ROW = 7
"""The row of its batch that lies."""


@pytest.fixture(scope="module")
def honest() -> TrainingWitness:
    w = make_witness(SPEC)
    assert not w.trace.saturated
    return w


def lying_trace(
    w: TrainingWitness,
    step: int,
    *,
    index: int = 0,
    output: int = 0,
    weight: int = 0,
) -> tuple[Trace, list[Int]]:
    """SGD with one lie in one step, and everything before and after it done as the statement wants.

    Returns the trace and the weights that each step starts from. `index` shifts the table index of row ROW, `output`
    its sigmoid, `weight` the first weight after the step.
    """
    _, outputs, _ = sigmoid_table(SPEC)
    inputs = np.concatenate([w.features, SPEC.input_scale * w.mask[:, None]], axis=1)
    current, starts = w.trace.start.copy(), []
    table_index, remainder = (np.empty((SPEC.epochs, SPEC.rows), dtype=np.int64) for _ in range(2))
    for at in STEPS:
        epoch, first = divmod(at * BATCH, SPEC.rows)
        rows = slice(first, first + BATCH)
        starts.append(current)
        quotient, rest = np.divmod(inputs[rows] @ current, SPEC.logit_divisor)
        quotient[ROW] += index * (at == step)
        delta = outputs[quotient + SPEC.table_half] - SPEC.delta_scale * w.labels[rows]
        delta[ROW] += output * (at == step)
        table_index[epoch, rows], remainder[epoch, rows] = quotient, rest
        current = current - inputs[rows].T @ delta
        current[0] += weight * (at == step)
    zeros = np.zeros_like(table_index)
    return Trace(w.trace.start, current, table_index, zeros, remainder), starts


def broken(w: TrainingWitness, trace: Trace, changes: dict[Occurrence, Change]) -> set[Occurrence]:
    return broken_occurrences(changed(STATEMENT, replace(w, trace=trace), changes))


def by(amounts: dict[int, int]) -> Change:
    return lambda _: amounts


def test_the_lying_run_is_sgd_when_it_does_not_lie(honest: TrainingWitness) -> None:
    trace, _ = lying_trace(honest, 0)
    assert all(np.array_equal(getattr(trace, name), getattr(honest.trace, name)) for name in trace.__dataclass_fields__)


@pytest.mark.parametrize("step", STEPS)
def test_rejects_a_false_logit_in_each_step(honest: TrainingWitness, step: int) -> None:
    trace, _ = lying_trace(honest, step, index=1)
    assert broken(honest, trace, {}) == {("forward", 2 * step + 1)}
    lie = SPEC.logit_divisor * pow(SIGMA, SPEC.columns * ROW, R)
    assert broken(honest, trace, {("forward", step): by({0: lie})}) == {("forward", 2 * step)}


@pytest.mark.parametrize("step", STEPS)
def test_rejects_a_logit_that_is_left_out_of_the_sum_of_its_batch(honest: TrainingWitness, step: int) -> None:
    trace, _ = lying_trace(honest, step, index=1)
    epoch, group = divmod(step, GROUPS)
    back = -SPEC.logit_divisor * pow(SIGMA, SPEC.columns * ROW, R)
    changes = {("forward/fold", epoch): by({group * (BATCH - 1) + ROW - 1: back})}
    assert broken(honest, trace, changes) == {("forward/fold", epoch)}


@pytest.mark.parametrize("step", STEPS)
def test_rejects_an_index_that_only_a_false_overflow_explains(honest: TrainingWitness, step: int) -> None:
    trace, _ = lying_trace(honest, step, index=-2)
    epoch, group = divmod(step, GROUPS)
    changes = {("saturation", epoch): by({group * BATCH + ROW: 2})}
    assert broken(honest, trace, changes) == {("saturation", epoch)}


@pytest.mark.parametrize("step", STEPS)
def test_rejects_an_edge_inside_the_table(honest: TrainingWitness, step: int) -> None:
    """With the multiplier of the overflow in its hands a prover moves any logit to any place of the table."""
    trace, _ = lying_trace(honest, step, index=-2)
    epoch, group = divmod(step, GROUPS)
    row = group * BATCH + ROW
    overflow = trace.overflow.copy()
    overflow[epoch, row] = 2
    changes = {
        ("edge", epoch): by({row: 1}),
        ("lookup/sigmoid/fold", 2 * epoch + 1): by({row: -pow(SIGMA, 3, R)}),
    }
    assert broken(honest, replace(trace, overflow=overflow), changes) == {("lookup/sigmoid/fold", 2 * epoch + 1)}
    del changes["lookup/sigmoid/fold", 2 * epoch + 1]
    assert broken(honest, replace(trace, overflow=overflow), changes) == {("lookup/sum", 0)}


@pytest.mark.parametrize("step", STEPS)
def test_rejects_a_sigmoid_of_the_provers_choice_in_each_step(honest: TrainingWitness, step: int) -> None:
    trace, _ = lying_trace(honest, step, output=777)
    epoch, group = divmod(step, GROUPS)
    row = group * BATCH + ROW
    changes = {
        ("sigmoid", epoch): by({row: 777}),
        ("lookup/sigmoid/fold", 2 * epoch): by({row: -777 * pow(SIGMA, 2, R)}),
    }
    assert broken(honest, trace, changes) == {("lookup/sigmoid/fold", 2 * epoch)}
    del changes["lookup/sigmoid/fold", 2 * epoch]
    assert broken(honest, trace, changes) == {("lookup/sum", 0)}


@pytest.mark.parametrize("step", STEPS)
def test_rejects_a_weight_moved_by_something_else(honest: TrainingWitness, step: int) -> None:
    trace, _ = lying_trace(honest, step, weight=12345)
    for part, at in ((0, SPEC.columns * 5), (1, 0)):  # a product of one row; the last product, which is the new weight
        changes = {("weight step", 2 * step + part): by({at: -12345})}
        assert broken(honest, trace, changes) == {("weight step", 2 * step + part)}


@pytest.mark.parametrize("group", range(GROUPS))
def test_rejects_a_fold_of_other_records_in_each_group(honest: TrainingWitness, group: int) -> None:
    """The fold moves by v: the first epoch's logit lies, the second epoch's and the evaluation do not change."""
    trace, starts = lying_trace(honest, group, index=1)
    scale = [1] * (SPEC.columns - 1) + [SPEC.input_scale]
    first, second = ([int(w) * s for w, s in zip(starts[k], scale, strict=True)] for k in (group, group + GROUPS))
    lie = SPEC.logit_divisor * pow(SIGMA, SPEC.columns * ROW, R)
    v = solve([[1, SIGMA, SIGMA**2], first, second], [0, lie, 0])
    start = group * SPEC.columns
    assert broken(honest, trace, {("fold", 1): by({start + k: x for k, x in enumerate(v)})}) == {("fold", 1)}
    start *= BATCH - 2
    assert broken(honest, trace, {("fold", 0): by({start + k: x for k, x in enumerate(v)})}) == {("fold", 0)}


def solve(matrix: list[list[int]], right: list[int]) -> list[int]:
    """The solution of a regular linear system mod r, by elimination."""
    rows = [[*row, b] for row, b in zip(matrix, right, strict=True)]
    for k in range(len(rows)):
        pivot = pow(rows[k][k], -1, R)
        rows[k] = [x * pivot % R for x in rows[k]]
        for i, row in enumerate(rows):
            if i != k:
                rows[i] = [(x - row[k] * y) % R for x, y in zip(row, rows[k], strict=True)]
    return [row[-1] for row in rows]


# every other place of every statement with a committed segment falls to one wire; what is left is attacked by name

LEFT: dict[str, dict[str, int]] = {
    "training": {
        "forward": 2 * SPEC.steps,
        "forward/fold": SPEC.epochs,
        "saturation": SPEC.epochs,
        "lookup/sigmoid/fold": 2 * SPEC.epochs,
        "weight step": 2 * SPEC.steps,
        "fold": 2,
        "evaluation/output": 1,  # test_training.py
    },
    "listing": {  # test_listing.py
        "mask/boolean": 1,
        "mask/real rows first": 1,
        "padding is zero": 1,
        "evaluation/output": 1,
    },
    "aggregation": {  # test_aggregation.py
        "N/parity is boolean": 1,
        "evaluation/output": 1,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEFT)
def test_every_place_of_a_rule_is_needed(honest: TrainingWitness, name: str) -> None:
    w = make_witness(TrainingSpec(32, 3, mask_count=2))
    total = np.array([10**12, -(10**12), 7, -8], dtype=np.int64)
    cases: dict[str, tuple[Any, Any]] = {
        "training": (STATEMENT, honest),
        "listing": (ListingStatement(32, 3), ListingWitness(w.features, w.mask, w.labels, _core.fr_random(2))),
        "aggregation": (AggregationStatement(4, BOUND), average(total, 455)),
    }
    statement, witness = cases[name]
    every = set(occurrences(forged(statement, witness)))
    left = {(rule, number) for rule, count in LEFT[name].items() for number in range(count)}
    assert left <= every
    assert every - attacked_by_one_wire(statement, witness) <= left
