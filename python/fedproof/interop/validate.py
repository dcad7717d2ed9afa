"""What an estimator takes as X and y, and the one line that it answers to everything else."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from numbers import Integral
from typing import Any, final

import numpy as np

from fedproof.data.limits import MAX_FEATURES, MAX_MAGNITUDE, MAX_VALUES
from fedproof.errors import InputError
from fedproof.learning.baseline import Float


class DataError(InputError, ValueError):
    """Wrong X or y; a `ValueError`, too, as users of scikit-learn expect."""


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """Checked rows: X `(n, f)` float64, its column names where it has some, y `(n,)`."""

    X: Float
    names: tuple[str, ...] | None
    y: np.ndarray


def features(X: Any, where: str = "X") -> tuple[Float, tuple[str, ...] | None]:
    """X as `(n, f)` finite float64, and the column names of a data frame.

    Raises:
        DataError: another shape, other types, NaN, infinity, or nothing in it.
    """
    if hasattr(X, "toarray"):
        raise DataError(f"{where} is sparse; give a dense array")
    columns = list(getattr(X, "columns", ()))
    names = tuple(columns) if columns and all(isinstance(name, str) for name in columns) else None
    try:
        array = np.asarray(X)
    except ValueError:
        raise DataError(f"{where} has rows of different lengths; rows and columns are needed") from None
    if array.dtype.kind == "c":
        raise DataError(f"{where}: Complex data not supported")
    if array.ndim != 2:
        raise DataError(
            f"{where} has shape {array.shape}; rows and columns are needed. Reshape your data to 2 dimensions"
        )
    n, f = array.shape
    if n == 0 or f == 0:
        what = "sample" if n == 0 else "feature"
        raise DataError(f"{where}: Found array with 0 {what}(s) (shape=({n}, {f})) while a minimum of 1 is required.")
    if f > MAX_FEATURES or n * f > MAX_VALUES:
        raise DataError(f"{where} has shape {array.shape}; at most {MAX_FEATURES} columns and {MAX_VALUES} values fit")
    out = _numbers(array, where)
    if not np.isfinite(out).all():
        raise DataError(f"{where} holds NaN or infinity; remove these rows or fill them in")
    if np.abs(out).max() > MAX_MAGNITUDE:
        raise DataError(f"{where} holds a value beyond {MAX_MAGNITUDE:g}")
    return out, names


def rows(X: Any, y: Any, where: str = "") -> Rows:
    """X and y with one label for each row.

    Raises:
        DataError: as `features`, no y, or a y of another shape or with NaN.
    """
    at = f"{where}: " if where else ""
    checked, names = features(X, f"{at}X")
    if y is None:
        raise DataError(f"{at}requires y to be passed, but the target y is None")
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        from sklearn.exceptions import DataConversionWarning

        warnings.warn("A column-vector y was passed when a 1d array was expected.", DataConversionWarning, stacklevel=2)
        labels = labels[:, 0]
    if labels.shape != (len(checked),):
        raise DataError(f"{at}y has shape {np.shape(y)}, and X has {len(checked)} rows; one label a row is needed")
    if labels.dtype.kind == "c":
        raise DataError(f"{at}y: Complex data not supported")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError(f"{at}y holds NaN or infinity; remove these rows")
    return Rows(checked, names, labels)


def targets(y: np.ndarray, where: str = "y") -> Float:
    """Real targets of a regression.

    Raises:
        DataError: not finite numbers.
    """
    out = _numbers(y, where)
    if not np.isfinite(out).all() or np.abs(out).max() > MAX_MAGNITUDE:
        raise DataError(f"{where} holds NaN, infinity or a value beyond {MAX_MAGNITUDE:g}")
    return out


def classes(y: np.ndarray) -> np.ndarray:
    """The distinct labels, sorted.

    Raises:
        DataError: one class only, labels that cannot be compared, or numbers that look like a regression's.
    """
    if y.dtype.kind == "f" and (y != np.floor(y)).any():
        raise DataError("y: Unknown label type: continuous; classes are whole numbers or names")
    if y.dtype.kind == "O" and any(label is None or label != label for label in y.tolist()):
        raise DataError("y holds NaN or None; remove these rows")
    try:
        found = np.unique(y)
    except TypeError:
        raise DataError("y mixes labels of several types") from None
    if len(found) < 2:
        raise DataError("y holds 1 class; a classifier needs two classes or more")
    return np.asarray(found)


def whole(name: str, value: Any, least: int, most: int) -> None:
    """Refuse a parameter that is no whole number in its range.

    Raises:
        DataError: as said.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
        raise DataError(f"{name}: {value!r}; give a whole number from {least} to {most}")


def alike(first: Rows, other: Rows, where: str) -> None:
    """Refuse rows of other columns than the first participant's.

    Raises:
        DataError: another number of columns, or other names.
    """
    if other.X.shape[1] != first.X.shape[1]:
        raise DataError(f"{where}: {other.X.shape[1]} columns; the first participant has {first.X.shape[1]}")
    if first.names is not None and other.names is not None and first.names != other.names:
        raise DataError(f"{where}: its columns have other names or another order than the first participant's")


def public_rows(first: Rows, public: Any) -> Rows:
    """The pair `(X, y)` that everybody may see.

    Raises:
        DataError: no pair, or other columns than the first participant's.
    """
    if not isinstance(public, tuple | list) or len(public) != 2:
        raise DataError("public: a pair (X, y) is needed")
    X, y = public
    shown = rows(X, y, "public")
    alike(first, shown, "public")
    return Rows(shown.X, first.names or shown.names, shown.y)


def _numbers(array: np.ndarray, where: str) -> Float:
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where} holds what is no number") from None
