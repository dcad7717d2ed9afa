"""Where the sealed shares and outputs of a committee are: one blob for each member, and an index blob that names all.

Who puts them there may be anybody, so that no more is read of one than it can have if it is what it should be.
"""

from __future__ import annotations

from fedproof.errors import SharingError
from fedproof.ledger.federation import Update
from fedproof.sealing.hpke import Suite, sealed_length
from fedproof.sharing.share import HEAD_BYTES, VALUE_BYTES
from fedproof.storage import BlobStore

MAX_INDEX_BYTES = 32 * 64
"""Of the content ids of a committee's blobs: it has at most 64 members."""
MAX_SEALED_BYTES = 64 << 20
"""Of a sealed share or output of a model of any size: two million parameters."""


def share_bytes(size: int) -> int:
    """Length of a share or an output in the clear, for updates of so many values."""
    return HEAD_BYTES + VALUE_BYTES * size


def sealed_bytes(size: int) -> int:
    """The most that a sealed share or output can have, whatever key it is sealed to."""
    return max(sealed_length(suite, share_bytes(size)) for suite in Suite)


def sealed_share(store: BlobStore, update: Update, index: int, members: int, *, limit: int = MAX_SEALED_BYTES) -> bytes:
    """The sealed share of worker `index` (from 1), by the index blob that the chain names.

    Raises:
        StorageError: a blob is missing, is not what its id says, or is larger than `limit`.
        SharingError: the index blob has not one id for each worker.
    """
    try:
        return copy_for(store, update.sealed_digest, index, members, limit=limit)
    except SharingError as error:
        raise SharingError(f"{update.participant}: {error}") from None


def copy_for(store: BlobStore, index_id: bytes, index: int, members: int, *, limit: int) -> bytes:
    """The blob of worker `index` (from 1) by an index blob with the content ids of all.

    Raises:
        StorageError: a blob is missing, is not what its id says, or is larger than `limit`.
        SharingError: the index blob has not one id for each worker.
    """
    ids = store.get(index_id.hex(), limit=MAX_INDEX_BYTES)
    if len(ids) != 32 * members:
        raise SharingError(f"an index of sealed blobs has {len(ids)} bytes for {members} workers")
    return store.get(ids[32 * (index - 1) : 32 * index].hex(), limit=limit)
