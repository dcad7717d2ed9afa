"""Checking shares and outputs against what the chain holds, and naming who is wrong (protocol, section 6).

A share opens `C_ij = C_U,i + sum_k j^k Com(R_k)`. A worker checks all its shares of a round with one random
linear combination: `Com(sum_i rho_i s_ij) = sum_i rho_i C_ij` for uniform rho_i, drawn after the shares are fixed. A
wrong share passes with probability 1/r. On failure the set is halved until the wrong ones stand alone; the
same rho serve every subset, so one bad share among N costs log2(N) further MSMs, not N.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.sharing.combine import check_weights, combine
from fedproof.sharing.share import Output, Share
from fedproof.sharing.vectors import (
    POINT_BYTES,
    CommitmentKey,
    FrArray,
    ShareCommitment,
    check_point,
    commit,
    worker_index,
)

_INFINITY: Final = bytes(POINT_BYTES)


class WrongSharesError(SharingError):
    """Some shares do not open their commitments; `participants` are the names given to `check_shares`."""

    def __init__(self, participants: Sequence[str]) -> None:
        self.participants = tuple(participants)
        super().__init__(f"shares that do not open their commitment: from {', '.join(self.participants)}")


class WrongOutputError(SharingError):
    """A worker's output is not the weighted sum of its shares; `worker` names it."""

    def __init__(self, worker: int) -> None:
        self.worker = worker
        super().__init__(f"the output of worker {worker} does not open the sum of its share commitments")


@dataclass(frozen=True, eq=False)
class ReceivedShare:
    """A share with who sent it and the commitment that it must open, from `share_commitment` over data of the chain."""

    participant: str
    share: Share
    commitment: ShareCommitment


def share_commitment(c_u: bytes, commitments_r: Sequence[bytes], index: int) -> ShareCommitment:
    """`C_ij` for worker `index`, from C_U and Com(R_1) .. Com(R_t); SharingError when a point is not on the curve."""
    powers = _core.fr_powers(_core.fr_from_ints([worker_index(index)]), len(commitments_r) + 1)
    return ShareCommitment(_msm([c_u, *commitments_r], powers))


def check_shares(received: Sequence[ReceivedShare], srs: CommitmentKey) -> None:
    """Check one worker's shares of a round; `WrongSharesError` names every participant whose share is wrong.

    All shares belong to one worker and have one length (`Share.decode` sees to both). Costs one MSM of that length.
    """
    if not received:
        raise SharingError("there is no share to check")
    if len({entry.share.index for entry in received}) != 1:
        raise SharingError("these shares belong to different workers: a worker checks its own")
    if len({len(entry.share.values) for entry in received}) != 1:
        raise SharingError("these shares differ in length: they are not of one round")
    # drawn here, after the shares are fixed: with a known rho two wrong shares can cancel
    rho = _core.fr_random(len(received))
    wrong = _wrong(received, rho, _defect(received, rho, srs), srs)
    if wrong:
        raise WrongSharesError([entry.participant for entry in wrong])


def output_commitment(
    c_u: Sequence[bytes], commitments_r: Sequence[Sequence[bytes]], weights: Sequence[int], index: int
) -> ShareCommitment:
    """`sum_i n_i C_ij`: what the output of worker `index` must open. One MSM over all points of the round."""
    check_weights(weights, len(c_u))
    if len(commitments_r) != len(c_u) or len({len(points) for points in commitments_r}) != 1:
        raise SharingError("every update of a round has the same number of share commitments")
    powers = _core.fr_powers(_core.fr_from_ints([worker_index(index)]), len(commitments_r[0]) + 1)
    points = [point for c, r in zip(c_u, commitments_r, strict=True) for point in (c, *r)]
    ints = _core.fr_to_ints(powers)
    return ShareCommitment(_msm(points, _core.fr_from_ints([n * power for n in weights for power in ints])))


def check_output(
    output: Output,
    c_u: Sequence[bytes],
    commitments_r: Sequence[Sequence[bytes]],
    weights: Sequence[int],
    srs: CommitmentKey,
) -> None:
    """Check a worker's output over a round's updates; `WrongOutputError` names the worker when it lies.

    `c_u`, `commitments_r` and `weights` (the n_i) are those of all accepted updates, in one order.
    """
    if commit(srs, output.values) != output_commitment(c_u, commitments_r, weights, output.index):
        raise WrongOutputError(output.index)


def _wrong(entries: Sequence[ReceivedShare], rho: FrArray, defect: bytes, srs: CommitmentKey) -> list[ReceivedShare]:
    if defect == _INFINITY:
        return []
    if len(entries) == 1:
        return [entries[0]]
    half = len(entries) // 2
    left = _defect(entries[:half], rho[:half], srs)
    # the defect is linear, so the right half's costs no MSM
    right = _core.g1_add(defect, _core.g1_neg(left))
    return _wrong(entries[:half], rho[:half], left, srs) + _wrong(entries[half:], rho[half:], right, srs)


def _defect(entries: Sequence[ReceivedShare], rho: FrArray, srs: CommitmentKey) -> bytes:
    """`Com(sum_i rho_i s_ij) - sum_i rho_i C_ij`, which is the point at infinity when all shares are right."""
    opened = commit(srs, combine([entry.share.values for entry in entries], rho))
    return _core.g1_add(opened, _core.g1_neg(_msm([entry.commitment for entry in entries], rho)))


def _msm(points: Sequence[bytes], scalars: FrArray) -> bytes:
    data = b"".join(check_point(point, "a commitment") for point in points)
    try:
        return _core.g1_msm(data, scalars)
    except ValueError as error:
        raise SharingError(f"a commitment is not usable: {error}") from None
