"""Read a CSV file of numbers with one label column, strictly and with bounded memory.

For larger files, and columns of text, see `tablefile`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedproof.data.csvlines import label_column, open_csv
from fedproof.data.limits import MAX_ROWS, MAX_VALUES
from fedproof.data.naming import fault
from fedproof.data.numbers import NumberColumns


@dataclass(frozen=True)
class CsvContents:
    """What a file holds: float64 features `(n, f)` and the label cells as text, with the file row of each record."""

    feature_names: tuple[str, ...]
    features: NDArray[np.float64]
    label_name: str
    label_cells: list[str]
    file_rows: list[int]


def read_csv(path: Path, label: str | None = None) -> CsvContents:
    """Read `path`; `label` names the label column (default: one of `LABEL_NAMES`, else the last column).

    Raises:
        InputError: in one line, what is wrong with the file, in which row and column, and what to do.
    """
    table = open_csv(path)
    names = table.names
    label_index = label_column(path, table.header, names, label)
    feature_names = tuple(names[:label_index] + names[label_index + 1 :])
    columns = NumberColumns(path, feature_names)
    label_cells: list[str] = []
    file_rows: list[int] = []
    for number, cells in table.records:
        if len(file_rows) == MAX_ROWS or (len(file_rows) + 1) * len(feature_names) > MAX_VALUES:
            raise fault(path, number, f"more than {MAX_ROWS} records or {MAX_VALUES} values; split the file")
        cell = cells.pop(label_index).strip()
        if cell.lower() in ("", "nan"):
            raise fault(path, number, "the label is missing; fill it or remove the row", names[label_index])
        label_cells.append(cell)
        file_rows.append(number)
        columns.add(number, cells)
    return CsvContents(feature_names, columns.finish(), names[label_index], label_cells, file_rows)
