"""Delivering keys, retiring, and what happens when a dataset's token changes hands."""

from __future__ import annotations

import pytest

from fedproof.ledger.market_types import AccessGranted
from tests.contracts.support import rejects
from tests.contracts.test_access import at_time, request
from tests.contracts.world import World

SEALED_KEY = bytes(range(80))


@pytest.fixture
def granted(world: World) -> AccessGranted:
    """The grantee holds tier 3 of dataset 1."""
    world.mint()
    world.lock()
    return request(world).send(world)


def test_the_provider_delivers_a_sealed_key(world: World, granted: AccessGranted) -> None:
    found = world.market.deliver_key(world.provider, 1, granted.grantee, 3, 1, SEALED_KEY)
    assert (found.dataset_id, found.grantee, found.tier, found.version) == (1, granted.grantee, 3, 1)
    assert found.sealed_key == SEALED_KEY
    assert world.market.deliveries(grantee=granted.grantee) == [found]
    assert world.market.deliveries(tier=2) == []
    again = world.market.deliver_key(world.provider, 1, granted.grantee, 3, 1, SEALED_KEY[::-1])
    assert world.market.deliveries(datasetId=1) == [found, again]


def test_only_the_provider_delivers_and_retires(world: World, granted: AccessGranted) -> None:
    for sender in (world.owner, world.grantee, world.stranger):
        with rejects("NotProvider", 1, sender.address):
            world.market.deliver_key(sender, 1, granted.grantee, 3, 1, SEALED_KEY)
        with rejects("NotProvider", 1, sender.address):
            world.market.retire(sender, 1)
    for unknown in (0, 2):
        with rejects("ERC721NonexistentToken", unknown):
            world.market.deliver_key(world.provider, unknown, granted.grantee, 3, 1, SEALED_KEY)
        with rejects("ERC721NonexistentToken", unknown):
            world.market.retire(world.provider, unknown)


@pytest.mark.parametrize("tier", [0, 1, 2, 4, 5, 6, 255])
def test_rejects_a_key_of_a_tier_that_was_not_granted(world: World, granted: AccessGranted, tier: int) -> None:
    with rejects("NoGrant", 1, granted.grantee, tier):
        world.market.deliver_key(world.provider, 1, granted.grantee, tier, 1, SEALED_KEY)


def test_rejects_a_key_for_somebody_without_a_grant(world: World, granted: AccessGranted) -> None:
    with rejects("NoGrant", 1, world.stranger.address, 3):
        world.market.deliver_key(world.provider, 1, world.stranger.address, 3, 1, SEALED_KEY)


def test_rejects_a_key_for_a_grant_that_has_run_out(world: World, granted: AccessGranted) -> None:
    at_time(world, granted.expiry - 60)
    world.market.deliver_key(world.provider, 1, granted.grantee, 3, 1, SEALED_KEY)
    at_time(world, granted.expiry)
    with rejects("NoGrant", 1, granted.grantee, 3):
        world.market.deliver_key(world.provider, 1, granted.grantee, 3, 1, SEALED_KEY)


@pytest.mark.parametrize("length", [0, 2049])
def test_rejects_a_sealed_key_of_no_length_or_too_much(world: World, granted: AccessGranted, length: int) -> None:
    with rejects("BadSealedKey", length):
        world.market.deliver_key(world.provider, 1, granted.grantee, 3, 1, bytes(length))


@pytest.mark.parametrize("length", [1, 1168, 2048])
def test_accepts_sealed_keys_of_both_kinds(world: World, granted: AccessGranted, length: int) -> None:
    assert len(world.market.deliver_key(world.provider, 1, granted.grantee, 3, 1, bytes(length)).sealed_key) == length


def test_a_retired_dataset_keeps_its_grants_and_stays_retired(world: World, granted: AccessGranted) -> None:
    world.market.retire(world.provider, 1)
    assert world.market.dataset(1).retired is True
    assert world.market.has_access(1, granted.grantee, 3)
    world.market.deliver_key(world.provider, 1, granted.grantee, 3, 1, SEALED_KEY)
    with rejects("DatasetIsRetired", 1):
        world.market.retire(world.provider, 1)


def test_who_buys_the_token_becomes_the_provider(world: World, granted: AccessGranted) -> None:
    functions = world.market.registry.functions
    move = functions.transferFrom(world.provider.address, world.stranger.address, 1)
    with rejects("ERC721InsufficientApproval"):
        world.chain.transact(move, world.stranger)
    world.chain.transact(move, world.provider)
    assert world.market.dataset(1).provider == world.stranger.address
    with rejects("NotProvider"):
        world.market.deliver_key(world.provider, 1, granted.grantee, 3, 1, SEALED_KEY)
    world.market.deliver_key(world.stranger, 1, granted.grantee, 3, 1, SEALED_KEY)


def test_an_approved_operator_is_not_the_provider(world: World, granted: AccessGranted) -> None:
    functions = world.market.registry.functions
    world.chain.transact(functions.setApprovalForAll(world.stranger.address, True), world.provider)
    with rejects("NotProvider", 1, world.stranger.address):
        world.market.retire(world.stranger, 1)


def test_a_question_about_a_tier_that_does_not_exist_is_answered_with_nothing(
    world: World, granted: AccessGranted
) -> None:
    for tier in (6, 255):
        assert world.market.grant(1, granted.grantee, tier).expiry == 0
        assert not world.market.has_access(1, granted.grantee, tier)
