"""A block of prepared records as a file: quantised, without the blinding, which is drawn when the block is minted.

    magic 8 | version 2 | schema digest 32 | rows 4 | columns 2 | values 2*rows*columns | labels rows

The integers are those of `Records`: big-endian, values int16 in row order, labels one byte each. No byte may follow.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from fedproof.data.schema import HIGH, LOW, Schema
from fedproof.errors import InputError

MAGIC = b"fedpblk\0"
VERSION = 1
HEADER = struct.Struct(">8sH32sIH")


def block_size(schema: Schema, rows: int) -> int:
    """Bytes of a block of so many rows."""
    return HEADER.size + 2 * rows * len(schema.features) + rows


def encode_block(schema: Schema, features: NDArray[np.int64], labels: NDArray[np.int64]) -> bytes:
    """The bytes of one block; equal records give equal bytes."""
    rows, columns = features.shape
    assert 0 < rows <= schema.rows
    assert columns == len(schema.features)
    header = HEADER.pack(MAGIC, VERSION, schema.digest, rows, columns)
    return b"".join((header, features.astype(">i2").tobytes(), labels.astype(np.uint8).tobytes()))


def decode_block(data: bytes, schema: Schema) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Features `(n, f)` and labels `(n,)` of a block of this schema.

    Raises:
        InputError: another format, version, schema or length, or values out of range.
    """
    if len(data) < HEADER.size:
        raise InputError("block: cut off; prepare the dataset again")
    magic, version, digest, rows, columns = HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise InputError(f"block: not the format of version {VERSION}; prepare the dataset again")
    if digest != schema.digest or columns != len(schema.features) or not 0 < rows <= schema.rows:
        raise InputError("block: of another schema; prepare the dataset again")
    if len(data) != block_size(schema, rows):
        raise InputError("block: of a wrong length; prepare the dataset again")
    features = np.frombuffer(data, ">i2", rows * columns, HEADER.size).reshape(rows, columns).astype(np.int64)
    labels = np.frombuffer(data, np.uint8, rows, HEADER.size + 2 * rows * columns).astype(np.int64)
    if features.min() < LOW or features.max() > HIGH or labels.max() > 1:
        raise InputError("block: a value is out of range; prepare the dataset again")
    return features, labels
