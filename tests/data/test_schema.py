import json
import math
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof.data import Schema, Table, load
from fedproof.data.schema import MAX_SCHEMA_BYTES, Target
from fedproof.errors import InputError

GOOD = Schema("ward", ("age", "dose"), (50.0, 2.5), (10.0, 0.5), ("no", "yes"), 64)
FIELDS: dict[str, Any] = json.loads(GOOD.encode())


def encoded(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def table(features: object) -> Table:
    values = np.array(features, dtype=np.float64)
    labels = np.arange(len(values)) % 2
    return Table("ward", values, tuple(f"c{i}" for i in range(values.shape[1])), labels, ("no", "yes"))


def test_the_canonical_bytes_are_pinned() -> None:
    data = (
        b'{"capacity":{"columns":3,"rows":64},"centre":[50.0,2.5],"classes":["no","yes"],"constant":[],'
        b'"features":["age","dose"],"fraction_bits":8,"name":"ward","scale":[10.0,0.5],"version":1}'
    )
    assert GOOD.encode() == data
    assert GOOD.digest == sha256(data).digest()
    assert Schema.decode(data) == GOOD


BAD_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown_field": ({"note": "x"}, "unknown or missing fields: 'note'"),
    "version_2": ({"version": 2}, "unknown or missing fields: 'target'"),
    "version_3": ({"version": 3}, "not version 1 or 2"),
    "target_in_version_1": ({"target": None}, "unknown or missing fields: 'target'"),
    "two_classes_in_version_2": ({"version": 2, "target": None}, "canonical"),
    "version_true": ({"version": True}, "not version 1"),
    "version_float": ({"version": 1.0}, "not version 1"),
    "fraction_bits": ({"fraction_bits": 9}, "fraction_bits"),
    "columns": ({"capacity": {"columns": 4, "rows": 64}}, "columns"),
    "capacity_list": ({"capacity": [3, 64]}, "capacity must hold"),
    "capacity_field": ({"capacity": {"columns": 3, "rows": 64, "x": 1}}, "capacity must hold"),
    "rows_float": ({"capacity": {"columns": 3, "rows": 64.0}}, "no capacity class"),
    "rows_true": ({"capacity": {"columns": 3, "rows": True}}, "no capacity class"),
    "rows_33": ({"capacity": {"columns": 3, "rows": 33}}, "no capacity class"),
    "rows_16": ({"capacity": {"columns": 3, "rows": 16}}, "no capacity class"),
    "rows_negative": ({"capacity": {"columns": 3, "rows": -64}}, "no capacity class"),
    "rows_huge": ({"capacity": {"columns": 3, "rows": 1 << 21}}, "no capacity class"),
    "centre_text": ({"centre": ["50.0", 2.5]}, "centre must hold finite floats"),
    "centre_int": ({"centre": [50, 2.5]}, "centre must hold finite floats"),
    "centre_null": ({"centre": [None, 2.5]}, "centre must hold finite floats"),
    "centre_nan": ({"centre": [math.nan, 2.5]}, "centre must hold finite floats"),
    "centre_infinite": ({"centre": [-math.inf, 2.5]}, "centre must hold finite floats"),
    "centre_short": ({"centre": [50.0]}, "centre must hold one number for each of the 2 features"),
    "centre_number": ({"centre": 50.0}, "centre must be a list"),
    "scale_zero": ({"scale": [0.0, 1.0]}, "scale above 0"),
    "scale_negative": ({"scale": [-1.0, 1.0]}, "scale above 0"),
    "scale_infinite": ({"scale": [math.inf, 1.0]}, "scale must hold finite floats"),
    "scale_long": ({"scale": [1.0, 1.0, 1.0]}, "scale must hold one number"),
    "features_text": ({"features": "ab"}, "features must be a list"),
    "features_numbers": ({"features": [1, 2]}, "features holds '1'"),
    "features_nested": ({"features": [["age"], "dose"]}, "features holds"),
    "features_equal": ({"features": ["age", "age"]}, "features holds a name twice"),
    "features_none": ({"features": [], "centre": [], "scale": []}, "features must be 1 to 4095 names"),
    "features_lone_surrogate": ({"features": ["age", "\ud800"]}, "not a printable name"),
    "name_line_break": ({"name": "a\nb"}, "not a printable name"),
    "name_number": ({"name": 5}, "not a printable name"),
    "one_class": ({"classes": ["no"]}, "classes must be 2 to 1024 names"),
    "three_classes": ({"classes": ["a", "b", "c"]}, "canonical"),
    "constant_unknown": ({"constant": ["height"]}, "constant must list features"),
    "constant_out_of_order": ({"constant": ["dose", "age"], "scale": [1.0, 1.0]}, "constant must list features"),
    "constant_scale": ({"constant": ["age"]}, "feature 'age': it is constant, so its scale must be 1"),
    "constant_null": ({"constant": None}, "constant must be a list"),
}


@pytest.mark.parametrize(("change", "message"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_rejects_schema_with_bad_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Schema.decode(encoded(FIELDS | change))
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("field", sorted(FIELDS.keys() - {"version"}))
def test_rejects_schema_without_a_field(field: str) -> None:
    with pytest.raises(InputError, match=rf"unknown or missing fields: '{field}'"):
        Schema.decode(encoded({key: value for key, value in FIELDS.items() if key != field}))


BAD_BYTES = {
    "empty": (b"", "not JSON"),
    "truncated": (GOOD.encode()[:-1], "not JSON"),
    "trailing_byte": (GOOD.encode() + b"x", "not JSON"),
    "trailing_space": (GOOD.encode() + b" ", "canonical"),
    "white_space": (json.dumps(FIELDS, sort_keys=True).encode(), "canonical"),
    "other_order": (json.dumps(dict(reversed(FIELDS.items())), separators=(",", ":")).encode(), "canonical"),
    "repeated_field": (GOOD.encode()[:-1] + b',"version":1}', "canonical"),
    "escaped_letter": (GOOD.encode().replace(b'"age"', b'"\\u0061ge"'), "canonical"),
    "other_float_form": (GOOD.encode().replace(b"50.0", b"5e1"), "canonical"),
    "not_utf_8": (GOOD.encode().replace(b"age", b"\xffge"), "not JSON"),
    "utf_16": (GOOD.encode().decode().encode("utf-16"), "not JSON"),
    "list": (b"[]", "not version 1"),
    "deep": (b"[" * 100_000, "not JSON"),
    "long_number": (b"1" * 10_000, "not JSON"),
    "too_long": (b" " * (MAX_SCHEMA_BYTES + 1), "the limit is"),
}


@pytest.mark.parametrize(("data", "message"), BAD_BYTES.values(), ids=BAD_BYTES.keys())
def test_rejects_bytes_that_are_not_a_canonical_schema(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Schema.decode(data)
    assert message in str(caught.value)


def test_rejects_encoding_beyond_the_limit() -> None:
    names = tuple(f"{'é' * 120}{i}" for i in range(4095))
    schema = Schema("wide", names, (0.0,) * 4095, (1.0,) * 4095, ("no", "yes"), 32, names)
    with pytest.raises(InputError, match=r"use shorter feature names"):
        schema.encode()


def test_rejects_lists_where_tuples_are_needed() -> None:
    with pytest.raises(InputError, match=r"features must be 1 to 4095 names"):
        Schema("a", ["age"], (0.0,), (1.0,), ("no", "yes"), 32)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"centre must hold one number for each"):
        Schema("a", ("age",), np.zeros(1), (1.0,), ("no", "yes"), 32)  # type: ignore[arg-type]


def test_the_limit_of_bytes_admits_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    data = GOOD.encode()
    monkeypatch.setattr("fedproof.data.schema.MAX_SCHEMA_BYTES", len(data))
    assert Schema.decode(data).encode() == data


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.tuples(st.integers(0, 200), st.binary(max_size=4))))
def test_any_bytes_give_the_schema_they_encode_or_an_input_error(case: bytes | tuple[int, bytes]) -> None:
    data = case if isinstance(case, bytes) else GOOD.encode()[: case[0]] + case[1] + GOOD.encode()[case[0] + 1 :]
    try:
        schema = Schema.decode(data)
    except InputError:
        return
    assert schema.encode() == data


names = st.text(min_size=1, max_size=20).filter(lambda s: s.isprintable() and s.strip() == s)
floats = st.floats(-1e100, 1e100)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(names, floats, st.floats(5e-324, 1e100)), min_size=1, max_size=5, unique_by=lambda t: t[0]))
def test_every_schema_survives_encoding(columns: list[tuple[str, float, float]]) -> None:
    features, centre, scale = (tuple(part) for part in zip(*columns, strict=True))
    schema = Schema("a", features, centre, scale, ("no", "yes"), 1 << 20)
    decoded = Schema.decode(schema.encode())
    assert decoded == schema
    assert decoded.digest == schema.digest


def test_every_change_changes_the_digest() -> None:
    changes = [
        ("name", "ward2"), ("features", ("age", "height")), ("centre", (50.0, 2.6)), ("scale", (10.0, 0.25)),
        ("classes", ("yes", "no")), ("rows", 128),
    ]  # fmt: skip
    fields = {name: getattr(GOOD, name) for name in ("name", "features", "centre", "scale", "classes", "rows")}
    digests = {Schema(**fields | {name: value}).digest for name, value in changes} | {GOOD.digest}
    assert len(digests) == 7


def test_quantise_follows_the_formula() -> None:
    unit = Schema("a", ("v",), (50.0,), (10.0,), ("no", "yes"), 32)
    cases = {
        50.0: 0, 60.0: 256, 40.0: -256, 51.0: 26, 49.0: -26, 0.0: -1280,
        # ties to even, then the edges
        50 + 10 * 0.5 / 256: 0, 50 + 10 * 1.5 / 256: 2, 50 - 10 * 1.5 / 256: -2, 50 + 10 * 2.5 / 256: 2,
        50 + 10 * 2047 / 256: 2047, 50 + 10 * 2048 / 256: 2047, 50 - 10 * 2048 / 256: -2048,
        50 - 10 * 2049 / 256: -2048, 1e100: 2047, -1e100: -2048,
    }  # fmt: skip
    values = np.array(list(cases))[:, None]
    quantised = unit.quantise(values)
    assert quantised.dtype == np.int64
    np.testing.assert_array_equal(quantised[:, 0], list(cases.values()))
    assert unit.count_clipped(values) == 4


def test_a_value_that_rounds_to_the_edge_is_not_clipped() -> None:
    unit = Schema("a", ("v",), (0.0,), (1.0,), ("no", "yes"), 32)
    edge = np.array([[2047.4], [-2048.4], [2047.6], [-2048.6]]) / 256
    assert unit.count_clipped(edge) == 2
    np.testing.assert_array_equal(unit.standardise(edge)[:, 0] * 256, [2047, -2048, 2047, -2048])


def test_standardise_is_quantise_without_the_rounding() -> None:
    values = np.random.default_rng(3).normal([50, 2.5], [40, 2], size=(500, 2))
    real, integers = GOOD.standardise(values), GOOD.quantise(values)
    assert np.abs(real * 256 - integers).max() <= 0.5
    assert real.min() == -8
    assert real.max() == 2047 / 256
    assert 0 < GOOD.count_clipped(values) <= np.count_nonzero((integers == -2048) | (integers == 2047))


def test_a_tiny_scale_clips_instead_of_overflowing() -> None:
    tiny = Schema("a", ("v",), (0.0,), (5e-324,), ("no", "yes"), 32)
    np.testing.assert_array_equal(tiny.quantise(np.array([[1e100], [-1e100], [0.0]]))[:, 0], [2047, -2048, 0])


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((3, 3)), "shape (3, 3)"),
        (np.zeros(2), "shape (2,)"),
        (np.full((1, 2), "1"), "type <U1"),
        (np.array([[0.0, np.nan]]), "NaN, infinity"),
        (np.array([[np.inf, 0.0]]), "NaN, infinity"),
        (np.array([[2e100, 0.0]]), "beyond 1e+100"),
    ],
)
def test_rejects_features_that_do_not_fit_the_schema(features: Any, message: str) -> None:
    for method in (GOOD.quantise, GOOD.standardise, GOOD.count_clipped):
        with pytest.raises(InputError) as caught:
            method(features)
        assert message in str(caught.value)


def test_centre_and_scale_are_mean_and_deviation_of_the_public_part() -> None:
    public = load()
    schema = Schema.from_public(public, 256)
    np.testing.assert_allclose(schema.centre, public.features.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(schema.scale, public.features.std(axis=0), rtol=1e-13)
    assert (schema.rows, schema.columns, schema.classes) == (256, 31, ("malignant", "benign"))
    assert (schema.constant, schema.warnings) == ((), ())


def test_the_order_of_public_rows_does_not_change_the_schema() -> None:
    public = load()
    shuffled = public.take(np.random.default_rng(5).permutation(public.rows), public.name)
    assert Schema.from_public(shuffled, 32).digest == Schema.from_public(public, 32).digest


@pytest.mark.parametrize("value", [0.1, 0.0, -0.0, 1e100, 3.0])
def test_a_constant_feature_gets_scale_one_and_a_warning(value: float) -> None:
    schema = Schema.from_public(table([[value, i] for i in range(49)]), 64)
    assert schema.constant == ("c0",)
    assert (schema.centre[0], schema.scale[0]) == (value, 1.0)
    assert str(schema.centre[0]) != "-0.0"
    assert schema.warnings == (
        "feature 'c0' is constant in the public part, so its scale is 1; check its unit or remove it",
    )
    np.testing.assert_array_equal(schema.quantise(np.array([[value, 0.0]]))[0, 0], 0)
    assert Schema.decode(schema.encode()) == schema


def test_a_constant_whose_mean_rounds_away_from_it_is_still_constant() -> None:
    value = 0.49543508709194095
    assert math.fsum([value] * 3) / 3 != value
    schema = Schema.from_public(table([[value]] * 3), 32)
    assert (schema.centre, schema.scale, schema.constant) == ((value,), (1.0,), ("c0",))


def test_a_spread_below_float_precision_counts_as_constant() -> None:
    schema = Schema.from_public(table([[i * 1e-200, i] for i in range(40)]), 64)
    assert schema.constant == ("c0",)
    assert schema.scale[0] == 1.0


def test_extreme_columns_give_a_usable_schema() -> None:
    schema = Schema.from_public(table([[1e100 * (-1) ** i, 5e-324 * i] for i in range(40)]), 64)
    np.testing.assert_array_equal(schema.quantise(np.array([[1e100, 0.0]])), [[256, 0]])


def test_rejects_a_schema_of_no_capacity_class() -> None:
    with pytest.raises(InputError, match=r"'100' rows are no capacity class"):
        Schema.from_public(load(), 100)


COST = replace(GOOD, classes=(), target=Target("cost", 100.0, 50.0))
THREE = replace(GOOD, classes=("a", "b", "c"))


@pytest.mark.parametrize("schema", [COST, THREE])
def test_classes_and_targets_come_back_as_they_went(schema: Schema) -> None:
    assert Schema.decode(schema.encode()) == schema
    assert json.loads(schema.encode())["version"] == 2
    assert str(schema.label_kind) == ("target" if schema is COST else "classes 3")


def test_a_target_is_quantised_like_a_feature() -> None:
    labels = np.array([100.0, 150.0, 75.1, 1e9, -1e9])
    assert COST.quantise_labels(labels).tolist() == [0, 256, -127, 2047, -2048]
    np.testing.assert_allclose(COST.standardise_labels(labels), [0, 1, -0.498, 2047 / 256, -8])
    public = Table("ward", np.array([[1.0, 2], [3, 5], [4, 4]]), ("age", "dose"), np.array([1.0, 2.0, 6.0]), (), "cost")
    made = Schema.from_public(public, 32)
    assert made.target is not None
    assert (made.target.name, made.target.centre, made.target.scale) == ("cost", 3.0, math.sqrt(14 / 3))


def test_classes_are_checked() -> None:
    assert THREE.quantise_labels(np.array([2, 0])).tolist() == [2, 0]
    assert THREE.standardise_labels(np.array([2, 0])).dtype == np.float64
    for wrong in (np.array([3]), np.array([-1])):
        with pytest.raises(InputError, match=r"outside \[0, 3\)"):
            THREE.quantise_labels(wrong)


@pytest.mark.parametrize(
    "target",
    [{"name": "cost", "centre": 1.0}, {"name": "", "centre": 1.0, "scale": 1.0},
     {"name": "c", "centre": 1, "scale": 1.0}, {"name": "c", "centre": 1.0, "scale": 0.0}, [], "cost", 5],
)  # fmt: skip
def test_refuses_a_bad_target(target: object) -> None:
    value = json.loads(COST.encode()) | {"target": target}
    with pytest.raises(InputError, match="target"):
        Schema.decode(encoded(value))
