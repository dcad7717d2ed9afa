"""The wire form of an escrow and the contexts of its sealed shares: one reading, and nothing usable elsewhere."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from fedproof import _core
from fedproof.errors import SealingError
from fedproof.sealing import KeyPair
from fedproof.sealing.escrow import MAX_MEMBERS, Escrow, EscrowContext, Member, SharedTier

POINTS = [_core.g1_mul(_core.g1_generator(), _core.fr_from_ints([k])) for k in range(1, 8)]


def member(k: int, hybrid: bool = False) -> Member:
    return Member(bytes([k]) * 20, bytes([k]) * (1216 if hybrid else 32))


def tier(number: int, members: int = 3, threshold: int = 1) -> SharedTier:
    ids = tuple(bytes([number, k]) * 16 for k in range(members))
    return SharedTier(number, POINTS[0], tuple(POINTS[1 : 1 + threshold]), ids)


def escrow(**changes: object) -> Escrow:
    whole = Escrow(1, (member(1), member(2, hybrid=True), member(3)), (tier(1), tier(3), tier(5)))
    return replace(whole, **changes)  # type: ignore[arg-type]


CONTEXT = EscrowContext(31_337, b"\xaa" * 20, 7, 2)


def test_what_was_written_is_read_again() -> None:
    whole = escrow()
    data = whole.encode()
    assert data[0] == 1
    assert Escrow.decode(data) == whole
    assert len(data) == 6 + 3 * 22 + 2 * 32 + 1216 + 3 * (1 + 2 * 64 + 3 * 32)
    larger = Escrow(2, tuple(member(k) for k in range(1, 6)), (tier(5, 5, 2),))
    assert Escrow.decode(larger.encode()) == larger


def test_finds_tiers_and_members() -> None:
    whole = escrow()
    assert whole.tier(3) == tier(3)
    assert whole.tier(2) is None
    assert [whole.place_of(bytes([k]) * 20) for k in range(5)] == [None, 1, 2, 3, None]


def test_refuses_every_shorter_and_longer_form() -> None:
    data = escrow().encode()
    for end in itertools.chain(range(0, 40), range(40, len(data), 37), [len(data) - 1]):
        with pytest.raises(SealingError):
            Escrow.decode(data[:end])
    for extra in (b"\0", bytes(32)):
        with pytest.raises(SealingError, match="behind"):
            Escrow.decode(data + extra)


def test_refuses_another_version() -> None:
    data = escrow().encode()
    for version in (0, 2, 255):
        with pytest.raises(SealingError, match="version 1"):
            Escrow.decode(bytes((version,)) + data[1:])


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"threshold": 0}, "threshold"),
        ({"threshold": 2}, "threshold"),
        ({"members": (member(1), member(2))}, "threshold"),
        ({"members": (member(1), member(2), member(1))}, "twice"),
        ({"members": (member(1), member(2), Member(b"\x09" * 20, b"\1" * 32))}, "twice"),
        ({"members": (member(1), member(2), Member(b"\1" * 20, b"\x09" * 32))}, "twice"),
        ({"members": tuple(member(k) for k in (1, 2, 3, 4))}, "one commitment"),
        ({"tiers": ()}, "at least one tier"),
        ({"tiers": (tier(3), tier(3))}, "rising"),
        ({"tiers": (tier(3), tier(1))}, "rising"),
        ({"tiers": (tier(3, threshold=2),)}, "one commitment"),
        ({"tiers": (tier(3, members=2),)}, "one commitment"),
    ],
)
def test_refuses_an_escrow_that_cannot_be(changes: dict[str, object], match: str) -> None:
    with pytest.raises(SealingError, match=match):
        escrow(**changes)


def test_refuses_parts_that_cannot_be() -> None:
    for wrong in ((b"\1" * 19, bytes(32)), (b"\1" * 20, bytes(31)), (b"\1" * 20, b"")):
        with pytest.raises(SealingError):
            Member(*wrong)
    for number in (0, 6):
        with pytest.raises(SealingError, match="tier"):
            tier(number)
    with pytest.raises(SealingError, match="content id"):
        replace(tier(3), shares=(b"\1" * 31,) * 3)
    for point in (b"\1" * 64, b"\xff" * 64, POINTS[0][:63]):
        with pytest.raises(SealingError, match="point"):
            replace(tier(3), commitment=point)
        with pytest.raises(SealingError, match="point"):
            replace(tier(3), commitments_r=(point,))


def test_refuses_a_committee_larger_than_the_limit_before_reading_it() -> None:
    data = bytearray(escrow().encode())
    data[3:5] = (MAX_MEMBERS + 1).to_bytes(2, "big")
    with pytest.raises(SealingError, match="at most"):
        Escrow.decode(bytes(data))
    data = bytearray(escrow().encode())
    data[1:3] = b"\xff\xff"
    with pytest.raises(SealingError, match="at most"):
        Escrow.decode(bytes(data))


def test_every_item_of_a_context_counts() -> None:
    shared, who, grantee = tier(3), member(1), b"\xcc" * 20
    contexts = [
        CONTEXT,
        replace(CONTEXT, chain_id=1),
        replace(CONTEXT, registry=b"\xab" * 20),
        replace(CONTEXT, dataset=8),
        replace(CONTEXT, version=1),
    ]
    others = [tier(5), replace(shared, commitment=POINTS[4]), replace(shared, commitments_r=(POINTS[4],))]
    infos = [each.share_info(shared, 1, who) for each in contexts]
    infos += [CONTEXT.share_info(other, 1, who) for other in others]
    infos += [CONTEXT.share_info(shared, 2, who), CONTEXT.share_info(shared, 1, member(2))]
    assert len(set(infos)) == len(infos)
    assert len({len(info) for info in infos}) == 1
    releases = [each.release_info(shared, 1, who, grantee) for each in contexts]
    releases += [CONTEXT.release_info(other, 1, who, grantee) for other in others]
    releases += [CONTEXT.release_info(shared, 2, who, grantee), CONTEXT.release_info(shared, 1, member(2), grantee)]
    releases += [CONTEXT.release_info(shared, 1, who, b"\xcd" * 20)]
    assert len(set(releases)) == len(releases)
    assert len({len(info) for info in releases}) == 1
    assert not {info[:24] for info in infos} & {info[:24] for info in releases}


def test_the_place_of_the_shares_is_not_part_of_their_context() -> None:
    """The ids are those of what the context seals: they cannot be known before."""
    assert tier(3).digest() == replace(tier(3), shares=()).digest()


def test_refuses_a_context_out_of_range() -> None:
    for wrong in ({"chain_id": -1}, {"version": 1 << 16}, {"dataset": 1 << 256}, {"registry": b"\1" * 19}):
        with pytest.raises(SealingError):
            replace(CONTEXT, **wrong).share_info(tier(3), 1, member(1))  # type: ignore[arg-type]
    with pytest.raises(SealingError, match="grantee"):
        CONTEXT.release_info(tier(3), 1, member(1), b"short")


def test_a_real_key_pair_fits() -> None:
    for suite in ("x25519", "mlkem768x25519"):
        assert Member(bytes(20), KeyPair.generate(suite).public)  # type: ignore[arg-type]
