"""The plain form of Tier-3 records: what is sealed for a grantee, and all it needs to prove its training.

The blinding of C_X travels with the records: without it nobody can open the commitment that a training proof is linked
to (protocol, sections 4 and 5).

    magic 8 | version 2 | schema digest 32 | rows 4 | columns 2 | blinding 64 | values 2*rows*columns | labels

All integers are big-endian; values are int16 in row order. Labels are one byte each where all are 0 or 1 (version 1),
else int16 (version 2). No byte may follow.
"""

import struct
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fedproof._core import MODULUS
from fedproof.data.limits import MAX_FEATURES, MAX_ROWS, MAX_VALUES
from fedproof.data.schema import HIGH, LOW, Schema
from fedproof.errors import InputError
from fedproof.statements.layout import DATASET_BLINDING

MAGIC = b"fedprec\0"
VERSION, VERSION_WIDE = 1, 2
HEADER = struct.Struct(">8sH32sIH")
FIELD_BYTES = 32


@dataclass(frozen=True, eq=False, repr=False)
class Records:
    """Quantised records with the two blinding coefficients of their commitment. All of it is private.

    Args:
        schema_digest: 32 bytes, `Schema.digest`.
        features: int64, shape `(n, f)`, in [-2048, 2047], in the published row order; no padding.
        labels: int64, shape `(n,)`: classes, or targets in [-2048, 2047]; what is right, the schema says.
        blinding: 64 bytes: two canonical field elements, big-endian: positions B and B + 1 of the dataset's vector.

    Raises:
        InputError: a wrong shape, type or range.
    """

    schema_digest: bytes
    features: NDArray[np.int64] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    blinding: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if type(self.schema_digest) is not bytes or len(self.schema_digest) != 32:
            raise InputError("records: the schema digest must be 32 bytes")
        features = _integers(self.features, 2, "features")
        labels = _integers(self.labels, 1, "labels")
        _check_size(*features.shape)
        if len(labels) != len(features):
            raise InputError(f"records: {len(features)} rows but {len(labels)} labels")
        if features.min() < LOW or features.max() > HIGH:
            raise InputError(f"records: a feature lies outside [{LOW}, {HIGH}]; quantise with the schema first")
        if labels.min() < LOW or labels.max() > HIGH:
            raise InputError(f"records: a label lies outside [{LOW}, {HIGH}]")
        _check_blinding(self.blinding)
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "labels", labels)

    def __repr__(self) -> str:
        rows, columns = self.features.shape
        return f"Records(rows={rows}, features={columns}, schema={self.schema_digest.hex()[:16]})"

    @property
    def rows(self) -> int:
        """n: the number of real rows."""
        return len(self.labels)

    def check_schema(self, schema: Schema) -> None:
        """Refuse records of another schema, or more than its capacity class holds.

        Raises:
            InputError: they do not belong together.
        """
        if self.schema_digest != schema.digest:
            raise InputError("records: they were quantised with another schema; fetch the schema of this dataset")
        if self.features.shape[1] != len(schema.features) or self.rows > schema.rows:
            raise InputError(
                f"records: {self.rows} x {self.features.shape[1]} values do not fit the schema's capacity class of "
                f"{schema.rows} x {len(schema.features)}"
            )
        schema.check_labels(self.labels)

    def encode(self) -> bytes:
        """The wire form; equal records give equal bytes."""
        rows, columns = self.features.shape
        version = VERSION if _narrow(self.labels) else VERSION_WIDE
        header = HEADER.pack(MAGIC, version, self.schema_digest, rows, columns)
        labels = self.labels.astype(_LABELS[version]).tobytes()
        return b"".join((header, self.blinding, self.features.astype(">i2").tobytes(), labels))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Records from their wire form. The length is checked before anything is allocated.

        Raises:
            InputError: another format or version, a wrong length, or values that `Records` refuses.
        """
        if len(data) < HEADER.size:
            raise InputError(f"records: {len(data)} bytes are too short; fetch them again")
        magic, version, digest, rows, columns = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise InputError("records: not the format of fedproof records")
        if version not in _LABELS:
            raise InputError(f"records: format version {version} is unknown; a newer fedproof may be needed")
        _check_size(rows, columns)
        values_at = HEADER.size + DATASET_BLINDING * FIELD_BYTES
        labels_at = values_at + 2 * rows * columns
        end = labels_at + rows * _LABELS[version].itemsize
        if len(data) != end:
            raise InputError(f"records: {len(data)} bytes, but {rows} rows of {columns} features take {end}")
        features = np.frombuffer(data, dtype=">i2", count=rows * columns, offset=values_at).reshape(rows, columns)
        labels = np.frombuffer(data, dtype=_LABELS[version], count=rows, offset=labels_at).astype(np.int64)
        if (version == VERSION) != _narrow(labels):  # one form for each set of labels
            raise InputError("records: a label is not 0 or 1, or all are in the form of others")
        return cls(digest, features, labels, bytes(data[HEADER.size : values_at]))


_LABELS: dict[int, np.dtype[Any]] = {VERSION: np.dtype(np.uint8), VERSION_WIDE: np.dtype(">i2")}


def _narrow(labels: NDArray[np.int64]) -> bool:
    return bool(np.isin(labels, (0, 1)).all())


def largest_records(rows: int, features: int) -> int:
    """Bytes of the wire form of a full class."""
    return HEADER.size + DATASET_BLINDING * FIELD_BYTES + 2 * rows * (features + 1)


def _check_size(rows: int, columns: int) -> None:
    if not 0 < rows <= MAX_ROWS or not 0 < columns <= MAX_FEATURES or rows * columns > MAX_VALUES:
        raise InputError(
            f"records: {rows} rows of {columns} features; the limits are 1 to {MAX_ROWS} rows, 1 to {MAX_FEATURES} "
            f"features, {MAX_VALUES} values"
        )


def _integers(values: Any, dimensions: int, what: str) -> NDArray[np.int64]:
    if not isinstance(values, np.ndarray) or values.dtype.kind != "i" or values.ndim != dimensions:
        raise InputError(f"records: {what} must be signed integers in {dimensions} dimensions")
    array = values.astype(np.int64)
    array.setflags(write=False)
    return array


def _check_blinding(blinding: bytes) -> None:
    if type(blinding) is not bytes or len(blinding) != DATASET_BLINDING * FIELD_BYTES:
        raise InputError(f"records: the blinding must be {DATASET_BLINDING * FIELD_BYTES} bytes")
    for start in range(0, len(blinding), FIELD_BYTES):
        # a value >= r would be a second encoding of one element
        if int.from_bytes(blinding[start : start + FIELD_BYTES], "big") >= MODULUS:
            raise InputError("records: a blinding coefficient is not below r")
