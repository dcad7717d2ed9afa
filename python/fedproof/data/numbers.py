"""Text cells to float64, strictly: plain decimal numbers, finite, no digits of other scripts and no `1_000`."""

import re
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from fedproof.data.limits import MAX_MAGNITUDE
from fedproof.data.naming import fault

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
INFINITY = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
MISSING = frozenset({"", "nan", "+nan", "-nan", "na", "n/a", "null", "none", "?"})
CHUNK_CELLS = 1 << 18  # so many cells are held as text at a time


class NumberColumns:
    """Turns rows of text into float64, a chunk at a time; the slow search for the culprit runs only after a failure."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._path, self._names = path, names
        self._done: list[NDArray[np.float64]] = []
        self._cells: list[str] = []
        self._rows: list[int] = []

    def add(self, row: int, cells: list[str]) -> None:
        """Take the cells of one row of the file, one for each name.

        Raises:
            InputError: a cell of this or an earlier row is not a finite number.
        """
        self._cells.extend(cells)
        self._rows.append(row)
        if len(self._cells) >= CHUNK_CELLS:
            self._convert()

    def finish(self) -> NDArray[np.float64]:
        """All rows so far, shape `(n, f)`.

        Raises:
            InputError: a cell is not a finite number.
        """
        self._convert()
        return np.concatenate(self._done)

    def _convert(self) -> None:
        text = "".join(self._cells)
        if "_" in text or not text.isascii():  # what float() would take, although it is no plain number
            self._locate()
        try:
            values = np.array(list(map(float, self._cells)), dtype=np.float64)
        except ValueError:
            self._locate()
        if not (np.abs(values) <= MAX_MAGNITUDE).all():  # NaN compares false
            self._locate()
        self._done.append(values.reshape(len(self._rows), len(self._names)))
        self._cells, self._rows = [], []

    def _locate(self) -> NoReturn:
        """Name the first cell of the chunk that is not a finite number."""
        for index, cell in enumerate(self._cells):
            problem = number_problem(cell.strip(" \t"))
            if problem:
                row, column = divmod(index, len(self._names))
                raise fault(self._path, self._rows[row], problem, self._names[column])
        raise AssertionError("a chunk was refused although each cell is a number")


def number_problem(cell: str) -> str | None:
    """What keeps a stripped cell from being a finite number, and what to do; None when nothing does."""
    if cell.strip().lower() in MISSING:
        return "the value is missing; fill it, or remove the row or the column"
    if INFINITY.fullmatch(cell):
        return "the value is infinite; correct it or remove the row"
    if not NUMBER.fullmatch(cell):
        return "not a number; write it with digits and a point, or remove the column"
    if abs(float(cell)) > MAX_MAGNITUDE:
        return f"the value is beyond {MAX_MAGNITUDE:g}; correct it or remove the row"
    return None
