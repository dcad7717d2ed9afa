"""The public test part as a blob: everyone who audits a task scores its model on the same rows."""

from __future__ import annotations

import json

import numpy as np

from fedproof.data.table import Table
from fedproof.errors import InputError

VERSION = 1


def encode_table(table: Table) -> bytes:
    """Canonical JSON of a public table; floats in their shortest exact form."""
    document = {
        "version": VERSION,
        "name": table.name,
        "feature_names": list(table.feature_names),
        "class_names": list(table.class_names),
        "features": table.features.tolist(),
        "labels": table.labels.tolist(),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def decode_table(blob: bytes) -> Table:
    """Read a public table.

    Raises:
        InputError: not this format and version, or values that a table refuses.
    """
    try:
        d = json.loads(blob)
        if d["version"] != VERSION or set(d) != {"version", "name", "feature_names", "class_names", "features", "labels"}:
            raise InputError("public table: another version or other fields than this build knows")
        features = np.array(d["features"], dtype=np.float64)
        labels = np.array(d["labels"], dtype=np.int64)
        return Table(d["name"], features, tuple(d["feature_names"]), labels, tuple(d["class_names"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError("public table: damaged; fetch the blob again") from None
