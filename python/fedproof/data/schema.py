"""The public schema of a dataset: how real values become the integers that are committed, trained on and proven.

Version 1 is of two classes. Version 2 is of more classes, or of a target: a number that is quantised like a feature.

Centre and scale come from the public test part alone. Taken from private rows they would publish a mean and a deviation
of records that nobody has been granted.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fedproof.data.limits import MAX_CLASSES, MAX_FEATURES, MAX_MAGNITUDE, MAX_ROWS
from fedproof.data.naming import clean_name, quoted
from fedproof.data.table import Table
from fedproof.errors import InputError
from fedproof.learning.fixed import BATCH, FEATURE_FRACTION_BITS, FEATURE_LIMIT
from fedproof.statements.labels import TARGET, LabelKind

VERSION, VERSION_WIDE = 1, 2
MAX_SCHEMA_BYTES = 1 << 20
FIELDS = frozenset(
    {"capacity", "centre", "classes", "constant", "features", "fraction_bits", "name", "scale", "version"}
)
LOW, HIGH = -FEATURE_LIMIT, FEATURE_LIMIT - 1
SCALE = 1 << FEATURE_FRACTION_BITS


@dataclass(frozen=True)
class Target:
    """A label that is a number; quantised as a feature is.

    Raises:
        InputError: no usable name, or no finite centre and positive scale.
    """

    name: str
    centre: float
    scale: float

    def __post_init__(self) -> None:
        _check_names("target", (self.name,), 1, 1)
        _check_floats("target", (self.centre,), 1, -MAX_MAGNITUDE)
        _check_floats("target", (self.scale,), 1, math.ulp(0.0))


@dataclass(frozen=True)
class Schema:
    """A feature v of column j is `x = clip(round(256 * (v - centre_j) / scale_j), -2048, 2047)`.

    `round` is to nearest, ties to even, in IEEE double precision; so every machine gives the same integer.

    Args:
        name: name of the dataset.
        features: f different feature names.
        centre, scale: one float for each feature, in its unit; the scale is positive.
        classes: names of class 0, class 1, ...; none where the label is a target.
        rows: rows of the capacity class: 32, 64, 128, ...
        constant: the features whose public part is constant; their scale is 1.
        target: name, centre and scale of the target; None where the label is a class.

    Raises:
        InputError: any of these is wrong.
    """

    name: str
    features: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    classes: tuple[str, ...]
    rows: int
    constant: tuple[str, ...] = ()
    target: Target | None = None

    def __post_init__(self) -> None:
        _check_names("name", (self.name,), 1, 1)
        _check_names("features", self.features, 1, MAX_FEATURES)
        _check_names("classes", self.classes, *((0, 0) if self.target else (2, MAX_CLASSES)))
        _check_names("constant", self.constant, 0, MAX_FEATURES)
        _check_floats("centre", self.centre, len(self.features), -MAX_MAGNITUDE)
        _check_floats("scale", self.scale, len(self.features), math.ulp(0.0))
        if type(self.rows) is not int or not is_capacity(self.rows):
            raise InputError(
                f"schema: {quoted(self.rows)} rows are no capacity class; use 32, 64, 128, ... to {MAX_ROWS}"
            )
        if self.constant != tuple(name for name in self.features if name in set(self.constant)):
            raise InputError("schema: constant must list features of the schema, in their order")
        for name, scale in zip(self.features, self.scale, strict=True):
            if name in self.constant and scale != 1.0:
                raise InputError(f"schema, feature {quoted(name)}: it is constant, so its scale must be 1")

    @classmethod
    def from_public(cls, public: Table, rows: int) -> Self:
        """Centre (mean) and scale (standard deviation) of each column of the public part; `rows` of the capacity class.

        A column that is constant there gets scale 1 and is listed in `constant`. Sums are exactly rounded, so the order
        of the rows and the machine do not matter.

        Raises:
            InputError: `rows` is no capacity class.
        """
        centres, scales, constant = [], [], []
        for name, column in zip(public.feature_names, public.features.T, strict=True):
            centre, scale = _centre_and_scale(column.tolist())
            if scale == 0:  # also when the spread is too small for a float
                constant.append(name)
            centres.append(centre)
            scales.append(scale or 1.0)
        target = None
        if public.target:
            centre, scale = _centre_and_scale(public.labels.tolist())
            target = Target(public.target, centre, scale or 1.0)
        return cls(
            public.name, public.feature_names, tuple(centres), tuple(scales), public.class_names, rows,
            tuple(constant), target,
        )  # fmt: skip

    @property
    def columns(self) -> int:
        """Columns of the capacity class: the features and the mask column."""
        return len(self.features) + 1

    @property
    def label_kind(self) -> LabelKind:
        """What the labels are, for the listing statement."""
        return TARGET if self.target else LabelKind.of_classes(len(self.classes))

    @property
    def digest(self) -> bytes:
        """SHA-256 of `encode()`, 32 bytes: the content id of the stored schema."""
        return sha256(self.encode()).digest()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a provider should know before it lists the dataset, a line each."""
        return tuple(
            f"feature {quoted(name)} is constant in the public part, so its scale is 1; check its unit or remove it"
            for name in self.constant
        )

    def quantise(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
        """Shape `(n, f)` real values to signed 12-bit fixed point, clipped to [-2048, 2047].

        Raises:
            InputError: another shape, or a value that is not finite.
        """
        return np.clip(np.rint(self._scaled(features)), LOW, HIGH).astype(np.int64)

    def count_clipped(self, features: NDArray[np.float64]) -> int:
        """How many of the values `quantise` has to clip."""
        rounded = np.rint(self._scaled(features))
        return int(np.count_nonzero((rounded < LOW) | (rounded > HIGH)))

    def standardise(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape `(n, f)` real values to `(v - centre) / scale`, clipped to the range of `quantise`, not rounded.

        Raises:
            InputError: another shape, or a value that is not finite.
        """
        return np.asarray(np.clip(self._scaled(features), LOW, HIGH) / SCALE, dtype=np.float64)

    def quantise_labels(self, labels: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
        """Shape `(n,)`: classes as they are, targets to signed 12-bit fixed point like a feature.

        Raises:
            InputError: a label that is no class, or not finite.
        """
        if self.target is not None:
            return np.clip(np.rint(self._scaled_labels(labels)), LOW, HIGH).astype(np.int64)
        classes = np.asarray(labels, dtype=np.int64)
        self.check_labels(classes)
        return classes

    def standardise_labels(self, labels: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape `(n,)`: classes as they are, targets as `standardise` has features; both as floats.

        Raises:
            InputError: a label that is not finite.
        """
        if self.target is None:
            return np.asarray(labels, dtype=np.float64)
        return np.asarray(np.clip(self._scaled_labels(labels), LOW, HIGH) / SCALE, dtype=np.float64)

    def check_labels(self, labels: NDArray[np.int64]) -> None:
        """Refuse quantised labels that are not of this schema.

        Raises:
            InputError: one is out of range.
        """
        low, high = self.label_kind.bounds
        if len(labels) and (labels.min() < low or labels.max() >= high):
            raise InputError(f"a label lies outside [{low}, {high}), which are those of the schema: {self.label_kind}")

    def encode(self) -> bytes:
        """Canonical JSON: sorted keys, no white space, UTF-8, floats in their shortest form that reads back the same.

        Raises:
            InputError: more than 1 MiB.
        """
        value = {
            "capacity": {"columns": self.columns, "rows": self.rows},
            "centre": self.centre,
            "classes": self.classes,
            "constant": self.constant,
            "features": self.features,
            "fraction_bits": FEATURE_FRACTION_BITS,
            "name": self.name,
            "scale": self.scale,
            "version": VERSION,
        }
        if len(self.classes) != 2:
            value["version"] = VERSION_WIDE
            value["target"] = None if self.target is None else vars(self.target)
        data = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        if len(data) > MAX_SCHEMA_BYTES:
            raise InputError(f"schema: {len(data)} bytes; the limit is {MAX_SCHEMA_BYTES}: use shorter feature names")
        return data

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The schema of these bytes; only the canonical form is taken, so one schema has one digest.

        Raises:
            InputError: not JSON, unknown or missing fields, wrong types or values, another version, not canonical.
        """
        if len(data) > MAX_SCHEMA_BYTES:
            raise InputError(f"schema: {len(data)} bytes; the limit is {MAX_SCHEMA_BYTES}")
        try:
            value = json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError):
            raise InputError("schema: not JSON in UTF-8; fetch it again") from None
        version = value.get("version") if isinstance(value, dict) else None
        if type(version) is not int or version not in (VERSION, VERSION_WIDE):
            raise InputError(f"schema: not version {VERSION} or {VERSION_WIDE}; a newer fedproof may be needed")
        fields = FIELDS if version == VERSION else FIELDS | {"target"}
        if value.keys() != fields:
            listed = ", ".join(map(quoted, sorted(value.keys() ^ fields)[:3]))
            raise InputError(f"schema: unknown or missing fields: {listed}")
        capacity = value["capacity"]
        if not isinstance(capacity, dict) or capacity.keys() != {"columns", "rows"}:
            raise InputError("schema: capacity must hold rows and columns")
        lists = {field: _tuple(field, value[field]) for field in ("features", "centre", "scale", "classes", "constant")}
        schema = cls(name=value["name"], rows=capacity["rows"], target=_target(value.get("target")), **lists)
        if schema.encode() != data:
            raise InputError(
                "schema: not in canonical form, or another fraction_bits or columns than the features give"
            )
        return schema

    def _scaled(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """256 * (v - centre) / scale. The order of the operations is part of the format."""
        array = np.asarray(features)
        if array.ndim != 2 or array.shape[1] != len(self.features) or array.dtype.kind not in "fiu":
            raise InputError(
                f"features have shape {array.shape} and type {array.dtype}; the schema wants numbers of shape "
                f"(n, {len(self.features)})"
            )
        if not (np.abs(array) <= MAX_MAGNITUDE).all():
            raise InputError(f"features hold NaN, infinity or a value beyond {MAX_MAGNITUDE:g}; remove these records")
        with np.errstate(over="ignore"):  # a tiny scale may give infinity, which is then clipped
            return np.asarray(SCALE * (array - np.array(self.centre)) / np.array(self.scale), dtype=np.float64)

    def _scaled_labels(self, labels: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
        """256 * (v - centre) / scale of targets, in the order that features have."""
        assert self.target is not None
        array = np.asarray(labels, dtype=np.float64)
        if array.ndim != 1 or not (np.abs(array) <= MAX_MAGNITUDE).all():
            raise InputError(f"targets hold NaN, infinity or a value beyond {MAX_MAGNITUDE:g}; remove these records")
        with np.errstate(over="ignore"):
            return np.asarray(SCALE * (array - self.target.centre) / self.target.scale, dtype=np.float64)


def is_capacity(rows: int) -> bool:
    """Whether a number of rows is one of the ladder 32, 64, 128, ... up to the limit of a table."""
    return BATCH <= rows <= MAX_ROWS and rows & (rows - 1) == 0


def _centre_and_scale(values: list[float]) -> tuple[float, float]:
    """Mean and standard deviation; the scale is 0 where all are equal."""
    centre = values[0] if min(values) == max(values) else math.fsum(values) / len(values)
    # no negative zero: it would print differently
    return centre + 0.0, math.sqrt(math.fsum((v - centre) ** 2 for v in values) / len(values))


def _target(value: Any) -> Target | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"name", "centre", "scale"}:
        raise InputError("schema: target must hold a name, a centre and a scale")
    return Target(**value)


def _tuple(field: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise InputError(f"schema: {field} must be a list")
    return tuple(value)


def _check_names(field: str, names: Sequence[str], least: int, most: int) -> None:
    if not isinstance(names, tuple) or not least <= len(names) <= most:
        raise InputError(f"schema: {field} must be {least} to {most} names")
    for name in names:
        if not isinstance(name, str) or not clean_name(name):
            raise InputError(f"schema: {field} holds {quoted(name)}, which is not a printable name")
    if len(set(names)) != len(names):
        raise InputError(f"schema: {field} holds a name twice")


def _check_floats(field: str, values: Sequence[float], count: int, least: float) -> None:
    if not isinstance(values, tuple) or len(values) != count:
        raise InputError(f"schema: {field} must hold one number for each of the {count} features")
    for value in values:
        if type(value) is not float or not least <= value <= MAX_MAGNITUDE:
            raise InputError(f"schema: {field} must hold finite floats, a scale above 0")
