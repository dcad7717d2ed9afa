"""Weighted sums and reconstruction (attacks 22, 23, 24 and 26)."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.sharing import Output, Share, check_output, reconstruct, split, weighted_sum, worker_index
from tests.sharing.rounds import LENGTH, MEMBERS, THRESHOLD, changed, participants, srs

R = _core.MODULUS
ROUND = participants(3)
WEIGHTS = [5, 1, 96]
OUTPUTS = [weighted_sum([one.sharing.shares[j] for one in ROUND], WEIGHTS) for j in range(MEMBERS)]
SUM = [
    sum(n * value for n, value in zip(WEIGHTS, values, strict=True)) % R
    for values in zip(*(_core.fr_to_ints(one.update) for one in ROUND), strict=True)
]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_weighted_sums_of_shares_are_shares_of_the_weighted_sum(data: st.DataObject) -> None:
    threshold = data.draw(st.integers(1, 3), "threshold")
    members = data.draw(st.integers(2 * threshold + 1, 8), "members")
    length = data.draw(st.integers(1, 6), "length")
    values = st.lists(st.integers(0, R - 1), min_size=length, max_size=length)
    updates = data.draw(st.lists(values, min_size=1, max_size=4), "updates")
    weights = data.draw(st.lists(st.integers(1, 2**63 - 1), min_size=len(updates), max_size=len(updates)), "weights")
    chosen = data.draw(st.permutations(range(members)), "workers")[: data.draw(st.integers(threshold + 1, members))]

    sharings = [split(_core.fr_from_ints(update), threshold, members, srs()) for update in updates]
    outputs = [weighted_sum([sharing.shares[j] for sharing in sharings], weights) for j in chosen]
    expected = [sum(n * u[i] for n, u in zip(weights, updates, strict=True)) % R for i in range(length)]
    assert _core.fr_to_ints(reconstruct(outputs, threshold)) == expected
    c_u = [srs().commit(_core.fr_from_ints(update)) for update in updates]
    check_output(outputs[0], c_u, [sharing.commitments_r for sharing in sharings], weights, srs())


def test_every_set_of_threshold_plus_one_workers_gives_the_same_sum() -> None:
    for chosen in itertools.combinations(OUTPUTS, THRESHOLD + 1):
        assert _core.fr_to_ints(reconstruct(chosen, THRESHOLD)) == SUM
    assert _core.fr_to_ints(reconstruct(OUTPUTS, THRESHOLD)) == SUM


def test_rejects_fewer_than_threshold_plus_one_outputs() -> None:
    for count in range(THRESHOLD + 1):
        with pytest.raises(SharingError, match="3 are needed"):
            reconstruct(OUTPUTS[:count], THRESHOLD)


def test_rejects_a_repeated_worker() -> None:
    with pytest.raises(SharingError, match="appears twice"):
        reconstruct([*OUTPUTS[:2], OUTPUTS[0]], THRESHOLD)
    with pytest.raises(SharingError, match="appears twice"):
        reconstruct([*OUTPUTS, OUTPUTS[0]], THRESHOLD)


def test_rejects_the_index_zero() -> None:
    for index in (0, -1):
        with pytest.raises(SharingError, match="worker index"):
            Output(index, OUTPUTS[0].values)  # type: ignore[arg-type]
        with pytest.raises(SharingError, match="worker index"):
            Share(index, OUTPUTS[0].values)  # type: ignore[arg-type]


def test_rejects_one_lie_among_more_than_enough_outputs_wherever_it_is() -> None:
    for liar in range(MEMBERS):
        for place in (0, LENGTH - 1):
            outputs = list(OUTPUTS)
            outputs[liar] = Output(outputs[liar].index, changed(outputs[liar].values, place))
            with pytest.raises(SharingError, match="inconsistent"):
                reconstruct(outputs, THRESHOLD)
            with pytest.raises(SharingError, match="inconsistent"):
                reconstruct([outputs[liar], *[o for o in OUTPUTS if o.index != liar + 1][: THRESHOLD + 1]], THRESHOLD)


def test_a_lie_among_exactly_enough_outputs_shows_only_against_the_commitments() -> None:
    lie = Output(OUTPUTS[0].index, changed(OUTPUTS[0].values, 0))
    assert _core.fr_to_ints(reconstruct([lie, *OUTPUTS[1:3]], THRESHOLD)) != SUM
    with pytest.raises(SharingError, match="worker 1"):
        check_output(lie, [p.c_u for p in ROUND], [p.sharing.commitments_r for p in ROUND], WEIGHTS, srs())


def test_rejects_too_low_a_threshold() -> None:
    with pytest.raises(SharingError, match="inconsistent"):
        reconstruct(OUTPUTS, THRESHOLD - 1)
    with pytest.raises(SharingError, match="hides nothing"):
        reconstruct(OUTPUTS, 0)


def test_rejects_outputs_of_different_lengths() -> None:
    short = Output(worker_index(1), _core.fr_random(LENGTH - 1))
    with pytest.raises(SharingError, match="length"):
        reconstruct([short, *OUTPUTS[1:]], THRESHOLD)


def test_refuses_sums_that_mean_nothing() -> None:
    shares = [one.sharing.shares[0] for one in ROUND]
    for weights in ([5, 1], [5, 1, 96, 1], [5, 0, 96], [5, -1, 96], [5, 1, 1 << 63]):
        with pytest.raises(SharingError, match="weight"):
            weighted_sum(shares, weights)
    with pytest.raises(SharingError, match="at least one"):
        weighted_sum([], [])
    with pytest.raises(SharingError, match="different workers"):
        weighted_sum([*shares[:2], ROUND[2].sharing.shares[1]], WEIGHTS)
    with pytest.raises(SharingError, match="length"):
        weighted_sum([*shares[:2], Share(worker_index(1), _core.fr_random(LENGTH + 1))], WEIGHTS)


def test_zeros_in_the_input_stay_zeros() -> None:
    zeros = [split(_core.fr_from_ints([0, 0, 7]), 1, 3, srs()) for _ in range(2)]
    outputs = [weighted_sum([z.shares[j] for z in zeros], [1, 2]) for j in range(3)]
    assert np.array_equal(reconstruct(outputs, 1), _core.fr_from_ints([0, 0, 21]))
