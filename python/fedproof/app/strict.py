"""Reading documents that people write: nothing unknown, nothing missing, and every refusal names the field in one line.

A refusal never repeats a value: it may be a secret that was put into the wrong place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from fedproof.errors import InputError

REQUIRED: Final = object()
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def read_json(data: bytes, where: str, limit: int) -> dict[str, Any]:
    """A JSON object of at most `limit` bytes in which no name stands twice.

    Raises:
        InputError: it is none.
    """
    if len(data) > limit:
        raise InputError(f"{where}: more than {limit} bytes")
    try:
        found = json.loads(data, object_pairs_hook=_once, parse_constant=_never, parse_float=finite)
    except (ValueError, RecursionError):
        raise InputError(f"{where}: not JSON, or a name stands twice in it") from None
    if not isinstance(found, dict):
        raise InputError(f"{where}: not a JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def finite(text: str) -> float:
    """A number of a document; ValueError for one beyond all floats, such as 1e999: written again, it is no JSON."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is beyond all numbers")
    return value


def _never(_: str) -> Any:
    raise ValueError("no number")


@dataclass
class Field:
    """A table of a document, and which of its fields have been read. `path` names it in refusals."""

    values: dict[str, Any]
    path: str
    separator: str = ": "
    _read: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, values: dict[str, Any], where: str) -> Self:
        """The whole document of a file."""
        return cls(values, where)

    def at(self, name: str) -> str:
        """How a refusal names a field."""
        return f"{self.path}{self.separator}{name}"

    def refuse(self, name: str, wanted: str) -> InputError:
        """The refusal of a field."""
        return InputError(f"{self.at(name)} must be {wanted}")

    def has(self, name: str) -> bool:
        """Whether a field that may be left out is there."""
        self._read.add(name)
        return name in self.values

    def table(self, name: str, default: Any = REQUIRED) -> Field:
        """A table inside."""
        found = self._take(name, default)
        if not isinstance(found, dict):
            raise self.refuse(name, "a table of fields")
        return Field(found, self.at(name), ".")

    def integer(self, name: str, least: int, most: int, default: Any = REQUIRED) -> int:
        """A whole number in [least, most]."""
        found = self._take(name, default)
        if type(found) is not int or not least <= found <= most:
            raise self.refuse(name, f"a whole number from {least} to {most}")
        return found

    def number(self, name: str, least: float, most: float, default: Any = REQUIRED) -> float:
        """A number in [least, most]."""
        found = self._take(name, default)
        if type(found) not in (int, float) or not least <= found <= most:
            raise self.refuse(name, f"a number from {least:g} to {most:g}")
        return float(found)

    def flag(self, name: str, default: Any = REQUIRED) -> bool:
        """True or false."""
        found = self._take(name, default)
        if type(found) is not bool:
            raise self.refuse(name, "true or false")
        return found

    def text(self, name: str, pattern: str, default: Any = REQUIRED, wanted: str = "") -> str:
        """A text that a pattern matches as a whole."""
        found = self._take(name, default)
        if not isinstance(found, str) or not re.fullmatch(pattern, found):
            raise self.refuse(name, wanted or f"a text of the form {pattern}")
        return found

    def choice(self, name: str, choices: Sequence[str], default: Any = REQUIRED) -> str:
        """One of a few words."""
        found = self._take(name, default)
        if not isinstance(found, str) or found not in choices:
            raise self.refuse(name, "one of " + ", ".join(choices))
        return found

    def items(self, name: str, kind: type, wanted: str, default: Any = REQUIRED) -> tuple[Any, ...]:
        """A list of values of one kind, none twice."""
        found = self._take(name, default)
        if (
            not isinstance(found, list | tuple)
            or not all(type(each) is kind for each in found)
            or len(set(found)) != len(found)
            or len(found) > 1000
        ):
            raise self.refuse(name, f"a list of {wanted}, none of them twice")
        return tuple(found)

    def done(self) -> None:
        """Refuse fields that nobody asked for."""
        for name in sorted(set(self.values) - self._read):
            shown = name if _NAME.fullmatch(name) else "a field with an odd name"
            raise InputError(f"{self.at(shown)} is unknown here; the fields are {', '.join(sorted(self._read))}")

    def _take(self, name: str, default: Any) -> Any:
        self._read.add(name)
        if name in self.values:
            return self.values[name]
        if default is REQUIRED:
            raise InputError(f"{self.at(name)} is missing")
        return default
