"""Apply a plan to the batches of a file: rows that stay, with features, class and identifiers."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from fedproof.data.cells import runs_in_a_spreadsheet
from fedproof.data.draft import label_text
from fedproof.data.naming import fault, quoted, shown
from fedproof.data.plan import BINARY, TARGET, Column, Plan
from fedproof.data.tablefile import Batch, TableFile
from fedproof.errors import InputError


@dataclass(frozen=True)
class Rows:
    """Cleaned rows: `features` `(n, f)`; `classes` are indices into the label's classes, none for a target; `labels`
    are what is trained on: 0 or 1, the classes, or the targets as they stand."""

    features: NDArray[np.float64]
    classes: NDArray[np.int64]
    labels: NDArray[np.int64] | NDArray[np.float64]
    identifiers: dict[str, list[str | None]]


class Cleaner:
    """Cleans a file and counts what it met."""

    def __init__(self, plan: Plan, table: TableFile) -> None:
        self._plan, self._table = plan, table
        label = plan.label
        self._codes: dict[str, int] = {name: code for code, name in enumerate(label.classes)}
        self._positive = label.classes.index(plan.class_names[1]) if label.labels == BINARY else None
        self.read = 0
        self.kept = 0
        self.missing: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.filled: Counter[str] = Counter()
        self.formulas: Counter[str] = Counter()
        self.class_counts = np.zeros(len(label.classes), dtype=np.int64)

    def run(self) -> Iterator[Rows]:
        """The rows that stay, batch by batch.

        Raises:
            InputError: a value that the plan refuses, with row and column.
        """
        for batch in self._table.batches(self._plan.used):
            rows = self._clean(batch)
            self.read += len(batch.rows)
            self.kept += len(rows.labels)
            self.class_counts += np.bincount(rows.classes, minlength=len(self.class_counts))
            yield rows

    def counts(self) -> tuple[object, ...]:
        """All counts, to compare two runs."""
        counters = self.missing, self.dropped, self.filled, self.formulas
        return self.read, self.kept, *counters, self.class_counts.tolist()

    def spreadsheet_cells(self) -> dict[str, int]:
        """How many cells of each column a spreadsheet would run, where there are any; a column's name is one."""
        found = dict(self.formulas)
        label = self._plan.label
        counted = zip(label.classes, self.class_counts.tolist(), strict=True)
        found[label.name] = sum(count for name, count in counted if runs_in_a_spreadsheet(name))
        for column in (*self._plan.features, label, *self._plan.identifiers):
            found[column.name] = found.get(column.name, 0) + runs_in_a_spreadsheet(column.name)
        return {name: count for name, count in found.items() if count}

    def _clean(self, batch: Batch) -> Rows:
        keep = np.ones(len(batch.rows), dtype=bool)
        gaps: list[tuple[Column, NDArray[np.bool_]]] = []
        for name in self._plan.used:
            column = next(c for c in self._plan.columns if c.name == name)
            gap = self._gap(batch, column)
            if gap is None:
                continue
            self.missing[name] += int(gap.sum())
            if column.missing == "refuse":
                self._refuse(batch, column, gap)
            if column.missing == "drop":
                self.dropped[name] += int((gap & keep).sum())
                keep &= ~gap
            else:
                gaps.append((column, gap))
        for column, gap in gaps:
            self.filled[column.name] += int((gap & keep).sum())
            if column.role == "feature":
                batch.numbers[column.name][gap] = column.fill
        features = np.column_stack([batch.numbers[c.name] for c in self._plan.features])
        target = self._plan.label.labels == TARGET
        classes = np.zeros(0, dtype=np.int64) if target else self._classes(batch, keep)
        identifiers = {c.name: self._identifier(batch, c, keep) for c in self._plan.identifiers}
        labels: NDArray[np.int64] | NDArray[np.float64] = classes
        if target:
            labels = batch.numbers[self._plan.label.name][keep]
        elif self._positive is not None:
            labels = (classes == self._positive).astype(np.int64)
        return Rows(features if keep.all() else features[keep], classes, labels, identifiers)

    def _gap(self, batch: Batch, column: Column) -> NDArray[np.bool_] | None:
        if column.kind == "text":
            cells = batch.texts[column.name]
            return np.array([cell is None for cell in cells]) if None in cells else None
        gap = np.isnan(batch.numbers[column.name])
        return gap if gap.any() else None

    def _refuse(self, batch: Batch, column: Column, gap: NDArray[np.bool_]) -> NoReturn:
        row = batch.rows[int(np.argmax(gap))]
        problem = "the label is missing" if column.role == "label" else "the value is missing"
        problem += "; fill it, remove the row, or change the column's rule in the schema"
        raise fault(self._table.path, row, problem, column.name)

    def _classes(self, batch: Batch, keep: NDArray[np.bool_]) -> NDArray[np.int64]:
        name, codes = self._plan.label.name, self._codes
        out = np.full(len(batch.rows), -1, dtype=np.int64)
        for i, cell in enumerate(batch.texts[name]):
            if cell is None or not keep[i]:
                continue
            code = codes.get(cell)
            if code is None:
                code = codes.get(label_text(cell))
                if code is None:
                    problem = "a label that the schema does not list; add it to classes, or correct the row"
                    raise fault(self._table.path, batch.rows[i], problem, name)
            out[i] = code
        return out[keep]

    def _identifier(self, batch: Batch, column: Column, keep: NDArray[np.bool_]) -> list[str | None]:
        fill = column.fill if isinstance(column.fill, str) else None
        cells = batch.texts[column.name]
        kept_cells = [fill if cell is None else cell for cell, kept in zip(cells, keep, strict=True) if kept]
        self.formulas[column.name] += sum(runs_in_a_spreadsheet(cell) for cell in kept_cells if cell)
        return kept_cells


def check_columns(plan: Plan, table: TableFile) -> None:
    """Refuse a plan of another file.

    Raises:
        InputError: a column of one is not in the other.
    """
    planned = [column.name for column in plan.columns]
    lost = [name for name in planned if name not in set(table.names)]
    if lost:
        raise InputError(
            f"{shown(table.path)}: no column {quoted(lost[0])}, which the schema lists ({len(lost)} of {len(planned)} "
            "are missing); is it the schema of another file?"
        )
    unknown = [name for name in table.names if name not in set(planned)]
    if unknown:
        raise InputError(
            f"{shown(table.path)}: column {quoted(unknown[0])} is not in the schema; add it there, with the role drop "
            "if it is not wanted"
        )
