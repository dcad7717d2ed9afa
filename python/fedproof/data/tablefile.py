"""A table in a file, CSV or Parquet, read in batches of columns: memory does not grow with the file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from fedproof.data.cells import read_cells, to_texts
from fedproof.data.csvlines import open_csv
from fedproof.data.limits import BATCH_BYTES, BATCH_CELLS, MAX_BATCH_ROWS, MAX_STREAMED_BYTES, MAX_STREAMED_ROWS
from fedproof.data.naming import fault, shown
from fedproof.errors import InputError

KINDS: Final = ("number", "integer", "boolean", "text")
PARQUET_MAGIC: Final = b"PAR1"


@dataclass(frozen=True)
class Batch:
    """Some rows of a file: `rows` are their numbers there. NaN and None stand for what is missing."""

    rows: Sequence[int]
    numbers: dict[str, NDArray[np.float64]]
    texts: dict[str, list[str | None]]


class TableFile(Protocol):
    """A table in a file."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def header(self) -> int:
        """The row of the names, for messages."""

    @property
    def names(self) -> list[str]:
        """The columns."""

    @property
    def kinds(self) -> dict[str, str] | None:
        """The kind of each column, where the format says it."""

    def batches(self, kinds: Mapping[str, str]) -> Iterator[Batch]:
        """The columns that are named, each read as this kind; the others are not looked at.

        Raises:
            InputError: a value is not of its kind; with row and column.
        """


def open_table(path: Path) -> TableFile:
    """Open a CSV or Parquet file, by what is in it.

    Raises:
        InputError: no such file, or its head is not that of a table.
    """
    try:
        mode = path.stat().st_mode
        if not S_ISREG(mode) and not S_ISDIR(mode):
            raise InputError(f"{shown(path)} is not a regular file; name a CSV or Parquet file")  # a pipe would wait
        with path.open("rb") as file:
            magic = file.read(len(PARQUET_MAGIC))
    except IsADirectoryError:
        raise InputError(f"{shown(path)} is a directory; name a CSV or Parquet file in it") from None
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {error.strerror}; check the path") from None
    if magic == PARQUET_MAGIC:
        from fedproof.data.parquet import ParquetFile  # the library takes half a second to import

        return ParquetFile(path)
    return CsvFile(path)


class CsvFile:
    """A CSV file: one record is one line, UTF-8, commas, a header."""

    kinds = None

    def __init__(self, path: Path) -> None:
        self.path = path
        table = open_csv(path, MAX_STREAMED_BYTES)
        self.header, self.names = table.header, table.names

    def batches(self, kinds: Mapping[str, str]) -> Iterator[Batch]:
        """As `TableFile` says."""
        table = open_csv(self.path, MAX_STREAMED_BYTES)
        if table.names != self.names:
            raise InputError(f"{shown(self.path)} changed while it was read; run again when nobody writes to it")
        size = batch_rows(len(self.names))
        total = 0
        while records := _some(table.records, size):
            total += len(records)
            rows = [number for number, _ in records]
            if total > MAX_STREAMED_ROWS:
                raise fault(self.path, rows[-1], f"more than {MAX_STREAMED_ROWS} records; split the file")
            columns = dict(zip(self.names, zip(*(cells for _, cells in records), strict=True), strict=True))
            numbers = {
                name: read_cells(self.path, rows, name, columns[name], kind)
                for name, kind in kinds.items()
                if kind != "text"
            }
            texts = {name: to_texts(columns[name]) for name, kind in kinds.items() if kind == "text"}
            yield Batch(rows, numbers, texts)


def _some(records: Iterator[tuple[int, list[str]]], rows: int) -> list[tuple[int, list[str]]]:
    """The next records, so many or as long as they may be in memory together; none at the end of the file."""
    found: list[tuple[int, list[str]]] = []
    letters = 0
    for record in records:
        found.append(record)
        letters += sum(map(len, record[1]))
        if len(found) == rows or letters >= BATCH_BYTES:
            break
    return found


def batch_rows(columns: int) -> int:
    """Rows of a batch at most."""
    return max(1, min(MAX_BATCH_ROWS, BATCH_CELLS // columns))


def fingerprint(path: Path) -> tuple[str, int]:
    """SHA-256 and size of a file.

    Raises:
        InputError: it cannot be read, or is too large.
    """
    digest, size = sha256(), 0
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
                size += len(piece)
                if size > MAX_STREAMED_BYTES:
                    raise InputError(f"{shown(path)}: the limit is {MAX_STREAMED_BYTES >> 30} GiB; split the file")
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {error.strerror}; check the path") from None
    return digest.hexdigest(), size
