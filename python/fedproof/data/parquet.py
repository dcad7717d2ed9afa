"""Parquet files, through Apache Arrow. Rows in messages are records, counted from 1."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fedproof.data.cells import check_kind, to_texts
from fedproof.data.limits import MAX_FEATURES, MAX_STREAMED_BYTES, MAX_STREAMED_ROWS
from fedproof.data.naming import clean_name, fault, quoted, shown
from fedproof.data.tablefile import Batch, batch_rows
from fedproof.errors import InputError

BUFFER_BYTES = 1 << 20
MAX_THRIFT_BYTES = 64 << 20


class ParquetFile:
    """A Parquet file of plain columns."""

    header = 0

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.stat().st_size > MAX_STREAMED_BYTES:
            raise InputError(f"{shown(path)}: the limit is {MAX_STREAMED_BYTES >> 30} GiB; split the file")
        with self._open() as file:
            schema: Any = file.schema_arrow
            rows: int = file.metadata.num_rows
        self.names: list[str] = list(schema.names)
        if rows > MAX_STREAMED_ROWS:
            raise InputError(f"{shown(path)} has {rows} records; the limit is {MAX_STREAMED_ROWS}: split the file")
        self._check_names()
        self.kinds = {field.name: self._kind(field) for field in schema}

    def batches(self, kinds: Mapping[str, str]) -> Iterator[Batch]:
        """As `TableFile` says."""
        for name, kind in kinds.items():
            found = self.kinds[name]
            if kind != "text" and found == "text":
                raise InputError(f"{shown(self.path)}, column {quoted(name)}: its type is text, not {kind}; correct it")
            if kind == "boolean" and found == "number":
                raise InputError(f"{shown(self.path)}, column {quoted(name)}: its type is {found}, not boolean")
        start = 1
        with self._open() as file:
            batches = file.iter_batches(batch_rows(len(self.names)), columns=list(kinds), use_threads=False)
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowException, OSError) as error:
                    raise self._damaged(error) from None
                if batch is None:
                    return
                rows = range(start, start + batch.num_rows)
                start += batch.num_rows
                if rows:
                    yield self._batch(batch, rows, kinds)

    def _batch(self, batch: Any, rows: Sequence[int], kinds: Mapping[str, str]) -> Batch:
        numbers, texts = {}, {}
        for name, kind in kinds.items():
            column = batch.column(name)
            if kind == "text":
                cells = column.cast(pa.string()).to_pylist()
                for row, cell in zip(rows, cells, strict=True):
                    if cell is not None and not cell.isprintable():
                        raise fault(self.path, row, "a line break or invisible character; remove it", name)
                texts[name] = to_texts(cells)
                continue
            values = column.cast(pa.float64(), safe=False)  # whole numbers beyond 2^53 are rounded
            array = np.array(pc.fill_null(values, np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)
            check_kind(self.path, rows, name, array, kind)
            numbers[name] = array
        return Batch(rows, numbers, texts)

    def _open(self) -> Any:
        try:
            # a buffer for each column in place of whole row groups, or a file of one group would be read at once
            return pq.ParquetFile(
                self.path,
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
