"""Extending a grant: it works before and after expiry, keeps the key, and has a nullifier of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof import _core
from fedproof.ledger.market_types import AccessGranted
from fedproof.ledger.rpc import RpcError
from fedproof.proving.transcript import FIRST_GRANT, eligibility_scope, hpke_key_word
from fedproof.statements.notes import nullifier_of
from tests.contracts.support import call_with_gas, rejects, send_raw_calldata
from tests.contracts.test_access import HYBRID_KEY, INVALID_PROOF, at_time, request
from tests.contracts.world import EPOCH_LENGTH, MAX_DURATION, X25519_KEY, World

OTHER_KEY = b"\x0b" * 32


@pytest.fixture
def first(world: World) -> AccessGranted:
    """A grant of tier 3 for 600 seconds."""
    world.mint()
    world.lock()
    return request(world).send(world)


def next_epoch(world: World) -> None:
    at_time(world, (world.market.vault.current_epoch() + 1) * EPOCH_LENGTH)


def test_an_extension_adds_to_a_running_grant_and_keeps_its_key(world: World, first: AccessGranted) -> None:
    asked = request(world, duration=1000)
    granted = asked.send(world)
    assert granted.extension is True
    assert granted.expiry == first.expiry + 1000
    assert granted.hpke_key == X25519_KEY
    assert asked.nullifier != first.nullifier
    kept = world.market.grant(1, world.grantee.address, 3)
    assert (kept.expiry, kept.hpke_key_hash) == (granted.expiry, hpke_key_word(X25519_KEY)[:27])
    assert world.market.grants(datasetId=1) == [first, granted]


def test_rejects_an_extension_with_another_key(world: World, first: AccessGranted) -> None:
    """The provider answers a grant once. A stolen account must not redirect its key either."""
    expected = hpke_key_word(X25519_KEY)[:27]
    for key in (OTHER_KEY, HYBRID_KEY, X25519_KEY[::-1]):
        with rejects("OtherHpkeKey", expected):
            request(world, key=key).send(world)
    at_time(world, first.expiry + 1)
    with rejects("OtherHpkeKey", expected):
        request(world, key=OTHER_KEY).send(world)
    request(world).send(world)


def test_each_tier_and_each_grantee_has_a_key_of_its_own(world: World, first: AccessGranted) -> None:
    next_epoch(world)
    assert request(world, tier=5, key=OTHER_KEY).send(world).extension is False
    next_epoch(world)
    assert request(world, tier=3, key=OTHER_KEY, grantee=world.stranger).send(world, world.stranger).hpke_key == (
        OTHER_KEY
    )
    with rejects("OtherHpkeKey"):
        request(world, tier=5, key=X25519_KEY).send(world)


def test_an_extension_works_after_expiry_and_counts_from_now(world: World, first: AccessGranted) -> None:
    at_time(world, first.expiry + 100)
    assert not world.market.has_access(1, world.grantee.address, 3)
    granted = request(world, duration=50).send(world)
    assert granted.extension is True
    assert granted.expiry == world.chain.timestamp() + 50
    assert world.market.has_access(1, world.grantee.address, 3)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_an_extension_around_the_end_joins_or_starts_anew(world: World, first: AccessGranted, offset: int) -> None:
    asked = request(world, duration=500)
    world.chain.dev.set_next_timestamp(first.expiry + offset)
    receipt = world.chain.transact(asked.call(world), world.grantee, 600_000)
    assert world.chain.timestamp() == first.expiry + offset
    expiry = receipt.event("AccessExtended").args["expiry"]
    assert expiry == first.expiry + 500 + max(offset, 0)


def test_one_first_grant_and_one_extension_for_each_balance_and_epoch(world: World, first: AccessGranted) -> None:
    extension = request(world, duration=1)
    extension.send(world)
    with rejects("NullifierSpent", extension.nullifier):
        request(world, duration=1).send(world)
    # not by another address, another tier, another note or a longer wait in this epoch, either
    with rejects("NullifierSpent", first.nullifier):
        request(world, grantee=world.stranger).send(world, world.stranger)
    with rejects("NullifierSpent", first.nullifier):
        request(world, tier=5).send(world)
    world.lock(1000)
    at_time(world, first.expiry + 5)
    with rejects("NullifierSpent", extension.nullifier):
        request(world, duration=1).send(world)
    next_epoch(world)
    assert request(world, duration=1).send(world).extension is True
    with rejects("NullifierSpent"):
        request(world, duration=1).send(world)
    request(world, grantee=world.stranger).send(world, world.stranger)
    with rejects("NullifierSpent"):  # both have one, but the extension of this epoch is used
        request(world, grantee=world.stranger).send(world, world.stranger)


def test_rejects_a_first_grants_proof_as_an_extension(world: World, first: AccessGranted) -> None:
    """It would give a second nullifier for what the balance has had; also after the grant has run out."""
    market = world.market
    for _ in range(2):
        scope = eligibility_scope(
            chain_id=world.chain.chain_id,
            registry=market.registry.address,
            dataset=1,
            epoch=market.vault.current_epoch(),
            purpose=FIRST_GRANT,
        )
        nullifier = nullifier_of(world.secret, scope)

        def change(public: list[int]) -> list[int]:
            return [public[0], scope, nullifier, *public[3:]]  # noqa: B023

        with rejects("NullifierSpent" if nullifier == first.nullifier else "InvalidProof"):
            replace(request(world, change=change), nullifier=nullifier).send(world)
        next_epoch(world)


def test_rejects_an_extensions_proof_made_for_before_the_grant(world: World) -> None:
    world.mint()
    world.lock()
    early = request(world)
    early.send(world)
    with rejects("NullifierSpent"):
        early.send(world)
    next_epoch(world)
    with rejects("InvalidProof"):
        replace(request(world), nullifier=early.nullifier + 1).send(world)


def test_rejects_an_extension_beyond_the_greatest_reach(world: World) -> None:
    world.mint()
    world.lock()
    first = request(world, duration=MAX_DURATION - 100).send(world)
    at_time(world, first.expiry - MAX_DURATION + 200)
    now = world.chain.timestamp()
    with rejects("DurationOutOfRange"):
        request(world, duration=now + MAX_DURATION - first.expiry + 60).send(world)
    request(world, duration=now + MAX_DURATION - first.expiry).send(world)


def test_rejects_an_extension_of_a_retired_dataset_or_a_closed_class(world: World, first: AccessGranted) -> None:
    asked = request(world)
    world.market.close_class(world.owner, world.class_id)
    with rejects("ClassNotOpen", world.class_id):
        asked.send(world)
    world.market.retire(world.provider, 1)
    with rejects("DatasetIsRetired", 1):
        asked.send(world)
    assert world.market.has_access(1, world.grantee.address, 3)
    assert world.chain.call(world.market.registry.functions.isSpent(asked.nullifier)) is False


def test_rejects_bytes_behind_an_extension(world: World, first: AccessGranted) -> None:
    call = request(world).call(world)
    for extra in (b"\0", bytes(32)):
        with pytest.raises(RpcError) as caught:
            send_raw_calldata(world.chain, call, extra, world.grantee)
        assert (caught.value.data or b"")[:4] == _core.keccak256(b"TrailingBytes(uint256,uint256)")[:4]


def test_a_starved_extension_reverts_and_never_says_invalid(world: World, first: AccessGranted) -> None:
    call = request(world).call(world)
    outcomes: set[object] = set()
    for gas in range(60_000, 460_000, 25_000):
        try:
            outcomes.add(call_with_gas(world.chain, call, gas, world.grantee))
        except RpcError as error:
            outcomes.add((error.data or b"")[:4])
    assert INVALID_PROOF not in outcomes
    assert None in outcomes
    assert len(outcomes) > 1


def test_the_terms_of_an_extension_are_told_before_and_after_expiry(world: World, first: AccessGranted) -> None:
    market = world.market
    fresh = market.eligibility_terms(1, world.stranger.address, 3, 1, X25519_KEY)
    again = market.eligibility_terms(1, world.grantee.address, 3, 1, X25519_KEY)
    other_tier = market.eligibility_terms(1, world.grantee.address, 2, 1, X25519_KEY)
    assert fresh.scope == other_tier.scope != again.scope
    at_time(world, first.expiry)
    assert market.eligibility_terms(1, world.grantee.address, 3, 1, X25519_KEY).scope == again.scope
