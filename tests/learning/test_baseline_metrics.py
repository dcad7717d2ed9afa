import numpy as np
import pytest
from sklearn import metrics as reference

from fedproof.errors import InputError
from fedproof.learning.metrics import accuracy, log_loss


@pytest.mark.parametrize("spread", [0.1, 1, 10, 1000])
def test_metrics_agree_with_scikit_learn(spread: float) -> None:
    rng = np.random.default_rng(11)
    features, labels = rng.normal(size=(400, 6)), rng.integers(0, 2, 400)
    weights = rng.normal(size=7) * spread
    z = features @ weights[:6] + weights[6]
    with np.errstate(over="ignore"):
        p = 1 / (1 + np.exp(-z))
    assert accuracy(weights, features, labels) == reference.accuracy_score(labels, p > 0.5)
    assert log_loss(weights, features, labels) == pytest.approx(reference.log_loss(labels, p), rel=1e-9)


def test_a_certain_mistake_costs_a_finite_loss() -> None:
    for label, weight in ((0, 1e6), (1, -1e6)):
        loss = log_loss(np.array([weight, 0.0]), np.array([[1.0]]), np.array([label]))
        assert loss == pytest.approx(-np.log(np.finfo(float).eps))


def test_zero_weights_cost_one_bit() -> None:
    assert log_loss(np.zeros(2), np.array([[5.0], [1.0]]), np.array([0, 1])) == pytest.approx(np.log(2))
    assert accuracy(np.zeros(2), np.array([[5.0], [1.0]]), np.array([0, 0])) == 1  # a logit of 0 predicts class 0


@pytest.mark.parametrize("metric", [accuracy, log_loss])
def test_rejects_no_rows_and_wrong_shapes(metric: type[accuracy]) -> None:  # type: ignore[valid-type]
    for features, labels in (
        (np.zeros((0, 1)), np.zeros(0, int)),
        (np.zeros((3, 1)), np.zeros((3, 1), int)),
        (np.zeros((3, 1)), np.zeros(2, int)),
        (np.zeros(3), np.zeros(3, int)),
    ):
        with pytest.raises(InputError, match=r"do not match, or are empty"):
            metric(np.zeros(2), features, labels)
    with pytest.raises(InputError, match=r"weights of shape \(3,\)"):
        metric(np.zeros(3), np.zeros((3, 1)), np.zeros(3, int))
