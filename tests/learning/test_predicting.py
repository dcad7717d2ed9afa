"""Predictions in the integers of training and in float64."""

from __future__ import annotations

import numpy as np
import pytest

from fedproof.errors import InputError
from fedproof.learning import exact, reference
from fedproof.learning.architecture import CROSS_ENTROPY, SQUARED
from fedproof.learning.baseline import Float
from fedproof.learning.exact import SigmoidTrace, SoftmaxTrace, SquaredTrace
from fedproof.learning.exponential import exponential_table
from fedproof.learning.fixed import BATCH
from fedproof.learning.predicting import Predictor, integer_forward, output_bound, quantise
from fedproof.learning.sgd import pad_to
from tests.learning.scenes import KINDS, make_plan, make_trace


def rows_of(name: str, n: int = 300, seed: int = 3) -> Float:
    return np.random.default_rng(seed).normal(0, 2.5, (n, KINDS[name].widths[0])).clip(-8, 2047 / 256)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("provable", [True, False])
def test_the_forward_pass_is_that_of_training_bit_for_bit(name: str, provable: bool) -> None:
    trace = make_trace(name, epochs=2)
    for step, (epoch, first) in enumerate([(0, 0), (0, BATCH), (1, 0), (1, BATCH)]):
        weights = [trace.history(layer)[step] for layer in range(trace.plan.depth)]
        real = slice(first, min(first + BATCH, int(trace.mask.sum())))
        out = integer_forward(trace.plan, weights, trace.inputs[real, :-1], provable=provable)
        head, at = trace.head, (epoch, real)
        if isinstance(head, SigmoidTrace):
            sign = np.sign(out.index - head.index[at])
            assert np.array_equal(out.index, head.index[at] + sign * head.overflow[at])
            assert np.array_equal(out.output, head.output[at])
        elif isinstance(head, SoftmaxTrace):
            assert np.array_equal(out.index, head.index[at])
            assert np.array_equal(out.output, head.probability[at])
        else:
            assert isinstance(head, SquaredTrace)
            assert np.array_equal(out.index, head.index[at])
        assert np.array_equal(
            out.sums + trace.plan.forward(trace.plan.depth - 1).offset,
            trace.plan.forward(trace.plan.depth - 1).divisor * out.index + head.remainder[at],
        )


@pytest.mark.parametrize("name", KINDS)
def test_integers_stay_within_the_bound_of_float_predictions(name: str) -> None:
    trace = make_trace(name, epochs=2)
    predictor = Predictor.exact(trace.plan, trace.end)
    error = predictor.error(rows_of(name))
    assert 0 < error.output <= error.bound == output_bound(trace.plan, predictor.weights)
    assert error.disagreeing <= 6


@pytest.mark.parametrize("name", KINDS)
def test_the_bound_holds_for_any_weights_and_is_no_larger_than_it_must_be(name: str) -> None:
    rng, plan = np.random.default_rng(1), make_plan(KINDS[name])
    nearest = 0.0
    for run in range(60):
        size = (0.01, 0.3, 1, 3, 10, 20)[run % 6]
        weights = [
            np.rint(rng.normal(0, size / np.sqrt(a), (a, b)) * scale).astype(np.int64)
            for (a, b), scale in zip(plan.model.layers, plan.weight_scales(), strict=True)
        ]
        worst = (rng.integers(-2048, 2047, (60, plan.model.widths[0])) + 0.4999) / 256  # all rounded down
        error = Predictor.exact(plan, weights).error(worst if run % 2 else rows_of(name, seed=run))
        assert error.output <= error.bound
        nearest = max(nearest, error.output / error.bound)
    assert nearest > 0.3


@pytest.mark.parametrize("name", KINDS)
def test_float_predictions_are_those_of_the_reference(name: str) -> None:
    trace = make_trace(name)
    model, features = trace.plan.model, rows_of(name)
    predictor = Predictor.exact(trace.plan, trace.end).floating()
    if model.loss == SQUARED:
        assert np.array_equal(predictor.predict(features), reference.predict(model, predictor.weights, features)[:, 0])
        return
    assert np.array_equal(predictor.predict(features), reference.classes(model, predictor.weights, features))
    p = reference.predict(model, predictor.weights, features)
    proba = predictor.predict_proba(features)
    assert np.allclose(proba if model.loss == CROSS_ENTROPY else proba[:, 1:], p, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", KINDS)
def test_the_class_has_the_largest_probability(name: str) -> None:
    trace = make_trace(name)
    predictor, features = Predictor.exact(trace.plan, trace.end), rows_of(name)
    if trace.plan.model.loss == SQUARED:
        with pytest.raises(InputError, match="no probabilities"):
            predictor.predict_proba(features)
        return
    proba = predictor.predict_proba(features)
    assert np.allclose(proba.sum(axis=1), 1, rtol=0, atol=1e-15)
    assert np.array_equal(proba[np.arange(len(proba)), predictor.predict(features)], proba.max(axis=1))


def test_a_saturated_logit_stays_at_the_end_of_the_table() -> None:
    plan = make_plan(KINDS["logistic"])
    weights = (np.array([[40], [0], [0], [0], [0]]) * plan.weight_scales()[0],)
    far = np.array([[7.0, 0, 0, 0], [-7.0, 0, 0, 0]])
    error = Predictor.exact(plan, weights).error(far)
    assert 3e-4 < error.output <= error.bound
    assert Predictor.exact(plan, weights).predict(far).tolist() == [1, 0]


def test_an_exact_zero_is_class_0() -> None:
    plan = make_plan(KINDS["logistic"])
    weights = (np.zeros((5, 1), dtype=np.int64),)
    assert Predictor.exact(plan, weights).predict(np.zeros((2, 4))).tolist() == [0, 0]


def test_what_training_refuses_is_refused_where_a_proof_is_meant() -> None:
    plan = make_plan(KINDS["perceptron of classes"])
    weights = tuple(matrix * 40 for matrix in plan.start(1))
    features = np.full((1, 4), 2000)
    assert integer_forward(plan, weights, features).output.shape == (1, 3)
    with pytest.raises(InputError, match="pre-activations of layer 1 leave the range"):
        integer_forward(plan, weights, features, provable=True)


@pytest.mark.parametrize("past", [0, 1])
@pytest.mark.parametrize("name", ["linear", "logistic", "softmax"])
def test_the_last_logit_that_training_takes_is_the_last_that_is_provable(name: str, past: int) -> None:
    plan = make_plan(KINDS[name])
    table = len(exponential_table(plan.logit_bits, plan.exponential_bits))
    last = {
        "linear": plan.logit_range // 2 - 1,
        "logistic": plan.logit_range - plan.table_half - 1,
        "softmax": -(table - 1 + plan.logit_range - 1),
    }[name]
    a, b = plan.model.layers[0]
    weights = np.zeros((a, b), dtype=np.int64)
    weights[-1, 0] = (last + past * np.sign(last)) * plan.forward(0).divisor // 256
    features, labels = np.zeros((1, a - 1), dtype=np.int64), np.ones(1, dtype=np.int64)
    if not past:
        exact.train(plan, *pad_to(plan.rows, plan.columns, features, labels), [weights])
        assert integer_forward(plan, [weights], features, provable=True).index[0, 0] == last
        return
    with pytest.raises(InputError, match="left the range"):
        exact.train(plan, *pad_to(plan.rows, plan.columns, features, labels), [weights])
    with pytest.raises(InputError, match="leave the range"):
        integer_forward(plan, [weights], features, provable=True)


def test_wrong_features_are_refused_in_one_line() -> None:
    plan = make_plan(KINDS["logistic"])
    predictor = Predictor.exact(plan, plan.start(1))
    with pytest.raises(InputError, match="NaN or infinity"):
        predictor.predict(np.array([[np.nan, 0, 0, 0]]))
    with pytest.raises(InputError, match="NaN or infinity"):
        predictor.floating().predict(np.array([[np.inf, 0, 0, 0]]))
    with pytest.raises(InputError, match="not 4 integers a row"):
        predictor.predict(np.zeros((3, 5)))
    with pytest.raises(InputError, match="outside"):
        integer_forward(plan, plan.start(1), np.full((1, 4), 2048))
    with pytest.raises(InputError, match="62 bits"):
        integer_forward(plan, (np.full((5, 1), 2**61),), np.zeros((1, 4), dtype=np.int64))
    with pytest.raises(InputError, match="no integer predictions"):
        predictor.floating().error(np.zeros((1, 4)))


def test_no_rows_give_no_predictions() -> None:
    for name in KINDS:
        plan = make_plan(KINDS[name])
        predictor = Predictor.exact(plan, plan.start(1))
        assert predictor.predict(np.zeros((0, plan.model.widths[0]))).shape == (0,)
        assert predictor.error(np.zeros((0, plan.model.widths[0]))).output == 0


def test_features_are_rounded_to_the_nearest_256th() -> None:
    assert quantise(np.array([[1 / 512, 3 / 512, 9.0, -9.0]])).tolist() == [[0, 2, 2047, -2048]]
