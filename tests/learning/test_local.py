"""The seam of a participant's own training: what a trainer sees, what it may give, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from fedproof.errors import InputError
from fedproof.learning.architecture import Model
from fedproof.learning.arrays import OtherModel
from fedproof.learning.baseline import Float
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.local import Records, Trainer, float_trainer, local_update, reads_targets
from fedproof.learning.model import GlobalModel
from fedproof.learning.reference import float_sgd
from fedproof.learning.sgd import pad_to

DEEP = Model.perceptron(4, (3,), 1)
SHAPES = OtherModel(((2, 4), (2,), ()))
PLAN = BoundedPlan.choose(64, 5, SHAPES, 1.0, 20)
RNG = np.random.default_rng(5)
PADDED = pad_to(64, 5, RNG.integers(-2048, 2048, (40, 4)), RNG.integers(0, 2, 40))
SECRET = "31.4159"


def records(plan: BoundedPlan = PLAN, *, targets: bool = False) -> Records:
    return Records.of(plan, *PADDED, targets=targets)


def moved(step: float) -> Trainer:
    """A trainer that adds the same to every weight."""
    return lambda weights, _: [each + step for each in weights]


def test_a_trainer_sees_the_real_rows_in_real_units() -> None:
    found = records(BoundedPlan.choose(64, 5, SHAPES, 1.0, epochs=3))
    assert (found.features.shape, found.labels.shape, found.epochs) == ((40, 4), (40,), 3)
    assert np.array_equal(found.features * 256, PADDED[0][:40])
    assert set(found.labels.tolist()) <= {0.0, 1.0}
    assert np.array_equal(records(targets=True).labels * 256, PADDED[2][:40])
    assert repr(found).endswith(f"Records object at {id(found):#x}>")  # nothing of the records in a log


def test_the_trainer_of_this_package_is_the_float_training_of_the_family() -> None:
    plan = BoundedPlan.choose(64, 5, DEEP, 4.0, 30, epochs=2)
    start = GlobalModel.start(plan, 3)
    made = local_update(plan, start, float_trainer(plan), records(plan))
    found = records(plan)
    after = float_sgd(DEEP, start.real(), found.features, found.labels, 2)
    expected = DEEP.flatten([new - old for new, old in zip(after, start.real(), strict=True)])  # type: ignore[misc]
    assert np.abs(plan.real(made.update) - expected).max() <= 2.0**-30
    assert (made.clipped, made.advice(plan)) == (False, ())
    with pytest.raises(InputError, match="model outside the family is trained by code of its user's own"):
        float_trainer(PLAN)


def test_an_update_beyond_the_bound_is_scaled_down_and_says_so_to_its_owner() -> None:
    made = local_update(PLAN, GlobalModel.start(PLAN, 1), moved(2.0), records())
    PLAN.check(made.update)
    assert np.linalg.norm(PLAN.real(made.update)) == pytest.approx(1.0, abs=1e-5)
    assert made.clipped
    assert made.advice(PLAN)[0].endswith("is scaled down to the task's bound of 1")
    within = local_update(PLAN, GlobalModel.start(PLAN, 1), moved(-0.125), records())
    assert np.array_equal(within.update, np.full(11, -(2**17)))


def test_a_trainer_may_change_what_it_is_given() -> None:
    start = GlobalModel.start(PLAN, 1)
    before = start.weights.copy()

    def train(weights: list[Float], found: Records) -> Sequence[Any]:
        for each in weights:
            each += 0.5
        found.features[:] = 0
        return [each.astype(np.float32) for each in weights]

    made = local_update(PLAN, start, train, records())
    assert np.array_equal(start.weights, before)
    assert made.norm == pytest.approx(0.5 * np.sqrt(11), rel=1e-6)


def fails(weights: list[Float], _: Records) -> Sequence[Any]:
    raise RuntimeError(f"record {SECRET} is odd")


def tells(weights: list[Float], _: Records) -> Sequence[Any]:
    raise InputError(f"record {SECRET} is odd")  # an error of ours in a stranger's hands


def leaves(weights: list[Float], _: Records) -> Sequence[Any]:
    raise SystemExit(0)  # a node goes on


@pytest.mark.parametrize(
    ("trainer", "match"),
    [
        (fails, r"the trainer failed: RuntimeError at test_local\.py:\d+$"),
        (tells, "the trainer failed: InputError"),
        (leaves, "the trainer failed: SystemExit"),
        (lambda weights, _: [layer * 1j for layer in weights], "the trainer failed: ValueError"),
        (lambda weights, _: None, "the trainer failed: TypeError"),
        (lambda weights, _: ["x"] * 3, "the trainer failed: ValueError"),
        (lambda weights, _: weights[:-1], "gave arrays of shapes"),
        (lambda weights, _: [weights[0].T, *weights[1:]], "gave arrays of shapes"),
        (lambda weights, _: [np.zeros(1)] * 9, r"\.\.\. 9 arrays"),
        (moved(float("nan")), "not finite; training has diverged"),
        (moved(float("inf")), "not finite"),
    ],
)
def test_what_a_trainer_gets_wrong_is_one_line_without_values(trainer: Trainer, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        local_update(PLAN, GlobalModel.start(PLAN, 1), trainer, records())
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_huge_weights_are_scaled_down_exactly() -> None:
    made = local_update(PLAN, GlobalModel.start(PLAN, 1), moved(1e200), records())
    PLAN.check(made.update)
    assert made.clipped


def test_which_plans_read_targets() -> None:
    for model, expected in (
        (Model.linear(4), True), (DEEP, False), (SHAPES, False), (OtherModel(((5,),), "target"), True),
    ):  # fmt: skip
        assert reads_targets(BoundedPlan.choose(64, 5, model, 1.0)) == expected
