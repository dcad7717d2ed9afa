"""Splitting an update among M workers (protocol, section 6).

    s_ij = U_i + sum_(k=1..t) R_k j^k,   j = 1 .. M,   and Com(R_1) .. Com(R_t) are published

Each R_k is a vector of fresh uniform field elements, as long as U: so for any t workers and any U' whatever there is
exactly one choice of R_1 .. R_t that gives them the shares they hold; t workers learn nothing. The polynomial in j has
degree t and value U at 0 *by construction* of the commitments, which is why nobody needs to check a degree.
"""

from dataclasses import dataclass
from typing import Final

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.sharing.share import Share
from fedproof.sharing.vectors import (
    MAX_WORKERS,
    CommitmentKey,
    FrArray,
    check_threshold,
    check_vector,
    commit,
    worker_index,
)

SEED_BYTES: Final = 32


@dataclass(frozen=True, eq=False)
class Sharing:
    """M shares, in the order of the workers 1 .. M, and Com(R_1) .. Com(R_t) (64 bytes each)."""

    shares: list[Share]
    commitments_r: list[bytes]


def split(update: FrArray, threshold: int, members: int, srs: CommitmentKey, seed: bytes | None = None) -> Sharing:
    """Share `update` (n, 4), blinding included, so that any threshold + 1 of the `members` shares give it back.

    `members >= 2 threshold + 1`, so that the honest workers suffice while `threshold` lie. `seed` (32 bytes) is for
    tests alone: who knows it reads the update from any one share. Costs `threshold` MSMs of length n.
    """
    length = check_vector(update, "an update")
    check_threshold(threshold)
    if not 2 * threshold + 1 <= members <= MAX_WORKERS:
        raise SharingError(
            f"a threshold of {threshold} needs {2 * threshold + 1} to {MAX_WORKERS} workers, not {members}"
        )
    if seed is not None and len(seed) != SEED_BYTES:
        raise SharingError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
    # one draw for all k: two draws from one seed would repeat
    randomness = _core.fr_random(threshold * length, seed)
    coefficients = [update, *(randomness[k * length : (k + 1) * length] for k in range(threshold))]
    shares = [Share(worker_index(j), evaluate(coefficients, j)) for j in range(1, members + 1)]
    return Sharing(shares, [commit(srs, r) for r in coefficients[1:]])


def evaluate(coefficients: list[FrArray], x: int) -> FrArray:
    """`sum_k coefficients[k] x^k` by Horner's rule, for vectors of one length."""
    point = _core.fr_from_ints([x])
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = _core.fr_add(_core.fr_mul(value, point), coefficient)
    return value
