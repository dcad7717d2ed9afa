"""Blocks of a dataset that is larger than its class: each is proven for its place, and for that alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof import _core
from fedproof.ledger.rpc import RpcError
from fedproof.proving.transcript import Challenges, block_metadata, listing_challenges, tag
from tests.contracts import toy
from tests.contracts.support import R, call_with_gas, rejects, send_raw_calldata
from tests.contracts.world import ROWS, World


@pytest.fixture
def listed(world: World) -> World:
    world.mint()
    return world


def add(world: World, place: tuple[int, int, int], rows: int = 40, seed: int = 9) -> None:
    commitment, proof = world.prove_block(world.provider, place, rows, seed)
    world.market.add_block(world.provider, place[0], commitment, rows, proof)


def test_a_block_is_numbered_and_leaves_the_listing_as_it_is(listed: World) -> None:
    before = listed.market.dataset(1)
    commitment, proof = listed.prove_block(listed.provider, (1, 1, 2), 33)
    added = listed.market.add_block(listed.provider, 1, commitment, 33, proof)
    assert (added.dataset_id, added.version, added.number, added.rows) == (1, 1, 2, 33)
    assert added.commitment == commitment
    assert listed.market.dataset(1) == replace(before, blocks=2)
    add(listed, (1, 1, 3), seed=10)
    assert [(each.number, each.rows) for each in listed.market.blocks(1, 1)] == [(2, 33), (3, 40)]


def test_a_new_version_starts_with_one_block(listed: World) -> None:
    add(listed, (1, 1, 2))
    listed.update()
    assert listed.market.dataset(1).blocks == 1
    assert listed.market.blocks(1, 2) == []
    commitment, proof = listed.prove_block(listed.provider, (1, 1, 2))
    with rejects("InvalidProof"):  # the block of version 1 again
        listed.market.add_block(listed.provider, 1, commitment, 40, proof)
    add(listed, (1, 2, 2))
    assert [each.version for each in listed.market.blocks(1, 2)] == [2]
    assert [each.version for each in listed.market.blocks(1, 1)] == [1]


def test_only_the_present_holder_adds_blocks(listed: World) -> None:
    functions = listed.market.registry.functions
    listed.chain.transact(functions.setApprovalForAll(listed.stranger.address, True), listed.provider)
    for sender in (listed.owner, listed.grantee, listed.stranger):
        commitment, proof = listed.prove_block(sender, (1, 1, 2))
        with rejects("NotProvider", 1, sender.address):
            listed.market.add_block(sender, 1, commitment, 40, proof)
    for unknown in (0, 2):
        commitment, proof = listed.prove_block(listed.provider, (unknown, 1, 2))
        with rejects("ERC721NonexistentToken", unknown):
            listed.market.add_block(listed.provider, unknown, commitment, 40, proof)


def test_a_retired_dataset_or_a_closed_class_takes_no_block(listed: World) -> None:
    commitment, proof = listed.prove_block(listed.provider, (1, 1, 2))
    listed.market.close_class(listed.owner, listed.class_id)
    with rejects("ClassNotOpen", listed.class_id):
        listed.market.add_block(listed.provider, 1, commitment, 40, proof)
    listed.market.retire(listed.provider, 1)
    with rejects("DatasetIsRetired", 1):
        listed.market.add_block(listed.provider, 1, commitment, 40, proof)
    assert listed.market.dataset(1).blocks == 1


@pytest.mark.parametrize("place", [(2, 1, 2), (1, 2, 2), (1, 1, 1), (1, 1, 3), (1, 0, 2)])
def test_rejects_a_block_proven_for_another_place(listed: World, place: tuple[int, int, int]) -> None:
    listed.mint()
    commitment, proof = listed.prove_block(listed.provider, place)
    with rejects("InvalidProof"):
        listed.market.add_block(listed.provider, 1, commitment, 40, proof)


def test_rejects_a_block_that_was_added_before(listed: World) -> None:
    commitment, proof = listed.prove_block(listed.provider, (1, 1, 2))
    listed.market.add_block(listed.provider, 1, commitment, 40, proof)
    with rejects("InvalidProof"):
        listed.market.add_block(listed.provider, 1, commitment, 40, proof)


def test_rejects_a_block_proven_by_another(listed: World) -> None:
    commitment, proof = listed.prove_block(listed.stranger, (1, 1, 2))
    with rejects("InvalidProof"):
        listed.market.add_block(listed.provider, 1, commitment, 40, proof)
    commitment, proof = listed.prove_block(listed.provider, (1, 1, 2))
    functions = listed.market.registry.functions
    move = functions.transferFrom(listed.provider.address, listed.stranger.address, 1)
    listed.chain.transact(move, listed.provider)
    with rejects("InvalidProof"):
        listed.market.add_block(listed.stranger, 1, commitment, 40, proof)


def test_rejects_a_block_as_a_listing_and_the_other_way_round(listed: World) -> None:
    terms = listed.terms()
    commitment, proof = listed.prove_block(listed.provider, (1, 1, 2))
    with rejects("InvalidProof"):
        listed.market.mint_dataset(listed.provider, terms, commitment, 40, proof)
    with rejects("InvalidProof"):
        listed.market.update_dataset(listed.provider, 1, terms, commitment, 40, proof)
    commitment, proof = listed.prove_listing(listed.provider, terms)
    with rejects("InvalidProof"):
        listed.market.add_block(listed.provider, 1, commitment, 40, proof)


def test_a_place_is_never_read_as_terms(listed: World) -> None:
    """Both are hashed in one position of the transcript: they differ in length, whatever they hold."""
    place = block_metadata(1, 1, 2)
    assert (len(place), place[:32]) == (4 * 32, tag("listing/block"))
    assert len(listed.terms().metadata()) == 21 * 32


@pytest.mark.parametrize("item", ["chain", "registry", "circuit", "rows"])
def test_rejects_a_block_whose_transcript_differs_in(listed: World, item: str) -> None:
    values = toy.vector(9)
    commitment = toy.srs().commit(values)

    def challenge(d: bytes) -> Challenges:
        return listing_challenges(
            chain_id=listed.chain.chain_id + (item == "chain"),
            registry=(listed.market.vault if item == "registry" else listed.market.registry).address,
            minter=listed.provider.address,
            circuit_id=b"\x01" * 32 if item == "circuit" else toy.listing_keys().circuit.circuit_id,
            dataset=commitment,
            d=d,
            rows=40 + (item == "rows"),
            metadata=block_metadata(1, 1, 2),
        )

    with rejects("InvalidProof"):
        listed.market.add_block(listed.provider, 1, commitment, 40, toy.prove_listing(40, values, challenge))


@pytest.mark.parametrize("rows", [0, ROWS + 1, 2**32 - 1])
def test_rejects_a_row_count_out_of_the_class(listed: World, rows: int) -> None:
    with rejects("RowsOutOfRange", rows, ROWS):
        add(listed, (1, 1, 2), rows)


@pytest.mark.parametrize("rows", [1, ROWS])
def test_accepts_the_least_and_the_greatest_row_count(listed: World, rows: int) -> None:
    add(listed, (1, 1, 2), rows)
    assert listed.market.blocks(1, 1)[0].rows == rows


def test_rejects_malformed_parts(listed: World) -> None:
    commitment, proof = listed.prove_block(listed.provider, (1, 1, 2))
    market, provider = listed.market, listed.provider
    for wrong, error in ((bytes(64), "PointAtInfinity"), (bytes(31) + b"\1" + bytes(31) + b"\1", "NotOnCurve")):
        with rejects(error):
            market.add_block(provider, 1, wrong, 40, proof)
        with rejects(error):
            market.add_block(provider, 1, commitment, 40, replace(proof, d=wrong))
    with rejects("ScalarTooLarge", proof.y + R):
        market.add_block(provider, 1, commitment, 40, replace(proof, y=proof.y + R))
    with rejects("PointAtInfinity"):
        market.add_block(provider, 1, commitment, 40, replace(proof, proof=bytes(256)))


def test_rejects_bytes_behind_a_block_and_never_says_invalid_when_starved(listed: World) -> None:
    commitment, proof = listed.prove_block(listed.provider, (1, 1, 2))
    call = listed.market.add_block_call(1, commitment, 40, proof)
    for extra in (b"\0", bytes(32)):
        with pytest.raises(RpcError) as caught:
            send_raw_calldata(listed.chain, call, extra, listed.provider)
        assert (caught.value.data or b"")[:4] == _core.keccak256(b"TrailingBytes(uint256,uint256)")[:4]
    outcomes: set[object] = set()
    for gas in range(50_000, 500_000, 25_000):
        try:
            outcomes.add(call_with_gas(listed.chain, call, gas, listed.provider))
        except RpcError as error:
            outcomes.add((error.data or b"")[:4])
    assert _core.keccak256(b"InvalidProof()")[:4] not in outcomes
    assert None in outcomes
    assert len(outcomes) > 1
