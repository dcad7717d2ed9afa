"""Capacity classes: only the owner makes and closes them, nobody changes one, and their keys are checked."""

from __future__ import annotations

import pytest
from web3.contract import Contract

from fedproof.errors import InputError
from fedproof.ledger.marketplace import Marketplace
from fedproof.proving.keys import VerifyingKey
from tests.contracts import toy
from tests.contracts.support import rejects
from tests.contracts.world import COLUMNS, MAX_DURATION, ROWS, World


def changed(key: VerifyingKey, **fields: object) -> VerifyingKey:
    return VerifyingKey(**{**key.__dict__, **fields})


def registry(world: World, allow_development_keys: bool) -> Contract:
    vault = world.market.vault.address
    return world.chain.deploy("DatasetRegistry", vault, 60, allow_development_keys, sender=world.owner)


def test_a_class_is_what_it_was_registered_as(world: World) -> None:
    found = world.market.capacity_class(world.class_id)
    assert (found.rows, found.columns, found.closed) == (ROWS, COLUMNS, False)
    assert world.market.verifying_key(found.listing_key) == toy.listing_keys().verifying
    assert world.market.verifying_key(found.eligibility_key) == toy.eligibility_keys().verifying
    second = world.market.register_class(
        world.owner, 32, 2, toy.listing_keys().verifying, toy.eligibility_keys().verifying
    )
    assert second == world.class_id + 1
    assert world.market.capacity_class(world.class_id) == found
    with pytest.raises(InputError, match="no capacity class"):
        world.market.capacity_class(second + 1)


def test_only_the_owner_registers_and_closes_classes(world: World) -> None:
    found = world.market.capacity_class(world.class_id)
    functions = world.market.registry.functions
    for call in (
        functions.registerClass(32, 2, found.listing_key, found.eligibility_key),
        functions.closeClass(world.class_id),
    ):
        for sender in (world.provider, world.grantee, world.stranger):
            with rejects("OwnableUnauthorizedAccount", sender.address):
                world.chain.transact(call, sender)


def test_ownership_moves_only_when_the_new_owner_accepts(world: World) -> None:
    functions = world.market.registry.functions
    with rejects("OwnableUnauthorizedAccount"):
        world.chain.transact(functions.transferOwnership(world.stranger.address), world.stranger)
    world.chain.transact(functions.transferOwnership(world.stranger.address), world.owner)
    assert world.chain.call(functions.owner()) == world.owner.address
    with rejects("OwnableUnauthorizedAccount"):
        world.chain.transact(functions.acceptOwnership(), world.provider)
    world.chain.transact(functions.acceptOwnership(), world.stranger)
    with rejects("OwnableUnauthorizedAccount", world.owner.address):
        world.chain.transact(functions.closeClass(world.class_id), world.owner)
    world.chain.transact(functions.closeClass(world.class_id), world.stranger)


def test_a_closed_class_stays_closed(world: World) -> None:
    world.market.close_class(world.owner, world.class_id)
    assert world.market.capacity_class(world.class_id).closed
    with rejects("ClassNotOpen", world.class_id):
        world.market.close_class(world.owner, world.class_id)
    for unknown in (0, world.class_id + 1):
        with rejects("ClassNotOpen", unknown):
            world.market.close_class(world.owner, unknown)


def test_nothing_can_be_initialised_or_configured_again(world: World) -> None:
    changing = {
        entry["name"]
        for entry in world.market.registry.abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }
    erc721 = {"approve", "setApprovalForAll", "transferFrom", "safeTransferFrom"}
    ownership = {"transferOwnership", "acceptOwnership", "renounceOwnership"}
    own = {"registerClass", "closeClass", "mintDataset", "updateDataset", "addBlock", "retire"}
    own |= {"accessDataset", "deliverKey"}
    assert changing == erc721 | ownership | own


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (31, 3), (33, 3), (32, 1), (32, 0)])
def test_rejects_a_shape_that_is_none(world: World, rows: int, columns: int) -> None:
    with rejects("BadShape", rows, columns):
        world.market.register_class(
            world.owner, rows, columns, toy.listing_keys().verifying, toy.eligibility_keys().verifying
        )


def test_rejects_keys_in_each_others_place(world: World) -> None:
    listing, eligibility = toy.listing_keys().verifying, toy.eligibility_keys().verifying
    for pair in ((eligibility, eligibility), (listing, listing), (eligibility, listing)):
        with rejects("WrongPublicInputs"):
            world.market.register_class(world.owner, 32, 2, *pair)


def test_rejects_a_key_that_is_unsound_in_itself(world: World) -> None:
    listing, eligibility = toy.listing_keys().verifying, toy.eligibility_keys().verifying
    for pair in (
        (changed(listing, eta=listing.delta), eligibility),
        (listing, changed(eligibility, delta=eligibility.beta)),
    ):
        with rejects("CoincidingKeyPoints"):
            world.market.register_class(world.owner, 32, 2, *pair)


@pytest.mark.parametrize("shared", ["delta", "eta", "delta as eta"])
def test_rejects_a_key_that_shares_delta_or_eta_with_another_circuit(world: World, shared: str) -> None:
    known, eligibility = toy.listing_keys().verifying, toy.eligibility_keys().verifying
    other = toy.listing_keys("another listing").verifying
    fields = {"delta": {"delta": known.delta}, "eta": {"eta": known.eta}, "delta as eta": {"eta": known.delta}}
    with rejects("SharedTrapdoor"):
        world.market.register_class(world.owner, 32, 2, changed(other, **fields[shared]), eligibility)
    with rejects("SharedTrapdoor"):
        world.market.register_class(world.owner, 32, 2, known, changed(eligibility, delta=known.delta))
    world.market.register_class(world.owner, 32, 2, other, eligibility)


@pytest.mark.parametrize("place", ["listing delta", "listing eta", "eligibility delta"])
def test_rejects_a_key_that_shares_the_delta_of_the_vaults_spend_key(world: World, place: str) -> None:
    """Who knows it could prove a spend by a proof of a cheaper statement, and the other way round."""
    spend = toy.spend_keys().verifying
    listing, eligibility = toy.listing_keys("another listing").verifying, toy.eligibility_keys("another one").verifying
    if place.startswith("listing"):
        listing = changed(listing, **{place.split()[1]: spend.delta})
    else:
        eligibility = changed(eligibility, delta=spend.delta)
    with rejects("SharedTrapdoor"):
        world.market.register_class(world.owner, 32, 2, listing, eligibility)


def test_rejects_development_keys_where_they_are_not_allowed(world: World) -> None:
    strict = registry(world, allow_development_keys=False)
    listing, eligibility = toy.listing_keys().verifying, toy.eligibility_keys().verifying
    production = [changed(key, development=False) for key in (listing, eligibility)]
    for pair in ((listing, production[1]), (production[0], eligibility)):
        addresses = [world.deploy_key(key) for key in pair]
        with rejects("DevelopmentKeyRefused"):
            world.chain.transact(strict.functions.registerClass(32, 2, *addresses), world.owner)
    addresses = [world.deploy_key(key) for key in production]
    world.chain.transact(strict.functions.registerClass(32, 2, *addresses), world.owner)


def test_refuses_to_allow_development_keys_on_a_public_chain(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(world.chain), "is_development", False)
    with pytest.raises(InputError, match="not a development chain"):
        Marketplace.deploy(world.chain, world.owner, spend_key=toy.spend_keys().verifying, allow_development_keys=True)
    forced = Marketplace.deploy(
        world.chain, world.owner, spend_key=toy.spend_keys().verifying, allow_development_keys=True, force=True
    )
    assert world.chain.call(forced.registry.functions.allowDevelopmentKeys()) is True
    production = changed(toy.spend_keys().verifying, development=False)
    plain = Marketplace.deploy(world.chain, world.owner, spend_key=production)
    assert world.chain.call(plain.registry.functions.allowDevelopmentKeys()) is False


def test_rejects_a_registry_without_a_vault_or_a_duration(world: World) -> None:
    nobody = world.chain.new_account("nobody", funded=False).address
    with rejects("NotAVault", nobody):
        world.chain.deploy("DatasetRegistry", nobody, MAX_DURATION, True, sender=world.owner)
    with rejects("ZeroMaxDuration"):
        world.chain.deploy("DatasetRegistry", world.market.vault.address, 0, True, sender=world.owner)
