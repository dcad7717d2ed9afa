"""Columns of text cells to float64, where a cell may be missing: NaN stands for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fedproof.data.limits import MAX_MAGNITUDE
from fedproof.data.naming import fault
from fedproof.data.numbers import MISSING, NUMBER, number_problem

BOOLEANS: Final = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}
MISSING_TEXT: Final = frozenset({"", "nan"})
LONGEST_MISSING: Final = 3
FORMULA_STARTS: Final = frozenset("=@\uff1d\uff20")
SIGNS: Final = frozenset("+-\uff0b\uff0d")
"""Some spreadsheets read the wide forms, too."""

NOT_FINITE: Final = f"the value is infinite or beyond {MAX_MAGNITUDE:g}; correct it or remove the row"


def to_numbers(cells: Sequence[str]) -> tuple[NDArray[np.float64], int | None]:
    """The values, and the index of the first cell that is neither a finite number nor missing."""
    text = "".join(cells)
    if "_" not in text and text.isascii():  # what float() would take, although it is no plain number
        for convert in (_by_arrow, _by_python):
            try:
                values = convert(cells)
            except ValueError:
                continue
            if not (np.abs(values) > MAX_MAGNITUDE).any():  # NaN compares false: it is missing
                return values, None
    values = np.empty(len(cells))
    for index, cell in enumerate(cells):
        stripped = cell.strip(" \t")
        if stripped.lower() in MISSING:
            values[index] = np.nan
        elif number_problem(stripped) is not None:
            return values, index
        else:
            values[index] = float(stripped)
    return values, None


def _by_arrow(cells: Sequence[str]) -> NDArray[np.float64]:
    """Four times as fast, but not for `+1` and the like. Both round correctly, so both give the same numbers."""
    return np.array(pa.array(cells, pa.string()).cast(pa.float64()), dtype=np.float64)


def _by_python(cells: Sequence[str]) -> NDArray[np.float64]:
    return np.array(list(map(float, cells)), dtype=np.float64)


def to_booleans(cells: Sequence[str]) -> tuple[NDArray[np.float64], int | None]:
    """0 and 1 for true and false in any case, or 0 and 1; otherwise as `to_numbers`."""
    values = np.empty(len(cells))
    for index, cell in enumerate(cells):
        word = cell.strip(" \t").lower()
        if word in MISSING:
            values[index] = np.nan
        elif word in BOOLEANS:
            values[index] = BOOLEANS[word]
        else:
            return values, index
    return values, None


def read_cells(path: Path, rows: Sequence[int], name: str, cells: Sequence[str], kind: str) -> NDArray[np.float64]:
    """A column of a numeric kind.

    Raises:
        InputError: a cell is not of this kind; the message says where, not what it holds.
    """
    if kind == "boolean":
        values, wrong = to_booleans(cells)
        if wrong is not None:
            raise fault(path, rows[wrong], "not a boolean; write true or false, or correct the column's type", name)
        return values
    values, wrong = to_numbers(cells)
    if wrong is not None:
        problem = number_problem(cells[wrong].strip(" \t"))
        raise fault(path, rows[wrong], problem or "not a number", name)
    check_kind(path, rows, name, values, kind)
    return values


def check_kind(path: Path, rows: Sequence[int], name: str, values: NDArray[np.float64], kind: str) -> None:
    """Refuse what is not finite, a fraction in a column of whole numbers, and a boolean that is neither 0 nor 1.

    Raises:
        InputError: with row and column.
    """
    wrong = np.abs(values) > MAX_MAGNITUDE
    problem = NOT_FINITE
    if not wrong.any() and kind == "integer":
        wrong = np.rint(values) != values
        wrong[np.isnan(values)] = False
        problem = "not a whole number; correct it, or make the column's type number"
    if not wrong.any() and kind == "boolean":
        wrong = ~(np.isin(values, (0, 1)) | np.isnan(values))
        problem = "not a boolean; write true or false, or correct the column's type"
    if wrong.any():
        raise fault(path, int(rows[int(np.argmax(wrong))]), problem, name)


def runs_in_a_spreadsheet(text: str) -> bool:
    """Whether a spreadsheet that opens the file would take a text for a formula and run it, such as `=cmd|...`.

    A number with a sign is none; behind a sign it takes a letter to name something.
    """
    if text[:1] in FORMULA_STARTS:
        return True
    return text[:1] in SIGNS and not NUMBER.fullmatch(text) and any(map(str.isalpha, text))


def to_texts(cells: Sequence[str | None]) -> list[str | None]:
    """Text without white space around it; None for what is missing."""
    return [None if cell is None or _is_missing(text := cell.strip()) else text for cell in cells]


def _is_missing(text: str) -> bool:
    return len(text) <= LONGEST_MISSING and text.lower() in MISSING_TEXT
