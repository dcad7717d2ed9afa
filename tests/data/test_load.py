from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from fedproof.data import load
from fedproof.data.load import BUILTIN, CLASSES, FITTING, TARGET
from fedproof.errors import InputError


def write(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_breast_cancer_is_the_default() -> None:
    table = load()
    bunch = datasets.load_breast_cancer()
    assert (table.name, table.class_names) == ("breast-cancer", ("malignant", "benign"))
    np.testing.assert_array_equal(table.features, bunch.data)
    np.testing.assert_array_equal(table.labels, bunch.target)
    assert table.feature_names == tuple(bunch.feature_names)


@pytest.mark.parametrize(
    ("name", "positive", "shape", "count"),
    [
        ("wine", "class_1", (178, 13), 71),
        ("iris", "virginica", (150, 4), 50),
        ("digits", "8", (1797, 64), 174),
        ("breast_cancer", "malignant", (569, 30), 212),
    ],
)
def test_a_positive_class_is_one_against_the_rest(name: str, positive: str, shape: tuple[int, int], count: int) -> None:
    table = load(name, positive=positive)
    assert table.features.shape == shape
    assert table.labels.sum() == count
    assert table.class_names[1] == positive


@pytest.mark.parametrize("name", ["wine", "digits", "iris"])
def test_rejects_many_classes_without_a_positive_one_and_lists_them(name: str) -> None:
    with pytest.raises(InputError, match=r"^\w+: \d+ classes \('.*'\), two are needed; choose one with --positive"):
        load(name)
    with pytest.raises(InputError, match=r"no class 'rose' for --positive; the classes are '"):
        load(name, positive="rose")


def test_rejects_a_label_column_for_a_built_in_set() -> None:
    with pytest.raises(InputError, match=r"iris is a built-in set"):
        load("iris", label="species", positive="setosa")


def test_a_path_object_is_never_a_built_in_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in BUILTIN:
        with pytest.raises(InputError, match=r"no such readable file"):
            load(Path(name))


def test_no_loader_opens_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a loader opened a socket")

    monkeypatch.setattr("socket.socket", refuse)
    for name in BUILTIN:
        load(name, labels=FITTING)


@pytest.mark.parametrize("column", ["label", "TARGET", "Class", "diagnosis", "y"])
def test_a_column_with_a_usual_name_is_the_label(tmp_path: Path, column: str) -> None:
    path = write(tmp_path / "a.csv", f"age,{column},dose", [f"{i},{'MB'[i % 2]},{i + 0.25}" for i in range(32)])
    table = load(str(path))
    assert table.name == "a"
    assert table.feature_names == ("age", "dose")
    assert table.class_names == ("B", "M")
    np.testing.assert_array_equal(table.labels, [1, 0] * 16)
    np.testing.assert_array_equal(table.features, [[i, i + 0.25] for i in range(32)])


def test_the_last_column_is_the_label_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "age,dose,outcome", [f"{i},1,{i % 2}" for i in range(32)])
    assert load(path).feature_names == ("age", "dose")


def test_the_label_option_wins_over_a_usual_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "target,class,x", [f"{i % 2},{i // 16},1" for i in range(32)])
    table = load(path, label="class")
    assert table.feature_names == ("target", "x")
    np.testing.assert_array_equal(table.labels, [0] * 16 + [1] * 16)


def test_number_labels_are_ordered_as_numbers_and_spelling_does_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x,y", [f"{i},{('9', '10', '10.0', ' 9.00')[i % 4]}" for i in range(32)])
    table = load(path)
    assert table.class_names == ("9", "10")
    np.testing.assert_array_equal(table.labels, [0, 1, 1, 0] * 8)
    assert load(path, positive="9.0").class_names == ("10", "9")


def test_a_class_that_looks_like_a_number_keeps_its_name_among_words(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x,y", [f"{i},{('1.0', 'many')[i % 2]}" for i in range(32)])
    assert load(path, positive="1.0").class_names == ("many", "1.0")


def test_positive_turns_two_classes_round(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x,y", [f"{i},{'no' if i % 2 else 'yes'}" for i in range(32)])
    np.testing.assert_array_equal(load(path, positive="no").labels, 1 - load(path).labels)


def test_reads_bom_crlf_quotes_blank_lines_and_no_final_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = ['"age, years",label', *[f'" {i}.5",{i % 2}' for i in range(32)]]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(lines).encode())
    table = load(path)
    assert table.feature_names == ("age, years",)
    np.testing.assert_array_equal(table.features[:, 0], np.arange(32) + 0.5)


def test_reading_more_than_one_chunk_keeps_every_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedproof.data.numbers.CHUNK_CELLS", 7)
    values = np.random.default_rng(1).normal(size=(50, 3)) * 1e6
    path = write(
        tmp_path / "a.csv", "a,b,c,y", [f"{a!r},{b!r},{c!r},{i % 2}" for i, (a, b, c) in enumerate(values.tolist())]
    )
    np.testing.assert_array_equal(load(path).features, values)


def test_one_hundred_thousand_rows_of_fifty_columns_are_read(tmp_path: Path) -> None:
    row = ",".join(f"{i}.25" for i in range(50))
    path = write(tmp_path / "a.csv", ",".join(f"c{i}" for i in range(50)) + ",y", [f"{row},0", f"{row},1"] * 50_000)
    table = load(path)
    assert table.features.shape == (100_000, 50)
    assert table.features.sum() == 100_000 * (sum(range(50)) + 12.5)


def test_classes_and_targets_of_built_in_sets() -> None:
    wine, diabetes = load("wine", labels=CLASSES), load("diabetes", labels=TARGET)
    assert (wine.class_names, wine.target, sorted(set(wine.labels.tolist()))) == (
        ("class_0", "class_1", "class_2"), "", [0, 1, 2],
    )  # fmt: skip
    assert (diabetes.class_names, diabetes.target, diabetes.labels.dtype) == ((), "target", np.float64)
    np.testing.assert_array_equal(diabetes.labels, datasets.load_diabetes().target)
    assert load("wine", labels=FITTING).class_names == wine.class_names
    assert load("wine", positive="class_0", labels=FITTING).class_names == ("not class_0", "class_0")


@pytest.mark.parametrize(
    ("name", "options"),
    [("diabetes", {}), ("diabetes", {"labels": CLASSES}), ("wine", {"labels": TARGET}),
     ("wine", {"labels": CLASSES, "positive": "class_0"})],
)  # fmt: skip
def test_refuses_labels_of_another_kind(name: str, options: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"its label is|--positive"):
        load(name, **options)


def test_a_csv_of_classes_or_of_a_target(tmp_path: Path) -> None:
    classes = write(tmp_path / "c.csv", "a,label", [f"{i},{'XYZ'[i % 3]}" for i in range(33)])
    assert load(str(classes), labels=FITTING).class_names == load(str(classes), labels=CLASSES).class_names
    numbers = write(tmp_path / "t.csv", "a,y", [f"{i},{i / 4}" for i in range(40)])
    for labels in (FITTING, TARGET):
        table = load(str(numbers), labels=labels)
        assert (table.name, table.target, table.labels.tolist()) == ("t", "y", [i / 4 for i in range(40)])
    with pytest.raises(InputError, match="is no number"):
        load(str(classes), labels=TARGET)
