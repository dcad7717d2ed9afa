"""Descriptions of models and plans: one byte form each, strict reading, and where each weight sits."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedproof.errors import InputError
from fedproof.learning.architecture import (
    CROSS_ENTROPY,
    LOG,
    MAX_HIDDEN,
    MAX_WIDTH,
    PERCEPTRON,
    RELU,
    Model,
)
from fedproof.learning.fixed import FEATURE_FRACTION_BITS, MAX_COLUMNS, MAX_EPOCHS, MAX_ROWS, TrainingSpec
from fedproof.learning.model import GlobalModel
from fedproof.learning.plan import FIELD_BITS, LayerScales, TrainingPlan
from tests.learning.scenes import KINDS, make_plan


def edited(blob: bytes, change: dict[str, object]) -> bytes:
    return json.dumps({**json.loads(blob), **change}, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize("name", KINDS)
def test_documents_come_back_as_they_went(name: str) -> None:
    model = KINDS[name]
    assert Model.decode(model.encode()) == model
    plan = make_plan(model)
    assert TrainingPlan.decode(plan.encode()) == plan
    assert TrainingPlan.decode(plan.encode()).digest() == plan.digest()


def test_every_difference_is_another_digest() -> None:
    models = [*KINDS.values(), Model.softmax(4, 3), Model.perceptron(4, [6], 3)]
    assert len({model.digest() for model in models}) == len(models)
    plan = make_plan(KINDS["softmax"])
    changed = [replace(plan, rows=96), replace(plan, epochs=2), replace(plan, group=1), replace(plan, mask_count=6)]
    assert len({other.digest() for other in (plan, *changed)}) == 5


def test_the_digest_of_a_description_does_not_change() -> None:
    """A task binds it: a change here is a change of the protocol."""
    assert Model.perceptron(30, [16], 1).encode() == (
        b'{"activation":"relu","kind":"multi-layer perceptron","loss":"logistic","version":1,"widths":[30,16,1]}'
    )
    assert Model.perceptron(30, [16], 1).digest().hex()[:16] == "89aca947e4986dc2"


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"kind": "tree"}, {"widths": [4]}, {"widths": []}, {"widths": [4, 3, 1]}, {"widths": [0, 4]},
        {"widths": [4, 10**9]}, {"widths": [4, True]}, {"widths": [4, 1.0]}, {"widths": [4, 1]}, {"widths": [4] * 99},
        {"activation": "relu"}, {"loss": "hinge"}, {"loss": "logistic"}, {"more": 1}, {"widths": "4"},
    ],
)  # fmt: skip
def test_refuses_a_model_that_nothing_trains(change: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        Model.decode(edited(Model.softmax(4, 3).encode(), change))
    assert "\n" not in str(caught.value)


def test_refuses_shapes_that_no_kind_has() -> None:
    for make in (
        lambda: Model(PERCEPTRON, (4, 3), RELU, CROSS_ENTROPY),
        lambda: Model.perceptron(4, [3] * (MAX_HIDDEN + 1), 2),
        lambda: Model.perceptron(4, [3], 2, LOG),
        lambda: Model.perceptron(4, [3], 1, CROSS_ENTROPY),
        lambda: Model.softmax(4, 1),
        lambda: Model.logistic(0),
    ):
        with pytest.raises(InputError, match="model:"):
            make()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"rows": 33}, {"rows": 2**40}, {"epochs": 0}, {"epochs": 2**40}, {"mask_count": 1},
        {"batch": 64}, {"inverse_learning_rate": 10}, {"scales": []}, {"scales": [[8, 14], [8, 14]]},
        {"scales": [[8]]}, {"scales": [[9, 14]]}, {"scales": [[8, 2**40]]}, {"scales": [[8, -1]]}, {"scales": [8]},
        {"limb_bits": 2**40}, {"limb_bits": 5}, {"group": 3}, {"group": 0}, {"logit_bits": 0}, {"logit_bits": 2**40},
        {"logit_limit": 2**40}, {"exponential_bits": 2**40}, {"logit_limbs": 99}, {"delta_limbs": 0}, {"rows": True},
        {"activation_limbs": -1}, {"model": {}}, {"extra": 1},
    ],
)  # fmt: skip
def test_refuses_a_plan_before_it_computes_with_it(change: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        TrainingPlan.decode(edited(make_plan(KINDS["softmax"]).encode(), change))
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_decoders_refuse_noise_with_one_error(noise: bytes) -> None:
    for decoder in (Model.decode, TrainingPlan.decode):
        with pytest.raises(InputError):
            decoder(noise)


@pytest.mark.parametrize("name", KINDS)
def test_a_vector_of_weights_comes_back_as_matrices(name: str) -> None:
    model = KINDS[name]
    vector = np.arange(model.parameters)
    matrices = model.unflatten(vector)
    assert [matrix.shape for matrix in matrices] == list(model.layers)
    assert np.array_equal(model.flatten(matrices), vector)
    with pytest.raises(InputError, match="weights"):
        model.unflatten(vector[:-1])
    with pytest.raises(InputError, match="layers"):
        model.flatten(matrices[:-1])


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("group", [1, 2, 8, 16])
def test_weights_sit_apart_in_rising_order_and_the_blinding_follows(name: str, group: int) -> None:
    plan = make_plan(KINDS[name], group=group)
    places = plan.positions()
    assert (np.diff(places) > 0).all()
    assert plan.offset(plan.depth) == places[-1] + 1
    at = iter(places.tolist())
    for layer, (a, b) in enumerate(plan.model.layers):
        g = group if layer == 0 else 1
        assert [next(at) for _ in range(a * b)] == [
            plan.offset(layer) + j + g * a * k for k in range(b) for j in range(a)
        ]


def test_counts() -> None:
    assert Model.logistic(30).parameters == 31
    assert Model.softmax(784, 10).parameters == 7850
    assert Model.perceptron(64, [32], 10).parameters == 65 * 32 + 33 * 10
    assert Model.perceptron(64, [32, 16], 10).layers == ((65, 32), (33, 16), (17, 10))


def test_the_plan_of_logistic_regression_is_its_training_specification() -> None:
    spec = TrainingSpec(64, 5, 3, 17)
    plan = TrainingPlan.of(spec)
    assert plan.spec() == spec
    assert plan.scales[0].weight_scale == spec.weight_scale
    assert plan.forward(0).divisor == spec.logit_divisor
    assert plan.update_bound(0) == spec.update_bound
    assert np.array_equal(plan.start(9)[0][:, 0], GlobalModel.start(plan, 9).weights)
    with pytest.raises(InputError, match="logistic"):
        make_plan(KINDS["softmax"]).spec()


def test_a_start_keeps_signals_their_size_and_seeds_differ() -> None:
    plan = make_plan(Model.perceptron(60, [40], 10))
    first, second = plan.start(1), plan.start(2)
    assert not np.array_equal(first[0], second[0])
    hidden, last = plan.real(first)
    assert 0.9 * (6 / 61) ** 0.5 < np.abs(hidden).max() <= (6 / 61) ** 0.5
    assert 0.9 * (3 / 41) ** 0.5 < np.abs(last).max() <= (3 / 41) ** 0.5


def test_no_plan_can_wrap_modulo_r_and_every_divisor_fits_its_limbs() -> None:
    widest = Model.perceptron(MAX_COLUMNS - 1, [MAX_WIDTH] * MAX_HIDDEN, 1)
    scales = [LayerScales(FEATURE_FRACTION_BITS, 18), *[LayerScales(20, 18)] * MAX_HIDDEN]
    largest = TrainingPlan(
        widest, MAX_ROWS, MAX_EPOCHS, 2, tuple(scales), 16, logit_bits=20, logit_limbs=4, activation_limbs=4,
        delta_limbs=4,
    )  # fmt: skip
    assert 200 < largest.wrap_bits < FIELD_BITS
    plan = make_plan(KINDS["perceptron of classes"])
    with pytest.raises(InputError, match="divisor"):
        replace(plan, limb_bits=16, scales=(LayerScales(8, 9), LayerScales(20, 14)))
