"""Sharing a tier key: t shares say nothing of it, t + 1 give it back, and a wrong share names its worker."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.sharing import (
    KEY_SHARE_LENGTH,
    Output,
    Share,
    SharedKey,
    WrongKeyShareError,
    check_key_share,
    rebuild_key,
    share_key,
    worker_index,
)
from fedproof.sharing.split import split
from fedproof.sharing.vectors import FrArray
from tests.sharing.rounds import MEMBERS, THRESHOLD, changed, srs
from tests.sharing.test_split import polynomial_through

R = _core.MODULUS
KEY = bytes(range(1, 33))
KEYS = [KEY, bytes(32), b"\xff" * 32, bytes(16) + b"\xff" * 16, b"\xff" * 16 + bytes(16)]


class OpenPowers:
    """Powers of a tau that everybody knows: commitments can be taken apart, as no real one can."""

    tau = 123_456_789

    def commit(self, coeffs: FrArray, offset: int = 0) -> bytes:
        value = sum(c * pow(self.tau, k + offset, R) for k, c in enumerate(_core.fr_to_ints(coeffs)))
        return _core.g1_mul(_core.g1_generator(), _core.fr_from_ints([value]))


def shared(key: bytes = KEY) -> SharedKey:
    return share_key(key, THRESHOLD, MEMBERS, srs())


@pytest.mark.parametrize("key", KEYS, ids=["counting", "zeros", "ones", "low", "high"])
def test_any_threshold_plus_one_shares_give_the_key_back(key: bytes) -> None:
    made = shared(key)
    assert [share.index for share in made.shares] == list(range(1, MEMBERS + 1))
    for chosen in itertools.combinations(made.shares, THRESHOLD + 1):
        assert rebuild_key(chosen, THRESHOLD) == key
    assert rebuild_key(made.shares, THRESHOLD) == key


def test_every_share_opens_its_commitment_and_no_other() -> None:
    made, other = shared(), shared()
    for share in made.shares:
        check_key_share(share, made.commitment, made.commitments_r, srs())
        with pytest.raises(WrongKeyShareError):
            check_key_share(share, other.commitment, other.commitments_r, srs())
        moved = Share(worker_index(share.index % MEMBERS + 1), share.values)
        with pytest.raises(WrongKeyShareError):
            check_key_share(moved, made.commitment, made.commitments_r, srs())


@pytest.mark.parametrize("place", range(KEY_SHARE_LENGTH))
def test_a_wrong_share_names_its_worker(place: int) -> None:
    made = shared()
    for share in made.shares:
        for by in (1, -1, R - 2):
            lie = Share(share.index, changed(share.values, place, by))
            with pytest.raises(WrongKeyShareError, match=f"worker {share.index} ") as caught:
                check_key_share(lie, made.commitment, made.commitments_r, srs())
            assert caught.value.worker == share.index


def test_for_t_workers_every_key_is_equally_likely() -> None:
    """Whatever key one names, one blinding and one choice of R explain the shares of t workers and every commitment."""
    powers = OpenPowers()
    made = share_key(KEY, THRESHOLD, MEMBERS, powers)
    for coalition in itertools.combinations(made.shares, THRESHOLD):
        seen = {share.index: _core.fr_to_ints(share.values) for share in coalition}
        for other in (bytes(32), b"\xff" * 32, os.urandom(32)):
            halves = [int.from_bytes(other[:16], "big"), int.from_bytes(other[16:], "big")]
            # the value of v at tau, which C shows to who knows tau, fixes the blinding
            shares = {share.index: _core.fr_to_ints(share.values) for share in made.shares[: THRESHOLD + 1]}
            at_zero = polynomial_through(shares)[0]
            value = sum(c * pow(powers.tau, k, R) for k, c in enumerate(at_zero))
            blinding = (value - halves[0] - halves[1] * powers.tau) * pow(powers.tau, -2, R) % R
            vector = [*halves, blinding]
            assert powers.commit(_core.fr_from_ints(vector)) == made.commitment
            explained = polynomial_through({0: vector, **seen})
            assert explained[0] == vector
            assert [powers.commit(_core.fr_from_ints(c)) for c in explained[1:]] == list(made.commitments_r)


def test_t_shares_do_not_suffice_and_no_share_counts_twice() -> None:
    made = shared()
    for chosen in itertools.combinations(made.shares, THRESHOLD):
        with pytest.raises(SharingError, match=f"{THRESHOLD} outputs are left"):
            rebuild_key(chosen, THRESHOLD)
        with pytest.raises(SharingError, match="twice"):
            rebuild_key([*chosen, chosen[0]], THRESHOLD)
        # a lower threshold than the one it was shared with gives another vector, mostly no key at all
        with pytest.raises(SharingError, match="no key"):
            rebuild_key(chosen, THRESHOLD - 1)


@pytest.mark.parametrize("index", [0, -1, (1 << 16) + 1])
def test_rejects_a_share_at_zero_or_out_of_range(index: int) -> None:
    values = shared().shares[0].values
    with pytest.raises(SharingError, match="worker index"):
        Share(index, values)  # type: ignore[arg-type]


def test_a_share_that_says_zero_is_refused_on_the_wire() -> None:
    share = shared().shares[0]
    wire = bytearray(share.encode())
    wire[2:6] = bytes(4)
    with pytest.raises(SharingError):
        Share.decode(bytes(wire), index=share.index, length=KEY_SHARE_LENGTH)
    with pytest.raises(SharingError):
        Share.decode(bytes(wire), index=0, length=KEY_SHARE_LENGTH)


def test_two_sharings_of_one_key_have_nothing_in_common() -> None:
    """Else who holds t shares of each would hold more than t of one."""
    first, second = shared(), shared()
    assert first.commitment != second.commitment
    assert not set(first.commitments_r) & set(second.commitments_r)
    for a, b in zip(first.shares, second.shares, strict=True):
        assert not set(_core.fr_to_ints(a.values)) & set(_core.fr_to_ints(b.values))


def test_the_commitment_hides_the_key() -> None:
    """Without its blinding, a guess at the key could be tried."""
    made = shared()
    halves = [int.from_bytes(KEY[:16], "big"), int.from_bytes(KEY[16:], "big")]
    assert srs().commit(_core.fr_from_ints([*halves, 0])) != made.commitment


def test_rejects_what_was_shared_but_is_no_key() -> None:
    for halves in ([1 << 128, 0], [0, 1 << 128], [R - 1, 5]):
        sharing = split(_core.fr_from_ints([*halves, 7]), THRESHOLD, MEMBERS, srs())
        with pytest.raises(SharingError, match="no key of 32 bytes"):
            rebuild_key(sharing.shares, THRESHOLD)


def test_rejects_inconsistent_shares_and_shares_of_another_length() -> None:
    made = shared()
    lie = Share(made.shares[4].index, changed(made.shares[4].values, 1))
    with pytest.raises(SharingError, match="inconsistent"):
        rebuild_key([*made.shares[:4], lie], THRESHOLD)
    short = Share(made.shares[0].index, np.ascontiguousarray(made.shares[0].values[:2]))
    with pytest.raises(SharingError, match="3 values"):
        check_key_share(short, made.commitment, made.commitments_r, srs())
    with pytest.raises(SharingError, match="3 values"):
        rebuild_key([short, *made.shares[1:3]], THRESHOLD)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_rejects_a_key_of_another_length(length: int) -> None:
    with pytest.raises(SharingError, match="32 bytes"):
        share_key(bytes(length), THRESHOLD, MEMBERS, srs())


@pytest.mark.parametrize(("threshold", "members"), [(0, 1), (1, 2), (2, 4)])
def test_rejects_committees_that_hide_nothing_or_cannot_outvote_liars(threshold: int, members: int) -> None:
    with pytest.raises(SharingError):
        share_key(KEY, threshold, members, srs())


def test_rejects_a_commitment_that_is_no_point() -> None:
    made = shared()
    for wrong in (b"\1" * 64, b"\1" * 63):
        with pytest.raises(SharingError):
            check_key_share(made.shares[0], wrong, made.commitments_r, srs())


def test_an_output_is_no_share() -> None:
    share = shared().shares[0]
    with pytest.raises(SharingError, match="not a share"):
        Share.decode(Output(share.index, share.values).encode(), index=share.index, length=KEY_SHARE_LENGTH)
