"""Scores of every kind of model, and whole float tasks to compare with."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from fedproof.errors import InputError
from fedproof.learning.architecture import Model
from fedproof.learning.baseline import fedavg
from fedproof.learning.metrics import accuracy, log_loss
from fedproof.learning.reference import predict
from fedproof.learning.scoring import best_constant, float_fedavg, score

RNG = np.random.default_rng(5)
X = RNG.normal(size=(90, 3))


def weights_of(model: Model) -> list[np.ndarray]:
    return [RNG.normal(size=shape) for shape in model.layers]


def test_a_logistic_model_scores_as_before() -> None:
    model, labels = Model.logistic(3), (RNG.random(90) > 0.4).astype(np.int64)
    weights = weights_of(model)
    found, flat = score(model, weights, X, labels.astype(np.float64)), weights[0][:, 0]
    assert found.accuracy == accuracy(flat, X, labels)
    assert found.log_loss == pytest.approx(log_loss(flat, X, labels))
    assert found.to_json().keys() == {"accuracy", "log_loss"}
    parts = [(X[:40], labels[:40]), (X[40:], labels[40:])]
    old = fedavg(parts, 3, 2, start=flat)
    new = float_fedavg(model, [(x, y.astype(np.float64)) for x, y in parts], weights, 3, 2)
    np.testing.assert_allclose([each[0][:, 0] for each in new], old, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("model", [Model.softmax(3, 4), Model.perceptron(3, (5,), 4)])
def test_several_classes_score_as_scikit_learn_says(model: Model) -> None:
    labels = RNG.integers(0, 4, 90)
    weights = weights_of(model)
    found, output = score(model, weights, X, labels.astype(np.float64)), predict(model, weights, X)
    assert found.accuracy == metrics.accuracy_score(labels, output.argmax(axis=1))
    assert found.log_loss == pytest.approx(metrics.log_loss(labels, output, labels=range(4)))
    assert "accuracy" in found.brief()


def test_a_regression_scores_as_scikit_learn_says() -> None:
    model, targets = Model.linear(3), RNG.normal(size=90)
    weights = weights_of(model)
    found, output = score(model, weights, X, targets), predict(model, weights, X)[:, 0]
    assert found.rmse == pytest.approx(metrics.mean_squared_error(targets, output) ** 0.5)
    assert found.r2 == pytest.approx(metrics.r2_score(targets, output))
    assert (found.accuracy, found.brief()) == (None, f"R2 {found.r2:.4f}")
    assert score(model, weights, X[:1], targets[:1]).r2 == 0


def test_the_best_constant_is_the_most_frequent_class_or_the_mean() -> None:
    labels = np.array([0.0, 2.0, 2.0, 1.0, 2.0])
    assert best_constant(Model.softmax(2, 3), labels) == 0.6
    assert best_constant(Model.linear(2), labels) == 0.0
    mean = np.array([[0.0], [0.0], [labels.mean()]])
    assert score(Model.linear(2), [mean], np.zeros((5, 2)), labels).r2 == pytest.approx(0.0)


def test_refuses_rows_that_do_not_belong_together() -> None:
    model = Model.linear(3)
    for features, labels in ((X, np.zeros(3)), (X[:0], np.zeros(0)), (X[0], np.zeros(3))):
        with pytest.raises(InputError):
            score(model, weights_of(model), features, labels)
    with pytest.raises(InputError, match="at least one"):
        float_fedavg(model, [], weights_of(model), 1)
