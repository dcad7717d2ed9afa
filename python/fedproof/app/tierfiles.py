"""What `prepare` writes for each tier, from one pass over the cleaned rows."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import numpy as np
from numpy.typing import NDArray

from fedproof.app.prepared import BLOCKS, block_name
from fedproof.data.block import encode_block
from fedproof.data.clean import Cleaner, Rows
from fedproof.data.plan import Plan
from fedproof.data.schema import HIGH, LOW, SCALE, Schema

BINS: Final = 16
"""Bins of half a scale between centre - 4 and centre + 4 scales, and one on either side: edges that tell nothing."""

ROUND: Final = 10
"""Counts of columns are rounded to tens, so that one person more or less hardly shows."""

DUPLICATE_ROWS: Final = 1 << 24
"""Up to so many rows the duplicates are counted: 8 bytes of memory each."""


class CsvTable:
    """Rows as CSV, numbers in their shortest form that reads back the same."""

    def __init__(self, file: BinaryIO, names: list[str], numbers: int) -> None:
        import pyarrow as pa  # half a second, for those who prepare
        import pyarrow.csv as pc

        types = [pa.float64()] * numbers + [pa.string()] * (len(names) - numbers)
        self._schema = pa.schema(list(zip(names, types, strict=True)))
        self._record_batch = pa.record_batch
        self._writer = pc.CSVWriter(file, self._schema)

    def write(self, numbers: NDArray[np.float64], texts: list[list[str | None]]) -> None:
        """Append: the number columns first, then the text columns."""
        columns = [np.ascontiguousarray(column) for column in numbers.T]
        self._writer.write(self._record_batch([*columns, *texts], schema=self._schema))

    def close(self) -> None:
        """Write what is left; the file belongs to whoever opened it."""
        self._writer.close()


class TierWriter:
    """Takes the cleaned rows and writes blocks and tiers into a folder. Use it as a context."""

    def __init__(
        self, folder: Path, plan: Plan, schema: Schema, rows: int, tiers: tuple[int, ...], sample: int
    ) -> None:
        self._folder, self._plan, self._schema = folder, plan, schema
        self._sample_at = _sample(rows, sample)
        self._features = [column.name for column in plan.features]
        self._label, self._classes = plan.label.name, np.array(plan.label.classes, dtype=object)
        self._counts = np.zeros((len(self._features), BINS + 2), dtype=np.int64)
        self._clipped = np.zeros(len(self._features), dtype=np.int64)
        self._hashes: list[NDArray[np.uint64]] | None = [] if rows <= DUPLICATE_ROWS else None
        self._multipliers = np.random.PCG64(1).random_raw(len(self._features) + 1).astype(np.uint64) | np.uint64(1)
        self._done = 0
        self._pending: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._tables: dict[int, CsvTable] = {}
        self._tiers = tiers
        self._stack = ExitStack()
        self.block_rows: list[int] = []
        self.one_class_blocks = 0

    def __enter__(self) -> Self:
        (self._folder / BLOCKS).mkdir()
        for tier in self._tiers:
            (self._folder / f"tier{tier}").mkdir()
        named = {1: "sample.csv", 4: "records.csv", 5: "raw.csv"}
        for tier, name in named.items():
            if tier in self._tiers:
                file = self._stack.enter_context((self._folder / f"tier{tier}" / name).open("wb", buffering=1 << 20))
                extra = [column.name for column in self._plan.identifiers] if tier == 5 else []
                numbers = len(self._features) + (self._schema.target is not None)
                self._tables[tier] = CsvTable(file, [*self._features, self._label, *extra], numbers)
                self._stack.callback(self._tables[tier].close)
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.__exit__(*details)  # type: ignore[arg-type]

    def write(self, rows: Rows) -> None:
        """Take the next rows."""
        if not len(rows.labels):
            return
        quantised = self._schema.quantise(rows.features)
        self._measure(rows, quantised)
        numbers, texts = self._columns(rows)
        first, last = np.searchsorted(self._sample_at, (self._done, self._done + len(numbers)))
        for tier, table in self._tables.items():
            if tier == 1:
                at = self._sample_at[first:last] - self._done
                table.write(numbers[at], [[column[i] for i in at] for column in texts])
            else:
                table.write(numbers, [*texts, *(rows.identifiers.values() if tier == 5 else ())])
        self._done += len(numbers)
        self._pending.append((quantised, self._schema.quantise_labels(rows.labels)))
        self._write_blocks(final=False)

    def _columns(self, rows: Rows) -> tuple[NDArray[np.float64], list[list[str | None]]]:
        """Columns of numbers, and those of text: a target is one of the former, the name of a class of the latter."""
        if self._schema.target is not None:
            return np.column_stack([rows.features, rows.labels]), []
        return rows.features, [self._classes[rows.classes].tolist()]

    def finish(self, cleaner: Cleaner) -> None:
        """Write the last block, and the files of tiers 1 to 3 that describe the others."""
        self._write_blocks(final=True)
        if 1 in self._tiers:
            (self._folder / "tier1" / "README.md").write_text(self._sample_text(), encoding="utf-8")
        if 2 in self._tiers:
            write_json(self._folder / "tier2" / "histograms.json", self._histograms(cleaner))
            write_json(self._folder / "tier2" / "quality.json", self._quality(cleaner))
        if 3 in self._tiers:
            (self._folder / "tier3" / "README.md").write_text(self._training_text(), encoding="utf-8")

    def _write_blocks(self, final: bool) -> None:
        size = self._schema.rows
        held = sum(len(labels) for _, labels in self._pending)
        if held < size and not (final and held):
            return
        features = np.concatenate([features for features, _ in self._pending])
        labels = np.concatenate([labels for _, labels in self._pending])
        end = held if final else held - held % size
        for start in range(0, end, size):
            stop = min(start + size, end)
            self.block_rows.append(stop - start)
            self.one_class_blocks += labels[start:stop].min() == labels[start:stop].max()
            path = self._folder / BLOCKS / block_name(len(self.block_rows))
            path.write_bytes(encode_block(self._schema, features[start:stop], labels[start:stop]))
        self._pending = [(features[end:].copy(), labels[end:].copy())] if end < held else []

    def _measure(self, rows: Rows, quantised: NDArray[np.int64]) -> None:
        # in quantised units a scale is 256, so a bin of half a scale is 128
        bins = np.clip((quantised >> 7) + BINS // 2 + 1, 0, BINS + 1)
        bins += np.arange(bins.shape[1]) * (BINS + 2)
        self._counts += np.bincount(bins.ravel(), minlength=self._counts.size).reshape(self._counts.shape)
        self._clipped += ((quantised == LOW) | (quantised == HIGH)).sum(axis=0)
        if self._hashes is not None:
            exact = rows.labels.view(np.uint64) if self._schema.target else rows.labels.astype(np.uint64)
            values = np.column_stack([rows.features.view(np.uint64), exact])
            values ^= values >> np.uint64(29)
            self._hashes.append((values * self._multipliers).sum(axis=1, dtype=np.uint64))

    def _histograms(self, cleaner: Cleaner) -> dict[str, Any]:
        columns = []
        for name, centre, scale, counts in zip(
            self._features, self._schema.centre, self._schema.scale, self._counts, strict=True
        ):
            edges = [centre + scale * (k - BINS // 2) / 2 for k in range(BINS + 1)]
            columns.append({"name": name, "edges": edges, "counts": [_rounded(n) for n in counts]})
        classes = dict(zip(self._plan.label.classes, map(_rounded, cleaner.class_counts), strict=True))
        return {
            "version": 1,
            "about": f"counts rounded to {ROUND}; the first and the last count of a column lie beyond its edges",
            "rows": cleaner.kept,
            "classes": classes,
            "columns": columns,
        }

    def _quality(self, cleaner: Cleaner) -> dict[str, Any]:
        duplicates = None
        if self._hashes is not None:
            hashes = np.concatenate(self._hashes)
            duplicates = _rounded(len(hashes) - len(np.unique(hashes)))
        columns = [
            {
                "name": column.name,
                "missing": _rounded(cleaner.missing[column.name]),
                "filled": _rounded(cleaner.filled[column.name]),
                "rows_dropped": _rounded(cleaner.dropped[column.name]),
            }
            for column in (*self._plan.features, self._plan.label)
        ]
        for entry, clipped in zip(columns, self._clipped, strict=False):
            entry["beyond_range"] = _rounded(clipped)
        return {
            "version": 1,
            "about": f"counts rounded to {ROUND}; beyond_range: 8 scales or more from the centre, clipped for training",
            "rows_kept": cleaner.kept,
            "rows_dropped": _rounded(cleaner.read - cleaner.kept),
            "duplicate_rows": duplicates,
            "columns": columns,
        }

    def _sample_text(self) -> str:
        listed = "".join(
            f"- `{c.name}` ({c.kind}){': ' + c.description if c.description else ''}\n"
            for c in (*self._plan.features, self._plan.label)
        )
        return (
            f"# Sample of {self._plan.name}\n\n{len(self._sample_at)} of {self._done} records, spread evenly over the "
            "file, without identifiers. They are also among the records of the higher tiers.\n\n"
            f"{self._plan.description + chr(10) * 2 if self._plan.description else ''}"
            f"Licence: {self._plan.licence or 'not stated'}\n\n## Columns\n\n{listed}"
        )

    def _training_text(self) -> str:
        return (
            f"# Records of {self._plan.name} for training\n\n{self._done} records in {len(self.block_rows)} blocks of "
            f"at most {self._schema.rows}, as the signed 12-bit numbers that are committed and proven: "
            f"round({SCALE} * (value - centre) / scale), clipped to {LOW} .. {HIGH}; centre and scale are in the "
            "public schema. Each block comes with the blinding of its commitment, which a proof of training needs.\n\n"
            f"Licence: {self._plan.licence or 'not stated'}\n"
        )


def write_json(path: Path, document: Any) -> None:
    """Write a document that people read, too; equal documents give equal bytes."""
    path.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _sample(rows: int, wanted: int) -> NDArray[np.int64]:
    """One row from each of equal stretches of the file: at most a tenth of the rows, the same in every run."""
    count = max(1, min(wanted, rows // 10))
    edges = np.arange(count + 1, dtype=np.int64) * rows // count
    raw = np.random.PCG64(count).random_raw(count)
    return edges[:-1] + (np.atleast_1d(raw) % np.diff(edges).astype(np.uint64)).astype(np.int64)


def _rounded(count: Any) -> int:
    return (int(count) + ROUND // 2) // ROUND * ROUND
