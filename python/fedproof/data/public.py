"""The public test part as a blob: everyone who audits a task scores its model on the same rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedproof.data.table import Table
from fedproof.errors import InputError

VERSION, VERSION_OF_TARGETS = 1, 2
FIELDS = frozenset({"version", "name", "feature_names", "class_names", "features", "labels"})
MAX_BYTES = 16 << 20
"""JSON takes some twenty times its length while it is read, and the blob may come from anyone."""


def encode_table(table: Table) -> bytes:
    """Canonical JSON of a public table; floats in their shortest exact form.

    Raises:
        InputError: more than 16 MiB.
    """
    document = {
        "version": VERSION_OF_TARGETS if table.target else VERSION,
        "name": table.name,
        "feature_names": list(table.feature_names),
        "class_names": list(table.class_names),
        "features": table.features.tolist(),
        "labels": table.labels.tolist(),
    }
    if table.target:
        document["target"] = table.target
    blob = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    if len(blob) > MAX_BYTES:
        raise InputError(
            f"public table: {len(blob) >> 20} MiB; the limit is {MAX_BYTES >> 20}: use a smaller test part"
        )
    return blob


def decode_table(blob: bytes) -> Table:
    """Read a public table; only the canonical form is taken, so nothing is converted on the way.

    Raises:
        InputError: too long, not this format and version, or values that a table refuses.
    """
    if len(blob) > MAX_BYTES:
        raise InputError(f"public table: {len(blob) >> 20} MiB; the limit is {MAX_BYTES >> 20}")
    try:
        d = json.loads(blob)
        targets = type(d["version"]) is int and d["version"] == VERSION_OF_TARGETS
        if (not targets and d["version"] != VERSION) or set(d) != (FIELDS | {"target"} if targets else FIELDS):
            raise InputError("public table: another version or other fields than this build knows")
        features = np.array(d["features"], dtype=np.float64)
        labels: NDArray[Any] = np.array(d["labels"], dtype=np.float64 if targets else np.int64)
        names, target = tuple(d["feature_names"]), d["target"] if targets else ""
        if targets and not target:
            raise InputError("public table: its target has no name")
        table = Table(d["name"], features, names, labels, tuple(d["class_names"]), target)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise InputError("public table: damaged; fetch the blob again") from None
    # a label of 0.5 or a number in quotes would have been converted without a word
    if encode_table(table) != blob:
        raise InputError("public table: not in canonical form; fetch the blob again")
    return table
