import numpy as np
import pytest
from numpy.typing import NDArray

from fedproof.data import Schema, capacity_rows, load, split
from fedproof.errors import InputError
from fedproof.learning.baseline import LEARNING_RATE, fedavg, gradient, local_sgd, logits, sigmoid
from fedproof.learning.metrics import accuracy

Arrays = tuple[NDArray[np.float64], NDArray[np.int64]]


def sample(rows: int, seed: int = 0, columns: int = 4) -> Arrays:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, columns)), rng.integers(0, 2, rows)


def batch_loss(weights: NDArray[np.float64], features: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Written apart from the code under test: sum of the log loss over 32, whatever the size of the batch."""
    z = np.hstack([features, np.ones((len(features), 1))]) @ weights
    return float(np.sum(np.logaddexp(0, z) - labels * z)) / 32


@pytest.mark.parametrize("rows", [32, 31, 1])
def test_the_gradient_is_that_of_finite_differences(rows: int) -> None:
    features, labels = sample(rows)
    weights = np.random.default_rng(9).normal(size=5)
    step = 1e-6
    expected = [
        (batch_loss(weights + step * unit, features, labels) - batch_loss(weights - step * unit, features, labels))
        / (2 * step)
        for unit in np.eye(5)
    ]
    np.testing.assert_allclose(gradient(weights, features, labels), expected, rtol=1e-6, atol=1e-9)


def test_one_step_is_worked_out_by_hand() -> None:
    features, labels = np.array([[2.0], [-4.0]]), np.array([1, 0])
    # at zero weights sigmoid is 1/2, so delta = (-1/2, 1/2); A^T delta = (-3, 0); w -= 0.01 / 32 * A^T delta
    np.testing.assert_allclose(local_sgd(np.zeros(2), features, labels), [0.01 * 3 / 32, 0], rtol=1e-15)


def test_batches_of_32_go_in_row_order() -> None:
    features, labels = sample(70)
    expected = np.zeros(5)
    for rows in (range(32), range(32, 64), range(64, 70)):
        expected = expected - LEARNING_RATE * gradient(expected, features[list(rows)], labels[list(rows)])
    np.testing.assert_array_equal(local_sgd(np.zeros(5), features, labels), expected)
    turned = local_sgd(np.zeros(5), features[::-1], labels[::-1])
    assert np.abs(turned - expected).max() > 1e-7


def test_a_second_epoch_goes_on_from_the_first() -> None:
    features, labels = sample(70)
    once = local_sgd(np.zeros(5), features, labels)
    np.testing.assert_array_equal(local_sgd(np.zeros(5), features, labels, 2), local_sgd(once, features, labels))


def test_padding_to_a_whole_batch_changes_nothing() -> None:
    """What the proven statement does with rows of zeros whose mask, and so whose bias input, is zero."""
    features, labels = sample(70)
    weights = np.zeros(5)
    for first in range(0, 96, 32):
        batch = np.zeros((32, 5))
        real = slice(first, min(first + 32, 70))
        batch[: real.stop - first] = np.hstack([features[real], np.ones((real.stop - first, 1))])
        delta = sigmoid(batch @ weights)
        delta[: real.stop - first] -= labels[real]
        weights = weights - LEARNING_RATE / 32 * batch.T @ delta
    np.testing.assert_allclose(local_sgd(np.zeros(5), features, labels), weights, rtol=1e-12)


def test_local_sgd_leaves_its_start_alone() -> None:
    start = np.zeros(5)
    local_sgd(start, *sample(40))
    np.testing.assert_array_equal(start, 0)


def test_the_average_is_weighted_by_rows_and_starts_the_next_round() -> None:
    parts = [sample(32, 1), sample(96, 2)]
    history = fedavg(parts, rounds=2, epochs=2)
    assert history.shape == (2, 5)
    current = np.zeros(5)
    for weights in history:
        local = [local_sgd(current, *part, 2) for part in parts]
        current = (32 * local[0] + 96 * local[1]) / 128
        np.testing.assert_allclose(weights, current, rtol=1e-13)


def test_a_run_can_go_on_from_any_weights() -> None:
    parts = [sample(32, 1), sample(96, 2)]
    history = fedavg(parts, rounds=2)
    np.testing.assert_array_equal(fedavg(parts, rounds=1, start=history[0]), history[1:])


def test_federated_training_learns() -> None:
    table = load()
    parts = split(table, 3, 2026)
    schema = Schema.from_public(parts.test, capacity_rows(parts.parts))
    history = fedavg([(schema.standardise(p.features), p.labels) for p in parts.parts], rounds=10)
    features = schema.standardise(parts.test.features)
    assert accuracy(history[-1], features, parts.test.labels) > 0.9
    assert (
        accuracy(history[-1], features, parts.test.labels) > accuracy(np.zeros(31), features, parts.test.labels) + 0.2
    )


def test_sigmoid_is_exact_at_both_ends() -> None:
    np.testing.assert_array_equal(sigmoid(np.array([-1000.0, 0.0, 1000.0])), [0, 0.5, 1])
    z = np.linspace(-30, 30, 61)
    np.testing.assert_allclose(sigmoid(z), 1 / (1 + np.exp(-z)), rtol=1e-14)


def test_rejects_wrong_shapes() -> None:
    features, labels = sample(40)
    with pytest.raises(InputError, match=r"weights of shape \(4,\) do not fit features of shape \(40, 4\)"):
        logits(np.zeros(4), features)
    with pytest.raises(InputError, match=r"do not fit features of shape \(4,\)"):
        logits(np.zeros(5), features[0])
    with pytest.raises(InputError, match=r"labels have shape \(39,\), but there are 40 rows"):
        local_sgd(np.zeros(5), features, labels[1:])
    with pytest.raises(InputError, match=r"labels have shape \(40, 1\)"):
        local_sgd(np.zeros(5), features, labels[:, None])


def test_rejects_training_of_nothing() -> None:
    features, labels = sample(40)
    with pytest.raises(InputError, match=r"epochs: 0"):
        local_sgd(np.zeros(5), features, labels, 0)
    for parts, rounds in (([], 1), ([(features, labels)], 0), ([(features[:0], labels[:0])], 1)):
        with pytest.raises(InputError, match=r"at least one round, one participant and one row"):
            fedavg(parts, rounds)
