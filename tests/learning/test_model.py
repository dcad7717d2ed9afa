"""Public documents of a task: one byte form each, and nothing else is read."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedproof.errors import InputError
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.model import GlobalModel, TaskDescription

SPEC = TrainingSpec(64, 5)
DESCRIPTION = TaskDescription("wine", "aa" * 32, "bb" * 32, "cc" * 32, SPEC, "dd" * 32)


def test_documents_come_back_as_they_went() -> None:
    assert TaskDescription.decode(DESCRIPTION.encode()) == DESCRIPTION
    model = GlobalModel.start(SPEC, 7)
    again = GlobalModel.decode(model.encode())
    assert np.array_equal(again.weights, model.weights)
    assert again.weight_scale == SPEC.weight_scale


def test_two_seeds_are_two_starts() -> None:
    first, second = GlobalModel.start(SPEC, 1), GlobalModel.start(SPEC, 2)
    assert not np.array_equal(first.weights, second.weights)
    assert np.abs(first.real()).max() <= 1e-3


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"rows": 33}, {"rows": 2**40}, {"rows": True}, {"rows": 64.0}, {"batch": 64},
        {"inverse_learning_rate": 10}, {"model": "tree"}, {"extra": 1}, {"name": 1}, {"statement": "bounded"},
    ],
)  # fmt: skip
def test_refuses_another_task(change: dict[str, object]) -> None:
    document = {**json.loads(DESCRIPTION.encode()), **change}
    blob = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(InputError):
        TaskDescription.decode(blob)


@pytest.mark.parametrize(
    "change",
    [
        {"logit_fraction_bits": -1}, {"delta_fraction_bits": -1}, {"delta_fraction_bits": 2**40}, {"logit_limit": 0},
        {"logit_fraction_bits": 2**40, "delta_fraction_bits": 2**40 + 7}, {"logit_limit": -8}, {"logit_limit": 2**30},
    ],
)  # fmt: skip
def test_refuses_scales_before_it_computes_with_them(change: dict[str, object]) -> None:
    """A sponsor's document must not cost its reader a table of 2^38 entries, or a number of 2^40 bits."""
    test_refuses_another_task(change)


def test_refuses_a_second_byte_form() -> None:
    for blob in (DESCRIPTION.encode() + b" ", json.dumps(json.loads(DESCRIPTION.encode()), indent=1).encode()):
        with pytest.raises(InputError, match="canonical"):
            TaskDescription.decode(blob)


@pytest.mark.parametrize("weights", [[], [1.5], [True], [2**62], ["1"], [None]])
def test_refuses_weights_that_are_no_integers(weights: list[object]) -> None:
    document = {"version": 1, "model": "logistic regression", "weight_scale": 1, "weights": weights}
    with pytest.raises(InputError):
        GlobalModel.decode(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


@given(st.binary(max_size=300))
def test_decoders_refuse_noise_with_one_error(noise: bytes) -> None:
    for decoder in (GlobalModel.decode, TaskDescription.decode):
        with pytest.raises(InputError):
            decoder(noise)
