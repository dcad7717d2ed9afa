"""Integer SGD of every kind of model: what it computes, and at which extremes it still does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedproof.errors import InputError
from fedproof.learning import exact, sgd
from fedproof.learning.architecture import CROSS_ENTROPY, LOG, SQUARED, Model
from fedproof.learning.exact import ModelTrace, SoftmaxTrace
from fedproof.learning.exponential import exponential_table
from fedproof.learning.fixed import BATCH, TrainingSpec, sigmoid_values
from fedproof.learning.plan import Rounding, TrainingPlan
from tests.learning.scenes import KINDS, make_plan, make_trace, records


@pytest.mark.parametrize(
    ("rows", "columns", "epochs", "real", "spread"),
    [(64, 5, 1, 64, 700), (256, 31, 2, 200, 700), (96, 8, 4, 70, 2047), (32, 2, 1, 0, 1)],
)
def test_logistic_regression_is_what_it_was_bit_for_bit(
    rows: int, columns: int, epochs: int, real: int, spread: int
) -> None:
    spec = TrainingSpec(rows, columns, epochs)
    rng = np.random.default_rng(rows)
    data = sgd.pad(spec, rng.integers(-spread, spread, (real, columns - 1)), rng.integers(0, 2, real))
    start = rng.integers(-20 * spec.weight_scale // columns, 20 * spec.weight_scale // columns, columns)
    ours = exact.train(TrainingPlan.of(spec), *data, (start[:, None],))
    known = sgd.train(spec, *data, start)
    assert np.array_equal(ours.end[0][:, 0], known.end)
    for name in ("index", "overflow", "remainder"):
        assert np.array_equal(getattr(ours.head, name)[..., 0], getattr(known, name))
    assert ours.saturated == known.saturated
    assert (ours.saturated > 0) == (real > 0)


def divide(rounding: Rounding, value: int) -> int:
    return (value + rounding.offset) // rounding.divisor


def by_hand(
    plan: TrainingPlan, x: list[list[int]], mask: list[int], labels: list[int], w: list[list[list[int]]]
) -> None:
    """The same training row by row in Python integers, changing `w`; written apart from the code under test."""
    depth, last = plan.depth, plan.depth - 1
    unit = 2 ** plan.scales[last].delta_bits
    for step in range(plan.epochs * plan.rows // BATCH):
        change = [[[0] * len(row) for row in layer] for layer in w]
        for i in ((step * BATCH + k) % plan.rows for k in range(BATCH)):
            reads, signs = [[*x[i], mask[i] * 2**8]], []
            for layer in range(depth):
                z = [
                    sum(v * row[k] for v, row in zip(reads[-1], w[layer], strict=True)) for k in range(len(w[layer][0]))
                ]
                q = [divide(plan.forward(layer), v) for v in z]
                if layer < last:
                    signs.append([v >= 0 for v in q])
                    reads.append([*(max(v, 0) for v in q), mask[i] * 2 ** plan.scales[layer + 1].input_bits])
            if plan.model.loss == SQUARED:
                delta = [q[0] - labels[i] * unit // 2**8]
            elif plan.model.loss == LOG:
                half = plan.table_half
                table = sigmoid_values(plan.logit_bits, plan.scales[last].delta_bits, half)
                delta = [int(table[min(max(q[0], -half), half - 1) + half]) - unit * labels[i]]
            else:
                table = exponential_table(plan.logit_bits, plan.exponential_bits)
                e = [int(table[min(max(q) - v, len(table) - 1)]) for v in q]
                delta = [(2 * unit * v + sum(e)) // (2 * sum(e)) - unit * (k == labels[i]) for k, v in enumerate(e)]
            for layer in range(last, -1, -1):
                for j, v in enumerate(reads[layer]):
                    for k, d in enumerate(delta):
                        change[layer][j][k] += v * d
                if layer:
                    back = [sum(d * v for d, v in zip(delta, row, strict=True)) for row in w[layer][:-1]]
                    delta = [
                        divide(plan.backward(layer), v) if sign else 0
                        for v, sign in zip(back, signs[layer - 1], strict=True)
                    ]
        for layer, rows in enumerate(change):
            for j, row in enumerate(rows):
                for k, v in enumerate(row):
                    w[layer][j][k] -= v


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_what_a_page_of_python_integers_gives(name: str) -> None:
    trace = make_trace(name, 64, 2, 50)
    w = [matrix.tolist() for matrix in trace.start]
    by_hand(trace.plan, trace.inputs[:, :-1].tolist(), trace.mask.tolist(), trace.labels.tolist(), w)
    assert [matrix.tolist() for matrix in trace.end] == w
    for layer in range(trace.plan.depth):
        history = trace.history(layer)
        assert len(history) == 5
        assert np.array_equal(history[-1], trace.end[layer])


@pytest.mark.parametrize("name", KINDS)
def test_padding_rows_move_no_weight(name: str) -> None:
    plan = make_plan(KINDS[name], 96)
    narrow = replace(plan, rows=64)
    data = records(narrow, 64)
    start = plan.start(3)
    padded = sgd.pad_to(96, plan.columns, data[0], data[2])
    wide, plain = exact.train(plan, *padded, start), exact.train(narrow, *data, start)
    for one, other in zip(wide.end, plain.end, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", KINDS)
def test_no_records_are_no_update(name: str) -> None:
    trace = make_trace(name, 64, 2, 0)
    assert not any(update.any() for update in trace.update)


@pytest.mark.parametrize("name", KINDS)
def test_rows_of_zeros_move_the_bias_alone(name: str) -> None:
    plan = make_plan(KINDS[name], 32)
    zeros = np.zeros((20, plan.columns - 1), dtype=np.int64)
    labels = np.arange(20) % max(plan.model.outputs, 2)
    trace = exact.train(plan, *sgd.pad_to(32, plan.columns, zeros, labels), plan.start(1))
    assert not trace.update[0][:-1].any()
    assert trace.update[-1][-1].any()


def saturating(model: Model, spread: int = 2047, weight: int = 3) -> ModelTrace:
    """Logits far beyond every table, at both ends."""
    plan = replace(make_plan(model), logit_limbs=4, activation_limbs=4, delta_limbs=4)
    rng = np.random.default_rng(8)
    features = rng.choice([-spread, spread], (64, plan.columns - 1))
    labels = rng.integers(0, max(model.outputs, 2), 64)
    start = tuple(
        matrix * 0 + weight * scale for matrix, scale in zip(plan.start(1), plan.weight_scales(), strict=True)
    )
    if model.outputs > 1:
        start[-1][:, 0] *= -1
    return exact.train(plan, *sgd.pad_to(64, plan.columns, features, labels), start)


def test_a_sigmoid_saturates_at_both_ends() -> None:
    trace = saturating(Model.perceptron(3, [4], 1))
    logistic = saturating(KINDS["logistic"])
    half = logistic.plan.table_half
    assert {-half, half - 1} <= set(logistic.head.index.reshape(-1).tolist())
    assert logistic.saturated > 0
    assert trace.saturated > 0


@pytest.mark.parametrize("name", ["softmax", "perceptron of classes", "deep perceptron"])
def test_a_softmax_far_apart_is_a_choice(name: str) -> None:
    trace = saturating(KINDS[name])
    head, unit = trace.head, 1 << trace.plan.scales[-1].delta_bits
    assert isinstance(head, SoftmaxTrace)
    assert head.overflow.max() > 0
    assert head.probability.min() == 0
    apart = head.overflow[..., 0] > 0
    assert (head.probability[..., 0][apart] == 0).all()
    assert (head.probability.sum(axis=-1) <= unit + trace.plan.model.outputs).all()
    assert (head.probability.sum(axis=-1) >= unit - trace.plan.model.outputs).all()


def test_a_softmax_of_equal_logits_is_even() -> None:
    plan = make_plan(KINDS["softmax"], 32)
    start = tuple(matrix * 0 for matrix in plan.start(1))
    trace = exact.train(plan, *records(plan, 32), start)
    assert (trace.head.probability == (1 << plan.scales[-1].delta_bits) // 4).all()


@pytest.mark.parametrize("name", KINDS)
def test_the_trace_keeps_its_ranges(name: str) -> None:
    trace = make_trace(name, 64, 3)
    plan = trace.plan
    for layer, hidden in enumerate(trace.hidden):
        forward, backward = plan.forward(layer), plan.backward(layer + 1)
        assert 0 <= hidden.remainder.min() <= hidden.remainder.max() < forward.divisor
        assert 0 <= hidden.back_remainder.min() <= hidden.back_remainder.max() < backward.divisor
        value = backward.divisor * hidden.rounded + hidden.back_remainder - backward.offset
        assert np.array_equal(value, hidden.back)
        assert np.array_equal(hidden.output, np.maximum(hidden.index, 0))
        assert np.array_equal(hidden.delta, hidden.rounded * (hidden.index >= 0))
    if isinstance(trace.head, SoftmaxTrace):
        head, unit = trace.head, 1 << plan.scales[-1].delta_bits
        twice = 2 * head.total[..., None]
        assert np.array_equal(head.probability * twice + head.division, 2 * unit * head.exponential + twice // 2)
        assert (head.division < twice).all()
        assert np.array_equal(head.largest[..., None] - head.distance - head.overflow, head.index)
    for layer, update in enumerate(trace.update):
        assert np.abs(update).max() <= plan.update_bound(layer)


@pytest.mark.parametrize("name", KINDS)
def test_refuses_weights_that_could_wrap_and_says_what_to_do(name: str) -> None:
    plan = make_plan(KINDS[name])
    data = records(plan, 40)
    for bits in (48, 52, 61):
        weights = tuple(np.full(shape, 2**bits, dtype=np.int64) for shape in plan.model.layers)
        with pytest.raises(InputError, match="rescale: multiply the schema's scale by"):
            exact.train(plan, *data, weights)


def test_refuses_deltas_that_grow_beyond_their_limbs() -> None:
    plan = replace(make_plan(KINDS["perceptron of classes"]), delta_limbs=1, limb_bits=10)
    start = plan.start(1)
    with pytest.raises(InputError, match=r"deltas of layer 1 .* weights of the layers above"):
        exact.train(plan, *records(plan, 40), (start[0], start[1] * 40))


def test_refuses_records_and_weights_of_another_class() -> None:
    plan = make_plan(KINDS["softmax"])
    features, mask, labels = records(plan, 40)
    start = plan.start(1)
    for bad in (
        (features[:32], mask, labels), (features, mask[:32], labels), (features, mask, labels[:32]),
        (features + 4000, mask, labels), (features, 1 - mask, labels), (features, mask, labels + 4),
        (features, mask, labels - 1),
    ):  # fmt: skip
        with pytest.raises(InputError):
            exact.train(plan, *bad, start)
    with pytest.raises(InputError, match="layers"):
        exact.train(plan, features, mask, labels, (start[0][:, :-1],))
    assert plan.model.loss == CROSS_ENTROPY


def test_a_run_is_a_function_of_its_inputs_and_changes_none() -> None:
    plan = make_plan(KINDS["deep perceptron"])
    data, start = records(plan, 50), plan.start(1)
    kept = [array.copy() for array in (*data, *start)]
    first, second = exact.train(plan, *data, start), exact.train(plan, *data, start)
    assert all(np.array_equal(a, b) for a, b in zip(first.end, second.end, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(kept, (*data, *start), strict=True))
