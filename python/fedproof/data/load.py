"""`load`: a table by name (scikit-learn's shipped sets) or by path (CSV)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedproof.data.csvfile import read_csv
from fedproof.data.limits import MIN_ROWS
from fedproof.data.naming import clean_name, fault, quoted, shown
from fedproof.data.numbers import NUMBER
from fedproof.data.table import Table
from fedproof.errors import InputError

BUILTIN = ("breast-cancer", "wine", "digits", "iris")
DEFAULT = "breast-cancer"
MAX_LISTED = 20  # beyond this the label column is not a class at all, and its values may be personal


def load(name_or_path: str | Path = DEFAULT, label: str | None = None, positive: str | None = None) -> Table:
    """A table with two classes, from a set that scikit-learn ships or from a CSV file with a header row.

    Args:
        name_or_path: one of `BUILTIN`, or the path of a CSV file (`./wine` is a path).
        label: the label column of a CSV file; default one of `LABEL_NAMES`, else the last.
        positive: the class that becomes 1 against all others. Needed when there are more than two; with two classes the
            second in order is 1 unless this names the other.

    Raises:
        InputError: one line with the file, row and column, and what to do.
    """
    name = str(name_or_path).replace("_", "-")
    if isinstance(name_or_path, Path) or name not in BUILTIN:
        return _from_csv(_existing(str(name_or_path)), label, positive)
    if label is not None:
        raise InputError(f"{name} is a built-in set with its own labels; the option label is for CSV files")
    features, feature_names, classes, codes = _builtin(name)
    class_names, labels = _two_classes(name, classes, codes, positive)
    return Table(name, features, feature_names, labels, class_names)


def _from_csv(path: Path, label: str | None, positive: str | None) -> Table:
    contents = read_csv(path, label)
    count = len(contents.label_cells)
    if count < MIN_ROWS:
        found = {0: "a header but no records", 1: "one record"}.get(count, f"{count} records")
        raise InputError(f"{shown(path)} has {found}; at least {MIN_ROWS} are needed (one batch)")
    classes, codes = _classes(contents.label_cells)
    for code, name in enumerate(classes[:MAX_LISTED]):
        if not clean_name(name):
            row = contents.file_rows[int(np.argmax(codes == code))]
            raise fault(path, row, "the label cannot be a class name; use a short printable one", contents.label_name)
    class_names, labels = _two_classes(f"{shown(path)}, column {quoted(contents.label_name)}", classes, codes, positive)
    name = path.stem if clean_name(path.stem) else "table"
    return Table(name, contents.features, contents.feature_names, labels, class_names)


def _existing(name: str) -> Path:
    try:
        path = Path(name).expanduser()
        found = name.strip() != "" and path.exists()
    except (OSError, RuntimeError):  # a directory that may not be entered, or the home of nobody
        found = False
    if not found:
        raise InputError(f"{shown(Path(name))}: no such readable file, and no built-in set ({', '.join(BUILTIN)})")
    return path


def _builtin(name: str) -> tuple[NDArray[np.float64], tuple[str, ...], list[str], NDArray[np.int64]]:
    # imported here because it takes a second, and only loaders whose data lie in the package: no fetch_*
    from sklearn import datasets

    loaders = {
        "breast-cancer": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
        "digits": datasets.load_digits,
        "iris": datasets.load_iris,
    }
    bunch: Any = loaders[name]()
    names = tuple(str(feature) for feature in bunch.feature_names)
    return (
        np.asarray(bunch.data, dtype=np.float64),
        names,
        [str(c) for c in bunch.target_names],
        np.asarray(bunch.target, dtype=np.int64),
    )


def _classes(cells: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The sorted classes and the class of each cell. Numbers are compared as numbers: 1 and 1.0 are one class."""
    distinct = set(cells)
    if all(NUMBER.fullmatch(cell) for cell in distinct):
        text = {cell: _number_text(cell) for cell in distinct}
        order = sorted(set(text.values()), key=float)
    else:
        text = {cell: cell for cell in distinct}
        order = sorted(distinct)
    code = {name: i for i, name in enumerate(order)}
    return order, np.array([code[text[cell]] for cell in cells], dtype=np.int64)


def _number_text(cell: str) -> str:
    value = float(cell)
    return str(int(value)) if value.is_integer() else repr(value)


def _two_classes(
    source: str, classes: list[str], codes: NDArray[np.int64], positive: str | None
) -> tuple[tuple[str, str], NDArray[np.int64]]:
    if len(classes) == 1:
        raise InputError(f"{source}: one class only ({quoted(classes[0])}); records of two classes are needed")
    listed = ", ".join(map(quoted, classes))
    if len(classes) > MAX_LISTED:
        listed = f"{len(classes)} different values"
    if positive is None:
        if len(classes) > 2:
            advice = "is it the label column?" if len(classes) > MAX_LISTED else "choose one with the option positive"
            raise InputError(f"{source}: {len(classes)} classes ({listed}), two are needed; {advice}")
        positive = classes[1]
    wanted = positive.strip()
    if wanted not in classes and NUMBER.fullmatch(wanted):
        wanted = _number_text(wanted)
    if wanted not in classes:
        raise InputError(f"{source}: no class {quoted(positive)} for the option positive; the classes are {listed}")
    index = classes.index(wanted)
    rest = f"not {wanted}" if len(classes) > 2 else classes[1 - index]
    return (rest, wanted), (codes == index).astype(np.int64)
