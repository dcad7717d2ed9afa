"""Sharing: verifiable Shamir over the BN254 scalar field, with commitments in the powers of tau (protocol, section 6).

Pure: nothing here knows of the chain, a disk, the network or a clock. Every failure is a `SharingError`.
"""

from fedproof.sharing.check import (
    ReceivedShare,
    WrongOutputError,
    WrongSharesError,
    check_output,
    check_shares,
    output_commitment,
    share_commitment,
)
from fedproof.sharing.combine import lagrange, reconstruct, weighted_sum
from fedproof.sharing.keys import (
    KEY_SHARE_LENGTH,
    SharedKey,
    WrongKeyShareError,
    check_key_share,
    rebuild_key,
    share_key,
)
from fedproof.sharing.share import Output, Share, info_for_output, info_for_share
from fedproof.sharing.split import Sharing, split
from fedproof.sharing.vectors import CommitmentKey, ShareCommitment, WorkerIndex, worker_index

__all__ = [
    "KEY_SHARE_LENGTH",
    "CommitmentKey",
    "Output",
    "ReceivedShare",
    "Share",
    "ShareCommitment",
    "SharedKey",
    "Sharing",
    "WorkerIndex",
    "WrongKeyShareError",
    "WrongOutputError",
    "WrongSharesError",
    "check_key_share",
    "check_output",
    "check_shares",
    "info_for_output",
    "info_for_share",
    "lagrange",
    "output_commitment",
    "rebuild_key",
    "reconstruct",
    "share_commitment",
    "share_key",
    "split",
    "weighted_sum",
    "worker_index",
]
