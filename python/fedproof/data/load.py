"""`load`: a table by name (scikit-learn's shipped sets) or by path (CSV), for one kind of label."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedproof.data.csvfile import CsvContents, read_csv
from fedproof.data.limits import MAX_CLASSES, MIN_ROWS
from fedproof.data.naming import clean_name, fault, quoted, shown
from fedproof.data.numbers import NUMBER
from fedproof.data.table import Table
from fedproof.errors import InputError

BUILTIN = ("breast-cancer", "wine", "digits", "iris", "diabetes")
TARGETS = ("diabetes",)
"""Of these, those whose label is a number to predict."""
DEFAULT = "breast-cancer"
TWO, CLASSES, TARGET, FITTING = "two classes", "classes", "target", "fitting"
"""What labels are read as; `FITTING` is whatever fits the records best."""
MAX_LISTED = 20  # beyond this the label column is not a class at all, and its values may be personal


def load(
    name_or_path: str | Path = DEFAULT, label: str | None = None, positive: str | None = None, labels: str = TWO
) -> Table:
    """A table from a set that scikit-learn ships or from a CSV file with a header row.

    Args:
        name_or_path: one of `BUILTIN`, or the path of a CSV file (`./wine` is a path).
        label: the label column of a CSV file; default one of `LABEL_NAMES`, else the last.
        positive: the class that becomes 1 against all others. Needed when there are more than two; with two classes the
            second in order is 1 unless this names the other.
        labels: `TWO`, `CLASSES` (all of them), `TARGET` (a number), or `FITTING`: two classes where there are two or
            `positive` names one, a target where a number has more than 20 values, else classes.

    Raises:
        InputError: one line with the file, row and column, and what to do.
    """
    name = str(name_or_path).replace("_", "-")
    if positive is not None and labels != TWO:
        if labels != FITTING:
            raise InputError("--positive makes two classes, and this model is trained on others: leave it out")
        labels = TWO
    if isinstance(name_or_path, Path) or name not in BUILTIN:
        return _from_csv(_existing(str(name_or_path)), label, positive, labels)
    if label is not None:
        raise InputError(f"{name} is a built-in set with its own labels; the option label is for CSV files")
    features, feature_names, classes, codes = _builtin(name)
    if (labels == TARGET) != (name in TARGETS) and labels != FITTING:
        wanted = "a number" if name in TARGETS else "a class"
        raise InputError(f"{name}: its label is {wanted}, which this model does not predict; name other records")
    if name in TARGETS:
        return Table(name, features, feature_names, codes.astype(np.float64), (), "target")
    if labels == CLASSES or (labels == FITTING and len(classes) > 2):
        return Table(name, features, feature_names, codes, tuple(classes))
    class_names, two = _two_classes(name, classes, codes, positive)
    return Table(name, features, feature_names, two, class_names)


def _from_csv(path: Path, label: str | None, positive: str | None, labels: str) -> Table:
    contents = read_csv(path, label)
    count = len(contents.label_cells)
    if count < MIN_ROWS:
        found = {0: "a header but no records", 1: "one record"}.get(count, f"{count} records")
        raise InputError(f"{shown(path)} has {found}; at least {MIN_ROWS} are needed (one batch)")
    name = path.stem if clean_name(path.stem) else "table"
    if labels == TARGET or (labels == FITTING and _is_target(contents.label_cells)):
        target = contents.label_name if clean_name(contents.label_name) else "target"
        return Table(name, contents.features, contents.feature_names, _targets(path, contents), (), target)
    classes, codes = _classes(contents.label_cells)
    for code, each in enumerate(classes[:MAX_LISTED]):
        if not clean_name(each):
            row = contents.file_rows[int(np.argmax(codes == code))]
            raise fault(path, row, "the label cannot be a class name; use a short printable one", contents.label_name)
    where = f"{shown(path)}, column {quoted(contents.label_name)}"
    if labels == CLASSES or (labels == FITTING and len(classes) > 2):
        if not 2 <= len(classes) <= MAX_CLASSES:
            raise InputError(f"{where}: {len(classes)} classes; 2 to {MAX_CLASSES} are needed: is it the label column?")
        return Table(name, contents.features, contents.feature_names, codes, tuple(classes))
    class_names, two = _two_classes(where, classes, codes, positive)
    return Table(name, contents.features, contents.feature_names, two, class_names)


def _is_target(cells: list[str]) -> bool:
    distinct = set(cells)
    return len(distinct) > MAX_LISTED and all(NUMBER.fullmatch(cell) for cell in distinct)


def _targets(path: Path, contents: CsvContents) -> NDArray[np.float64]:
    for row, cell in zip(contents.file_rows, contents.label_cells, strict=True):
        if not NUMBER.fullmatch(cell):
            raise fault(path, row, "the label is no number, and this model predicts one", contents.label_name)
    return np.array([float(cell) for cell in contents.label_cells])


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
        "diabetes": partial(datasets.load_diabetes, scaled=False),
    }
    bunch: Any = loaders[name]()
    names = tuple(str(feature) for feature in bunch.feature_names)
    return (
        np.asarray(bunch.data, dtype=np.float64),
        names,
        [str(c) for c in bunch.get("target_names", ())],
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
            advice = "is it the label column?" if len(classes) > MAX_LISTED else "choose one with --positive"
            raise InputError(f"{source}: {len(classes)} classes ({listed}), two are needed; {advice}")
        positive = classes[1]
    wanted = positive.strip()
    if wanted not in classes and NUMBER.fullmatch(wanted):
        wanted = _number_text(wanted)
    if wanted not in classes:
        raise InputError(f"{source}: no class {quoted(positive)} for --positive; the classes are {listed}")
    index = classes.index(wanted)
    rest = f"not {wanted}" if len(classes) > 2 else classes[1 - index]
    return (rest, wanted), (codes == index).astype(np.int64)
