"""The fast way from text to numbers takes what the strict way takes, gives the same numbers, and nothing more."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedproof.data.cells import to_booleans, to_numbers
from fedproof.data.csvlines import open_csv
from fedproof.data.draft import draft_plan, write_plan
from fedproof.data.numbers import MISSING, number_problem
from fedproof.data.plan import Column, Plan, read_plan
from fedproof.data.schema import Schema
from fedproof.data.statistics import centres_and_scales
from fedproof.data.table import Table
from fedproof.data.tablefile import open_table

TEXTS = st.one_of(
    st.floats().map(repr),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.integers().map(str),
    st.text(alphabet="0123456789.eE+-_ xXinfaNd\t١", max_size=8),
    st.sampled_from(
        ["", " ", "NA", "null", "+1", ".5", "5.", "1e400", "1e101", "0x10", "1_0", "infinity", "1f", "\x1f1"]
    ),
)


@settings(deadline=None)
@given(cell=TEXTS)
@example(cell="1" * 400)
@example(cell="0." + "0" * 330 + "1")
def test_one_cell_is_taken_exactly_when_the_strict_reader_takes_it(cell: str) -> None:
    values, wrong = to_numbers([cell])
    stripped = cell.strip(" \t")
    if stripped.lower() in MISSING:
        assert wrong is None
        assert math.isnan(values[0])
    elif number_problem(stripped) is None:
        assert wrong is None
        assert values[0] == float(cell)
    elif cell.isascii() and "_" not in cell and number_problem(cell.strip()) is None:
        pass  # other white space around a number, which the reader of `load` lets pass, too
    else:
        assert wrong == 0


@settings(deadline=None)
@given(cells=st.lists(st.floats(-1e100, 1e100).map(repr), min_size=1), at=st.integers(0, 50))
def test_the_first_wrong_cell_is_found(cells: list[str], at: int) -> None:
    values, wrong = to_numbers(cells)
    assert wrong is None
    assert values.tolist() == [float(cell) for cell in cells]
    at %= len(cells) + 1
    assert to_numbers([*cells[:at], "oops", *cells[at:], "again"])[1] == at


def test_booleans() -> None:
    values, wrong = to_booleans(["true", "False", "1", "0", " TRUE ", ""])
    assert wrong is None
    assert values[:5].tolist() == [1, 0, 1, 0, 1]
    assert math.isnan(values[5])
    assert to_booleans(["true", "yes"])[1] == 1


@settings(deadline=None)
@given(line=st.text(alphabet='ab,"\t ;', max_size=12))
def test_the_quick_split_of_a_line_is_that_of_the_csv_reader(
    tmp_path_factory: pytest.TempPathFactory, line: str
) -> None:
    import csv

    if '"' in line or not line.strip():
        return
    path = tmp_path_factory.getbasetemp() / "line.csv"
    cells = next(csv.reader((line,), strict=True))
    path.write_text(",".join(f"c{k}" for k in range(max(2, len(cells)))) + "\n" + line + "\n")
    if len(cells) > 1:
        assert next(open_csv(path).records)[1] == cells


@settings(deadline=None)
@given(
    values=st.lists(st.floats(-1e9, 1e9), min_size=32, max_size=60),
    size=st.sampled_from([7, 1000]),
)
def test_statistics_are_those_of_the_schema(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "values.csv"
    path.write_text("x,label\n" + "".join(f"{v!r},{k % 2}\n" for k, v in enumerate(values)))
    table = Table("t", np.array([values]).T, ("x",), np.arange(len(values)) % 2, ("0", "1"))
    want = Schema.from_public(table, 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedproof.data.tablefile.MAX_BATCH_ROWS", size)
        centre, scale = centres_and_scales(open_table(path), [Column("x", "feature")])["x"]
    assert math.isclose(centre, want.centre[0], rel_tol=1e-12, abs_tol=1e-300)
    assert math.isclose(scale or 1.0, want.scale[0], rel_tol=1e-9)
    if size == 1000:
        assert (centre, scale or 1.0) == (want.centre[0], want.scale[0])


NAMES = st.text(min_size=1, max_size=20).filter(lambda t: t.strip() == t and t.isprintable())


@settings(deadline=None)
@given(
    names=st.lists(NAMES, min_size=2, max_size=6, unique=True),
    numbers=st.tuples(st.floats(-1e99, 1e99), st.floats(1e-300, 1e99)),
    fill=st.floats(-1e99, 1e99) | st.none(),
    text=st.text(max_size=30).filter(lambda t: all(c.isprintable() or c == "\n" for c in t)),
)
def test_a_written_plan_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    numbers: tuple[float, float],
    fill: float | None,
    text: str,
) -> None:
    rule = "refuse" if fill is None else "fill"
    columns = [Column(n, "feature", "number", text, rule, fill, *numbers) for n in names[1:]]
    label = Column(names[0], "label", "text", classes=("a", "b\"'\\"), positive="a")
    plan = Plan(names[0], (label, *columns), text, text, text)
    path = tmp_path_factory.getbasetemp() / "plan.toml"
    path.write_text(write_plan(plan), encoding="utf-8")
    assert read_plan(path) == plan


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("id", "identifier"),
        ("patientId", "identifier"),
        ("Customer ID", "identifier"),
        ("e-mail", "identifier"),
        ("ip_address", "identifier"),
        ("date_of_birth", "identifier"),
        ("width", "feature"),
        ("acidity", "feature"),
        ("ratio", "feature"),
    ],
)
def test_names_that_identify_are_drafted_as_identifiers(tmp_path: Path, name: str, role: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{name},x,label\n" + "".join(f"{k * k % 31},{k % 7},{k % 2}\n" for k in range(40)))
    plan, _ = draft_plan(open_table(path), "t")
    assert plan.columns[0].role == role
    assert plan.columns[1].role == "feature"


def test_a_column_that_numbers_the_rows_is_an_identifier(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("row,x,label\n" + "".join(f"{100 + k},{k % 7},{k % 2}\n" for k in range(40)))
    assert draft_plan(open_table(path), "t")[0].columns[0].role == "identifier"
