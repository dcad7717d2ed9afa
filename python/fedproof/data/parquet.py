"""Parquet files, through Apache Arrow. Rows in messages are records, counted from 1."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fedproof.data.cells import check_kind, to_texts
from fedproof.data.limits import (
    BATCH_BYTES,
    MAX_CELL_BYTES,
    MAX_FEATURES,
    MAX_STREAMED_BYTES,
    MAX_STREAMED_ROWS,
)
from fedproof.data.naming import clean_name, fault, quoted, shown
from fedproof.data.tablefile import Batch, batch_rows
from fedproof.errors import InputError

BUFFER_BYTES = 1 << 20
MAX_THRIFT_BYTES = 64 << 20

T = TypeVar("T")


class ParquetFile:
    """A Parquet file of plain columns."""

    header = 0

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.stat().st_size > MAX_STREAMED_BYTES:
            raise InputError(f"{shown(path)}: the limit is {MAX_STREAMED_BYTES >> 30} GiB; split the file")
        try:
            with self._open() as file:
                schema: Any = file.schema_arrow
                rows: int = file.metadata.num_rows
                self.names: list[str] = list(schema.names)
        except UnicodeDecodeError as error:
            raise self._damaged(error) from None
        if rows > MAX_STREAMED_ROWS:
            raise InputError(f"{shown(path)} has {rows} records; the limit is {MAX_STREAMED_ROWS}: split the file")
        self._check_names()
        self.kinds = {field.name: self._kind(field) for field in schema}
        self._strings = {field.name for field in schema if _is_string(field.type)}

    def batches(self, kinds: Mapping[str, str]) -> Iterator[Batch]:
        """As `TableFile` says."""
        for name, kind in kinds.items():
            found = self.kinds[name]
            if kind != "text" and found == "text":
                raise InputError(f"{shown(self.path)}, column {quoted(name)}: its type is text, not {kind}; correct it")
            if kind == "boolean" and found == "number":
                raise InputError(f"{shown(self.path)}, column {quoted(name)}: its type is {found}, not boolean")
        start = 1
        strings = [name for name in kinds if name in self._strings]
        # read as dictionaries, or one long text that many rows share would be copied for each of them
        with self._open(strings) as file:
            size = min(batch_rows(len(self.names)), self._rows_within(file.metadata, strings))
            batches = file.iter_batches(size, columns=list(kinds), use_threads=False)
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowException, OSError) as error:
                    raise self._damaged(error) from None
                if batch is None:
                    return
                for part in self._parts(batch, start, strings):
                    yield self._batch(part, range(start, start + part.num_rows), kinds)
                    start += part.num_rows

    def _rows_within(self, metadata: Any, strings: Sequence[str]) -> int:
        """How many rows a batch with text may have by what the file says of itself.

        By the size of whole row groups: asked for a column whose metadata is damaged, Arrow ends the process.
        """
        least = MAX_STREAMED_ROWS
        for number in range(metadata.num_row_groups if strings else 0):
            group = metadata.row_group(number)
            size = group.total_byte_size
            if size > BATCH_BYTES and group.num_rows > 0:
                least = min(least, max(1, BATCH_BYTES * group.num_rows // size))
        return least

    def _parts(self, batch: Any, start: int, strings: Sequence[str]) -> Iterator[Any]:
        """Stretches of a batch whose text may be in memory all at once.

        Raises:
            InputError: a text is too long for a cell.
        """
        sizes = np.zeros(batch.num_rows, dtype=np.int64)
        for name in strings:
            lengths = self._converted(name, _lengths, batch.column(name))
            if len(lengths) and lengths.max() > MAX_CELL_BYTES:
                problem = f"a text longer than {MAX_CELL_BYTES >> 10} KiB; shorten it, or leave the column out"
                raise fault(self.path, start + int(lengths.argmax()), problem, name)
            sizes += lengths
        ends = np.cumsum(sizes)
        first = 0
        while first < batch.num_rows:
            most = BATCH_BYTES + (int(ends[first - 1]) if first else 0)
            end = max(first + 1, int(np.searchsorted(ends, most, "right")))
            yield batch.slice(first, end - first)
            first = end

    def _batch(self, batch: Any, rows: Sequence[int], kinds: Mapping[str, str]) -> Batch:
        numbers, texts = {}, {}
        for name, kind in kinds.items():
            column = batch.column(name)
            if kind == "text":
                cells = self._converted(name, _texts, column)
                for row, cell in zip(rows, cells, strict=True):
                    if cell is not None and not cell.isprintable():
                        raise fault(self.path, row, "a line break or invisible character; remove it", name)
                texts[name] = to_texts(cells)
                continue
            array = self._converted(name, _numbers, column)
            check_kind(self.path, rows, name, array, kind)
            numbers[name] = array
        return Batch(rows, numbers, texts)

    def _converted(self, name: str, convert: Callable[[Any], T], column: Any) -> T:
        """What a conversion gives.

        Raises:
            InputError: the column's values are not of the type that the file gives it.
        """
        try:
            return convert(column)
        except UnicodeDecodeError:
            raise InputError(
                f"{shown(self.path)}, column {quoted(name)}: a text is not UTF-8; export it again"
            ) from None
        except (pa.ArrowException, ValueError, OverflowError) as error:
            # such as a time zone that this machine does not know
            raise InputError(
                f"{shown(self.path)}, column {quoted(name)}: its values cannot be read ({type(error).__name__}); "
                "export it as plain numbers or text"
            ) from None

    def _open(self, strings: Sequence[str] = ()) -> Any:
        try:
            # a buffer for each column in place of whole row groups, or a file of one group would be read at once
            return pq.ParquetFile(
                self.path,
                read_dictionary=list(strings),
                buffer_size=BUFFER_BYTES,
                pre_buffer=False,
                thrift_string_size_limit=MAX_THRIFT_BYTES,
                thrift_container_size_limit=MAX_THRIFT_BYTES,
            )
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> InputError:
        # Arrow's text runs over lines and may quote values
        return InputError(f"{shown(self.path)} is no sound Parquet file ({type(error).__name__}); export it again")

    def _check_names(self) -> None:
        if len(self.names) > MAX_FEATURES + 1:
            raise InputError(f"{shown(self.path)}: {len(self.names)} columns; the limit is {MAX_FEATURES} and a label")
        seen = set()
        for number, name in enumerate(self.names, 1):
            if not clean_name(name):
                raise InputError(f"{shown(self.path)}: column {number} has no usable name ({quoted(name)}); name it")
            if name in seen:
                raise InputError(f"{shown(self.path)}: two columns are named {quoted(name)}; rename one of them")
            seen.add(name)

    def _kind(self, field: Any) -> str:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        t = pa.types
        if t.is_boolean(kind):
            return "boolean"
        if t.is_integer(kind):
            return "integer"
        if t.is_floating(kind) or t.is_null(kind):
            return "number"
        if t.is_string(kind) or t.is_large_string(kind) or t.is_temporal(kind) or t.is_decimal(kind):
            return "text"
        what = "nested" if t.is_nested(kind) else "of a type that no table of numbers and text has"
        raise InputError(
            f"{shown(self.path)}, column {quoted(field.name)}: it is {what} ({str(kind)[:40]}); "
            "flatten it, or leave it out of the file"
        )


def _is_string(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _lengths(column: Any) -> NDArray[np.int64]:
    """Bytes of the texts of a column, 0 where one is missing; without a copy of them."""
    if pa.types.is_dictionary(column.type):
        lengths = pc.binary_length(column.dictionary).take(column.indices)
    else:
        lengths = pc.binary_length(column)
    return np.asarray(pc.fill_null(lengths, 0), dtype=np.int64)


def _texts(column: Any) -> list[str | None]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    found: list[str | None] = column.cast(pa.string()).to_pylist()
    return found


def _numbers(column: Any) -> NDArray[np.float64]:
    values = column.cast(pa.float64(), safe=False)  # whole numbers beyond 2^53 are rounded
    return np.array(pc.fill_null(values, np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)
