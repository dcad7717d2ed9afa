"""Blocks of prepared records: one encoding, and junk is refused before anything is allocated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedproof.data import Schema
from fedproof.data.block import HEADER, decode_block, encode_block
from fedproof.errors import InputError

SCHEMA = Schema("ward", ("age", "dose"), (50.0, 2.5), (10.0, 0.5), ("no", "yes"), 64)
FEATURES = np.arange(-20, 20, dtype=np.int64).reshape(20, 2) * 100
LABELS = np.arange(20) % 2
DATA = encode_block(SCHEMA, FEATURES, LABELS)


def test_reads_back_what_it_wrote() -> None:
    features, labels = decode_block(DATA, SCHEMA)
    assert (features == FEATURES).all()
    assert (labels == LABELS).all()
    assert features.dtype == labels.dtype == np.int64
    assert encode_block(SCHEMA, features, labels) == DATA


def test_refuses_another_schema() -> None:
    other = Schema("ward", ("age", "dose"), (50.0, 2.5), (10.0, 0.6), ("no", "yes"), 64)
    with pytest.raises(InputError, match="another schema"):
        decode_block(DATA, other)


@pytest.mark.parametrize("length", range(len(DATA)))
def test_refuses_every_truncation(length: int) -> None:
    with pytest.raises(InputError, match="block: "):
        decode_block(DATA[:length], SCHEMA)


def test_refuses_extension_and_values_out_of_range() -> None:
    with pytest.raises(InputError, match="length"):
        decode_block(DATA + b"\0", SCHEMA)
    with pytest.raises(InputError, match="out of range"):
        decode_block(DATA[:-1] + b"\2", SCHEMA)
    with pytest.raises(InputError, match="out of range"):
        decode_block(DATA[: HEADER.size] + b"\x7f" + DATA[HEADER.size + 1 :], SCHEMA)
    with pytest.raises(InputError, match="another schema"):
        decode_block(HEADER.pack(b"fedpblk\0", 1, SCHEMA.digest, 1 << 31, 2), SCHEMA)


@given(junk=st.binary(max_size=200), keep=st.integers(0, HEADER.size))
def test_junk_gives_an_input_error_and_nothing_else(junk: bytes, keep: int) -> None:
    try:
        features, labels = decode_block(DATA[:keep] + junk, SCHEMA)
    except InputError:
        return
    assert encode_block(SCHEMA, features, labels) == DATA[:keep] + junk
