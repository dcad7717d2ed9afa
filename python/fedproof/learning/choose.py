"""Scales of a plan, chosen from the data and the task: deterministic, in integers, the cheapest that are fine enough.

Fine enough means: 14 fraction bits and more for the deltas of the last layer (as for logistic regression), 12 for
back-propagated ones, 8 for activations, 7 for a table index, 12 for an exponential. Ranges come from the longest row:
with R its norm, bias included, a weight vector of norm 4 gives pre-activations below 4 R, doubled for each further
layer. Among these scales the cost law picks, then the finer ones.

In a task the features must be those of its public test part, for the scales are public.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import isqrt

import numpy as np

from fedproof.errors import InputError
from fedproof.learning.architecture import LOG, LOGISTIC, SQUARED, Model
from fedproof.learning.cost import cost
from fedproof.learning.fixed import FEATURE_FRACTION_BITS, Int, TrainingSpec
from fedproof.learning.plan import MAX_LIMBS, LayerScales, TrainingPlan

ACTIVATION_BITS, HIDDEN_DELTA_BITS, DELTA_BITS = range(8, 11), range(12, 16), range(14, 17)
INDEX_BITS, LIMB_BITS = range(7, 10), range(8, 17)
EXPONENTIAL_BITS = 12
DELTA_INTEGER_BITS = 3  # a delta propagated back by one layer stays below 8, and may double with each further one
WEIGHT_NORM = 4


def integer_bits(features: Int) -> int:
    """Bits before the point of a first pre-activation: 4 times the longest row, from `(n, f)` features."""
    longest = int((features.astype(np.int64) ** 2).sum(axis=1).max(initial=0)) + (1 << 2 * FEATURE_FRACTION_BITS)
    return max(((WEIGHT_NORM * (isqrt(longest) + 1)) >> FEATURE_FRACTION_BITS).bit_length(), 4)


def best_group(plan: TrainingPlan) -> TrainingPlan:
    """The plan with the cheapest g of the first layer among the divisors of 32 with `g b <= rows`.

    That is the largest, except that a single batch needs no G after it, so that at g = 1 a value costs 2 constraints.
    """
    outputs = plan.model.layers[0][1]
    fitting = [g for g in (32, 16, 8, 4, 2, 1) if g * outputs <= plan.rows] or [1]
    return min((replace(plan, group=g) for g in fitting), key=lambda other: cost(other).constraints)


def choose_precision(model: Model, features: Int, rows: int, epochs: int = 1, mask_count: int = 17) -> TrainingPlan:
    """The plan of a model on records like `features`, `(n, f)` in 12-bit fixed point, n >= 1.

    Args:
        rows: rows of the capacity class.
        epochs: local epochs of each round.
        mask_count: fresh masks of an enrolment.

    Raises:
        InputError: no features, another number of columns, no capacity class, or no scales that fit the ranges.
    """
    if features.ndim != 2 or not len(features) or features.shape[1] != model.widths[0]:
        raise InputError(f"features of shape {features.shape} do not belong to a model of {model.widths[0]} features")
    spec = TrainingSpec(rows, model.columns, epochs, mask_count)  # refuses what is no capacity class
    if model.kind == LOGISTIC:  # tasks prove it at these scales
        return TrainingPlan.of(spec)
    bits = integer_bits(features)
    best: tuple[int, tuple[int, ...]] | None = None
    chosen: TrainingPlan | None = None
    hidden = len(model.widths) > 2
    for limb, act, back, delta, index in product(
        LIMB_BITS,
        ACTIVATION_BITS if hidden else (0,),
        HIDDEN_DELTA_BITS if hidden else (0,),
        DELTA_BITS,
        INDEX_BITS if model.loss != SQUARED else (0,),
    ):
        plan = _plan(model, rows, epochs, mask_count, bits, (limb, act, back, delta, index))
        if plan is None:
            continue
        rank = (cost(plan).constraints, (-delta, -index, -back, -act, limb))
        if best is None or rank < best:
            best, chosen = rank, plan
    if chosen is None:
        raise InputError("no scales fit this model on these rows; use fewer rows or epochs, or narrower layers")
    return best_group(chosen)


def _plan(
    model: Model, rows: int, epochs: int, mask_count: int, bits: int, scales: tuple[int, int, int, int, int]
) -> TrainingPlan | None:
    limb, act, back, delta, index = scales
    depth = len(model.layers)
    bits_out, delta_bits = bits + depth - 1, back + DELTA_INTEGER_BITS + max(depth - 2, 0)
    logit_bits = delta if model.loss == SQUARED else index
    sign = 0 if model.loss == LOG else 1  # a sigmoid's overflow has none
    limbs = (
        -(-(logit_bits + bits_out + sign) // limb),
        -(-(act + bits_out - 1) // limb),  # of the last hidden layer
        -(-(delta_bits + 1) // limb),
    )
    # as fine as its limbs allow, 12 bits at least
    spare = (2 * model.outputs - 1).bit_length()
    exponential = max(-(-(EXPONENTIAL_BITS + spare) // limb) * limb - spare, EXPONENTIAL_BITS)
    layers = [LayerScales(FEATURE_FRACTION_BITS if layer == 0 else act, back) for layer in range(depth - 1)]
    layers.append(LayerScales(act if depth > 1 else FEATURE_FRACTION_BITS, delta))
    if max(limbs) > MAX_LIMBS:
        return None
    try:
        return TrainingPlan(
            model, rows, epochs, mask_count, tuple(layers), limb, 1, logit_bits,
            exponential_bits=min(exponential, 16), logit_limbs=limbs[0], activation_limbs=limbs[1],
            delta_limbs=limbs[2],
        )  # fmt: skip
    except InputError:
        return None
