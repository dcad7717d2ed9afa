"""Bad input gives one line that says what is wrong, in which file, row and column, and what to do."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedproof.data import Table, load
from fedproof.data.limits import MAX_FEATURES, MAX_FILE_BYTES, MAX_LINE_BYTES
from fedproof.data.numbers import NumberColumns
from fedproof.errors import InputError

ROWS = [f"{i}.5,{100 - i},{i % 2}" for i in range(40)]


def table(header: str = "age,dose,label", rows: list[str] = ROWS, end: str = "\n") -> bytes:
    return (end.join([header, *rows]) + end).encode()


def changed(row: int, text: str) -> bytes:
    """A good table with the line of one file row replaced."""
    rows = list(ROWS)
    rows[row - 2] = text
    return table(rows=rows)


BAD = {
    "empty_file": (b"", ["the file is empty", "header row"]),
    "only_blank_lines": (b"\n\n  \n", ["the file is empty"]),
    "no_records": (table(rows=[]), ["a header but no records", "at least 32"]),
    "one_record": (table(rows=ROWS[:1]), ["one record", "at least 32"]),
    "fewer_than_a_batch": (table(rows=ROWS[:31]), ["31 records", "at least 32"]),
    "empty_cell": (changed(7, "1,,0"), ["row 7,", "column 'dose'", "missing", "fill it"]),
    "nan": (changed(7, "NaN,1,0"), ["row 7,", "column 'age'", "missing"]),
    "negative_nan": (changed(7, "-nan,1,0"), ["row 7,", "column 'age'", "missing"]),
    "na_text": (changed(7, "1, NA ,0"), ["row 7,", "column 'dose'", "missing"]),
    "infinity": (changed(41, "1,-inf,0"), ["row 41,", "column 'dose'", "infinite"]),
    "infinity_spelled": (changed(41, "1,Infinity,0"), ["row 41,", "column 'dose'", "infinite"]),
    "too_large": (changed(3, "1e101,1,0"), ["row 3,", "column 'age'", "beyond 1e+100"]),
    "overflows_a_float": (changed(3, "1e999,1,0"), ["row 3,", "column 'age'", "beyond 1e+100"]),
    "text_in_number_column": (changed(5, "1,high,0"), ["row 5,", "column 'dose'", "not a number", "remove the column"]),
    "decimal_comma": (changed(5, '1,"2,5",0'), ["row 5,", "column 'dose'", "not a number", "point"]),
    "underscore_in_number": (changed(5, "1_000,1,0"), ["row 5,", "column 'age'", "not a number"]),
    "digits_of_another_script": (changed(5, "١,1,0"), ["row 5,", "column 'age'", "not a number"]),
    "no_break_space": (changed(5, "\u00a01,1,0"), ["row 5,", "column 'age'", "not a number"]),
    "hexadecimal": (changed(5, "0x10,1,0"), ["row 5,", "column 'age'", "not a number"]),
    "missing_label": (changed(9, "1,2,"), ["row 9,", "column 'label'", "label is missing"]),
    "nan_label": (changed(9, "1,2,nan"), ["row 9,", "column 'label'", "label is missing"]),
    "one_class": (table(rows=[f"{i},1,yes" for i in range(40)]), ["column 'label'", "one class only ('yes')"]),
    "one_class_spelled_twice": (
        table(rows=[f"{i},1,{'1' if i % 2 else '1.0'}" for i in range(40)]),
        ["one class only"],
    ),
    "unprintable_label": (changed(4, "1,2,a\x1b[2J"), ["row 4,", "column 'label'", "class name"]),
    "duplicate_columns": (table("age, age,label"), ["row 1:", "columns 1 and 2", "'age'", "rename"]),
    "unnamed_column": (table("age,,label"), ["row 1:", "column 2", "no usable name"]),
    "unprintable_column": (table("age,do\u202ese,label"), ["row 1:", "column 2", "no usable name"]),
    "long_column": (table(f"age,{'d' * 129},label"), ["row 1:", "column 2", "no usable name"]),
    "missing_header": (table("1,2.5,0"), ["row 1:", "header row is missing"]),
    "one_column": (table("label", ["1", "0"] * 20), ["row 1:", "one column only"]),
    "semicolons": (table("age;dose;label", [r.replace(",", ";") for r in ROWS]), ["one column only", "commas"]),
    "two_label_columns": (table("class,dose,Target"), ["row 1:", "'class' and 'Target'", "option label"]),
    "ragged_short": (changed(12, "1,2"), ["row 12:", "2 cells", "header has 3"]),
    "ragged_long": (changed(12, "1,2,0,4"), ["row 12:", "4 cells", "header has 3"]),
    "ragged_after_blank_line": (table(rows=["", *ROWS, "1"]), ["row 43:", "1 cells"]),
    "open_quote": (changed(12, '"1,2,0'), ["row 12:", "broken quoting"]),
    "quoted_line_break": (table(rows=['"1', '2",3,0', *ROWS]), ["row 2:", "broken quoting"]),
    "text_after_quote": (changed(12, '"1"x,2,0'), ["row 12:", "broken quoting"]),
    "old_mac_line_ends": (table(end="\r"), ["row 1:", "stray line break"]),
    "latin_1": (changed(6, "1,2,0").replace(b"dose", b"d\xf6se"), ["row 1:", "not UTF-8"]),
    "latin_1_later": (table()[:-2] + b"\xe9\n", ["row 41:", "not UTF-8"]),
    "utf_16": (table().decode().encode("utf-16"), ["not UTF-8 but UTF-16"]),
    "pdf": (b"%PDF-1.7\n" + table(), ["binary file, not CSV", "export"]),
    "zip": (b"PK\x03\x04" + bytes(100), ["binary file", "export"]),
    "zero_bytes": (b"age,label\n1,0\n\0\0\n", ["row 3:", "binary file", "export"]),
    "many_columns": (",".join(f"c{i}" for i in range(MAX_FEATURES + 2)).encode(), ["row 1:", "limit is 4095 features"]),
    "long_line": (b"age,label\n" + b"1" * MAX_LINE_BYTES + b",0\n", ["row 2:", "longer than 1 MiB"]),
    "huge_cell": (changed(8, "1" * 140_000 + ",2,0"), ["row 8:", "longer than 128 KiB"]),
    "three_classes": (changed(8, "1,2,2"), ["column 'label'", "3 classes ('0', '1', '2')", "--positive"]),
    "numbers_as_label": (table(rows=[f"1,2,{i}.25" for i in range(40)]), ["40 different values", "the label column?"]),
}


@pytest.mark.parametrize(("content", "parts"), BAD.values(), ids=BAD.keys())
def test_rejects_bad_csv_in_one_line(tmp_path: Path, content: bytes, parts: list[str]) -> None:
    path = tmp_path / "ward.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    assert len(message) < len(str(path)) + 200
    for part in parts:
        assert part in message


def test_the_unchanged_table_is_good(tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    path.write_bytes(table())
    assert load(path).rows == 40


def test_errors_never_quote_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    for line in ("secret7,1,0", "1,1,0,secret7", '"secret7', "1,secret7\u00e9,0", "1,2,0\nsecret7"):
        path.write_bytes(changed(9, line))
        with pytest.raises(InputError) as caught:
            load(path)
        assert "secret7" not in str(caught.value)


def test_rejects_a_huge_file_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # sparse
    with pytest.raises(InputError, match=r"huge.csv has 256 MiB; the limit is 256 MiB"):
        load(path)


LIMITS = {
    "MAX_FILE_BYTES": (len(table()), "has 0 MiB; the limit is"),
    "MAX_LINE_BYTES": (len("age,dose,label\n"), "row 1: the line is longer"),
    "MAX_FEATURES": (2, "row 1: 3 columns; the limit is 1 features"),
    "MAX_ROWS": (40, "row 41: more than"),
    "MAX_VALUES": (80, "row 41: more than"),
}


@pytest.mark.parametrize(("limit", "least", "message"), [(k, *v) for k, v in LIMITS.items()], ids=LIMITS.keys())
def test_a_limit_admits_itself_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, least: int, message: str
) -> None:
    path = tmp_path / "ward.csv"
    path.write_bytes(table())
    module = "csvfile" if limit in ("MAX_ROWS", "MAX_VALUES") else "csvlines"
    monkeypatch.setattr(f"fedproof.data.{module}.{limit}", least)
    assert load(path).rows == 40
    monkeypatch.setattr(f"fedproof.data.{module}.{limit}", least - 1)
    with pytest.raises(InputError) as caught:
        load(path)
    assert message in str(caught.value)


def test_the_largest_magnitude_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    path.write_bytes(changed(3, "1e100,-1e100,0"))
    assert load(path).features[1].tolist() == [1e100, -1e100]
    path.write_bytes(changed(4, "1e100,bad,0"))  # the search for the culprit passes over it
    with pytest.raises(InputError, match=r"row 4, column 'dose'"):
        load(path)


def test_text_is_converted_as_soon_as_a_chunk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedproof.data.numbers.CHUNK_CELLS", 4)
    columns = NumberColumns(tmp_path, ("a", "b"))
    columns.add(2, ["1", "x"])
    with pytest.raises(InputError, match=r"row 2, column 'b'"):
        columns.add(3, ["1", "2"])


def test_rejects_a_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a directory; name a CSV file in it"):
        load(tmp_path)
    for name in ("nowhere.csv", "", "  ", "a\0b", "~nobody-of-that-name/x.csv", "x" * 5000):
        with pytest.raises(InputError, match=r"no such readable file, and no built-in set \(breast-cancer, "):
            load(name)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe is not a regular file"):
        load(tmp_path / "pipe")


def test_rejects_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ward.csv"
    path.write_bytes(table())

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the user of a test may be root, who can open everything
    with pytest.raises(InputError, match=r"ward.csv cannot be read: Permission denied; check the path"):
        load(path)


def test_a_path_with_a_line_break_stays_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a\nb.csv"
    path.write_bytes(b"")
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value).isprintable()


def test_rejects_an_unknown_label_option(tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    path.write_bytes(table())
    with pytest.raises(InputError, match=r"row 1: no label column 'outcome'; the columns are 'age', 'dose', 'label'"):
        load(path, label="outcome")


@pytest.mark.parametrize(("count", "listed"), [(10, "'c9'"), (11, "'c9', ...")])
def test_at_most_ten_columns_are_listed(tmp_path: Path, count: int, listed: str) -> None:
    path = tmp_path / "ward.csv"
    path.write_text(",".join(f"c{i}" for i in range(count)) + "\n")
    with pytest.raises(InputError) as caught:
        load(path, label="outcome")
    assert str(caught.value).endswith(f"'c8', {listed}")


@pytest.mark.parametrize(("count", "listed"), [(20, "'19'"), (21, "21 different values")])
def test_at_most_twenty_classes_are_listed(tmp_path: Path, count: int, listed: str) -> None:
    path = tmp_path / "ward.csv"
    path.write_bytes(table(rows=[f"1,2,{i % count}" for i in range(40)]))
    for positive in (None, "ill"):
        with pytest.raises(InputError) as caught:
            load(path, positive=positive)
        assert listed in str(caught.value)
        assert ("--positive" in str(caught.value)) == (positive is not None or count == 20)


def test_rejects_an_unknown_positive_class(tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    path.write_bytes(table())
    with pytest.raises(InputError, match=r"column 'label': no class 'ill' .*; the classes are '0', '1'"):
        load(path, positive="ill")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=300),
        st.tuples(st.integers(2, 41), st.text(max_size=40)).map(lambda edit: changed(*edit)),
        st.text(alphabet='01.,"\n\r_-einf\u00a0', max_size=400).map(lambda text: b"a,b\n" + text.encode()),
        st.lists(st.text(alphabet="0123456789eE+-._ \u00a0\x0b", max_size=6), min_size=32, max_size=33).map(
            lambda cells: b"a,b\n" + "".join(f"{c},{i % 2}\n" for i, c in enumerate(cells)).encode()
        ),
    )
)
def test_any_bytes_give_a_table_or_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzz.csv"
    path.write_bytes(content)
    outcome: object
    try:
        outcome = load(path)
    except InputError as error:
        outcome = str(error)
    assert isinstance(outcome, Table) or str(outcome).isprintable()
