"""What a sharing is, and what t workers see of it (attacks 22 and 24)."""

import itertools

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.sharing import Output, lagrange, reconstruct, share_commitment, split, worker_index
from fedproof.sharing.split import evaluate
from fedproof.sharing.vectors import FrArray
from tests.sharing.rounds import LENGTH, MEMBERS, THRESHOLD, participant, srs

R = _core.MODULUS


def polynomial_through(points: dict[int, list[int]]) -> list[list[int]]:
    """The coefficients (constant first) of the polynomial vectors of degree below len(points) through `points`."""
    xs = list(points)
    length = len(points[xs[0]])
    coefficients = [[0] * length for _ in xs]
    for j in xs:
        basis, denominator = [1], 1
        for m in xs:
            if m != j:
                shifted = [0, *basis]
                basis = [(a - m * b) % R for a, b in zip(shifted, [*basis, 0], strict=True)]
                denominator = denominator * (j - m) % R
        inverse = pow(denominator, -1, R)
        for k, c in enumerate(basis):
            for i in range(length):
                coefficients[k][i] = (coefficients[k][i] + c * inverse * points[j][i]) % R
    return coefficients


def test_any_threshold_plus_one_shares_give_the_update_back() -> None:
    one = participant("a", 1)
    for chosen in itertools.combinations(one.sharing.shares, THRESHOLD + 1):
        outputs = [Output(share.index, share.values) for share in chosen]
        assert np.array_equal(reconstruct(outputs, THRESHOLD), one.update)


def test_every_share_opens_its_commitment() -> None:
    one = participant("a", 1)
    for share in one.sharing.shares:
        expected = share_commitment(one.c_u, one.sharing.commitments_r, share.index)
        assert srs().commit(share.values) == expected


def test_for_t_workers_every_update_is_possible() -> None:
    """Whatever update one names, one choice of R explains the shares that any t workers hold: they learn nothing."""
    one = participant("a", 1)
    for coalition in itertools.combinations(one.sharing.shares, THRESHOLD):
        for other in (_core.fr_from_ints([0] * LENGTH), _core.fr_random(LENGTH)):
            seen = {share.index: _core.fr_to_ints(share.values) for share in coalition}
            explained = polynomial_through({0: _core.fr_to_ints(other), **seen})
            assert len(explained) == THRESHOLD + 1
            assert explained[0] == _core.fr_to_ints(other)
            coefficients = [_core.fr_from_ints(c) for c in explained]
            for share in coalition:
                assert np.array_equal(evaluate(coefficients, share.index), share.values)


def test_shares_of_a_fixed_update_are_spread_over_the_whole_field() -> None:
    # Chi-square over 16 slices of [0, r) with a fixed seed; 15 degrees of freedom, so 44.3 is the 0.01% point.
    big = _core.Srs.generate(4096, [1], b"\x08" * 32)
    for update in (_core.fr_from_ints([0] * 4096), _core.fr_from_ints([R - 1] * 4096)):
        for share in split(update, THRESHOLD, MEMBERS, big, seed=b"\x09" * 32).shares:
            counts = np.bincount([value * 16 // R for value in _core.fr_to_ints(share.values)], minlength=16)
            assert ((counts - 256) ** 2 / 256).sum() < 44.3


def test_randomness_covers_every_position_and_every_power() -> None:
    """A position without its own R_k would show the update there to t workers, or to one."""
    one = participant("a", 1)
    points = {share.index: _core.fr_to_ints(share.values) for share in one.sharing.shares[: THRESHOLD + 1]}
    coefficients = polynomial_through(points)
    drawn = [value for r in coefficients[1:] for value in r]
    assert len(drawn) == len(set(drawn)) == THRESHOLD * LENGTH
    assert 0 not in drawn
    commitments = [srs().commit(_core.fr_from_ints(r)) for r in coefficients[1:]]
    assert commitments == one.sharing.commitments_r


def test_two_sharings_of_one_update_have_nothing_in_common() -> None:
    """A retried round takes fresh randomness: shares of both rounds must not add up to more than t workers' worth."""
    first, second = participant("a", 1), participant("a", 1)
    assert np.array_equal(first.update, second.update)
    for a, b in zip(first.sharing.shares, second.sharing.shares, strict=True):
        assert not set(_core.fr_to_ints(a.values)) & set(_core.fr_to_ints(b.values))
    assert not set(first.sharing.commitments_r) & set(second.sharing.commitments_r)


def test_a_seed_repeats_a_sharing_and_no_two_powers_share_its_randomness() -> None:
    update: FrArray = _core.fr_random(LENGTH)
    first, second = (split(update, 2, 5, srs(), seed=b"\x01" * 32) for _ in range(2))
    assert first.commitments_r == second.commitments_r
    assert len(set(first.commitments_r)) == 2
    with pytest.raises(SharingError, match="seed"):
        split(update, 2, 5, srs(), seed=b"short")


def test_rejects_the_index_zero_and_indices_outside_the_range() -> None:
    for index in (0, -1, (1 << 16) + 1, R, R + 1):
        with pytest.raises(SharingError, match="worker index"):
            worker_index(index)
        with pytest.raises(SharingError, match="worker index"):
            share_commitment(srs().commit(_core.fr_from_ints([1])), [], index)


@pytest.mark.parametrize(("threshold", "members"), [(0, 1), (-1, 5), (1, 2), (2, 4), (3, 6), (1, (1 << 16) + 1)])
def test_rejects_committees_that_hide_nothing_or_cannot_outvote_liars(threshold: int, members: int) -> None:
    with pytest.raises(SharingError):
        split(_core.fr_random(3), threshold, members, srs())


def test_rejects_an_update_longer_than_the_powers_of_tau_and_an_empty_one() -> None:
    with pytest.raises(SharingError, match="committed"):
        split(_core.fr_random(33), 2, 5, srs())
    with pytest.raises(SharingError, match="shape"):
        split(_core.fr_from_ints([]), 2, 5, srs())
    with pytest.raises(SharingError, match="shape"):
        split(np.zeros((3, 4), dtype=np.int64), 2, 5, srs())  # type: ignore[arg-type]


def test_lagrange_coefficients_evaluate_polynomials() -> None:
    indices, coefficients = [2, 5, 9], [7, 11, 13]

    def f(x: int) -> int:
        return sum(c * x**k for k, c in enumerate(coefficients))

    for x in (0, 1, 9, 40):
        weights = lagrange(indices, x)
        assert sum(w * f(j) for w, j in zip(weights, indices, strict=True)) % R == f(x)
