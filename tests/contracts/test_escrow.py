"""The board of shared tier keys: who may write what, for which version, tier and grantee."""

from __future__ import annotations

import pytest

from fedproof.ledger.market_types import AccessGranted
from tests.contracts.support import rejects
from tests.contracts.test_access import at_time, request
from tests.contracts.world import World

ESCROW = b"\xe5" * 32
SHARE = bytes(range(156))


@pytest.fixture
def granted(world: World) -> AccessGranted:
    """The grantee holds tier 3 of dataset 1, which has two versions."""
    world.mint()
    world.update()
    world.lock()
    return request(world).send(world)


def release(world: World, sender: str = "stranger", **changes: object) -> None:
    given = {"dataset_id": 1, "version": 1, "tier": 3, "grantee": world.grantee.address, "sealed": SHARE} | changes
    world.market.escrow.release(getattr(world, sender), **given)  # type: ignore[arg-type]


def test_the_provider_places_the_keys_of_each_version(world: World, granted: AccessGranted) -> None:
    escrow = world.market.escrow
    assert escrow.placed(1, 1) is None
    escrow.place(world.provider, 1, 1, ESCROW)
    escrow.place(world.provider, 1, 2, bytes(31) + b"\2")
    found = escrow.placed(1, 1)
    assert found is not None
    assert (found.dataset_id, found.version, found.escrow_id) == (1, 1, ESCROW)
    escrow.place(world.provider, 1, 1, bytes(31) + b"\3")
    last = escrow.placed(1, 1)
    assert last is not None
    assert last.escrow_id == bytes(31) + b"\3"
    assert (last.block_number, last.log_index) > (found.block_number, found.log_index)
    other = escrow.placed(1, 2)
    assert other is not None
    assert other.escrow_id == bytes(31) + b"\2"


def test_only_the_present_holder_places(world: World, granted: AccessGranted) -> None:
    escrow, functions = world.market.escrow, world.market.registry.functions
    world.chain.transact(functions.setApprovalForAll(world.stranger.address, True), world.provider)
    for sender in (world.owner, world.grantee, world.stranger):
        with rejects("NotProvider", 1, sender.address):
            escrow.place(sender, 1, 1, ESCROW)
    world.chain.transact(functions.transferFrom(world.provider.address, world.owner.address, 1), world.provider)
    with rejects("NotProvider", 1, world.provider.address):
        escrow.place(world.provider, 1, 1, ESCROW)
    escrow.place(world.owner, 1, 1, ESCROW)
    for unknown in (0, 2):
        with rejects("ERC721NonexistentToken", unknown):
            escrow.place(world.provider, unknown, 1, ESCROW)


@pytest.mark.parametrize("version", [0, 3, 65_535])
def test_rejects_a_version_that_does_not_exist(world: World, granted: AccessGranted, version: int) -> None:
    with rejects("NoSuchVersion", 1, version):
        world.market.escrow.place(world.provider, 1, version, ESCROW)
    with rejects("NoSuchVersion", 1, version):
        release(world, version=version)


def test_rejects_an_escrow_without_a_blob(world: World, granted: AccessGranted) -> None:
    with rejects("MissingEscrow"):
        world.market.escrow.place(world.provider, 1, 1, bytes(32))


def test_a_retired_dataset_still_serves_its_running_grants(world: World, granted: AccessGranted) -> None:
    world.market.retire(world.provider, 1)
    world.market.escrow.place(world.provider, 1, 2, ESCROW)
    release(world, version=2)
    assert len(world.market.escrow.released()) == 1


def test_a_released_share_names_its_sender(world: World, granted: AccessGranted) -> None:
    release(world)
    release(world, "owner", version=2, tier=2)
    first, second = world.market.escrow.released(grantee=granted.grantee)
    assert (first.dataset_id, first.worker, first.tier, first.version) == (1, world.stranger.address, 3, 1)
    assert first.sealed_share == SHARE
    assert (second.worker, second.tier, second.version) == (world.owner.address, 2, 2)
    assert world.market.escrow.released(worker=world.owner.address) == [second]
    assert world.market.escrow.released(datasetId=2) == []


@pytest.mark.parametrize("tier", [0, 4, 5, 6, 255])
def test_rejects_a_release_of_a_tier_that_the_grant_does_not_open(
    world: World, granted: AccessGranted, tier: int
) -> None:
    with rejects("NoGrant", 1, granted.grantee, tier):
        release(world, tier=tier)


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_accepts_a_release_of_every_tier_that_the_grant_opens(world: World, granted: AccessGranted, tier: int) -> None:
    release(world, tier=tier)


def test_rejects_a_release_without_a_running_grant(world: World, granted: AccessGranted) -> None:
    with rejects("NoGrant", 1, world.stranger.address, 3):
        release(world, grantee=world.stranger.address)
    with rejects("NoSuchDataset", 2):
        release(world, dataset_id=2)
    at_time(world, granted.expiry - 60)
    release(world)
    at_time(world, granted.expiry)
    with rejects("NoGrant", 1, granted.grantee, 3):
        release(world)


@pytest.mark.parametrize("length", [0, 4097])
def test_rejects_a_share_of_no_length_or_too_much(world: World, granted: AccessGranted, length: int) -> None:
    with rejects("BadShare", length):
        release(world, sealed=bytes(length))


@pytest.mark.parametrize("length", [1, 4096])
def test_accepts_a_share_of_the_least_and_the_greatest_length(
    world: World, granted: AccessGranted, length: int
) -> None:
    release(world, sealed=bytes(length))
    assert len(world.market.escrow.released()[0].sealed_share) == length


def test_the_board_keeps_and_takes_nothing(world: World) -> None:
    changing = {
        entry["name"]
        for entry in world.market.escrow.contract.abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }
    assert changing == {"place", "release"}


def test_refuses_an_address_without_a_registry(world: World) -> None:
    nobody = world.chain.new_account("nobody", funded=False).address
    with rejects("NotARegistry", nobody):
        world.chain.deploy("KeyEscrow", nobody, sender=world.owner)
