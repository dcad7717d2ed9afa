"""Adding shares up and getting the sum back from t+1 workers (protocol, section 6).

Shares are linear: worker j adds `sum_i n_i s_ij` without seeing an update, and the M results are points of a polynomial
of degree t whose value at 0 is `S = sum_i n_i U_i`.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.sharing.share import Output, Share
from fedproof.sharing.vectors import FrArray, check_threshold

MAX_WEIGHT = 1 << 63


def check_weights(weights: Sequence[int], updates: int) -> None:
    """One weight for each update, each a row count of at least 1."""
    if not updates or len(weights) != updates:
        raise SharingError(f"{updates} updates need as many weights and at least one, not {len(weights)}")
    for weight in weights:
        if not 1 <= weight < MAX_WEIGHT:
            raise SharingError(f"a weight is a row count of at least 1, not {weight}")


def weighted_sum(shares: Sequence[Share], weights: Sequence[int]) -> Output:
    """`sum_i n_i s_ij` over shares of one worker, `weights` being the n_i in the same order."""
    check_weights(weights, len(shares))
    if len({share.index for share in shares}) != 1:
        raise SharingError("these shares belong to different workers: a worker adds its own")
    if len({len(share.values) for share in shares}) != 1:
        raise SharingError("these shares differ in length: they are not of one round")
    total = combine([share.values for share in shares], _core.fr_from_ints(list(weights)))
    return Output(shares[0].index, total)


def reconstruct(outputs: Iterable[Output], threshold: int) -> FrArray:
    """The sum S (n, 4): the value at 0 of the polynomial of degree `threshold` through `outputs`.

    At least threshold + 1 outputs, of different workers. With more, all must lie on the polynomial; when they do not,
    at least one worker lies and `check_output` says which. Exactly threshold + 1 hide a lie: check each output first.
    """
    check_threshold(threshold)
    points = list(outputs)
    workers = [output.index for output in points]
    if len(set(workers)) != len(workers):
        raise SharingError(f"a worker appears twice among the outputs of workers {_list(workers)}")
    if len(points) <= threshold:
        raise SharingError(f"{len(points)} outputs are left, but {threshold + 1} are needed")
    if len({len(output.values) for output in points}) != 1:
        raise SharingError("the outputs differ in length: they are not of one round")
    basis, further = points[: threshold + 1], points[threshold + 1 :]
    for output in further:
        if not np.array_equal(_interpolate(basis, output.index), output.values):
            raise SharingError(f"the outputs of workers {_list(workers)} are inconsistent: at least one is wrong")
    return _interpolate(basis, 0)


def lagrange(indices: Sequence[int], x: int) -> list[int]:
    """The coefficients `l_j(x)` with `f(x) = sum_j l_j(x) f(j)` for every f of degree below `len(indices)`, mod r."""
    r = _core.MODULUS
    coefficients = []
    for j in indices:
        numerator = denominator = 1
        for m in indices:
            if m != j:
                numerator = numerator * (x - m) % r
                denominator = denominator * (j - m) % r
        coefficients.append(numerator * pow(denominator, -1, r) % r)
    return coefficients


def combine(vectors: Sequence[FrArray], scalars: FrArray) -> FrArray:
    """`sum_i scalars[i] vectors[i]` for vectors of one length."""
    total = _core.fr_mul(vectors[0], scalars[:1])
    for i, vector in enumerate(vectors[1:], start=1):
        total = _core.fr_add(total, _core.fr_mul(vector, scalars[i : i + 1]))
    return total


def _interpolate(points: Sequence[Output], x: int) -> FrArray:
    coefficients = lagrange([output.index for output in points], x)
    return combine([output.values for output in points], _core.fr_from_ints(coefficients))


def _list(workers: Sequence[int]) -> str:
    return ", ".join(map(str, workers))
