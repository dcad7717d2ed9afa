"""Integer training against float training on real data, and what a report says of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import datasets

from fedproof.errors import InputError
from fedproof.learning import exact, sgd
from fedproof.learning.architecture import SQUARED, Model
from fedproof.learning.baseline import local_sgd
from fedproof.learning.choose import choose_precision
from fedproof.learning.comparison import report
from fedproof.learning.fixed import Int
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.reference import classes, float_sgd, gradient, predict
from tests.learning.scenes import KINDS, make_plan, records

Float = NDArray[np.float64]


def standardised(values: Float) -> Float:
    """Centred and scaled, and clipped as a schema clips: rare pixels of digits lie 40 deviations out."""
    spread = values.std(axis=0)
    return np.clip((values - values.mean(axis=0)) / np.where(spread, spread, 1), -8, 2047 / 256)


def quantised(values: Float) -> Int:
    return np.clip(np.round(256 * values), -2048, 2047).astype(np.int64)


def shuffled(name: str) -> tuple[Float, Float]:
    data = getattr(datasets, f"load_{name}")()
    order = np.random.default_rng(3).permutation(len(data.target))
    return standardised(data.data[order]), np.asarray(data.target[order], dtype=np.float64)


CASES = {
    "breast cancer, logistic": ("breast_cancer", Model.logistic(30), 4),
    "breast cancer, 31-16-1": ("breast_cancer", Model.perceptron(30, [16], 1), 8),
    "wine, softmax": ("wine", Model.softmax(13, 3), 8),
    "digits, softmax": ("digits", Model.softmax(64, 10), 3),
    "digits, 64-32-10": ("digits", Model.perceptron(64, [32], 10), 8),
    "digits, 64-32-16-10": ("digits", Model.perceptron(64, [32, 16], 10), 8),
}


@pytest.mark.parametrize("case", CASES)
def test_classes_stay_within_a_point_of_float_training(case: str) -> None:
    """Three rounds on four rows of five, integers and floats each on their own, scored on the fifth."""
    name, model, epochs = CASES[case]
    x, y = shuffled(name)
    cut = len(y) * 4 // 5
    rows = -(-cut // 32) * 32
    plan = choose_precision(model, quantised(x[:cut]), rows, epochs)
    data = sgd.pad_to(rows, model.columns, quantised(x[:cut]), y[:cut].astype(np.int64))
    weights = plan.start(1)
    plain = plan.real(weights)
    for _ in range(3):
        trace = exact.train(plan, *data, weights)
        result = report(trace, x[:cut])
        assert result.update_error < (0.002 if plan.depth == 1 else 0.01)
        assert result.prediction_mean_error < 5e-4
        assert result.advice == ()
        weights = trace.end
        plain = float_sgd(model, plain, x[:cut], y[:cut], epochs)
    ours = np.mean(classes(model, plan.real(weights), x[cut:]) == y[cut:])
    theirs = np.mean(classes(model, plain, x[cut:]) == y[cut:])
    assert abs(ours - theirs) <= 0.01
    assert theirs > 0.9


@pytest.mark.parametrize("model", [Model.linear(10), Model.perceptron(10, [8], 1, SQUARED)], ids=["linear", "10-8-1"])
def test_a_regression_stays_close_to_float_training(model: Model) -> None:
    x, y = shuffled("diabetes")
    y = standardised(y)
    cut = len(y) * 4 // 5
    plan = choose_precision(model, quantised(x[:cut]), 352 + 32, 10)
    data = sgd.pad_to(plan.rows, model.columns, quantised(x[:cut]), quantised(y[:cut]))
    weights = plan.start(1)
    plain = plan.real(weights)
    for _ in range(3):
        trace = exact.train(plan, *data, weights)
        assert report(trace, x[:cut], y[:cut]).update_error < 0.01
        weights = trace.end
        plain = float_sgd(model, plain, x[:cut], y[:cut], 10)

    def unexplained(parameters: list[Float]) -> float:
        return float(((predict(model, parameters, x[cut:])[:, 0] - y[cut:]) ** 2).mean() / y[cut:].var())

    assert abs(unexplained(plan.real(weights)) - unexplained(plain)) < 0.01
    assert unexplained(plain) < 0.7


def loss(model: Model, weights: list[Float], x: Float, y: Float) -> float:
    """Written apart from the code under test."""
    a = x
    for layer, w in enumerate(weights):
        a = np.hstack([a, np.ones((len(a), 1))]) @ w
        a = a if layer == len(weights) - 1 else np.where(a > 0, a, 0)
    if model.loss == SQUARED:
        return float(((a[:, 0] - y) ** 2).sum() / 64)
    if model.outputs == 1:
        return float((np.logaddexp(0, a[:, 0]) - y * a[:, 0]).sum() / 32)
    return float((np.logaddexp.reduce(a, axis=1) - a[np.arange(len(y)), y.astype(int)]).sum() / 32)


@pytest.mark.parametrize("name", KINDS)
def test_the_float_gradient_is_that_of_finite_differences(name: str) -> None:
    model = KINDS[name]
    rng = np.random.default_rng(4)
    weights = [rng.normal(size=shape) for shape in model.layers]
    x, y = rng.normal(size=(20, model.widths[0])), rng.integers(0, max(model.outputs, 2), 20).astype(np.float64)
    for layer, slope in enumerate(gradient(model, weights, x, y)):
        for place in np.ndindex(slope.shape):
            up, down = ([w.copy() for w in weights] for _ in range(2))
            up[layer][place] += 1e-6
            down[layer][place] -= 1e-6
            expected = (loss(model, up, x, y) - loss(model, down, x, y)) / 2e-6
            assert slope[place] == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_float_training_of_logistic_regression_is_the_baseline() -> None:
    rng = np.random.default_rng(4)
    x, y, start = rng.normal(size=(70, 4)), rng.integers(0, 2, 70), rng.normal(size=5)
    ours = float_sgd(Model.logistic(4), [start[:, None]], x, y.astype(np.float64), 2)
    np.testing.assert_allclose(ours[0][:, 0], local_sgd(start, x, y, 2), rtol=1e-12)


def test_refuses_float_shapes_that_do_not_fit() -> None:
    model = KINDS["softmax"]
    weights = [np.zeros((4, 4))]
    with pytest.raises(InputError, match="fit"):
        float_sgd(model, weights, np.zeros((5, 3)), np.zeros(4))
    with pytest.raises(InputError, match="features"):
        predict(model, weights, np.zeros((5, 4)))
    with pytest.raises(InputError, match="no classes"):
        classes(KINDS["linear"], [np.zeros((5, 1))], np.zeros((5, 4)))


def run(plan: TrainingPlan, start: tuple[Int, ...], spread: int = 600) -> exact.ModelTrace:
    return exact.train(plan, *records(plan, 60, spread=spread), start)


def test_a_report_counts_what_saturates_and_says_how_to_rescale() -> None:
    plan = make_plan(KINDS["logistic"])
    start = tuple(matrix * 20_000 for matrix in plan.start(1))
    result = report(run(plan, start))
    assert result.saturated > 0
    assert len([line for line in result.advice if "saturate" in line and "multiply the schema's scale by" in line]) == 1
    assert result.lines()[-len(result.advice) :] == list(result.advice)
    assert all("\n" not in line for line in result.lines())


def test_a_report_warns_of_integers_near_their_bound() -> None:
    plan = replace(make_plan(KINDS["perceptron of classes"]), limb_bits=13, activation_limbs=1)
    first = plan.start(1)
    largest = max(p.largest for p in run(plan, first).peaks if p.name.startswith("pre-activations"))
    factor = int(0.8 * plan.activation_range / largest)
    result = report(run(plan, (first[0] * factor, *first[1:])))
    assert result.headroom < 1
    assert any("pre-activations of layer 1 come within" in line and "scale by 4" in line for line in result.advice)


def test_a_report_notices_clipped_features() -> None:
    plan = make_plan(KINDS["linear"])
    features = np.clip(np.random.default_rng(5).integers(-3000, 3000, (60, 4)), -2048, 2047)
    trace = exact.train(plan, *sgd.pad_to(64, 5, features, np.zeros(60, dtype=np.int64)), plan.start(1))
    result = report(trace)
    assert result.clipped == int(np.isin(features, (-2048, 2047)).sum())
    assert any("clipped" in line for line in result.advice)


def test_a_report_says_when_the_scales_are_too_coarse() -> None:
    plan = make_plan(KINDS["linear"])
    result = report(run(plan, plan.start(1)), features=np.random.default_rng(1).normal(size=(60, 4)))
    assert any("from float training" in line for line in result.advice)


def test_a_report_of_no_rows_is_empty() -> None:
    plan = make_plan(KINDS["softmax"])
    result = report(exact.train(plan, *records(plan, 0), plan.start(1)))
    assert (result.update_error, result.prediction_max_error, result.advice) == (0.0, 0.0, ())
