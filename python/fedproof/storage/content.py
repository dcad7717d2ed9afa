"""Content ids: what a blob is called is what it is.

A content id is the lowercase hex SHA-256 of a blob's bytes (64 characters), on chain the same 32 bytes as a `bytes32`.
"""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NewType

from fedproof._core import keccak256
from fedproof.errors import StorageError

ContentId = NewType("ContentId", str)

_SYNTAX: Final = re.compile("[0-9a-f]{64}")


def content_id(data: bytes) -> ContentId:
    """The id of these bytes."""
    return ContentId(sha256(data).hexdigest())


def check_content_id(text: str) -> ContentId:
    """Refuse whatever is not an id before it gets near a path: no `..`, no separator, no second spelling."""
    if not _SYNTAX.fullmatch(text):
        shown = text if len(text) <= 80 else text[:77] + "..."
        raise StorageError(f"{shown!r} is not a content id: expected 64 lowercase hex characters")
    return ContentId(text)


def content_id_to_word(blob: str) -> bytes:
    """The 32 bytes of an id as the contracts hold it."""
    return bytes.fromhex(check_content_id(blob))


def content_id_from_word(word: bytes) -> ContentId:
    """The id that a `bytes32` on chain stands for."""
    if len(word) != 32:
        raise StorageError(f"a content id has 32 bytes, this word has {len(word)}")
    return ContentId(word.hex())


def sealed_digest(blobs: Sequence[str]) -> bytes:
    """`keccak256(id_1 || .. || id_M)`, 32 bytes: the one word for all sealed shares of an update, in worker order."""
    return keccak256(b"".join(content_id_to_word(blob) for blob in blobs))
