"""A labelled table of records, checked once when it is made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedproof.data.limits import MAX_CLASSES, MAX_FEATURES, MAX_MAGNITUDE, MAX_ROWS, MAX_VALUES
from fedproof.data.naming import clean_name, quoted
from fedproof.errors import InputError


@dataclass(frozen=True, eq=False)
class Table:
    """Records with classes, or with a target. The arrays are read-only copies; the values stay out of `repr`.

    Args:
        name: what reports call it.
        features: float64, shape `(n, f)`, finite.
        feature_names: f different names.
        labels: shape `(n,)`: int64 classes from 0, or float64 finite targets.
        class_names: the names of class 0, class 1, ...; none where the labels are targets.
        target: the name of the target; empty where the labels are classes.

    Raises:
        InputError: a wrong shape or type, no row or column, NaN or infinity, a label that is no class, or bad names.
    """

    name: str
    features: NDArray[np.float64] = field(repr=False)
    feature_names: tuple[str, ...]
    labels: NDArray[np.int64] | NDArray[np.float64] = field(repr=False)
    class_names: tuple[str, ...]
    target: str = ""

    def __post_init__(self) -> None:
        features = self._numbers(self.features, "fiu", 2, "features")
        labels = self._numbers(self.labels, "fiu" if self.target else "iu", 1, "labels")
        rows, columns = features.shape
        if len(labels) != rows or len(self.feature_names) != columns:
            raise InputError(
                f"table {quoted(self.name)}: {rows} x {columns} features, {len(labels)} labels and "
                f"{len(self.feature_names)} feature names do not belong together"
            )
        if not 0 < rows <= MAX_ROWS or not 0 < columns <= MAX_FEATURES or rows * columns > MAX_VALUES:
            raise InputError(
                f"table {quoted(self.name)} has {rows} rows and {columns} features; it may have 1 to {MAX_ROWS} rows, "
                f"1 to {MAX_FEATURES} features and {MAX_VALUES} values in all"
            )
        self._check_names()
        features = features.astype(np.float64)
        wrong = ~(np.abs(features) <= MAX_MAGNITUDE)  # NaN compares false, so it is caught too
        if wrong.any():
            row, column = (int(i[0]) for i in np.nonzero(wrong))
            raise InputError(
                f"table {quoted(self.name)}, record {row + 1}, column {quoted(self.feature_names[column])}: "
                f"the value is NaN, infinite or beyond {MAX_MAGNITUDE:g}; correct or remove the record"
            )
        labels = self._labels(labels)
        for array in (features, labels):
            array.setflags(write=False)
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "feature_names", tuple(self.feature_names))

    @property
    def rows(self) -> int:
        """n: the number of records."""
        return len(self.labels)

    def take(self, rows: Sequence[int] | NDArray[np.int64], name: str) -> "Table":
        """The records with these indices, in this order, as a table of its own."""
        index = np.asarray(rows, dtype=np.int64)
        return Table(name, self.features[index], self.feature_names, self.labels[index], self.class_names, self.target)

    def _labels(self, labels: NDArray[Any]) -> NDArray[np.int64] | NDArray[np.float64]:
        if self.target:
            wrong = ~(np.abs(labels.astype(np.float64)) <= MAX_MAGNITUDE)
            if wrong.any():
                raise InputError(
                    f"table {quoted(self.name)}, record {int(np.argmax(wrong)) + 1}: the target is NaN, infinite or "
                    f"beyond {MAX_MAGNITUDE:g}; correct or remove the record"
                )
            return labels.astype(np.float64)
        if labels.min() < 0 or labels.max() >= len(self.class_names):
            most = len(self.class_names) - 1
            wanted = f"0 to {most}, a class each" if most > 1 else "0 or 1; choose one positive class against the rest"
            raise InputError(f"table {quoted(self.name)}: labels must be {wanted}")
        return labels.astype(np.int64)

    def _numbers(self, values: object, kinds: str, dimensions: int, what: str) -> NDArray[Any]:
        """Refuse what is not an array of numbers; a bool or object array is a mistake of the caller, not data."""
        if not isinstance(values, np.ndarray) or values.dtype.kind not in kinds or values.ndim != dimensions:
            form = (
                f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
            )
            raise InputError(
                f"table {quoted(self.name)}: {what} must be numbers in {dimensions} dimensions, not {form}"
            )
        return values

    def _check_names(self) -> None:
        for names, what in ((self.feature_names, "feature"), (self.class_names, "class"), ((self.name,), "table")):
            for name in names:
                if not isinstance(name, str) or not clean_name(name):
                    raise InputError(f"table {quoted(self.name)}: {quoted(name)} is not a usable {what} name")
            if len(set(names)) != len(names):
                raise InputError(f"table {quoted(self.name)}: two {what} names are equal; give each its own")
        if self.target:
            if self.class_names or not isinstance(self.target, str) or not clean_name(self.target):
                raise InputError(f"table {quoted(self.name)}: a target has one usable name and no classes")
        elif not 2 <= len(self.class_names) <= MAX_CLASSES:
            raise InputError(
                f"table {quoted(self.name)}: it has {len(self.class_names)} class names; 2 to {MAX_CLASSES} are needed"
            )
