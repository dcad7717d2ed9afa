"""The lines of a CSV file as cells, and its header, strictly and with bounded memory.

One record is one line, so the number in a message is the line's number in the file, the header being row 1. Messages
say where, never what the cell holds: the records are private.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from fedproof.data.limits import MAX_CELL_BYTES, MAX_FEATURES, MAX_FILE_BYTES, MAX_LINE_BYTES
from fedproof.data.naming import clean_name, fault, quoted, shown
from fedproof.data.numbers import NUMBER
from fedproof.errors import InputError

LABEL_NAMES = ("label", "target", "class", "diagnosis", "y")
BINARY_STARTS = (b"PK\x03\x04", b"\x1f\x8b", b"PAR1", b"%PDF", b"\x89PNG", b"\x89HDF")
UTF8_BOM = b"\xef\xbb\xbf"
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
LONG_CELL = f"a cell is longer than {MAX_CELL_BYTES >> 10} KiB; shorten it, or remove the column"


@dataclass(frozen=True)
class CsvTable:
    """An open file: the row of its header, the names there, and the records as (row number, cells)."""

    header: int
    names: list[str]
    records: Iterator[tuple[int, list[str]]]


def open_csv(path: Path, max_bytes: int | None = None) -> CsvTable:
    """Read the header; the records follow as they are asked for, each with a cell for every name.

    Raises:
        InputError: in one line, what is wrong with the file and where; also while the records are read.
    """
    lines = _lines(path, MAX_FILE_BYTES if max_bytes is None else max_bytes)
    try:
        header, names = next(lines)
    except StopIteration:
        raise InputError(f"{shown(path)}: the file is empty; it needs a header row and records") from None
    names = [name.strip() for name in names]
    _check_header(path, header, names)
    return CsvTable(header, names, _records(path, lines, len(names)))


def _records(path: Path, lines: Iterator[tuple[int, list[str]]], count: int) -> Iterator[tuple[int, list[str]]]:
    for number, cells in lines:
        if len(cells) != count:
            found = f"it has {len(cells)} cells, the header has {count}"
            raise fault(path, number, f"{found}; correct the row, or quote cells that contain a comma")
        yield number, cells


def _lines(path: Path, max_bytes: int) -> Iterator[tuple[int, list[str]]]:
    """The non-blank lines as (row number in the file, cells). A quoted cell must close on its line.

    Without that rule one stray quote would swallow the rest of the file, and a row number would no longer be a line.
    """
    try:
        status = path.stat()
        if S_ISDIR(status.st_mode):
            raise InputError(f"{shown(path)} is a directory; name a CSV file in it")
        if not S_ISREG(status.st_mode):
            raise InputError(f"{shown(path)} is not a regular file; name a CSV file")
        if status.st_size > max_bytes:
            raise InputError(
                f"{shown(path)} has {status.st_size >> 20} MiB; the limit is {max_bytes >> 20} MiB: "
                "use fewer rows or digits"
            )
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                cells = _cells(path, number, line)
                if cells:
                    yield number, cells
    except OSError as error:
        raise InputError(
            f"{shown(path)} cannot be read: {error.strerror or 'input/output error'}; check the path"
        ) from None


def _cells(path: Path, number: int, line: bytes) -> list[str]:
    if number == 1:
        if line.startswith(UTF16_BOMS):
            raise InputError(f"{shown(path)} is not UTF-8 but UTF-16; save it as CSV in UTF-8")
        if line.startswith(BINARY_STARTS):
            raise InputError(f"{shown(path)} is a binary file, not CSV; export the table as CSV in UTF-8")
        line = line.removeprefix(UTF8_BOM)
    if b"\0" in line:
        raise fault(path, number, "a zero byte, so this is a binary file; export the table as CSV in UTF-8")
    if len(line) > MAX_LINE_BYTES:
        raise fault(path, number, f"the line is longer than {MAX_LINE_BYTES >> 20} MiB; is this a CSV file?")
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise fault(path, number, "not UTF-8; save the file as CSV in UTF-8") from None
    if not text.strip():
        return []
    if '"' not in text and "\r" not in text:
        cells = text.split(",")  # what the reader gives, five times as fast
    else:
        try:
            cells = next(csv.reader((text,), strict=True))
        except csv.Error as error:
            problem = "broken quoting or a stray line break; close each quoted cell on its own line"
            # the reader has a limit of its own, of as many letters
            raise fault(path, number, LONG_CELL if "field limit" in str(error) else problem) from None
    if len(line) > MAX_CELL_BYTES and any(len(cell.encode()) > MAX_CELL_BYTES for cell in cells):
        raise fault(path, number, LONG_CELL)
    return cells


def _check_header(path: Path, header: int, names: list[str]) -> None:
    if len(names) == 1:
        hint = "; separate the columns with commas" if any(c in names[0] for c in ";\t|") else ""
        raise fault(path, header, f"one column only, but a label and a feature are needed{hint}")
    if len(names) > MAX_FEATURES + 1:
        raise fault(path, header, f"{len(names)} columns; the limit is {MAX_FEATURES} features and a label")
    if all(NUMBER.fullmatch(name) for name in names):
        raise fault(path, header, "numbers only, so the header row is missing; add a first line of column names")
    first: dict[str, int] = {}
    for column, name in enumerate(names, 1):
        if not clean_name(name):
            raise fault(
                path, header, f"column {column} has no usable name ({quoted(name)}); name it or remove the column"
            )
        if name in first:
            raise fault(
                path, header, f"columns {first[name]} and {column} are both named {quoted(name)}; rename one of them"
            )
        first[name] = column


def label_column(path: Path, header: int, names: list[str], label: str | None) -> int:
    """Which column is the label: the one that is named, or one of `LABEL_NAMES`, or the last."""
    if label is not None:
        if label.strip() in names:
            return names.index(label.strip())
        listed = ", ".join(map(quoted, names[:10])) + (", ..." if len(names) > 10 else "")
        raise fault(path, header, f"no label column {quoted(label)}; the columns are {listed}")
    found = [i for i, name in enumerate(names) if name.casefold() in LABEL_NAMES]
    if len(found) > 1:
        # taking one of them would leave the other in as a feature and give the answer away
        listed = " and ".join(quoted(names[i]) for i in found)
        raise fault(path, header, f"{listed} could each be the label; name it with the option label")
    return found[0] if found else len(names) - 1
