"""Two statements, two plans: each document names its own, and none is read as the other."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedproof.errors import InputError
from fedproof.learning.architecture import Model
from fedproof.learning.arrays import MAX_PARAMETERS, OtherModel, read_architecture
from fedproof.learning.canonical import canonical
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.model import GlobalModel, TaskDescription, model_bytes
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.plans import Plan, check_statement, decode_plan, proves, statement_text
from fedproof.statements.labels import BINARY, TARGET, LabelKind

TRAINED = TrainingPlan.of(TrainingSpec(64, 5))
DEEP = Model.perceptron(4, (3, 2), 1)
SHAPES = OtherModel(((3, 4), (3,), (), (2, 1, 2, 2)), "classes 3")
BOUNDED = BoundedPlan.choose(64, 5, DEEP, 1.0, 20)
OTHER = BoundedPlan.choose(64, 5, SHAPES, 0.5, epochs=2)
PLAIN = BoundedPlan.choose(64, 5, 9, 1.0)
PLANS: list[Plan] = [TRAINED, BOUNDED, OTHER, PLAIN]


def description(plan: Plan) -> TaskDescription:
    return TaskDescription("wine", "aa" * 32, "bb" * 32, "cc" * 32, plan, "dd" * 32)


@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_is_read_as_what_it_is(plan: Plan) -> None:
    again = decode_plan(plan.encode())
    assert (type(again), again, again.digest()) == (type(plan), plan, plan.digest())
    assert TaskDescription.decode(description(plan).encode()) == description(plan)
    assert json.loads(description(plan).encode())["statement"] == plan.statement
    assert len({each.digest() for each in PLANS}) == len(PLANS)


@pytest.mark.parametrize(("plan", "said"), [(TRAINED, BOUNDED.statement), (BOUNDED, TRAINED.statement), (OTHER, "x")])
def test_a_description_that_names_another_statement_than_its_plan_is_refused(plan: Plan, said: str) -> None:
    document = json.loads(description(plan).encode()) | {"statement": said}
    with pytest.raises(InputError, match=f"it says '{said}', and its plan is of a {plan.statement}"):
        TaskDescription.decode(canonical(document))
    with pytest.raises(InputError, match="here: it says"):
        check_statement(plan, said, "here")


def test_neither_plan_is_read_as_the_other() -> None:
    with pytest.raises(InputError, match="training plan: the fields must be"):
        TrainingPlan.decode(BOUNDED.encode())
    with pytest.raises(InputError, match="plan of bounded updates: the fields must be"):
        BoundedPlan.decode(TRAINED.encode())
    for blob in (b"", b"[]", b"\xff", b"{}", b'{"statement":"proof of training"}', b"[" * 100_000):
        with pytest.raises(InputError):
            decode_plan(blob)


def test_the_bound_that_is_told_is_none_that_is_too_small() -> None:
    for norm in (0.1, 1 / 3, 2 / 3, 1.0, 1234.56789, 1e-5):
        plan = BoundedPlan.choose(64, 5, 9, norm, 20)
        told = float(statement_text(plan).rpartition(" ")[2])
        assert plan.norm <= told <= plan.norm * (1 + 1e-5)


@pytest.mark.parametrize("plan", [BOUNDED, OTHER, PLAIN])
def test_no_text_calls_a_bounded_update_a_proof_of_training(plan: BoundedPlan) -> None:
    for text in (statement_text(plan), proves(plan)):
        assert text.count("proof of training") == text.count("no proof of training") == 1
        assert f"{plan.norm:g}" in text
    assert "train" not in plan.statement + plan.key_name + plan.title
    assert statement_text(TRAINED) == "proof of training"
    assert "no proof" not in proves(TRAINED)


@pytest.mark.parametrize("plan", [BOUNDED, OTHER, PLAIN])
def test_models_of_bounded_tasks_come_back_as_they_went(plan: BoundedPlan) -> None:
    model = GlobalModel.start(plan, 7)
    again = GlobalModel.decode(model.encode())
    assert again.fits(plan)
    assert np.array_equal(again.weights, model.weights)
    assert [layer.shape for layer in again.layers] == list(plan.model.layers)
    assert len(replace(model, weights=np.full(plan.parameters, 1 - 2**62)).encode()) <= model_bytes(plan)
    assert not any(again.fits(other) for other in PLANS if other is not plan)
    assert not np.array_equal(model.weights, GlobalModel.start(plan, 8).weights)
    assert np.array_equal(GlobalModel.of_arrays(plan, model.real()).weights, model.weights)


def test_a_start_of_the_sponsors_own_is_refused_when_it_cannot_be() -> None:
    real = GlobalModel.start(OTHER, 1).real()
    for wrong in (
        real[:-1],
        [real[0].T, *real[1:]],
        [np.full((3, 4), np.nan), *real[1:]],
        [np.full((3, 4), 1e305), *real[1:]],
    ):
        with pytest.raises(InputError, match="model: "):
            GlobalModel.of_arrays(OTHER, wrong)


def test_arrays_begin_as_wide_as_they_are_read() -> None:
    plan = BoundedPlan.choose(64, 5, OtherModel(((50, 400), (50,))), 1.0)
    weight, bias = GlobalModel.start(plan, 1).real()
    assert 0.045 < np.abs(weight).max() <= 0.05
    assert np.abs(bias).max() <= 0.001


def test_a_plan_refuses_a_model_of_another_size() -> None:
    for wrong in (OtherModel(((8,),)), Model.logistic(4)):
        with pytest.raises(InputError, match="parameters, and the plan"):
            replace(PLAIN, described=wrong)
    with pytest.raises(InputError, match="it reads 5 features, and the datasets have 4"):
        replace(PLAIN, parameters=6, described=Model.logistic(5))
    with pytest.raises(InputError, match="local epochs"):
        replace(PLAIN, epochs=65)
    assert replace(PLAIN, described=OtherModel(((9,),))) == PLAIN  # one plan has one form


@pytest.mark.parametrize(
    "change",
    [
        {"shapes": []}, {"shapes": [[0]]}, {"shapes": [[3, -1]]}, {"shapes": [3]}, {"shapes": [[1.0]]},
        {"shapes": [[True]]},
        {"shapes": [[1] * 9]}, {"shapes": [[1]] * 4097}, {"shapes": [[2048, 2049]]}, {"shapes": [[MAX_PARAMETERS + 1]]},
        {"labels": "classes 0"}, {"labels": "goal"}, {"labels": "binary\n"}, {"labels": 3}, {"version": 2}, {"more": 1},
    ],
)  # fmt: skip
def test_refuses_what_describes_no_model(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        read_architecture(SHAPES.document() | change)


def test_a_model_outside_the_family_says_what_its_labels_are() -> None:
    assert LabelKind.of(SHAPES) == LabelKind.of_classes(3)
    assert LabelKind.of(OtherModel(((2,),), "target")) == TARGET
    assert LabelKind.of(PLAIN.model) == BINARY
    with pytest.raises(InputError, match="no kind 'classes' of 2"):
        LabelKind.of(OtherModel(((2,),), "classes 2"))


def test_flat_and_back() -> None:
    vector = np.arange(SHAPES.parameters)
    arrays = SHAPES.unflatten(vector)
    assert np.array_equal(SHAPES.flatten(arrays), vector)
    assert read_architecture(SHAPES.document()) == SHAPES
    for wrong in (arrays[:-1], (*arrays[:-1], arrays[-1].reshape(-1))):
        with pytest.raises(InputError, match="its arrays are"):
            SHAPES.flatten(wrong)
    with pytest.raises(InputError, match="it has"):
        SHAPES.unflatten(vector[:-1])
