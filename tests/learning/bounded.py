"""A small plan of bounded updates, and updates of a given norm."""

from __future__ import annotations

from math import isqrt

import numpy as np

from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.fixed import Int

PLAN = BoundedPlan(
    rows=32, columns=3, mask_count=5, parameters=5, fraction_bits=10,
    norm_squared=3 * 2**22 + 12345, limb_bits=6, entry_limbs=2,
)  # fmt: skip
"""Entries in [-2048, 2048), and a norm that takes more than two of them."""


def honest_update(plan: BoundedPlan = PLAN, seed: int = 1) -> Int:
    """A random update, clipped to the plan."""
    drawn = np.random.default_rng(seed).integers(-plan.entry_limit, plan.entry_limit, plan.parameters)
    return plan.clip(drawn)


def at_norm(squared: int, most: int = PLAN.entry_limit - 1) -> list[int]:
    """Five integers whose squares have this sum, the first as large as may be: four squares sum up to anything."""
    first = min(isqrt(squared), most)
    left = squared - first * first
    for a in range(min(isqrt(left), most), -1, -1):
        for b in range(min(isqrt(left - a * a), most), -1, -1):
            for c in range(min(isqrt(left - a * a - b * b), most), -1, -1):
                rest = left - a * a - b * b - c * c
                d = isqrt(rest)
                if d > most:
                    break
                if d * d == rest:
                    return [first, -a, b, c, d]
    raise AssertionError("no such update")
