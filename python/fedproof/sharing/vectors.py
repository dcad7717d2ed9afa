"""The newtypes of this room and the checks on what enters it."""

from typing import Final, NewType, Protocol

import numpy as np
from numpy.typing import NDArray

from fedproof.errors import SharingError

FrArray = NDArray[np.uint64]
"""Field elements, shape (n, 4), Montgomery form; private to the process."""

WorkerIndex = NewType("WorkerIndex", int)
"""The x at which a worker's shares are taken: 1 .. M. Never 0, where the secret is."""

ShareCommitment = NewType("ShareCommitment", bytes)
"""`C_ij = C_U,i + sum_k j^k Com(R_k)`, a G1 point of 64 bytes: what share j of update i must open."""

POINT_BYTES: Final = 64
MAX_WORKERS: Final = 1 << 16


class CommitmentKey(Protocol):
    """What this room needs of the powers of tau: `Com(v) = sum_j v_j [tau^j]_1`, 64 bytes."""

    def commit(self, coeffs: FrArray, offset: int = 0) -> bytes: ...


def worker_index(index: int) -> WorkerIndex:
    """A checked index. x = 0 would be the update itself, so it is refused with everything else outside 1 .. 2^16."""
    if not 1 <= index <= MAX_WORKERS:
        raise SharingError(f"worker index {index} is not in 1 .. {MAX_WORKERS}")
    return WorkerIndex(index)


def check_threshold(threshold: int) -> None:
    """t = 0 would hand every worker the update itself."""
    if threshold < 1:
        raise SharingError(f"a privacy threshold of {threshold} hides nothing: it must be at least 1")


def check_vector(values: FrArray, what: str) -> int:
    """The length of a vector of field elements; SharingError when it is not one."""
    if values.dtype != np.uint64 or values.ndim != 2 or values.shape[1] != 4 or not len(values):
        raise SharingError(f"{what} must be field elements of shape (n, 4) with n >= 1, not {values.shape}")
    return len(values)


def commit(srs: CommitmentKey, values: FrArray) -> bytes:
    """`Com(values)`; SharingError when there are more values than powers of tau."""
    try:
        return srs.commit(values)
    except ValueError as error:
        raise SharingError(f"{len(values)} values cannot be committed to: {error}") from None


def check_point(point: bytes, what: str) -> bytes:
    """Length alone; the core checks the curve when it computes."""
    if len(point) != POINT_BYTES:
        raise SharingError(f"{what} must be a G1 point of {POINT_BYTES} bytes, not {len(point)}")
    return point
