"""Clipping to the bounds of a task, exactly; and the plan of bounded updates as a document."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof.errors import InputError
from fedproof.learning.canonical import canonical
from fedproof.learning.clipping import MAX_ENTRY_BITS, MAX_PARAMETERS, BoundedPlan, squares
from fedproof.learning.fixed import MAX_COLUMNS, MAX_MASKS, MAX_ROWS
from fedproof.learning.plan import FIELD_BITS
from tests.learning.bounded import PLAN, at_norm

LIMIT, BOUND = PLAN.entry_limit, PLAN.norm_squared
INTEGERS = st.lists(st.integers(-(2**62), 2**62), min_size=5, max_size=5)
REALS = st.lists(st.floats(-1e300, 1e300), min_size=5, max_size=5)
WIDE = replace(PLAN, entry_limbs=8, norm_squared=2**90 + 1)


def within(plan: BoundedPlan, update: np.ndarray) -> bool:
    """Whether an update is within the bounds, told without the plan's own check."""
    entries = [int(v) for v in update]
    return sum(v * v for v in entries) <= plan.norm_squared and all(
        -plan.entry_limit <= v < plan.entry_limit for v in entries
    )


@settings(max_examples=200, deadline=None)
@given(
    INTEGERS, st.sampled_from([PLAN, WIDE, replace(PLAN, norm_squared=1), replace(PLAN, norm_squared=5 * 2**22 - 1)])
)
def test_clips_any_integers_to_the_bounds(values: list[int], plan: BoundedPlan) -> None:
    update = np.array(values, dtype=np.int64)
    clipped = plan.clip(update)
    assert within(plan, clipped)
    plan.check(clipped)
    assert np.array_equal(plan.clip(clipped), clipped)
    assert (np.sign(clipped) * np.sign(update) >= 0).all()
    assert (np.abs(clipped.astype(object)) <= np.abs(update.astype(object))).all()


@settings(max_examples=200, deadline=None)
@given(REALS)
def test_clips_any_real_numbers_to_the_bounds(values: list[float]) -> None:
    update = np.array(values)
    clipped = PLAN.clip_real(update)
    assert within(PLAN, clipped)
    assert (np.sign(clipped) * np.sign(update) >= 0).all()


@pytest.mark.parametrize("squared", [BOUND, BOUND - 1, 0, 1])
def test_leaves_an_update_within_the_bounds_as_it_is(squared: int) -> None:
    update = np.array(at_norm(squared))
    assert np.array_equal(PLAN.clip(update), update)
    edges = np.array([-LIMIT, LIMIT - 1, 0, 0, 0])
    assert np.array_equal(PLAN.clip(edges), edges)


def test_clips_what_is_one_beyond() -> None:
    update = np.array(at_norm(BOUND + 1))
    assert squares(PLAN.clip(update).tolist()) <= BOUND
    small = replace(PLAN, norm_squared=5 * LIMIT**2 - 1)
    assert small.clip(np.array([LIMIT, -LIMIT - 1, 3, 0, 0])).tolist() == [LIMIT - 1, -LIMIT, 3, 0, 0]


def test_scales_all_entries_by_one_factor() -> None:
    plan = replace(WIDE, norm_squared=2**60)
    update = np.array([3 * 2**40, -(2**41), 2**35, 0, -1])
    factor = math.sqrt(plan.norm_squared / squares(update.tolist()))
    clipped = plan.clip(update)
    assert (np.abs(clipped - update * factor) < 1).all()
    assert (np.abs(clipped) <= np.abs(update * factor)).all()
    assert squares(clipped.tolist()) > 0.999 * plan.norm_squared


def test_rounds_real_numbers_toward_zero_at_the_scale() -> None:
    update = np.array([1.9999, -1.9999, 1 / 1024, -1 / 1025, 0.5])
    assert PLAN.clip_real(update).tolist() == [2047, -2047, 1, 0, 512]
    assert PLAN.real(np.array([512, -1024])).tolist() == [0.5, -1.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.7e308])
def test_refuses_an_update_that_has_diverged(value: float) -> None:
    with pytest.raises(InputError, match="not finite"):
        PLAN.clip_real(np.array([0, 0, value, 0, 0]))


@pytest.mark.parametrize("shape", [(4,), (6,), (5, 1), ()])
def test_refuses_an_update_of_another_shape(shape: tuple[int, ...]) -> None:
    for call in (PLAN.clip, PLAN.clip_real, PLAN.check):
        with pytest.raises(InputError, match="the plan has 5 parameters"):
            call(np.zeros(shape, dtype=np.int64))


def test_the_check_names_what_is_beyond() -> None:
    PLAN.check(np.array(at_norm(BOUND)))
    with pytest.raises(InputError, match="norm is above"):
        PLAN.check(np.array(at_norm(BOUND + 1)))
    for value in (LIMIT, -LIMIT - 1):
        with pytest.raises(InputError, match="out of"):
            PLAN.check(np.array([0, value, 0, 0, 0]))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 0}, {"rows": 48}, {"rows": MAX_ROWS + 32}, {"columns": 1}, {"columns": MAX_COLUMNS + 1},
        {"mask_count": 1}, {"mask_count": MAX_MASKS + 1}, {"parameters": 0}, {"parameters": MAX_PARAMETERS + 1},
        {"fraction_bits": 0}, {"fraction_bits": 41}, {"limb_bits": 5}, {"limb_bits": 17}, {"entry_limbs": 0},
        {"entry_limbs": 9}, {"norm_squared": 0}, {"norm_squared": -1}, {"norm_squared": 5 * LIMIT**2},
    ],
    ids=str,
)  # fmt: skip
def test_refuses_a_plan_out_of_its_limits(change: dict[str, int]) -> None:
    with pytest.raises(InputError):
        replace(PLAN, **change)
    document = json.loads(PLAN.encode()) | change
    with pytest.raises(InputError):
        BoundedPlan.decode(canonical(document))


def test_no_plan_within_the_limits_can_wrap() -> None:
    for limb_bits in range(6, 17):
        limbs = MAX_ENTRY_BITS // limb_bits
        most = MAX_PARAMETERS << 2 * (limb_bits * limbs - 1)
        plan = BoundedPlan(MAX_ROWS, 2, 2, MAX_PARAMETERS, 40, most - 1, limb_bits, limbs)
        assert plan.wrap_bits < 136 < FIELD_BITS


def test_a_plan_has_one_document_and_digest() -> None:
    wide = replace(WIDE, parameters=MAX_PARAMETERS)
    for plan in (PLAN, wide):
        assert BoundedPlan.decode(plan.encode()) == plan
    assert PLAN.digest() != replace(PLAN, norm_squared=BOUND + 1).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"statement": "training"}, {"statement": 3}, {"version": 2}, {"rows": "32"}, {"rows": 32.0}, {"rows": True},
        {"more": 1}, {"norm_squared": None},
    ],
    ids=str,
)  # fmt: skip
def test_refuses_another_document(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        BoundedPlan.decode(canonical(json.loads(PLAN.encode()) | change))


def test_refuses_what_is_not_canonical() -> None:
    for blob in (b"", b"{}", b"\xff", PLAN.encode() + b" ", b"[" * 100_000, b'{"norm_squared":' + b"9" * 6000 + b"}"):
        with pytest.raises(InputError):
            BoundedPlan.decode(blob)


@pytest.mark.parametrize(("norm", "bits"), [(1.0, 16), (0.5, 10), (1e-4, 16), (100.0, 20), (2.0**30, 16), (3.7, 1)])
@pytest.mark.parametrize("parameters", [1, 1000, 10**6])
def test_chooses_a_plan_that_holds_the_norm(norm: float, bits: int, parameters: int) -> None:
    plan = BoundedPlan.choose(32, 3, parameters, norm, bits)
    assert plan.norm == pytest.approx(norm, abs=2.0**-bits)
    assert math.isqrt(plan.norm_squared) < plan.entry_limit
    one = np.zeros(parameters, dtype=np.int64)
    one[0] = math.isqrt(plan.norm_squared)
    plan.check(one)


def test_wider_models_pay_for_larger_tables() -> None:
    small, large = (BoundedPlan.choose(32, 3, parameters, 0.49) for parameters in (100, 10**6))
    assert (small.limb_bits, small.entry_limbs) == (6, 3)
    assert (large.limb_bits, large.entry_limbs) == (16, 1)


@pytest.mark.parametrize(
    ("norm", "bits"), [(0.0, 16), (-1.0, 16), (math.nan, 16), (math.inf, 16), (1e-9, 16), (2.0**40, 16), (1.0, 0)]
)
def test_chooses_no_plan_beyond_what_can_be_proven(norm: float, bits: int) -> None:
    with pytest.raises(InputError, match="bound"):
        BoundedPlan.choose(32, 3, 10, norm, bits)
