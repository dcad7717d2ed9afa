"""Public documents of a task: one byte form each, and nothing else is read."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedproof.errors import InputError
from fedproof.learning.architecture import Model
from fedproof.learning.choose import choose_precision
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.model import GlobalModel, TaskDescription, model_bytes
from fedproof.learning.plan import TrainingPlan

ROW = np.full((1, 4), 512, dtype=np.int64)
PLAN = TrainingPlan.of(TrainingSpec(64, 5))
PLANS = [
    PLAN,
    choose_precision(Model.linear(4), ROW, 32),
    choose_precision(Model.softmax(4, 3), ROW, 64, epochs=2),
    choose_precision(Model.perceptron(4, (3, 2), 1), ROW, 64),
]
DESCRIPTION = TaskDescription("wine", "aa" * 32, "bb" * 32, "cc" * 32, PLAN, "dd" * 32)


@pytest.mark.parametrize("plan", PLANS)
def test_documents_come_back_as_they_went(plan: TrainingPlan) -> None:
    description = replace(DESCRIPTION, plan=plan)
    assert TaskDescription.decode(description.encode()) == description
    model = GlobalModel.start(plan, 7)
    again = GlobalModel.decode(model.encode())
    assert np.array_equal(again.weights, model.weights)
    assert again.fits(plan)
    assert [layer.shape for layer in again.layers] == list(plan.model.layers)
    assert len(model.encode()) <= model_bytes(plan)
    assert not any(again.fits(other) for other in PLANS if other is not plan)


def test_two_seeds_are_two_starts() -> None:
    first, second = GlobalModel.start(PLAN, 1), GlobalModel.start(PLAN, 2)
    assert not np.array_equal(first.weights, second.weights)
    assert np.abs(first.real()[0]).max() <= 1e-3


def test_a_step_moves_every_weight_and_none_beyond_the_range() -> None:
    model = GlobalModel.start(PLANS[3], 1)
    step = np.arange(model.model.parameters)
    assert np.array_equal(model.moved(step).weights, model.weights + step)
    assert np.array_equal(model.moved(step.astype(object)).weights, model.weights + step)
    step = np.zeros(model.model.parameters, dtype=object)
    step[3] = 2**62
    with pytest.raises(InputError, match="range of 62 bits"):
        model.moved(step)
    assert len(replace(model, weights=np.full(step.shape, 1 - 2**62)).encode()) <= model_bytes(PLANS[3])


def refused(document: dict[str, object]) -> None:
    blob = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(InputError) as caught:
        TaskDescription.decode(blob)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1}, {"version": 3}, {"extra": 1}, {"name": 1}, {"statement": "bounded"}, {"schema": "a"},
        {"plan": []}, {"plan": {}}, {"plan": None},
    ],
)  # fmt: skip
def test_refuses_another_task(change: dict[str, object]) -> None:
    refused({**json.loads(DESCRIPTION.encode()), **change})


def test_says_in_one_line_that_a_document_is_of_an_older_version() -> None:
    old = {"version": 1, "model": "logistic regression", "rows": 64, "columns": 5}
    for decoder in (GlobalModel.decode, TaskDescription.decode):
        with pytest.raises(InputError, match=r"version 1; this build knows version 2"):
            decoder(json.dumps(old, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 33}, {"rows": 2**40}, {"rows": True}, {"rows": 64.0}, {"batch": 64}, {"inverse_learning_rate": 10},
        {"model": "tree"}, {"logit_bits": -1}, {"logit_bits": 2**40}, {"scales": [[8, -1]]}, {"scales": [[8, 2**40]]},
        {"logit_limit": 0}, {"logit_limit": -8}, {"logit_limit": 2**30}, {"version": 2}, {"limb_bits": 40},
    ],
)  # fmt: skip
def test_refuses_a_plan_before_it_computes_with_it(change: dict[str, object]) -> None:
    """A sponsor's document must not cost its reader a table of 2^38 entries, or a number of 2^40 bits."""
    document = json.loads(DESCRIPTION.encode())
    refused({**document, "plan": {**document["plan"], **change}})


def test_refuses_a_second_byte_form() -> None:
    for blob in (DESCRIPTION.encode() + b" ", json.dumps(json.loads(DESCRIPTION.encode()), indent=1).encode()):
        with pytest.raises(InputError, match="canonical"):
            TaskDescription.decode(blob)


MODEL = json.loads(GlobalModel.start(PLAN, 1).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"weights": []}, {"weights": [1.5] * 5}, {"weights": [True] * 5}, {"weights": [2**62] * 5},
        {"weights": ["1"] * 5}, {"weights": [None] * 5}, {"weights": [0] * 6}, {"weight_scales": []},
        {"weight_scales": [0]}, {"weight_scales": [True]}, {"weight_scales": [1, 1]}, {"model": {}},
        {"model": {**MODEL["model"], "widths": [4, 2]}},
    ],
)  # fmt: skip
def test_refuses_what_is_no_model(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        GlobalModel.decode(json.dumps(MODEL | change, sort_keys=True, separators=(",", ":")).encode())


@given(st.binary(max_size=300))
def test_decoders_refuse_noise_with_one_error(noise: bytes) -> None:
    for decoder in (GlobalModel.decode, TaskDescription.decode):
        with pytest.raises(InputError):
            decoder(noise)
