"""Public documents with one byte form each: canonical JSON, read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fedproof.errors import InputError

VERSION = 1
LIMIT = 1 << 20


def canonical(document: dict[str, Any]) -> bytes:
    """The byte form of a document: JSON with sorted keys and no space."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def parse(
    blob: bytes, what: str, fields: Mapping[str, type], *, version: int = VERSION, limit: int = LIMIT
) -> dict[str, Any]:
    """Read a document that has exactly these fields; `version` is one of them.

    Args:
        version: the one that is read. limit: bytes.

    Raises:
        InputError: too long, not JSON, other fields or types, another version, or not in canonical form.
    """
    if len(blob) > limit:
        raise InputError(f"{what}: {len(blob)} bytes are too many")
    try:
        document = json.loads(blob)
        form = canonical(document)  # it is written less deep than it is read
    except (ValueError, RecursionError):
        raise InputError(f"{what}: not JSON") from None
    if not isinstance(document, dict):
        raise InputError(f"{what}: the fields must be {', '.join(sorted(fields))}")
    # first, for another version has other fields
    if type(document.get("version")) is int and document["version"] != version:
        raise InputError(f"{what}: version {document['version']}; this build knows version {version}")
    if set(document) != set(fields):
        raise InputError(f"{what}: the fields must be {', '.join(sorted(fields))}")
    for name, kind in fields.items():
        if type(document[name]) is not kind:
            raise InputError(f"{what}: field {name!r} must be of type {kind.__name__}")
    if form != blob:
        raise InputError(f"{what}: not in its canonical form")
    return document
