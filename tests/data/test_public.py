import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof.data import Table, load, split
from fedproof.data.load import CLASSES, TARGET
from fedproof.data.public import MAX_BYTES, decode_table, encode_table
from fedproof.errors import InputError

GOOD = encode_table(Table("ward", np.array([[1.0], [-2.5]]), ("x",), np.array([0, 1]), ("no", "yes")))
FIELDS: dict[str, Any] = json.loads(GOOD)


def encoded(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_a_public_part_survives_encoding() -> None:
    table = split(load(), 3, 2026).test
    decoded = decode_table(encode_table(table))
    np.testing.assert_array_equal(decoded.features, table.features)
    np.testing.assert_array_equal(decoded.labels, table.labels)
    assert (decoded.name, decoded.feature_names, decoded.class_names) == (
        table.name, table.feature_names, table.class_names,
    )  # fmt: skip


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "damaged"),
    "list": (b"[]", "damaged"),
    "number": (b"1", "damaged"),
    "deep": (b"[" * 100_000, "damaged"),
    "trailing_byte": (GOOD + b"x", "damaged"),
    "trailing_space": (GOOD + b" ", "canonical"),
    "utf_16": (GOOD.decode().encode("utf-16"), "canonical"),
    "repeated_field": (GOOD[:-1] + b',"version":1}', "canonical"),
    "no_version": (encoded({"name": "x"}), "damaged"),
    "version_2": (encoded(FIELDS | {"version": 2}), "another version"),
    "version_true": (encoded(FIELDS | {"version": True}), "canonical"),
    "unknown_field": (encoded(FIELDS | {"note": "x"}), "other fields"),
    "huge_feature": (encoded(FIELDS | {"features": [[10**400], [1.0]]}), "damaged"),
    "huge_label": (encoded(FIELDS | {"labels": [10**30, 1]}), "damaged"),
    "half_label": (encoded(FIELDS | {"labels": [0.5, 1]}), "canonical"),
    "true_label": (encoded(FIELDS | {"labels": [False, True]}), "canonical"),
    "text_feature": (encoded(FIELDS | {"features": [["1.0"], ["-2.5"]]}), "canonical"),
    "integer_feature": (encoded(FIELDS | {"features": [[1], [-2.5]]}), "canonical"),
    "ragged": (encoded(FIELDS | {"features": [[1.0], []]}), "damaged"),
    "null_feature": (encoded(FIELDS | {"features": [[None], [1.0]]}), "NaN"),
    "nan_feature": (encoded(FIELDS | {"features": [[float("nan")], [1.0]]}), "NaN"),
    "names_as_text": (encoded(FIELDS | {"feature_names": "x"}), "canonical"),
    "name_is_a_number": (encoded(FIELDS | {"name": 7}), "not a usable table name"),
    "too_long": (b" " * (MAX_BYTES + 1), "the limit is 16"),
}


@pytest.mark.parametrize(("blob", "message"), BAD.values(), ids=BAD.keys())
def test_rejects_bytes_that_are_not_a_public_table(blob: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_table(blob)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_rejects_encoding_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    table = decode_table(GOOD)
    monkeypatch.setattr("fedproof.data.public.MAX_BYTES", len(GOOD) - 1)
    with pytest.raises(InputError, match=r"use a smaller test part"):
        encode_table(table)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(st.sampled_from(sorted(FIELDS)), values).map(lambda change: encoded(FIELDS | dict([change]))),
        st.tuples(st.integers(0, 150), st.binary(max_size=3)).map(lambda e: GOOD[: e[0]] + e[1] + GOOD[e[0] + 1 :]),
    )
)
def test_any_bytes_give_the_table_they_encode_or_an_input_error(blob: bytes) -> None:
    try:
        table = decode_table(blob)
    except InputError:
        return
    assert encode_table(table) == blob


def test_classes_and_targets_survive_encoding() -> None:
    for name, labels in (("wine", CLASSES), ("diabetes", TARGET)):
        table = load(name, labels=labels)
        decoded = decode_table(encode_table(table))
        np.testing.assert_array_equal(decoded.labels, table.labels)
        assert (decoded.class_names, decoded.target) == (table.class_names, table.target)


@pytest.mark.parametrize("change", [{"target": ""}, {"target": 5}, {"class_names": ["a", "b"]}, {"labels": [1, 2]}])
def test_refuses_a_target_that_is_none(change: dict[str, object]) -> None:
    good = Table("ward", np.array([[1.0], [-2.5]]), ("x",), np.array([0.5, 1.5]), (), "cost")
    with pytest.raises(InputError):
        decode_table(encoded({**json.loads(encode_table(good)), **change}))
