import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof._core import MODULUS
from fedproof.data import Records, Schema
from fedproof.data.records import HEADER, MAGIC, VERSION, largest_records
from fedproof.errors import InputError

SCHEMA = Schema("ward", ("age", "dose"), (50.0, 2.5), (10.0, 0.5), ("no", "yes"), 32)
TOP = (MODULUS - 1).to_bytes(32, "big")


def good() -> dict[str, Any]:
    return {
        "schema_digest": SCHEMA.digest,
        "features": np.array([[-2048, 2047], [0, 1], [-1, 300]]),
        "labels": np.array([0, 1, 1]),
        "blinding": bytes(31) + b"\x07" + TOP,
    }


def same(a: Records, b: Records) -> bool:
    arrays = np.array_equal(a.features, b.features) and np.array_equal(a.labels, b.labels)
    return arrays and a.schema_digest == b.schema_digest and a.blinding == b.blinding


def test_the_wire_form_is_pinned() -> None:
    expected = (
        b"fedprec\0" + b"\x00\x01" + SCHEMA.digest + b"\x00\x00\x00\x03" + b"\x00\x02" + bytes(31) + b"\x07" + TOP
        + bytes.fromhex("f800 07ff 0000 0001 ffff 012c") + b"\x00\x01\x01"
    )  # fmt: skip
    assert Records(**good()).encode() == expected
    assert same(Records.decode(expected), Records(**good()))


@settings(max_examples=100, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 9), seed=st.integers(0, 2**32), k=st.integers(0, MODULUS - 1))
def test_every_record_set_survives_encoding(rows: int, columns: int, seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.integers(-2048, 2048, (rows, columns))
    records = Records(rng.bytes(32), features, rng.integers(0, 2, rows), k.to_bytes(32, "big") * 2)
    decoded = Records.decode(records.encode())
    assert same(decoded, records)
    assert (decoded.features.dtype, decoded.labels.dtype, decoded.rows) == (np.int64, np.int64, rows)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "short_digest": ({"schema_digest": bytes(31)}, "schema digest must be 32 bytes"),
    "digest_text": ({"schema_digest": "a" * 32}, "schema digest must be 32 bytes"),
    "float_features": ({"features": np.zeros((3, 2))}, "features must be signed integers in 2 dimensions"),
    "unsigned_features": ({"features": np.zeros((3, 2), np.uint64)}, "features must be signed integers"),
    "list": ({"features": [[1, 2]]}, "features must be signed integers"),
    "flat": ({"features": np.zeros(3, np.int64)}, "features must be signed integers in 2 dimensions"),
    "bool_labels": ({"labels": np.array([True, False, True])}, "labels must be signed integers in 1 dimensions"),
    "no_rows": ({"features": np.zeros((0, 2), np.int64), "labels": np.zeros(0, np.int64)}, "0 rows of 2 features"),
    "no_columns": ({"features": np.zeros((3, 0), np.int64)}, "3 rows of 0 features"),
    "label_count": ({"labels": np.array([0, 1])}, "3 rows but 2 labels"),
    "too_low": ({"features": np.array([[-2049, 0]] * 3)}, "outside [-2048, 2047]"),
    "too_high": ({"features": np.array([[0, 2048]] * 3)}, "outside [-2048, 2047]"),
    "label_2048": ({"labels": np.array([0, 1, 2048])}, "a label lies outside [-2048, 2047]"),
    "label_negative": ({"labels": np.array([0, -2049, 1])}, "a label lies outside [-2048, 2047]"),
    "blinding_short": ({"blinding": bytes(63)}, "blinding must be 64 bytes"),
    "blinding_can_change": ({"blinding": bytearray(64)}, "blinding must be 64 bytes"),
    "blinding_numbers": ({"blinding": (1, 2)}, "blinding must be 64 bytes"),
    "first_blinding_is_r": ({"blinding": MODULUS.to_bytes(32, "big") + bytes(32)}, "not below r"),
    "second_blinding_is_r": ({"blinding": bytes(32) + MODULUS.to_bytes(32, "big")}, "not below r"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_rejects_bad_records_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Records(**good() | change)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def header(magic: bytes = MAGIC, version: int = VERSION, rows: int = 3, columns: int = 2) -> bytes:
    return HEADER.pack(magic, version, SCHEMA.digest, rows, columns)


BODY = Records(**good()).encode()[HEADER.size :]
BAD_BYTES = {
    "empty": (b"", "too short"),
    "header_cut": (header()[:-1], "too short"),
    "header_only": (header(), "but 3 rows of 2 features take"),
    "cut": (header() + BODY[:-1], "but 3 rows of 2 features take"),
    "trailing_byte": (header() + BODY + b"\0", "but 3 rows of 2 features take"),
    "other_magic": (header(magic=b"fedprec1") + BODY, "not the format of fedproof records"),
    "version_0": (header(version=0) + BODY, "format version 0 is unknown"),
    "version_2": (header(version=2) + BODY, "but 3 rows of 2 features take"),
    "version_3": (header(version=3) + BODY, "format version 3 is unknown"),
    "narrow_as_wide": (header(version=2) + BODY[:-3] + bytes(5) + b"\1", "in the form of others"),
    "fewer_rows": (header(rows=2) + BODY, "but 2 rows of 2 features take"),
    "more_rows": (header(rows=4) + BODY, "but 4 rows of 2 features take"),
    "no_rows": (header(rows=0) + BODY[:64], "0 rows of 2 features; the limits"),
    "no_columns": (header(columns=0) + BODY[:67], "3 rows of 0 features; the limits"),
    "huge": (header(rows=2**32 - 1, columns=2**16 - 1) + BODY, "the limits are"),
    "many_rows": (header(rows=2**20 + 1, columns=1) + BODY, "the limits are"),
    "many_columns": (header(rows=1, columns=4096) + BODY, "the limits are"),
    "many_values": (header(rows=2**20, columns=17) + BODY, "the limits are"),
    "feature_too_high": (header() + BODY[:64] + b"\x08\x00" + BODY[66:], "outside [-2048, 2047]"),
    "feature_too_low": (header() + BODY[:64] + b"\xf7\xff" + BODY[66:], "outside [-2048, 2047]"),
    "label_2": (header() + BODY[:-1] + b"\x02", "a label is not 0 or 1"),
    "blinding_above_r": (header() + b"\xff" * 32 + BODY[32:], "not below r"),
}


@pytest.mark.parametrize(("data", "message"), BAD_BYTES.values(), ids=BAD_BYTES.keys())
def test_rejects_bytes_that_are_not_records(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Records.decode(data)
    assert message in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.tuples(st.integers(0, 130), st.binary(max_size=4)),
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1), st.binary(max_size=300)),
    )
)
def test_any_bytes_give_the_records_they_encode_or_an_input_error(case: Any) -> None:
    whole = header() + BODY
    if isinstance(case, bytes):
        data = case
    elif len(case) == 2:
        data = whole[: case[0]] + case[1] + whole[case[0] + len(case[1]) :]
    else:
        data = header(rows=case[0], columns=case[1]) + case[2]
    try:
        records = Records.decode(data)
    except InputError:
        return
    assert records.encode() == data


def test_a_short_message_cannot_make_the_decoder_allocate() -> None:
    data = header(rows=2**20, columns=16) + BODY
    tracemalloc.start()
    with pytest.raises(InputError):
        Records.decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize(("limit", "value"), [("MAX_ROWS", 3), ("MAX_FEATURES", 2), ("MAX_VALUES", 6)])
def test_a_limit_admits_itself_and_no_more(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(f"fedproof.data.records.{limit}", value)
    assert Records.decode(header() + BODY).rows == 3
    monkeypatch.setattr(f"fedproof.data.records.{limit}", value - 1)
    with pytest.raises(InputError, match=r"the limits are"):
        Records.decode(header() + BODY)


def test_repr_holds_no_secret() -> None:
    shown = repr(Records(**good()))
    assert shown == f"Records(rows=3, features=2, schema={SCHEMA.digest.hex()[:16]})"


def test_arrays_are_copies_that_nobody_can_change() -> None:
    given_fields = good()
    records = Records(**given_fields)
    given_fields["features"][0, 0] = 5
    assert records.features[0, 0] == -2048
    with pytest.raises(ValueError, match="read-only"):
        records.features[0, 0] = 5


def test_records_of_the_schema_are_taken() -> None:
    Records(**good()).check_schema(SCHEMA)
    full = {"features": np.zeros((32, 2), np.int64), "labels": np.zeros(32, np.int64)}
    Records(**good() | full).check_schema(SCHEMA)


def test_rejects_records_of_another_schema() -> None:
    other = Schema("ward", ("age", "dose"), (50.0, 2.5), (10.0, 0.25), ("no", "yes"), 32)
    with pytest.raises(InputError, match=r"quantised with another schema"):
        Records(**good()).check_schema(other)


@pytest.mark.parametrize("shape", [(3, 3), (3, 1), (33, 2)])
def test_rejects_records_that_do_not_fit_the_capacity_class(shape: tuple[int, int]) -> None:
    fields = good() | {"features": np.zeros(shape, np.int64), "labels": np.zeros(shape[0], np.int64)}
    with pytest.raises(InputError, match=r"do not fit the schema's capacity class of 32 x 2"):
        Records(**fields).check_schema(SCHEMA)


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 1023, 7], [-2048, 2047, 0]])
def test_classes_and_targets_come_back_as_they_went(labels: list[int]) -> None:
    records = Records(**good() | {"labels": np.array(labels)})
    data = records.encode()
    assert same(Records.decode(data), records)
    assert len(data) == largest_records(3, 2)
