"""Draft the plan of a file: what its columns seem to be, for its owner to look over."""

import json
import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedproof.data.cells import to_booleans, to_numbers
from fedproof.data.csvlines import label_column
from fedproof.data.limits import MIN_ROWS
from fedproof.data.load import MAX_LISTED
from fedproof.data.naming import clean_name, quoted, shown
from fedproof.data.numbers import NUMBER
from fedproof.data.plan import BINARY, CLASSES, TARGET, VERSION, Column, Plan
from fedproof.data.tablefile import Batch, TableFile
from fedproof.errors import InputError

IDENTIFYING: Final = re.compile(
    r"(^|[\W_])(id|ids|uuid|guid|name|surname|email|mail|phone|tel|address|street|zip|postcode|ssn|mrn|nhs|"
    r"passport|licen[cs]e|plate|iban|account|birth|dob|birthdate|ip|mac|lat|lon|latitude|longitude)($|[\W_])"
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Watch:
    """What one column has shown so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.numeric = self.whole = self.boolean = self.words = self.counter = True
        self.missing = self.present = 0
        self._last: float | None = None
        self._step: float | None = None

    def see(self, cells: list[str | None]) -> None:
        """Look at some cells, in order."""
        found = [cell for cell in cells if cell is not None]
        if self.boolean:
            values, wrong = to_booleans(found)
            self.boolean = wrong is None
            self.words = self.words and not any(NUMBER.fullmatch(cell) for cell in found)
        if self.numeric:
            values, wrong = to_numbers(found)
            self.numeric = wrong is None
            if wrong is None:
                gaps = int(np.isnan(values).sum())
                self.missing += gaps
                self.present -= gaps
                values = values[~np.isnan(values)]
                self.whole = self.whole and bool((np.rint(values) == values).all())
                self._count(values)
        self.missing += len(cells) - len(found)
        self.present += len(found)

    def _count(self, values: NDArray[np.float64]) -> None:
        """Whether the values go up in equal steps: then they number the rows and say nothing of them."""
        if not self.counter or not len(values):
            return
        steps = np.diff(values if self._last is None else np.concatenate(([self._last], values)))
        if len(steps):
            self._step = float(steps[0]) if self._step is None else self._step
            self.counter = self._step != 0 and bool((steps == self._step).all())
        self._last = float(values[-1])

    @property
    def kind(self) -> str:
        """The kind of column that takes all that was seen."""
        if self.present and self.boolean and self.words:
            return "boolean"
        return ("integer" if self.whole else "number") if self.numeric else "text"


def draft_plan(
    table: TableFile,
    name: str,
    label: str | None = None,
    positive: str | None = None,
    identifiers: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
    labels: str | None = None,
    **texts: str,
) -> tuple[Plan, list[str]]:
    """A plan and what its owner still has to decide, a line each. Centres and scales are left open.

    Args:
        labels: binary, classes or target; by default binary.

    Raises:
        InputError: the file cannot be read as a table, or a name is none of its columns.
    """
    for wanted in (*identifiers, *drop, *([label] if label else [])):
        if wanted not in table.names:
            raise InputError(f"{shown(table.path)}: no column {quoted(wanted)}; it has {len(table.names)} others")
    if len(table.names) < 2:
        raise InputError(f"{shown(table.path)}: one column only, but a label and a feature are needed")
    target = table.names[label_column(table.path, table.header, table.names, label)]
    watches = {column: Watch(column) for column in table.names}
    classes: set[str] = set()
    rows = 0
    for batch in table.batches(dict.fromkeys(table.names, "text")):
        rows += len(batch.rows)
        _see(batch, watches)
        if len(classes) <= MAX_LISTED:
            classes |= {cell for cell in batch.texts[target] if cell is not None}
    if rows < MIN_ROWS:
        found = {0: "a header but no records", 1: "one record"}.get(rows, f"{rows} records")
        raise InputError(f"{shown(table.path)} has {found}; at least {MIN_ROWS} are needed (one batch)")
    open_points: list[str] = []
    columns = []
    for column, watch in watches.items():
        if column == target:
            columns.append(_label(table.path, watch, classes, positive, labels))
        else:
            columns.append(_column(watch, column in identifiers, column in drop))
    predicted = next(c for c in columns if c.role == "label")
    if predicted.labels == BINARY and predicted.positive is None:
        open_points.append(
            f'column {quoted(predicted.name)}: name the class that becomes 1 as positive, or write labels = "classes"'
        )
    if not any(c.role == "feature" for c in columns):
        raise InputError(f"{shown(table.path)}: no column of numbers is left as a feature; code text as numbers first")
    return Plan(name, tuple(columns), **texts), open_points


def _see(batch: Batch, watches: dict[str, Watch]) -> None:
    for column, watch in watches.items():
        watch.see(batch.texts[column])


def _column(watch: Watch, identifier: bool, drop: bool) -> Column:
    note = f"{watch.missing} cells are missing: choose a rule" if watch.missing else ""
    kind = watch.kind
    if drop:
        return Column(watch.name, "drop", kind)
    words = _CAMEL.sub("_", watch.name).lower()
    if identifier or IDENTIFYING.search(words):
        note = "its name says it identifies somebody: tier 5 only" if not identifier else ""
        return Column(watch.name, "identifier", "text", missing="fill", fill="", note=note)
    if watch.present == 0:
        return Column(watch.name, "drop", kind, note="no cell has a value")
    if kind == "text":
        # in doubt out: what is dropped is in no tier
        return Column(watch.name, "drop", kind, note="text: code it as numbers, or make it an identifier (tier 5)")
    if kind == "integer" and watch.counter:
        return Column(watch.name, "identifier", "text", missing="fill", fill="", note="it numbers the rows")
    return Column(watch.name, "feature", kind, note=note)


def _label(path: Path, watch: Watch, classes: set[str], positive: str | None, labels: str | None) -> Column:
    where = f"{shown(path)}, column {quoted(watch.name)}"
    missing = f"{watch.missing} labels are missing: refuse them or drop the rows" if watch.missing else ""
    if positive is not None and labels in (CLASSES, TARGET):
        raise InputError(f"--positive makes two classes, which labels of kind {labels} are not: leave one out")
    if labels == TARGET:
        if not watch.numeric or not watch.present:
            raise InputError(f"{where}: a target must be a number in every row")
        return Column(watch.name, "label", "number", labels=TARGET, note=missing)
    if len(classes) > MAX_LISTED:
        hint = "; a number to predict takes --labels target" if watch.numeric else ""
        raise InputError(f"{where}: more than {MAX_LISTED} different values; is it the label column?{hint}")
    order = sorted(classes, key=float) if watch.numeric else sorted(classes)
    order = list(dict.fromkeys(map(label_text, order)))
    for name in order:
        if not clean_name(name):
            raise InputError(f"{where}: a label cannot be a class name; use short printable ones")
    if len(order) < 2:
        raise InputError(f"{where}: one class only; records of two classes are needed")
    if positive is not None and label_text(positive) not in order:
        raise InputError(f"{where}: no class {quoted(positive)}; the classes are {', '.join(map(quoted, order))}")
    if labels == CLASSES:
        return Column(watch.name, "label", "text", classes=tuple(order), labels=CLASSES, note=missing)
    chosen = label_text(positive) if positive is not None else (order[1] if len(order) == 2 else None)
    return Column(watch.name, "label", "text", classes=tuple(order), positive=chosen, note=missing)


def label_text(cell: str) -> str:
    """The name of a label's class. Numbers are compared as numbers: 1 and 1.0 are one class."""
    if NUMBER.fullmatch(cell):
        value = float(cell)
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return cell


def write_plan(plan: Plan) -> str:
    """The plan as TOML with the comments that its owner needs."""
    lines = [
        "# What becomes of the file. Look it over, edit it, and run the same command again.",
        '# role: "feature" (trained on), "label" (predicted), "identifier" (tier 5 only) or "drop" (in no tier)',
        '# type: "number", "integer", "boolean" or "text"',
        '# labels of the label: "binary" (positive against the rest), "classes" (all of them) or "target" (a number)',
        '# missing: "refuse", "drop" (the row), or { fill = 0.0 }',
        "# centre, scale: a feature is proven as (value - centre) / scale within -8 to 8. They are public: do not",
        "# compute them from private records. Leave them out to have them taken from --public FILE.",
        f"version = {VERSION}",
        *(f"{key} = {_quote(getattr(plan, key))}" for key in ("name", "domain", "licence", "description")),
    ]
    for column in plan.columns:
        lines += ["", "[[column]]" + (f"  # {column.note}" if column.note else "")]
        lines += [f"name = {_quote(column.name)}", f'role = "{column.role}"', f'type = "{column.kind}"']
        if column.role == "label":
            if column.labels != BINARY:
                lines.append(f"labels = {_quote(column.labels)}")
            if column.labels != TARGET:
                lines.append(f"classes = [{', '.join(map(_quote, column.classes))}]")
            if column.labels == BINARY:
                lines.append(f"positive = {_quote(column.positive)}" if column.positive else '# positive = "..."')
        if column.role == "feature" or column.labels == TARGET:
            if column.centre is None:
                lines.append("# centre = 0.0\n# scale = 1.0")
            else:
                lines.append(f"centre = {column.centre!r}\nscale = {column.scale!r}")
        if column.role != "drop":
            fill = _quote(column.fill) if isinstance(column.fill, str) else repr(column.fill)
            lines.append(
                f"missing = {{ fill = {fill} }}" if column.missing == "fill" else f'missing = "{column.missing}"'
            )
            lines.append(f"description = {_quote(column.description)}")
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a TOML string, too, for printable text
