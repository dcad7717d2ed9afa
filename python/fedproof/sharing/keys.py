"""Sharing a 32-byte key among a committee, so that it can be handed out while its owner is away (protocol, section 6).

    v = (first 16 bytes, last 16 bytes, blinding),   s_j = v + sum_(k=1..t) R_k j^k,   j = 1 .. M

`C = Com(v)` and `Com(R_1) .. Com(R_t)` are published, so that everybody can tell a wrong share by its worker. The
blinding is uniform, and so C hides the key perfectly: with t shares, C and the Com(R_k) every key is equally likely.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.sharing.check import share_commitment
from fedproof.sharing.combine import reconstruct
from fedproof.sharing.share import Output, Share
from fedproof.sharing.split import split
from fedproof.sharing.vectors import CommitmentKey, commit

KEY_BYTES: Final = 32
HALF_BYTES: Final = 16
KEY_SHARE_LENGTH: Final = 3
"""Field elements of a key's share: its two halves and the blinding."""


class WrongKeyShareError(SharingError):
    """A share of a key does not open its commitment; `worker` names whose it is."""

    def __init__(self, worker: int) -> None:
        self.worker = worker
        super().__init__(f"the key share of worker {worker} does not open its commitment")


@dataclass(frozen=True, eq=False)
class SharedKey:
    """C and Com(R_1) .. Com(R_t), which are public, and the shares of the workers 1 .. M."""

    commitment: bytes
    commitments_r: tuple[bytes, ...]
    shares: tuple[Share, ...]


def share_key(key: bytes, threshold: int, members: int, srs: CommitmentKey) -> SharedKey:
    """Share a key among `members >= 2 threshold + 1` workers, so that any threshold + 1 of them give it back."""
    if len(key) != KEY_BYTES:
        raise SharingError(f"a key has {KEY_BYTES} bytes, this one has {len(key)}")
    halves = [int.from_bytes(half, "big") for half in (key[:HALF_BYTES], key[HALF_BYTES:])]
    vector = np.concatenate([_core.fr_from_ints(halves), _core.fr_random(1)])
    sharing = split(vector, threshold, members, srs)
    return SharedKey(commit(srs, vector), tuple(sharing.commitments_r), tuple(sharing.shares))


def check_key_share(share: Share, commitment: bytes, commitments_r: Sequence[bytes], srs: CommitmentKey) -> None:
    """Check a share against the published commitments; `WrongKeyShareError` names the worker."""
    if len(share.values) != KEY_SHARE_LENGTH:
        raise SharingError(f"a key share has {KEY_SHARE_LENGTH} values, this one has {len(share.values)}")
    if commit(srs, share.values) != share_commitment(commitment, commitments_r, share.index):
        raise WrongKeyShareError(share.index)


def rebuild_key(shares: Sequence[Share], threshold: int) -> bytes:
    """The key, from at least threshold + 1 checked shares of different workers.

    Raises:
        SharingError: too few, one worker twice, or what was shared is no key.
    """
    if any(len(share.values) != KEY_SHARE_LENGTH for share in shares):
        raise SharingError(f"a key share has {KEY_SHARE_LENGTH} values")
    vector = reconstruct([Output(share.index, share.values) for share in shares], threshold)
    halves = _core.fr_to_ints(np.ascontiguousarray(vector[:2]))
    if any(half >> (8 * HALF_BYTES) for half in halves):
        raise SharingError("the shares fit together, but what was shared is no key of 32 bytes")
    return b"".join(half.to_bytes(HALF_BYTES, "big") for half in halves)
