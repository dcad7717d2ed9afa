"""Where the sealed shares and outputs of a committee are: one blob for each member, and an index blob that names all.

The index of an update's shares also holds the commitments to its sharing polynomials, of which the chain has the hash.

Index of outputs, version 1: the content ids of M blobs, 32 bytes each. Index of shares, version 2: t points of 64
bytes, then the same.

Who puts them there may be anybody, so that no more is read of one than it can have if it is what it should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.ledger.federation import Update
from fedproof.proving.transcript import share_commitments_digest
from fedproof.sealing.hpke import Suite, sealed_length
from fedproof.sharing.share import HEAD_BYTES, VALUE_BYTES
from fedproof.storage import BlobStore

_ID: Final = 32
_POINT: Final = 64
MAX_INDEX_BYTES = _ID * 64 + _POINT * 31
"""A committee has at most 64 members, of whom at most 31 together learn nothing."""
MAX_SEALED_BYTES = 64 << 20
"""Of a sealed share or output of a model of any size: two million parameters."""


@dataclass(frozen=True)
class ShareIndex:
    """What an update's index blob holds.

    Attributes:
        commitments: Com(R_1) .. Com(R_t). ids: content ids of the sealed shares, 32 bytes each, in worker order.
    """

    commitments: tuple[bytes, ...]
    ids: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The blob."""
        return b"".join((*self.commitments, *self.ids))


def share_bytes(size: int) -> int:
    """Length of a share or an output in the clear, for updates of so many values."""
    return HEAD_BYTES + VALUE_BYTES * size


def sealed_bytes(size: int) -> int:
    """The most that a sealed share or output can have, whatever key it is sealed to."""
    return max(sealed_length(suite, share_bytes(size)) for suite in Suite)


def share_index(store: BlobStore, update: Update, members: int, threshold: int) -> ShareIndex:
    """The index blob that the chain names for an update.

    Raises:
        StorageError: it is missing, or is not what its id says.
        SharingError: it has not one id for each worker, or not the t commitments that the update was proven with.
    """
    return read_index(store.get(update.sealed_digest.hex(), limit=MAX_INDEX_BYTES), update, members, threshold)


def read_index(blob: bytes, update: Update, members: int, threshold: int) -> ShareIndex:
    """An update's index in its wire form.

    Raises:
        SharingError: as `share_index`.
    """
    head = _POINT * threshold
    if len(blob) != head + _ID * members:
        raise SharingError(
            f"{update.participant}: an index of sealed shares has {len(blob)} bytes for {members} workers and "
            f"{threshold} commitments"
        )
    commitments = tuple(blob[at : at + _POINT] for at in range(0, head, _POINT))
    if share_commitments_digest(commitments) != update.share_digest:
        raise SharingError(f"{update.participant}: the index has other share commitments than the update")
    try:
        for point in commitments:
            _core.g1_check(point)
    except ValueError as error:
        raise SharingError(f"{update.participant}: a share commitment is no point: {error}") from None
    return ShareIndex(commitments, tuple(blob[at : at + _ID] for at in range(head, len(blob), _ID)))


def sealed_share(
    store: BlobStore, update: Update, index: int, members: int, threshold: int, *, limit: int = MAX_SEALED_BYTES
) -> bytes:
    """The sealed share of worker `index` (from 1), by the index blob that the chain names.

    Raises:
        StorageError: a blob is missing, is not what its id says, or is larger than `limit`.
        SharingError: the index blob is none of this update.
    """
    return store.get(share_index(store, update, members, threshold).ids[index - 1].hex(), limit=limit)


def output_copy(store: BlobStore, index_id: bytes, index: int, members: int, *, limit: int) -> bytes:
    """The copy of an output for worker `index` (from 1), by an index blob with the content ids of all.

    Raises:
        StorageError: a blob is missing, is not what its id says, or is larger than `limit`.
        SharingError: the index blob has not one id for each worker.
    """
    ids = store.get(index_id.hex(), limit=_ID * 64)
    if len(ids) != _ID * members:
        raise SharingError(f"an index of sealed blobs has {len(ids)} bytes for {members} workers")
    return store.get(ids[_ID * (index - 1) : _ID * index].hex(), limit=limit)


def put_shares(store: BlobStore, commitments: Sequence[bytes], sealed: Sequence[bytes]) -> bytes:
    """Store sealed shares and their index; returns the index's content id as 32 bytes, the sealed digest."""
    ids = tuple(bytes.fromhex(store.put(blob)) for blob in sealed)
    return bytes.fromhex(store.put(ShareIndex(tuple(commitments), ids).encode()))
