"""Integer SGD: exact steps, close to floating point, and clear refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedproof.errors import InputError
from fedproof.learning import sgd
from fedproof.learning.baseline import local_sgd
from fedproof.learning.fixed import FEATURE_LIMIT, TrainingSpec, sigmoid_table


def records(spec: TrainingSpec, real: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Padded random records of a linear rule."""
    rng = np.random.default_rng(seed)
    features = rng.integers(-700, 700, (real, spec.columns - 1))
    labels = (features @ rng.normal(size=spec.columns - 1) > 0).astype(np.int64)
    return sgd.pad(spec, features, labels)


@pytest.mark.parametrize(("rows", "columns", "epochs", "real"), [(64, 5, 1, 64), (256, 31, 1, 200), (128, 8, 4, 101)])
def test_stays_close_to_floating_point(rows: int, columns: int, epochs: int, real: int) -> None:
    spec = TrainingSpec(rows, columns, epochs)
    features, mask, labels = records(spec, real)
    start = np.random.default_rng(1).integers(-(10**11), 10**11, columns)
    trace = sgd.train(spec, features, mask, labels, start)
    real_start = start / spec.weight_scale
    plain = local_sgd(real_start, features[:real] / spec.input_scale, labels[:real], epochs)
    ours = trace.end / spec.weight_scale
    assert np.linalg.norm((ours - real_start) - (plain - real_start)) < 0.003 * np.linalg.norm(plain - real_start)


def test_one_step_is_written_out_by_hand() -> None:
    spec = TrainingSpec(32, 2)
    features, mask, labels = sgd.pad(spec, np.full((1, 1), 256, dtype=np.int64), np.array([1], dtype=np.int64))
    trace = sgd.train(spec, features, mask, labels, np.zeros(2, dtype=np.int64))
    output = round(spec.delta_scale / (1 + math.exp(-0.5 / 128)))
    delta = output - spec.delta_scale
    assert trace.update.tolist() == [-256 * delta, -256 * delta]


def test_the_table_is_the_sigmoid_at_the_middle_of_each_step() -> None:
    spec = TrainingSpec(32, 2)
    index, output, edge = sigmoid_table(spec)
    exact = spec.delta_scale / (1 + np.exp(-(index + 0.5) / 128))
    assert np.abs(output - exact).max() <= 0.5 + 1e-6
    assert (edge[0], edge[-1], np.count_nonzero(edge)) == (-1, 1, 2)


def test_scales_make_a_step_exact() -> None:
    spec = TrainingSpec(256, 31)
    assert spec.weight_scale == spec.input_scale * spec.delta_scale * 3200
    assert spec.logit_divisor == 2**30 * 25
    assert spec.steps == 8


def test_refuses_a_spec_that_no_circuit_has() -> None:
    for bad in ((31, 3), (0, 3), (48, 3), (32, 1), (2**30, 3), (32, 10**6)):
        with pytest.raises(InputError, match="capacity class"):
            TrainingSpec(*bad)
    with pytest.raises(InputError, match="epochs"):
        TrainingSpec(32, 3, epochs=0)
    with pytest.raises(InputError, match="scales"):
        TrainingSpec(32, 3, delta_fraction_bits=13)


def test_refuses_records_that_a_listing_refuses() -> None:
    spec = TrainingSpec(32, 3)
    features, mask, labels = records(spec, 20)
    start = np.zeros(3, dtype=np.int64)

    def broken(at: tuple[int, ...], value: int, what: str) -> None:
        arrays = {"features": features.copy(), "mask": mask.copy(), "labels": labels.copy()}
        arrays[what][at] = value
        with pytest.raises(InputError):
            sgd.train(spec, arrays["features"], arrays["mask"], arrays["labels"], start)

    broken((0, 0), FEATURE_LIMIT, "features")
    broken((0, 0), -FEATURE_LIMIT - 1, "features")
    broken((25, 0), 1, "features")
    broken((25,), 1, "labels")
    broken((0,), 2, "labels")
    broken((3,), 0, "mask")
    with pytest.raises(InputError, match="do not fit"):
        sgd.pad(spec, np.zeros((33, 2), dtype=np.int64), np.zeros(33, dtype=np.int64))


def test_refuses_weights_that_could_wrap() -> None:
    spec = TrainingSpec(32, 3)
    features, mask, labels = records(spec, 20)
    with pytest.raises(InputError, match="rescale"):
        sgd.train(spec, features, mask, labels, np.full(3, 2**60, dtype=np.int64))
    with pytest.raises(InputError, match="rescale"):
        sgd.train(spec, features, mask, labels, np.full(3, 2**49, dtype=np.int64))
