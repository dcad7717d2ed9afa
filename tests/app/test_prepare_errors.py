"""Bad input gives one line that says what is wrong and where, and leaves no folder behind (attacks 32, 33, 35)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedproof.app import prepare as module
from fedproof.app.prepare import Options, Prepared, prepare
from fedproof.data.clean import Cleaner
from fedproof.errors import FedproofError, InputError
from tests.app.prepare_support import HEADER, Told, draft, edit, run, ward, ward_rows


def with_row(row: int, text: str) -> list[str]:
    rows = ward_rows()
    rows[row - 2] = text
    return rows


def refused(message: str, action: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=message) as caught:
        action()
    assert "\n" not in str(caught.value)


SECOND_RUN = {
    "nan": ("P,nan,2.0,Basel,true,yes", r"row 9, column 'age': the value is missing"),
    "infinity": ("P,30,inf,Basel,true,yes", r"row 9, column 'dose': the value is infinite"),
    "too large": ("P,30,1e101,Basel,true,yes", r"row 9, column 'dose': the value is beyond"),
    "text in a number": ("P,30,secret,Basel,true,yes", r"row 9, column 'dose': not a number"),
    "a fraction in an integer": ("P,30.5,2.0,Basel,true,yes", r"row 9, column 'age': not a whole number"),
    "a boolean of another kind": ("P,30,2.0,Basel,maybe,yes", r"row 9, column 'smoker': not a boolean"),
    "unknown class": ("P,30,2.0,Basel,true,secret", r"row 9, column 'diagnosis': a label that the schema does not"),
    "missing label": ("P,30,2.0,Basel,true,", r"row 9, column 'diagnosis': the label is missing"),
    "short row": ("P,30,2.0", r"row 9: it has 3 cells, the header has 6"),
    "broken quote": ('P,30,"2.0,Basel,true,yes', r"row 9: broken quoting"),
}


@pytest.mark.parametrize("case", SECOND_RUN)
def test_a_bad_row_is_named_and_its_value_is_not_shown(tmp_path: Path, case: str) -> None:
    source = ward(tmp_path)
    draft(source)
    row, message = SECOND_RUN[case]
    ward(tmp_path, with_row(9, row))
    refused(message, lambda: run(source))
    with pytest.raises(InputError) as caught:
        run(source)
    assert "secret" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.schema.toml", "ward.csv"]


FIRST_RUN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "header only": (HEADER.encode() + b"\n", "a header but no records"),
    "one row": ("\n".join([HEADER, *ward_rows(1)]).encode(), "one record; at least 32"),
    "one class": (b"x,label\n" + b"1.5,a\n2,a\n" * 30, "column 'label': one class only"),
    "duplicate columns": (b"x,x,label\n" + b"1,1,a\n" * 40, "both named 'x'"),
    "one column": (b"label\n" + b"a\n" * 40, "one column only"),
    "no features": (b"word,label\n" + b"b,a\nc,d\n" * 40, "no column of numbers is left"),
    "label of many values": (b"x,label\n" + b"".join(b"%d,%d\n" % (i * i, i) for i in range(50)), "is it the label"),
    "utf-16": ("x,label\n".encode("utf-16"), "UTF-16"),
    "zip": (b"PK\x03\x04" + bytes(50), "binary file"),
    "cut parquet": (b"PAR1" + bytes(50), "no sound Parquet file"),
    "parquet magic alone": (b"PAR1", "no sound Parquet file"),
}


@pytest.mark.parametrize("case", FIRST_RUN)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, case: str) -> None:
    data, message = FIRST_RUN[case]
    (tmp_path / "bad").write_bytes(data)
    refused(message, lambda: draft(tmp_path / "bad"))
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    refused("No such file", lambda: draft(tmp_path / "nothing"))
    refused("is a directory", lambda: draft(tmp_path))


def parquet(path: Path, **changed: Any) -> Path:
    columns = {"x": np.arange(40) ** 2 / 7, "label": ["a", "b"] * 20} | changed
    pq.write_table(pa.table(columns), path)
    return path


PARQUET: dict[str, tuple[dict[str, Any], str]] = {
    "nested": ({"x": [[1.0]] * 40}, r"column 'x': it is nested \(list"),
    "struct": ({"x": [{"a": 1}] * 40}, r"column 'x': it is nested \(struct"),
    "binary": ({"x": [b"1"] * 40}, r"column 'x': it is of a type"),
    "no usable name": ({" ": [1.0] * 40}, "column 3 has no usable name"),
    "line break in text": ({"id": ["a\nb"] * 40}, "row 1, column 'id': a line break"),
}


@pytest.mark.parametrize("case", PARQUET)
def test_a_parquet_column_that_is_no_column_of_a_table_is_refused(tmp_path: Path, case: str) -> None:
    changed, message = PARQUET[case]
    refused(message, lambda: draft(parquet(tmp_path / "t.parquet", **changed)))


def test_duplicate_parquet_columns_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1.0] * 40)] * 2 + [pa.array(["a", "b"] * 20)], ["x", "x", "label"])
    pq.write_table(table, tmp_path / "t.parquet")
    refused("two columns are named 'x'", lambda: draft(tmp_path / "t.parquet"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1"] * 40, "column 'x': its type is text, not number"),
        ([1.0] * 7 + [np.inf] + [1.0] * 32, "row 8, column 'x': the value is infinite"),
        ([1.0] * 7 + [np.nan] + [1.0] * 32, "row 8, column 'x': the value is missing"),
        ([1.0] * 7 + [None] + [1.0] * 32, "row 8, column 'x': the value is missing"),
    ],
)
def test_a_parquet_value_of_another_kind_is_named(tmp_path: Path, values: list[Any], message: str) -> None:
    source = parquet(tmp_path / "t.parquet")
    draft(source)
    parquet(source, x=values)
    refused(message, lambda: run(source))


SCHEMAS: dict[str, tuple[str, str, str]] = {
    "unknown role": ('role = "drop"', 'role = "secret"', "column 'city': unknown role 'secret'"),
    "unknown type": ('type = "integer"', 'type = "int"', "column 'age': unknown type 'int'"),
    "unknown field": ('type = "integer"', 'type = "integer"\ncenter = 1.0', "column 'age': unknown field 'center'"),
    "scale alone": ('type = "integer"', 'type = "integer"\nscale = 1.0', "column 'age': centre and scale belong"),
    "scale 0": (
        'type = "integer"',
        'type = "integer"\ncentre = 1\nscale = 0',
        "column 'age': the scale must be above 0",
    ),
    "scale nan": (
        'type = "integer"',
        'type = "integer"\ncentre = nan\nscale = 1',
        "column 'age': centre must be a finite",
    ),
    "text feature": ('type = "integer"', 'type = "text"', "column 'age': a feature cannot be text"),
    "two labels": ('role = "drop"', 'role = "label"\nclasses = ["a", "b"]', "2 columns have the role label"),
    "one class": ('classes = ["no", "yes"]', 'classes = ["no"]', "column 'diagnosis': two or more different classes"),
    "positive": ('positive = "yes"', 'positive = "maybe"', "positive 'maybe' is none of its classes"),
    "not TOML": ('role = "drop"', "role = drop", "not TOML: .*line"),
    "a long number": ("version = 1", f"version = {'9' * 5_000}", "a number that is too long"),
    "a column twice": ('name = "city"', 'name = "age"', "column 'age' is there twice"),
    "a lost column": ('name = "city"', 'name = "town"', "no column 'town', which the schema lists"),
    "version": ("version = 1", "version = 2", "not version 1"),
    "fill of a label": (
        'positive = "yes"\nmissing = "refuse"',
        'missing = { fill = "no" }',
        "unknown rule for missing",
    ),
}


@pytest.mark.parametrize("case", SCHEMAS)
def test_a_mistake_in_the_schema_is_named(tmp_path: Path, case: str) -> None:
    source = ward(tmp_path)
    old, new, message = SCHEMAS[case]
    edit(draft(source), old, new)
    refused(message, lambda: run(source))
    assert not (tmp_path / "out").exists()


def test_a_column_that_the_schema_does_not_know_is_named(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    ward(tmp_path, [f"{row},1" for row in ward_rows()], header=HEADER + ",extra")
    refused("column 'extra' is not in the schema", lambda: run(source))


def test_the_schema_of_another_file_is_refused(tmp_path: Path) -> None:
    draft(ward(tmp_path))
    other = ward(tmp_path, [f"{i * i},{i % 2}" for i in range(50)], "other.csv", "x,label")
    refused("no column 'patient_id'.* is it the schema of another file", lambda: run(other))


def test_too_few_rows_and_one_class_after_dropping_are_refused(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    ward(tmp_path, ward_rows(31))
    refused("31 of 31 records are left; at least 32", lambda: run(source))
    ward(tmp_path, [row.replace(",yes", ",no") for row in ward_rows()])
    refused(r"column 'diagnosis': one class only \('no'\)", lambda: run(source))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ward(tmp_path)
    monkeypatch.setattr("fedproof.data.tablefile.MAX_STREAMED_BYTES", 1000)
    refused("the limit is", lambda: draft(source))
    monkeypatch.undo()
    monkeypatch.setattr("fedproof.data.tablefile.MAX_STREAMED_ROWS", 100)
    refused("more than 100 records; split the file", lambda: draft(source))


@pytest.mark.parametrize("change", ["a value", "a row more", "a value, time kept"])
def test_a_file_that_changes_between_the_passes_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    source = ward(tmp_path)
    draft(source)
    tell = module._tell_drops

    def meddle(*arguments: Any) -> None:
        status = source.stat()
        cells = ward_rows()[7].split(",")
        cells[2] = cells[2][:-1] + str(9 - int(cells[2][-1]))  # one digit: no count and no length gives it away
        ward(tmp_path, [*ward_rows(), ward_rows()[0]] if change == "a row more" else with_row(9, ",".join(cells)))
        if "time" in change:
            os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
        tell(*arguments)

    monkeypatch.setattr(module, "_tell_drops", meddle)
    refused("changed while it was read", lambda: run(source))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.schema.toml", "ward.csv"]


FULL = """
import resource, signal, sys
from pathlib import Path
from fedproof.app.prepare import Options, prepare
from fedproof.app.telling import Silent
from fedproof.errors import InputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    prepare(Options(Path(sys.argv[1]), Path(sys.argv[2]), private_scale=True), Silent())
except InputError as error:
    print(error)
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    # a limit on a file's size is the nearest thing to a full disk that needs no rights
    source = ward(tmp_path)
    draft(source)
    command = [sys.executable, "-c", FULL, str(source), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / 'out'} cannot be written: File too large\n"
    assert done.stderr == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.schema.toml", "ward.csv"]


@pytest.mark.parametrize("what", ["link", "directory", "pipe", "hidden", "tier is a link"])
def test_a_tier_holds_plain_files_only(tmp_path: Path, what: str) -> None:
    source = ward(tmp_path)
    draft(source)
    made = run(source)
    tier = made.folder / "tier1"
    if what == "link":
        (tier / "x").symlink_to("/etc/hostname")
    elif what == "directory":
        (tier / "x").mkdir()
    elif what == "pipe":
        os.mkfifo(tier / "x")
    elif what == "hidden":
        (tier / ".x").touch()
    else:
        tier.rename(tmp_path / "elsewhere")
        tier.symlink_to(tmp_path / "elsewhere")
    refused("plain|no file|name that not every system takes", lambda: made.tier_files(1))


@pytest.mark.parametrize("name", ["prepared.json", "schema.json", "card.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "emptied", "another version"])
def test_a_damaged_folder_is_one_line(tmp_path: Path, name: str, damage: str) -> None:
    source = ward(tmp_path)
    draft(source)
    path = run(source).folder / name
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-9], "emptied": b""}.get(damage, data.replace(b'"version"', b'"versions"')))
    if damage == "gone":
        path.unlink()
    refused("prepare|prepared|schema|card", lambda: Prepared.load(path.parent))


def test_a_changed_block_is_named(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    made = run(source, block_rows=64)
    path = made.folder / "blocks" / "records-0002.bin"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
    blocks = made.blocks()
    next(blocks)
    refused("records-0002.bin is not as it was prepared", lambda: next(blocks))
    path.unlink()
    refused("records-0002.bin cannot be read", lambda: list(made.blocks()))


def test_rows_that_the_manifest_invents_are_noticed(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    path = run(source).folder / "prepared.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"rows": 201}))
    refused("do not belong together", lambda: Prepared.load(path.parent))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=300), head=st.sampled_from([b"", b"PAR1", b"x,label\n", b"x,label\n1,a\n2,b\n"]))
def test_junk_gives_one_line_and_nothing_else(tmp_path: Path, junk: bytes, head: bytes) -> None:
    (tmp_path / "junk").write_bytes(head + junk)
    with pytest.raises(FedproofError) as caught:
        prepare(Options(tmp_path / "junk", tmp_path / "out"), Told())
    assert "\n" not in str(caught.value)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=40, max_size=80),
    rule=st.sampled_from(['"drop"', "{ fill = -3.5 }"]),
)
def test_every_row_is_kept_or_counted(tmp_path: Path, cells: list[float | None], rule: str) -> None:
    from fedproof.data.plan import read_plan
    from fedproof.data.tablefile import open_table

    rows = [f"{'' if cell is None else repr(cell)},{i % 2}" for i, cell in enumerate(cells)]
    source = ward(tmp_path, rows, "cells.csv", "x,label")
    schema = tmp_path / "plan.toml"
    schema.write_text(
        f'version = 1\nname = "n"\n[[column]]\nname = "x"\nrole = "feature"\nmissing = {rule}\n'
        '[[column]]\nname = "label"\nrole = "label"\nclasses = ["0", "1"]\n'
    )
    cleaner = Cleaner(read_plan(schema), open_table(source))
    found = [value for batch in cleaner.run() for value in batch.features[:, 0].tolist()]
    if "drop" in rule:
        assert found == [cell for cell in cells if cell is not None]
    else:
        assert found == [-3.5 if cell is None else cell for cell in cells]
    assert cleaner.read == len(cells) == cleaner.kept + cleaner.dropped["x"]
