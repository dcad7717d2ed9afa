"""Wrong shares and wrong outputs are found, and whoever made them is named (attacks 22 and 23)."""

import dataclasses
from collections.abc import Callable

import pytest

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.sharing import (
    Output,
    ReceivedShare,
    Share,
    WrongOutputError,
    WrongSharesError,
    check_output,
    check_shares,
    share_commitment,
    weighted_sum,
    worker_index,
)
from tests.sharing.rounds import LENGTH, MEMBERS, Participant, changed, participant, participants, srs

ROUND = participants(6)
WEIGHTS = [10, 3, 96, 1, 64, 7]


def received(index: int) -> list[ReceivedShare]:
    return [one.received(index) for one in ROUND]


def spoiled(entry: ReceivedShare, place: int = 0, by: int = 1) -> ReceivedShare:
    return dataclasses.replace(entry, share=Share(entry.share.index, changed(entry.share.values, place, by)))


def accused(entries: list[ReceivedShare]) -> tuple[str, ...]:
    with pytest.raises(WrongSharesError) as caught:
        check_shares(entries, srs())
    return caught.value.participants


def test_accepts_every_honest_share() -> None:
    for index in range(1, MEMBERS + 1):
        check_shares(received(index), srs())
    check_shares(received(1)[:1], srs())


def test_names_the_participant_of_a_wrong_share_wherever_it_is_wrong() -> None:
    for place in range(LENGTH):
        for who in (0, 3, 5):
            entries = received(2)
            entries[who] = spoiled(entries[who], place)
            assert accused(entries) == (ROUND[who].name,)


def test_names_every_participant_of_a_wrong_share() -> None:
    entries = received(4)
    for who in (0, 1, 4):
        entries[who] = spoiled(entries[who], who)
    assert accused(entries) == tuple(ROUND[who].name for who in (0, 1, 4))
    assert accused([spoiled(entry) for entry in received(1)]) == tuple(one.name for one in ROUND)


def test_names_two_who_would_cancel_in_a_plain_sum() -> None:
    entries = received(2)
    entries[1], entries[2] = spoiled(entries[1], 5, +1), spoiled(entries[2], 5, -1)
    assert accused(entries) == (ROUND[1].name, ROUND[2].name)


def test_rejects_shares_of_another_update_than_the_proven_one() -> None:
    """The update commitment on chain is the proven one; shares of another update do not open C_ij."""
    other = participant("participant-1", 99)
    entries = received(3)
    proven = share_commitment(ROUND[1].c_u, other.sharing.commitments_r, 3)
    entries[1] = ReceivedShare("participant-1", other.sharing.shares[2], proven)
    assert accused(entries) == ("participant-1",)


def test_rejects_shares_that_differ_between_workers() -> None:
    """Shares of two sharings of one update: each worker but those of the committed one sees it alone."""
    again = participant("participant-0", 1)
    for index in range(1, MEMBERS + 1):
        mixed = again if index in (2, 5) else ROUND[0]
        entry = dataclasses.replace(ROUND[0].received(index), share=mixed.sharing.shares[index - 1])
        if index in (2, 5):
            assert accused([entry, *received(index)[1:]]) == ("participant-0",)
        else:
            check_shares([entry, *received(index)[1:]], srs())


def test_rejects_shares_of_too_high_a_degree() -> None:
    """s_j + a j^3 with a of the sharer's choice: of degree 3 while the commitments have degree 2."""
    for index in range(1, MEMBERS + 1):
        entries = received(index)
        entries[2] = spoiled(entries[2], 4, by=77 * index**3)
        assert accused(entries) == (ROUND[2].name,)


def test_rejects_the_share_of_another_worker() -> None:
    entries = received(2)
    entries[0] = dataclasses.replace(entries[0], share=Share(worker_index(2), ROUND[0].sharing.shares[2].values))
    assert accused(entries) == (ROUND[0].name,)


def test_refuses_a_mixture_of_workers_or_lengths_and_an_empty_round() -> None:
    with pytest.raises(SharingError, match="different workers"):
        check_shares([*received(1)[:3], *received(2)[3:]], srs())
    short = dataclasses.replace(received(1)[0], share=Share(worker_index(1), _core.fr_random(LENGTH - 1)))
    with pytest.raises(SharingError, match="length"):
        check_shares([short, *received(1)[1:]], srs())
    with pytest.raises(SharingError, match="no share"):
        check_shares([], srs())


def output_of(index: int) -> Output:
    return weighted_sum([one.sharing.shares[index - 1] for one in ROUND], WEIGHTS)


def check(output: Output, members: list[Participant] = ROUND, weights: list[int] = WEIGHTS) -> None:
    check_output(output, [one.c_u for one in members], [one.sharing.commitments_r for one in members], weights, srs())


def test_accepts_every_honest_output() -> None:
    for index in range(1, MEMBERS + 1):
        check(output_of(index))


@pytest.mark.parametrize(
    "lie",
    [
        lambda output: Output(output.index, changed(output.values, 0)),
        lambda output: Output(output.index, changed(output.values, LENGTH - 1, -1)),
        lambda output: Output(worker_index(output.index % MEMBERS + 1), output.values),
        lambda output: Output(output.index, _core.fr_from_ints([0] * LENGTH)),
        lambda output: Output(output.index, ROUND[0].update),
        lambda output: weighted_sum([one.sharing.shares[output.index - 1] for one in ROUND[1:]], WEIGHTS[1:]),
        lambda output: weighted_sum([one.sharing.shares[output.index - 1] for one in ROUND], [11, *WEIGHTS[1:]]),
    ],
    ids=["first value", "last value", "index", "zero", "an update", "one left out", "one weight"],
)
def test_names_a_worker_whose_output_is_not_its_sum(lie: Callable[[Output], Output]) -> None:
    for index in range(1, MEMBERS + 1):
        wrong = lie(output_of(index))
        with pytest.raises(WrongOutputError) as caught:
            check(wrong)
        assert caught.value.worker == wrong.index
        assert f"worker {wrong.index}" in str(caught.value)


def test_rejects_an_honest_output_against_another_set_or_other_weights() -> None:
    with pytest.raises(WrongOutputError):
        check(output_of(1), ROUND[:-1], WEIGHTS[:-1])
    with pytest.raises(WrongOutputError):
        check(output_of(1), weights=[*WEIGHTS[:-1], WEIGHTS[-1] + 1])


def test_refuses_rounds_whose_lists_do_not_fit() -> None:
    with pytest.raises(SharingError, match="weights"):
        check(output_of(1), weights=WEIGHTS[:-1])
    with pytest.raises(SharingError, match="at least one"):
        check(output_of(1), [], [])
    c_u, r = [one.c_u for one in ROUND], [one.sharing.commitments_r for one in ROUND]
    for bad in (r[:-1], [r[0][:-1], *r[1:]]):
        with pytest.raises(SharingError, match="same number"):
            check_output(output_of(1), c_u, bad, WEIGHTS, srs())


def test_refuses_commitments_that_are_not_points() -> None:
    for bad in (b"", bytes(63), bytes(65), b"\x01" * 64, b"\xff" * 64):
        with pytest.raises(SharingError, match="commitment"):
            share_commitment(bad, ROUND[0].sharing.commitments_r, 1)
        with pytest.raises(SharingError, match="commitment"):
            share_commitment(ROUND[0].c_u, [bad], 1)


def test_rejects_two_points_cut_at_another_byte() -> None:
    """Joined, 63 and 65 bytes would be the same two points."""
    joined = ROUND[0].c_u + ROUND[0].sharing.commitments_r[0]
    with pytest.raises(SharingError, match="64 bytes, not 63"):
        share_commitment(joined[:63], [joined[63:]], 1)


def test_a_share_hides_its_values_and_so_does_an_accusation() -> None:
    entry = spoiled(received(1)[0])
    value = str(_core.fr_to_ints(entry.share.values)[0])
    with pytest.raises(WrongSharesError) as caught:
        check_shares([entry], srs())
    assert repr(entry.share) == f"Share(index=1, values=<{LENGTH} hidden>)"
    limbs = [str(limb) for limb in entry.share.values.ravel()]
    for text in (repr(entry), str(caught.value), repr(caught.value)):
        assert not any(secret in text for secret in (value, *limbs))
