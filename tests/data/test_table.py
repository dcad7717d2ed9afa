import dataclasses
from typing import Any

import numpy as np
import pytest

from fedproof.data import Table
from fedproof.errors import InputError


def good() -> dict[str, Any]:
    return {
        "name": "ward",
        "features": np.arange(6.0).reshape(3, 2),
        "feature_names": ("age", "dose"),
        "labels": np.array([0, 1, 1]),
        "class_names": ("no", "yes"),
    }


def value(row: int, column: int, number: float) -> np.ndarray[Any, Any]:
    features = np.arange(6.0).reshape(3, 2)
    features[row, column] = number
    return features


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "list": ({"features": [[1.0, 2.0]]}, "features must be numbers in 2 dimensions, not list"),
    "text_features": ({"features": np.full((3, 2), "1")}, "features must be numbers"),
    "object_features": ({"features": np.full((3, 2), None)}, "features must be numbers"),
    "bool_features": ({"features": np.ones((3, 2), bool)}, "features must be numbers"),
    "complex_features": ({"features": np.ones((3, 2), complex)}, "features must be numbers"),
    "flat_features": ({"features": np.arange(3.0)}, "features must be numbers in 2 dimensions"),
    "float_labels": ({"labels": np.array([0.0, 1.0, 1.0])}, "labels must be numbers in 1 dimensions, not float64"),
    "column_of_labels": ({"labels": np.array([[0], [1], [1]])}, "labels must be numbers in 1 dimensions"),
    "label_count": ({"labels": np.array([0, 1])}, "3 x 2 features, 2 labels and 2 feature names"),
    "name_count": ({"feature_names": ("age",)}, "3 x 2 features, 3 labels and 1 feature names"),
    "no_rows": ({"features": np.empty((0, 2)), "labels": np.array([], int)}, "0 rows and 2 features"),
    "no_columns": ({"features": np.empty((3, 0)), "feature_names": ()}, "3 rows and 0 features"),
    "nan": ({"features": value(1, 1, np.nan)}, "record 2, column 'dose': the value is NaN, infinite"),
    "infinity": ({"features": value(2, 0, -np.inf)}, "record 3, column 'age': the value is NaN, infinite"),
    "too_large": ({"features": value(2, 0, 2e100)}, "record 3, column 'age': the value is NaN, infinite or beyond"),
    "label_two": ({"labels": np.array([0, 1, 2])}, "labels must be 0 or 1"),
    "label_negative": ({"labels": np.array([0, 1, -1])}, "labels must be 0 or 1"),
    "equal_names": ({"feature_names": ("age", "age")}, "two feature names are equal"),
    "equal_classes": ({"class_names": ("no", "no")}, "two class names are equal"),
    "blank_name": ({"feature_names": ("age", " ")}, "' ' is not a usable feature name"),
    "number_as_name": ({"feature_names": ("age", 7)}, "'7' is not a usable feature name"),
    "line_break_in_name": ({"name": "a\nb"}, "is not a usable table name"),
    "one_class": ({"class_names": ("a",), "labels": np.zeros(3, np.int64)}, "1 class names; 2 to 1024 are needed"),
    "label_three": ({"class_names": ("a", "b", "c"), "labels": np.array([0, 3, 2])}, "labels must be 0 to 2"),
    "target_and_classes": ({"target": "cost"}, "a target has one usable name and no classes"),
    "target_name": ({"target": "\n", "class_names": ()}, "a target has one usable name and no classes"),
    "target_nan": (
        {"target": "cost", "class_names": (), "labels": np.array([0.5, np.nan, 1.0])},
        "record 2: the target is NaN",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_rejects_bad_table_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Table(**good() | change)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("limit", "value"), [("MAX_ROWS", 3), ("MAX_FEATURES", 2), ("MAX_VALUES", 6)])
def test_a_limit_admits_itself_and_no_more(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(f"fedproof.data.table.{limit}", value)
    assert Table(**good()).rows == 3
    monkeypatch.setattr(f"fedproof.data.table.{limit}", value - 1)
    with pytest.raises(InputError, match=r"3 rows and 2 features; it may have"):
        Table(**good())


def test_arrays_are_copies_that_nobody_can_change() -> None:
    given = good()
    table = Table(**given)
    given["features"][0, 0] = 99
    given["labels"][0] = 1
    assert table.features[0, 0] == 0
    assert table.labels[0] == 0
    for array in (table.features, table.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.name = "other"  # type: ignore[misc]


def test_integers_become_float64_and_labels_int64() -> None:
    table = Table(
        **good() | {"features": np.arange(6, dtype=np.uint8).reshape(3, 2), "labels": np.array([0, 1, 1], np.uint8)}
    )
    assert (table.features.dtype, table.labels.dtype) == (np.float64, np.int64)


def test_the_largest_magnitude_and_the_longest_name_are_taken() -> None:
    assert Table(**good() | {"features": value(0, 0, -1e100), "name": "n" * 128}).features[0, 0] == -1e100
    with pytest.raises(InputError, match=r"n\.\.\.' is not a usable table name"):
        Table(**good() | {"name": "n" * 129})


def test_repr_holds_no_value() -> None:
    shown = repr(Table(**good() | {"features": value(0, 0, 123.456)}))
    assert "ward" in shown
    assert "123" not in shown
    assert "labels" not in shown


def test_take_keeps_the_order_asked_for() -> None:
    part = Table(**good()).take([2, 0], "part")
    np.testing.assert_array_equal(part.features, [[4, 5], [0, 1]])
    np.testing.assert_array_equal(part.labels, [1, 0])
    assert part.name == "part"


def test_a_table_of_a_target_or_of_three_classes() -> None:
    made = Table(**good() | {"labels": np.array([0.5, -2.0, 3.0]), "class_names": (), "target": "cost"})
    assert (made.target, made.labels.dtype, made.take([2, 0], "part").labels.tolist()) == (
        "cost",
        np.float64,
        [3.0, 0.5],
    )
    three = Table(**good() | {"labels": np.array([2, 0, 1]), "class_names": ("a", "b", "c")})
    assert three.take([0], "part").class_names == ("a", "b", "c")
