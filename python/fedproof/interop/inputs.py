"""How raw values become what a model reads: the centre and scale of each feature, as a schema has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from fedproof.data.limits import MAX_FEATURES, MAX_MAGNITUDE
from fedproof.data.schema import HIGH, LOW, SCALE, Schema
from fedproof.errors import InputError
from fedproof.learning.baseline import Float


def unnamed(count: int) -> tuple[str, ...]:
    """What features are called that came without names."""
    return tuple(f"x{j}" for j in range(count))


@final
@dataclass(frozen=True)
class Standardisation:
    """A feature v of column j is read as `clip((v - centre_j) / scale_j, -8, 2047/256)`.

    Args:
        names: one for each feature.
        centre, scale: finite, in the feature's unit; the scale is positive.

    Raises:
        InputError: any of these is wrong.
    """

    names: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.names)
        if not 1 <= count <= MAX_FEATURES or len(self.centre) != count or len(self.scale) != count:
            raise InputError(f"standardisation: {count} names, {len(self.centre)} centres, {len(self.scale)} scales")
        if not all(abs(v) <= MAX_MAGNITUDE for v in self.centre) or not all(0 < v <= MAX_MAGNITUDE for v in self.scale):
            raise InputError("standardisation: centres must be finite, and scales finite and above 0")

    @classmethod
    def of(cls, schema: Schema) -> Standardisation:
        """That of a dataset's public schema."""
        return cls(schema.features, schema.centre, schema.scale)

    @classmethod
    def of_rows(cls, features: Float, names: Sequence[str]) -> Standardisation:
        """Mean and standard deviation of each column of `(n, f)` rows; a constant column gets scale 1.

        Sums are exactly rounded, as those of a schema are.
        """
        centres, scales = [], []
        for column in features.T:
            values = column.tolist()
            centre = values[0] if min(values) == max(values) else math.fsum(values) / len(values)
            scale = math.sqrt(math.fsum((v - centre) ** 2 for v in values) / len(values))
            centres.append(centre + 0.0)
            scales.append(scale or 1.0)
        return cls(tuple(names), tuple(centres), tuple(scales))

    def standardise(self, features: Float) -> Float:
        """Shape `(n, f)` raw values, finite; rounded to 256ths these are the integers of `Schema.quantise`."""
        with np.errstate(over="ignore"):
            scaled = SCALE * (features - np.array(self.centre)) / np.array(self.scale)
        return np.asarray(np.clip(scaled, LOW, HIGH) / SCALE, dtype=np.float64)

    def clipped(self, features: Float) -> int:
        """How many raw values lie beyond the 12 bits."""
        with np.errstate(over="ignore"):
            rounded = np.rint(SCALE * (features - np.array(self.centre)) / np.array(self.scale))
        return int(np.count_nonzero((rounded < LOW) | (rounded > HIGH)))
