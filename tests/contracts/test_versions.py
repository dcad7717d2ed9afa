"""Versions of a dataset: each has a proof of its own, and what was granted before stays as it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof import _core
from fedproof.errors import InputError
from fedproof.ledger.abi import encode_call
from fedproof.ledger.market_types import MAX_AMOUNT, UNIT
from fedproof.ledger.rpc import RpcError
from tests.contracts import toy
from tests.contracts.support import call_with_gas, rejects, send_raw_calldata
from tests.contracts.test_access import request
from tests.contracts.world import ROWS, THRESHOLDS, World

SEALED = b"a sealed key"


def test_an_update_is_the_next_version_of_the_same_token(world: World) -> None:
    first = world.mint()
    terms = world.terms(
        schema=b"\x06" * 32,
        card=b"\x07" * 32,
        thresholds=(0, 0, 0, 7 * UNIT, 0, 0),
        prices=(0, 0, 0, 2 * UNIT, 0, 0),
        sealed_files=tuple(bytes([k]) * 32 for k in range(6)),
    )
    second = world.update(terms)
    assert (second.dataset_id, second.provider, second.version) == (1, world.provider.address, 2)
    assert (second.rows, second.terms) == (40, terms)
    assert second.commitment != first.commitment
    kept = world.market.dataset(1)
    assert (kept.version, kept.blocks, kept.retired, kept.provider) == (2, 1, False, world.provider.address)
    assert (kept.commitment, kept.schema) == (second.commitment, terms.schema)
    assert (kept.thresholds, kept.prices) == (terms.thresholds, terms.prices)
    functions, chain = world.market.registry.functions, world.chain
    assert chain.call(functions.versionOf(1)) == 2
    assert chain.call(functions.isRetired(1)) is False
    assert chain.call(functions.shapeOf(1)) == (world.class_id, 40)
    x, y = chain.call(functions.commitmentOf(1))
    assert x.to_bytes(32, "big") + y.to_bytes(32, "big") == second.commitment
    assert world.market.datasets() == 1


def test_version_numbers_count_from_one_and_each_listing_is_found(world: World) -> None:
    listings = [world.mint(), world.update(seed=2), world.update(seed=3)]
    assert [each.version for each in listings] == [1, 2, 3]
    assert world.market.listings(datasetId=1) == listings
    assert [world.market.listing(1, version) for version in (1, 2, 3)] == listings
    assert world.market.listing(1) == listings[-1]
    for version in (0, 4):
        with pytest.raises(InputError, match=f"no version {version}"):
            world.market.listing(1, version)


def test_only_the_present_holder_updates(world: World) -> None:
    world.mint()
    for sender in (world.owner, world.grantee, world.stranger):
        with rejects("NotProvider", 1, sender.address):
            world.update(sender=sender)
    functions = world.market.registry.functions
    world.chain.transact(functions.setApprovalForAll(world.stranger.address, True), world.provider)
    with rejects("NotProvider", 1, world.stranger.address):
        world.update(sender=world.stranger)
    world.chain.transact(functions.transferFrom(world.provider.address, world.grantee.address, 1), world.provider)
    with rejects("NotProvider", 1, world.provider.address):
        world.update()
    assert world.update(sender=world.grantee).provider == world.grantee.address
    for unknown in (0, 2):
        with rejects("ERC721NonexistentToken", unknown):
            world.update(dataset_id=unknown)


def test_a_retired_dataset_has_no_next_version(world: World) -> None:
    world.mint()
    world.market.retire(world.provider, 1)
    with rejects("DatasetIsRetired", 1):
        world.update()
    assert world.market.dataset(1).version == 1


def test_an_update_keeps_running_grants_and_takes_new_ones_under_its_terms(world: World) -> None:
    world.mint()
    world.lock()
    granted = request(world).send(world)
    world.update(world.terms(thresholds=(0, 0, 0, 0, 0, 500 * UNIT)))
    assert world.market.has_access(1, granted.grantee, 3)
    assert world.market.grant(1, granted.grantee, 3).expiry == granted.expiry
    for version in (1, 2):
        delivered = world.market.deliver_key(world.provider, 1, granted.grantee, 3, version, SEALED)
        assert delivered.version == version
    with rejects("TierNotOffered", 1, 3):  # an extension is a new promise: the tier must still be offered
        request(world).send(world)
    assert world.market.eligibility_terms(1, granted.grantee, 5, 1, b"").threshold == 500 * UNIT


@pytest.mark.parametrize("version", [0, 3, 65_535])
def test_rejects_a_delivery_for_a_version_that_does_not_exist(world: World, version: int) -> None:
    world.mint()
    world.update()
    world.lock()
    granted = request(world).send(world)
    with rejects("NoSuchVersion", 1, version):
        world.market.deliver_key(world.provider, 1, granted.grantee, 3, version, SEALED)


def test_an_old_proof_lists_nothing_but_what_its_own_maker_said(world: World) -> None:
    """The transcript names minter and terms. Its maker may list the same once more, which says nothing new."""
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    world.market.mint_dataset(world.provider, terms, commitment, 40, proof)
    market = world.market
    cheaper = replace(terms, thresholds=(0, UNIT, 0, 0, 0, 0))
    with rejects("InvalidProof"):
        market.update_dataset(world.provider, 1, cheaper, commitment, 40, proof)
    with rejects("InvalidProof"):
        market.update_dataset(world.provider, 1, terms, commitment, 41, proof)
    with rejects("InvalidProof"):
        market.add_block(world.provider, 1, commitment, 40, proof)
    functions = market.registry.functions
    world.chain.transact(functions.transferFrom(world.provider.address, world.stranger.address, 1), world.provider)
    with rejects("InvalidProof"):
        market.update_dataset(world.stranger, 1, terms, commitment, 40, proof)
    with rejects("NotProvider"):
        market.update_dataset(world.provider, 1, terms, commitment, 40, proof)
    world.chain.transact(functions.transferFrom(world.stranger.address, world.provider.address, 1), world.stranger)
    again = market.update_dataset(world.provider, 1, terms, commitment, 40, proof)
    assert (again.version, again.commitment, again.terms) == (2, commitment, terms)


@pytest.mark.parametrize("seed", [1, 2])
def test_rejects_an_update_about_other_values(world: World, seed: int) -> None:
    world.mint()
    terms = world.terms()
    _, proof = world.prove_listing(world.provider, terms, seed=seed)
    other = toy.srs().commit(toy.vector(3 - seed))
    with rejects("InvalidProof"):
        world.market.update_dataset(world.provider, 1, terms, other, 40, proof)


def test_an_update_meets_every_rule_of_a_listing(world: World) -> None:
    world.mint()
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    for rows in (0, ROWS + 1):
        with rejects("RowsOutOfRange", rows, ROWS):
            world.market.update_dataset(world.provider, 1, terms, commitment, rows, proof)
    (_, given, listing) = world.market.update_dataset_call(1, terms, commitment, 40, proof).arguments
    class_id, schema, card, thresholds, prices, files = given

    def update(*changed: object) -> None:
        call = world.market.registry.functions.updateDataset(1, changed, listing)
        world.chain.transact(call, world.provider)

    with rejects("ClassNotOpen", class_id + 1):
        update(class_id + 1, schema, card, thresholds, prices, files)
    with rejects("MissingSchema"):
        update(class_id, bytes(32), card, thresholds, prices, files)
    with rejects("TierZeroIsFree"):
        update(class_id, schema, card, (1, *thresholds[1:]), prices, files)
    with rejects("TierZeroIsFree"):
        update(class_id, schema, card, thresholds, (1, *prices[1:]), files)
    with rejects("PriceWithoutTier", 4):
        update(class_id, schema, card, thresholds, (*prices[:4], 1, 0), files)
    world.market.close_class(world.owner, world.class_id)
    with rejects("ClassNotOpen", class_id):
        update(class_id, schema, card, thresholds, prices, files)


def test_an_update_may_move_to_another_class(world: World) -> None:
    world.mint()
    keys = toy.listing_keys("a wider listing")
    wider = world.market.register_class(world.owner, 128, 3, keys.verifying, toy.eligibility_keys().verifying)
    terms, values = world.terms(class_id=wider), toy.vector(2)
    commitment, circuit = toy.srs().commit(values), keys.circuit.circuit_id
    proof = toy.prove_listing(
        100,
        values,
        lambda d: world.market.listing_challenges(world.provider.address, terms, commitment, 100, circuit, d),
        keys,
    )
    updated = world.market.update_dataset(world.provider, 1, terms, commitment, 100, proof)
    assert (updated.terms.class_id, world.market.dataset(1).class_id, updated.rows) == (wider, wider, 100)


def test_the_greatest_threshold_and_price_are_kept_whole(world: World) -> None:
    terms = world.terms(thresholds=(0, *(MAX_AMOUNT,) * 5), prices=(0, *(MAX_AMOUNT,) * 5))
    minted = world.mint(terms)
    kept = world.market.dataset(1)
    assert (kept.thresholds, kept.prices, minted.terms) == (terms.thresholds, terms.prices, terms)
    assert world.market.eligibility_terms(1, world.grantee.address, 4, 1, b"").threshold == MAX_AMOUNT


@pytest.mark.parametrize("field", ["thresholds", "prices"])
def test_rejects_an_amount_of_more_than_64_bits(world: World, field: str) -> None:
    """Python refuses it; the contract must not cut it off either."""
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    call = world.market.mint_dataset_call(terms, commitment, 40, proof)
    word = 3 + 1 + (6 if field == "prices" else 0)  # behind class, schema and card, tier 1
    data = bytearray(encode_call(call))
    honest = THRESHOLDS[1] // UNIT if field == "thresholds" else 0
    at = slice(4 + 32 * word, 36 + 32 * word)
    assert int.from_bytes(data[at], "big") == honest
    data[at] = (honest + (1 << 64)).to_bytes(32, "big")
    with pytest.raises(RpcError) as caught:
        send(world, bytes(data))
    assert not caught.value.data  # the decoder's refusal has no name


def send(world: World, data: bytes) -> None:
    request_ = {"from": world.provider.address, "to": world.market.registry.address, "data": "0x" + data.hex()}
    world.chain.rpc.request("eth_call", request_, "latest")


def test_rejects_bytes_behind_an_update(world: World) -> None:
    world.mint()
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    call = world.market.update_dataset_call(1, terms, commitment, 40, proof)
    for extra in (b"\0", bytes(32)):
        with pytest.raises(RpcError) as caught:
            send_raw_calldata(world.chain, call, extra, world.provider)
        assert (caught.value.data or b"")[:4] == _core.keccak256(b"TrailingBytes(uint256,uint256)")[:4]
    send_raw_calldata(world.chain, call, b"", world.provider)


def test_a_starved_update_reverts_and_never_says_invalid(world: World) -> None:
    world.mint()
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    call = world.market.update_dataset_call(1, terms, commitment, 40, proof)
    outcomes: set[object] = set()
    for gas in range(60_000, 640_000, 30_000):
        try:
            outcomes.add(call_with_gas(world.chain, call, gas, world.provider))
        except RpcError as error:
            outcomes.add((error.data or b"")[:4])
    assert _core.keccak256(b"InvalidProof()")[:4] not in outcomes
    assert None in outcomes
    assert len(outcomes) > 1
