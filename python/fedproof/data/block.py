"""A block of prepared records as a file: quantised, without the blinding, which is drawn when the block is minted.

    magic 8 | version 2 | schema digest 32 | rows 4 | columns 2 | values 2*rows*columns | labels

The integers are those of `Records`: big-endian, values int16 in row order. Labels of two classes are one byte each
(version 1), others int16 (version 2). No byte may follow.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedproof.data.schema import HIGH, LOW, Schema
from fedproof.errors import InputError

MAGIC = b"fedpblk\0"
VERSION, VERSION_WIDE = 1, 2
HEADER = struct.Struct(">8sH32sIH")


def block_size(schema: Schema, rows: int) -> int:
    """Bytes of a block of so many rows."""
    return HEADER.size + rows * (2 * len(schema.features) + _form(schema)[1].itemsize)


def _form(schema: Schema) -> tuple[int, np.dtype[Any]]:
    if len(schema.classes) == 2:
        return VERSION, np.dtype(np.uint8)
    return VERSION_WIDE, np.dtype(">i2")


def encode_block(schema: Schema, features: NDArray[np.int64], labels: NDArray[np.int64]) -> bytes:
    """The bytes of one block; equal records give equal bytes."""
    rows, columns = features.shape
    assert 0 < rows <= schema.rows
    assert columns == len(schema.features)
    version, form = _form(schema)
    header = HEADER.pack(MAGIC, version, schema.digest, rows, columns)
    return b"".join((header, features.astype(">i2").tobytes(), labels.astype(form).tobytes()))


def decode_block(data: bytes, schema: Schema) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Features `(n, f)` and labels `(n,)` of a block of this schema.

    Raises:
        InputError: another format, version, schema or length, or values out of range.
    """
    if len(data) < HEADER.size:
        raise InputError("block: cut off; prepare the dataset again")
    magic, version, digest, rows, columns = HEADER.unpack_from(data)
    expected, form = _form(schema)
    if magic != MAGIC or version != expected:
        raise InputError(f"block: not the format of version {expected}; prepare the dataset again")
    if digest != schema.digest or columns != len(schema.features) or not 0 < rows <= schema.rows:
        raise InputError("block: of another schema; prepare the dataset again")
    if len(data) != block_size(schema, rows):
        raise InputError("block: of a wrong length; prepare the dataset again")
    features = np.frombuffer(data, ">i2", rows * columns, HEADER.size).reshape(rows, columns).astype(np.int64)
    labels = np.frombuffer(data, form, rows, HEADER.size + 2 * rows * columns).astype(np.int64)
    low, high = schema.label_kind.bounds
    if features.min() < LOW or features.max() > HIGH or labels.min() < low or labels.max() >= high:
        raise InputError("block: a value is out of range; prepare the dataset again")
    return features, labels
