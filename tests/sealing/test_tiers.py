"""Tier keys open downwards only, and a grant opens for exactly what it says (attacks 17, 28, 33)."""

import dataclasses
import hmac
from typing import Any

import pytest

from fedproof.errors import SealingError
from fedproof.sealing import TOP_TIER, Grant, KeyPair, TierKey, open_tier_key, seal_tier_key_to

GRANTEE = KeyPair.generate()
GRANT = Grant(chain_id=31337, registry=b"\x11" * 20, dataset=7, tier=3, grantee=b"\x22" * 20)


def test_a_tier_gives_itself_and_every_tier_below() -> None:
    top = TierKey.generate()
    chain = [top.down_to(tier) for tier in range(1, TOP_TIER + 1)]
    assert [key.tier for key in chain] == [1, 2, 3, 4, 5]
    assert len({key.encode() for key in chain}) == 5
    for holder in chain:
        for tier in range(1, holder.tier + 1):
            assert holder.down_to(tier) == chain[tier - 1]


def test_rejects_derivation_upwards() -> None:
    key = TierKey.generate().down_to(3)
    for tier in (4, 5):
        with pytest.raises(SealingError, match="does not open"):
            key.down_to(tier)


def test_derives_as_the_page_says() -> None:
    # HKDF-SHA256 (RFC 5869) written out: empty salt, one block of output
    secret = bytes(range(32))
    prk = hmac.digest(bytes(32), secret, "sha256")
    expected = hmac.digest(prk, b"fedproof/tier-key/v1" + b"\x04" + b"\x01", "sha256")
    assert TierKey(5, secret).down_to(4).encode() == b"\x01\x04" + expected


def test_two_datasets_have_unrelated_keys() -> None:
    assert TierKey.generate() != TierKey.generate()


def test_a_key_survives_its_encoding() -> None:
    for tier in range(1, TOP_TIER + 1):
        key = TierKey.generate().down_to(tier)
        assert TierKey.decode(key.encode()) == key


def test_refuses_what_is_not_a_tier_key() -> None:
    good = TierKey.generate().encode()
    for bad in (b"", good[:-1], good + b"\x00", b"\x02" + good[1:], b"\x01\x00" + good[2:], b"\x01\x06" + good[2:]):
        with pytest.raises(SealingError):
            TierKey.decode(bad)
    for tier in (0, 6, -1):
        with pytest.raises(SealingError, match="does not exist"):
            TierKey.generate().down_to(tier)
    with pytest.raises(SealingError, match="32 bytes"):
        TierKey(1, bytes(16))


def test_hides_itself_in_repr() -> None:
    key = TierKey.generate()
    assert repr(key) == "TierKey(tier=5, <key hidden>)"
    assert key.encode().hex() not in repr(key)


@pytest.mark.parametrize("suite", ["x25519", "mlkem768x25519"])
def test_a_grant_gives_the_grantee_its_tier(suite: Any) -> None:
    grantee, top = KeyPair.generate(suite), TierKey.generate()
    opened = open_tier_key(grantee, seal_tier_key_to(grantee.public, top, GRANT), GRANT)
    assert opened == top.down_to(3)


@pytest.mark.parametrize(
    "change",
    [{"chain_id": 1}, {"registry": b"\x12" * 20}, {"dataset": 8}, {"tier": 4}, {"tier": 2}, {"grantee": b"\x23" * 20}],
    ids=lambda change: next(iter(change)),
)
def test_rejects_a_grant_for_another(change: dict[str, Any]) -> None:
    sealed = seal_tier_key_to(GRANTEE.public, TierKey.generate(), GRANT)
    with pytest.raises(SealingError, match="does not open"):
        open_tier_key(GRANTEE, sealed, dataclasses.replace(GRANT, **change))


def test_rejects_a_grant_opened_by_another_grantee() -> None:
    sealed = seal_tier_key_to(GRANTEE.public, TierKey.generate(), GRANT)
    with pytest.raises(SealingError, match="does not open"):
        open_tier_key(KeyPair.generate(), sealed, GRANT)


def test_rejects_granting_more_than_one_holds() -> None:
    with pytest.raises(SealingError, match="does not open tier 3"):
        seal_tier_key_to(GRANTEE.public, TierKey.generate().down_to(2), GRANT)


def test_rejects_a_key_of_another_tier_inside_a_grant() -> None:
    from fedproof.sealing import seal

    sealed = seal(GRANTEE.public, TierKey.generate().down_to(2).encode(), GRANT.info())
    with pytest.raises(SealingError, match="of tier 2"):
        open_tier_key(GRANTEE, sealed, GRANT)


def test_refuses_fields_that_would_change_the_width_of_the_context() -> None:
    wrong = [{"registry": b"\x11" * 19}, {"grantee": b""}, {"chain_id": 1 << 256}, {"dataset": -1}, {"tier": 0}]
    for change in (*wrong, {"version": 0}, {"version": 1 << 16}):
        with pytest.raises(SealingError):
            dataclasses.replace(GRANT, **change).info()
    assert len(GRANT.info()) == len(b"fedproof/tier-grant/v2") + 32 + 20 + 32 + 2 + 1 + 20
