"""What a file may hold in one place is bounded by bytes, too, and refused with row and column."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedproof.data import load, parquet, tablefile
from fedproof.data.limits import MAX_CELL_BYTES
from fedproof.data.tablefile import open_table
from fedproof.errors import InputError

LONG = "x" * (MAX_CELL_BYTES + 1)


def refused(match: str, action: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=match) as caught:
        action()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def read(path: Path, **kinds: str) -> list[tablefile.Batch]:
    return list(open_table(path).batches(kinds))


@pytest.mark.parametrize("cell", [LONG, f'"{LONG}"', f'"{LONG[:-1]}""', "ä" * (MAX_CELL_BYTES // 2 + 1)])
def test_a_long_cell_of_a_csv_is_refused_by_its_own_message(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,label\n" + "1,2,0\n" * 4 + f"1,{cell},0\n", encoding="utf-8")
    for reader in (lambda: read(path, b="text"), lambda: load(path)):
        refused("row 6: .*(longer than 128 KiB; shorten it|broken quoting)", reader)
        if not cell.endswith('""'):
            refused("longer than 128 KiB", reader)


def test_the_longest_cell_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for cell in (LONG[:-1], f'"{LONG[:-1]}"'):
        path.write_text(f"a,b,label\n1,{cell},0\n")
        assert read(path, b="text")[0].texts["b"] == [LONG[:-1]]


def test_a_batch_of_a_csv_is_bounded_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,label\n" + "".join(f"{k},{'y' * 1000},0\n" for k in range(100)))
    assert len(read(path, b="text")) == 1
    monkeypatch.setattr(tablefile, "BATCH_BYTES", 10_000)
    batches = read(path, a="integer", b="text")
    assert [row for batch in batches for row in batch.rows] == list(range(2, 102))
    assert [value for batch in batches for value in batch.numbers["a"]] == list(range(100))
    assert max(len(batch.rows) for batch in batches) == 10


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused("is not a regular file", lambda: open_table(tmp_path / "pipe"))


def write(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path, compression="zstd")
    return path


def not_utf8(count: int) -> pa.Array:
    offsets = pa.array(range(count + 1), pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), count, [None, offsets, pa.py_buffer(b"\xff" * count)])


UNREADABLE = {
    "unknown time zone": (lambda: pa.array([0] * 40, pa.timestamp("us", "Foo/Bar")), "cannot be read"),
    "invalid UTF-8": (lambda: not_utf8(40), "a text is not UTF-8"),
    "invalid UTF-8 in a dictionary": (lambda: not_utf8(40).dictionary_encode(), "a text is not UTF-8"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_parquet_column_that_cannot_be_read_is_named(tmp_path: Path, case: str) -> None:
    make, message = UNREADABLE[case]
    path = write(tmp_path / "t.parquet", x=pa.array(range(40)), odd=make())
    refused(f"column 'odd': .*{message}", lambda: read(path, odd="text"))
    assert read(path, x="integer")[0].numbers["x"].tolist() == list(range(40))


def shared(text: str, rows: int) -> pa.Array:
    """One text that all rows share, which takes next to no room in a file."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))


@pytest.mark.parametrize("as_dictionary", [True, False])
def test_a_long_text_in_a_parquet_file_is_refused(tmp_path: Path, as_dictionary: bool) -> None:
    column = pa.chunked_array([shared("a", 9), shared(LONG, 1)]).unify_dictionaries()
    column = column if as_dictionary else column.cast(pa.string())
    path = write(tmp_path / "t.parquet", x=pa.array(range(10)), p=column)
    refused("row 10, column 'p': a text longer than 128 KiB", lambda: read(path, p="text"))


def test_a_small_file_with_a_great_text_in_every_row_is_refused_without_unpacking_it(tmp_path: Path) -> None:
    path = write(tmp_path / "bomb.parquet", x=pa.array(range(1 << 16)), p=shared("p" * 1_000_000, 1 << 16))
    assert path.stat().st_size < 1_000_000
    before = pa.total_allocated_bytes()
    refused("row 1, column 'p': a text longer", lambda: read(path, p="text"))
    assert pa.default_memory_pool().max_memory() - before < 100 << 20


def test_a_batch_of_a_parquet_file_is_bounded_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{k % 3}" * 1000 for k in range(100)]
    plain = write(tmp_path / "plain.parquet", x=pa.array(range(100)), p=pa.array(texts), q=pa.array(texts[::-1]))
    coded = write(tmp_path / "coded.parquet", x=pa.array(range(100)), p=pa.array(texts).dictionary_encode())
    pq.write_table(pq.read_table(plain), tmp_path / "none.parquet", use_dictionary=False)
    monkeypatch.setattr(parquet, "BATCH_BYTES", 10_000)
    for path in (plain, coded, tmp_path / "none.parquet"):
        batches = read(path, x="integer", p="text")
        assert [row for batch in batches for row in batch.rows] == list(range(1, 101))
        assert [text for batch in batches for text in batch.texts["p"]] == texts
        assert [value for batch in batches for value in batch.numbers["x"]] == list(range(100))
        assert 3 < max(len(batch.rows) for batch in batches) <= 10  # `q` counts, though it is not read


def test_texts_of_every_kind_are_read_as_before(tmp_path: Path) -> None:
    day = datetime.date(2020, 1, 2)
    path = write(
        tmp_path / "t.parquet",
        plain=pa.array(["a", None, ""]),
        large=pa.array(["ü", "b", None], pa.large_string()),
        coded=pa.DictionaryArray.from_arrays(pa.array([0, None, 1]), pa.array(["x", "y"])),
        numbers=pa.array([5, 6, 5]).dictionary_encode(),
        day=pa.array([day] * 3),
    )
    (batch,) = read(path, plain="text", large="text", coded="text", numbers="text", day="text")
    assert batch.texts == {
        "plain": ["a", None, None],
        "large": ["ü", "b", None],
        "coded": ["x", None, "y"],
        "numbers": ["5", "6", "5"],
        "day": ["2020-01-02"] * 3,
    }


def test_a_parquet_file_whose_columns_contradict_their_statistics_is_refused(tmp_path: Path) -> None:
    """Asked for such a column's metadata, Arrow ends the whole process. Found by fuzzing."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"age": [1.5, 2.0], "outcome": ["yes", "no"]}), path)
    whole = path.read_bytes()
    optional, required = b"\x25\x02\x18\x07outcome", b"\x25\x00\x18\x07outcome"
    assert whole.count(optional) == 1
    path.write_bytes(whole.replace(optional, required))
    with pytest.raises(InputError, match="no sound Parquet file"):
        list(open_table(path).batches({"age": "number", "outcome": "text"}))
