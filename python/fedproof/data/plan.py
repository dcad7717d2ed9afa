"""The owner's plan: what each column of a file is, and what happens to missing values.

TOML, because its owner edits it by hand: it takes comments, its tables have no commas and brackets to keep in balance,
and its parser names the line of a mistake. JSON has neither; YAML reads `no` as false and `1.0` versions as numbers.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fedproof.data.limits import MAX_CLASSES, MAX_FEATURES, MAX_MAGNITUDE
from fedproof.data.naming import MAX_TEXT_LENGTH, clean_name, clean_text, quoted, shown
from fedproof.data.tablefile import KINDS
from fedproof.errors import InputError

VERSION: Final = 1
BINARY, CLASSES, TARGET = LABELS = ("binary", "classes", "target")
"""What a label is: one class against the rest, all of its classes, or a number."""
ROLES: Final = ("feature", "label", "identifier", "drop")
MAX_PLAN_BYTES: Final = 8 << 20
_TEXTS: Final = ("domain", "licence", "description")
_FIELDS: Final = {"version", "name", *_TEXTS, "column"}
_COLUMN_FIELDS: Final = {
    "name",
    "role",
    "type",
    "description",
    "missing",
    "centre",
    "scale",
    "classes",
    "positive",
    "labels",
}


@dataclass(frozen=True)
class Column:
    """A column of the file. `missing` is "refuse" or "drop" (the row), or "fill" with the value in `fill`."""

    name: str
    role: str
    kind: str = "number"
    description: str = ""
    missing: str = "refuse"
    fill: float | str | None = None
    centre: float | None = None
    scale: float | None = None
    classes: tuple[str, ...] = ()
    positive: str | None = None
    labels: str = BINARY
    note: str = field(default="", compare=False)
    """A comment for the owner, where the plan is drafted."""


@dataclass(frozen=True)
class Plan:
    """What a file becomes. The order of the columns is that of the features."""

    name: str
    columns: tuple[Column, ...]
    domain: str = ""
    licence: str = ""
    description: str = ""

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that are trained on."""
        return tuple(c for c in self.columns if c.role == "feature")

    @property
    def label(self) -> Column:
        """The column that is predicted."""
        return next(c for c in self.columns if c.role == "label")

    @property
    def scaled(self) -> tuple[Column, ...]:
        """The columns that have a centre and a scale: features, and a target."""
        return (*self.features, *([self.label] if self.label.labels == TARGET else []))

    @property
    def identifiers(self) -> tuple[Column, ...]:
        """The columns that only tier 5 holds."""
        return tuple(c for c in self.columns if c.role == "identifier")

    @property
    def used(self) -> dict[str, str]:
        """The kind of each column that is not dropped."""
        return {c.name: c.kind for c in self.columns if c.role != "drop"}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of class 0, class 1, ...; none where the label is a target."""
        label = self.label
        if label.labels != BINARY:
            return label.classes
        assert label.positive is not None
        others = [name for name in label.classes if name != label.positive]
        return (others[0] if len(others) == 1 else f"not {label.positive}", label.positive)


def read_plan(path: Path) -> Plan:
    """Read and check a plan.

    Raises:
        InputError: in one line, what is wrong in which column, and what to do.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PLAN_BYTES + 1)
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {error.strerror}; check the path") from None
    if len(data) > MAX_PLAN_BYTES:
        raise InputError(f"{shown(path)}: the limit of a schema is {MAX_PLAN_BYTES >> 20} MiB")
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{shown(path)}: not TOML: {' '.join(str(error).split())[:200]}") from None
    except UnicodeDecodeError:
        raise InputError(f"{shown(path)}: not UTF-8; save it as UTF-8") from None
    except ValueError:  # the parser leaves what Python reads no number from, such as one of 5,000 digits
        raise InputError(f"{shown(path)}: it holds a number that is too long") from None
    return _plan(shown(path), document)


def _plan(where: str, document: dict[str, Any]) -> Plan:
    if type(document.get("version")) is not int or document["version"] != VERSION:
        raise InputError(f"{where}: not version {VERSION} of the schema; a newer fedproof may be needed")
    _no_others(where, document, _FIELDS)
    name = document.get("name")
    if not isinstance(name, str) or not clean_name(name):
        raise InputError(f"{where}: the name must be a short printable text")
    tables = document.get("column")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{where}: it has no [[column]]; draft it again")
    columns = tuple(_column(where, table) for table in tables)
    texts = {key: _text(where, document, key) for key in _TEXTS}
    seen: set[str] = set()
    for column in columns:
        if column.name in seen:
            raise InputError(f"{where}: column {quoted(column.name)} is there twice; remove one")
        seen.add(column.name)
    labels = [c.name for c in columns if c.role == "label"]
    features = [c for c in columns if c.role == "feature"]
    if len(labels) != 1:
        raise InputError(f"{where}: {len(labels) or 'no'} columns have the role label; one must have it")
    if not 0 < len(features) <= MAX_FEATURES:
        raise InputError(f"{where}: {len(features)} columns have the role feature; 1 to {MAX_FEATURES} are needed")
    return Plan(name, columns, **texts)


def _column(where: str, table: dict[str, Any]) -> Column:
    name = table.get("name")
    if not isinstance(name, str) or not clean_name(name):
        raise InputError(f"{where}: a [[column]] has no usable name; give it the name of a column of the file")
    where = f"{where}, column {quoted(name)}"
    _no_others(where, table, _COLUMN_FIELDS)
    role, kind = table.get("role"), table.get("type", "number")
    if role not in ROLES:
        raise InputError(f"{where}: unknown role {quoted(role)}; use feature, label, identifier or drop")
    if kind not in KINDS:
        raise InputError(f"{where}: unknown type {quoted(kind)}; use number, integer, boolean or text")
    if role == "feature" and kind == "text":
        raise InputError(f"{where}: a feature cannot be text; code it as numbers, or make its role drop")
    labels = _labels(where, table, role)
    if labels == TARGET:
        kind = "number"
    elif role in ("label", "identifier"):
        kind = "text"  # read as it stands; a number keeps all its digits
    missing, fill = _missing(where, role, table.get("missing", "refuse"))
    centre, scale = (_number(where, table, key) for key in ("centre", "scale"))
    if (centre is None) != (scale is None):
        raise InputError(f"{where}: centre and scale belong together; give both or neither")
    if scale is not None and scale <= 0:
        raise InputError(f"{where}: the scale must be above 0")
    classes, positive = _classes(where, table, labels) if role == "label" else ((), None)
    description = _text(where, table, "description")
    return Column(name, role, kind, description, missing, fill, centre, scale, classes, positive, labels)


def _missing(where: str, role: str, rule: Any) -> tuple[str, float | str | None]:
    if rule in ("refuse", "drop"):
        return rule, None
    if isinstance(rule, dict) and set(rule) == {"fill"} and role != "label":
        value = rule["fill"]
        if role == "identifier" and isinstance(value, str):
            return "fill", value
        if role != "identifier" and type(value) in (int, float) and abs(value) <= MAX_MAGNITUDE:
            return "fill", float(value)
    allowed = 'use "refuse", "drop" (the row)'
    fill = {"label": "", "identifier": ' or { fill = "text" }'}.get(role, " or { fill = 0.0 } with a finite number")
    raise InputError(f"{where}: unknown rule for missing values; {allowed}{fill}")


def _labels(where: str, table: dict[str, Any], role: str) -> str:
    labels = table.get("labels", BINARY)
    if labels not in LABELS:
        raise InputError(f"{where}: unknown labels {quoted(labels)}; use binary, classes or target")
    if role != "label" and "labels" in table:
        raise InputError(f"{where}: only the label has labels; remove the field")
    return str(labels)


def _classes(where: str, table: dict[str, Any], labels: str) -> tuple[tuple[str, ...], str | None]:
    classes, positive = table.get("classes", []), table.get("positive")
    if labels == TARGET:
        if "classes" in table or positive is not None:
            raise InputError(f"{where}: a target has no classes; remove classes and positive")
        return (), None
    if labels == CLASSES and positive is not None:
        raise InputError(f"{where}: positive makes two classes, and all of them shall stay; remove it")
    if not isinstance(classes, list) or not all(isinstance(c, str) and clean_name(c) for c in classes):
        raise InputError(f"{where}: classes must be short printable texts in quotes")
    if len(classes) > MAX_CLASSES:
        raise InputError(f"{where}: {len(classes)} classes are too many; {MAX_CLASSES} is the most")
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise InputError(f"{where}: two or more different classes are needed, it has {len(set(classes))}")
    if positive is not None and positive not in classes:
        raise InputError(f"{where}: positive {quoted(positive)} is none of its classes")
    if positive is None and labels == BINARY:
        if len(classes) > 2:
            raise InputError(
                f"{where}: it has {len(classes)} classes; name the one that becomes 1 as positive, or write "
                'labels = "classes"'
            )
        positive = classes[1]
    return tuple(classes), positive


def _number(where: str, table: dict[str, Any], key: str) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or not abs(value) <= MAX_MAGNITUDE:
        raise InputError(f"{where}: {key} must be a finite number")
    return float(value)


def _text(where: str, table: dict[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or not clean_text(value):
        raise InputError(f"{where}: {key} must be printable text of at most {MAX_TEXT_LENGTH} characters")
    return value


def _no_others(where: str, table: dict[str, Any], known: set[str]) -> None:
    others = sorted(set(table) - known)
    if others:
        raise InputError(f"{where}: unknown field {quoted(others[0])}; the fields are {', '.join(sorted(known))}")
