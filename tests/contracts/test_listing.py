"""Listing a dataset: every item of the transcript counts, and whatever is malformed is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof import _core
from fedproof.errors import InputError
from fedproof.ledger.market_types import MAX_AMOUNT, UNIT, Terms
from fedproof.ledger.rpc import RpcError
from fedproof.proving.linked import LinkedProof
from fedproof.proving.transcript import Challenges, listing_challenges
from tests.contracts import toy
from tests.contracts.support import P, R, call_with_gas, rejects, send_raw_calldata
from tests.contracts.world import ROWS, THRESHOLDS, World

N = 40
SEALED = tuple(bytes([k]) * 32 for k in range(1, 7))


def send(world: World, terms: Terms, commitment: bytes, proof: LinkedProof, rows: int = N) -> None:
    world.market.mint_dataset(world.provider, terms, commitment, rows, proof)


def test_a_proven_dataset_becomes_a_token_of_its_provider(world: World) -> None:
    terms = world.terms(sealed_files=SEALED)
    commitment, proof = world.prove_listing(world.provider, terms)
    minted = world.market.mint_dataset(world.provider, terms, commitment, N, proof)
    assert (minted.dataset_id, minted.provider, minted.rows) == (1, world.provider.address, N)
    assert (minted.commitment, minted.terms) == (commitment, terms)
    assert world.market.listings(provider=world.provider.address) == [minted]
    assert world.market.listings(datasetId=2) == []

    kept = world.market.dataset(1)
    assert (kept.provider, kept.class_id, kept.rows) == (world.provider.address, world.class_id, N)
    assert (kept.commitment, kept.schema, kept.thresholds) == (commitment, terms.schema, THRESHOLDS)
    assert kept.retired is False
    functions = world.market.registry.functions
    assert world.chain.call(functions.ownerOf(1)) == world.provider.address
    assert world.chain.call(functions.shapeOf(1)) == (world.class_id, N)
    x, y = world.chain.call(functions.commitmentOf(1))
    assert x.to_bytes(32, "big") + y.to_bytes(32, "big") == commitment


@pytest.mark.parametrize(
    "item",
    [
        "chain",
        "registry",
        "minter",
        "circuit",
        "dataset",
        "d",
        "rows",
        "class",
        "schema",
        "card",
        "thresholds",
        "prices",
        "sealed",
    ],
)
def test_rejects_a_proof_whose_transcript_differs_in(world: World, item: str) -> None:
    """An honest proof for challenges in which one item is another one."""
    terms = world.terms()
    told = {
        "class": replace(terms, class_id=terms.class_id + 1),
        "schema": replace(terms, schema=b"\x06" * 32),
        "thresholds": replace(terms, thresholds=tuple(t + UNIT if t else t for t in THRESHOLDS)),
        "prices": replace(terms, prices=(0, UNIT, 0, 0, 0, 0)),
        "card": replace(terms, card=b"\x08" * 32),
        "sealed": replace(terms, sealed_files=SEALED),
    }.get(item, terms)
    values = toy.vector()
    commitment = toy.srs().commit(values)
    other_point = _core.g1_generator()

    def challenge(d: bytes) -> Challenges:
        return listing_challenges(
            chain_id=world.chain.chain_id + (item == "chain"),
            registry=world.market.vault.address if item == "registry" else world.market.registry.address,
            minter=world.stranger.address if item == "minter" else world.provider.address,
            circuit_id=b"\x01" * 32 if item == "circuit" else toy.listing_keys().circuit.circuit_id,
            dataset=other_point if item == "dataset" else commitment,
            d=other_point if item == "d" else d,
            rows=N + (item == "rows"),
            metadata=told.metadata(),
        )

    proof = toy.prove_listing(N, values, challenge)
    with rejects("InvalidProof"):
        send(world, terms, commitment, proof)


def test_rejects_a_copied_proof_from_another_sender(world: World) -> None:
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    with rejects("InvalidProof"):
        world.market.mint_dataset(world.stranger, terms, commitment, N, proof)
    send(world, terms, commitment, proof)


def test_rejects_another_row_count_than_the_proven_one(world: World) -> None:
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms, rows=N)
    for rows in (N - 1, N + 1):
        with rejects("InvalidProof"):
            send(world, terms, commitment, proof, rows)


@pytest.mark.parametrize("rows", [0, ROWS + 1, 2**32 - 1])
def test_rejects_a_row_count_out_of_the_class(world: World, rows: int) -> None:
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms, rows=rows)
    with rejects("RowsOutOfRange", rows, ROWS):
        send(world, terms, commitment, proof, rows)


@pytest.mark.parametrize("rows", [1, ROWS])
def test_accepts_the_least_and_the_greatest_row_count(world: World, rows: int) -> None:
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms, rows=rows)
    send(world, terms, commitment, proof, rows)
    assert world.market.dataset(1).rows == rows


def test_rejects_a_proof_about_other_values_than_the_committed_ones(world: World) -> None:
    terms = world.terms()
    commitment = toy.srs().commit(toy.vector(1))
    circuit_id = toy.listing_keys().circuit.circuit_id

    def challenge(d: bytes) -> Challenges:
        return world.market.listing_challenges(world.provider.address, terms, commitment, N, circuit_id, d)

    honest_about_others = toy.prove_listing(N, toy.vector(2), challenge)
    with rejects("InvalidProof"):
        send(world, terms, commitment, honest_about_others)


@pytest.mark.parametrize("part", ["A", "B", "C", "D", "Q", "y"])
def test_rejects_a_listing_with_one_part_of_another_proof(world: World, part: str) -> None:
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    _, other = world.prove_listing(world.provider, terms)
    assert (proof.proof, proof.d) != (other.proof, other.d)
    cut = {"A": (0, 64), "B": (64, 192), "C": (192, 256)}
    if part in cut:
        start, end = cut[part]
        mixed = replace(proof, proof=proof.proof[:start] + other.proof[start:end] + proof.proof[end:])
    else:
        mixed = replace(proof, **{part.lower(): getattr(other, part.lower())})
    with rejects("InvalidProof"):
        send(world, terms, commitment, mixed)


def coordinate(value: int) -> bytes:
    return value.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("part", "point", "error"),
    [
        *(("commitment", *case) for case in ((bytes(64), "PointAtInfinity"), (coordinate(1) * 2, "NotOnCurve"))),
        ("commitment", coordinate(P + 1) + coordinate(2), "CoordinateTooLarge"),
        ("d", bytes(64), "PointAtInfinity"),
        ("d", coordinate(1) * 2, "NotOnCurve"),
        ("d", coordinate(1) + coordinate(P + 2), "CoordinateTooLarge"),
        ("q", coordinate(1) * 2, "NotOnCurve"),
        ("q", coordinate(P + 1) + coordinate(2), "CoordinateTooLarge"),
    ],
)
def test_rejects_a_malformed_point_in(world: World, part: str, point: bytes, error: str) -> None:
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    if part == "commitment":
        commitment = point
    else:
        proof = replace(proof, **{part: point})
    with rejects(error):
        send(world, terms, commitment, proof)


def test_rejects_an_all_zero_proof(world: World) -> None:
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    with rejects("PointAtInfinity"):
        send(world, terms, commitment, replace(proof, proof=bytes(256)))
    with rejects("PointAtInfinity"):
        send(world, terms, commitment, LinkedProof(bytes(256), bytes(64), bytes(64), 0))


@pytest.mark.parametrize("alias", [R, 2**256 - 1])
def test_rejects_a_value_at_or_over_r(world: World, alias: int) -> None:
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    for y in (proof.y + R, alias):
        with rejects("ScalarTooLarge", y):
            send(world, terms, commitment, replace(proof, y=y))


def test_rejects_bytes_behind_the_listing(world: World) -> None:
    terms = world.terms()
    call = world.market.mint_dataset_call(terms, *_in_order(world, terms))
    for extra in (b"\0", bytes(32), b"\x01" * 7):
        with pytest.raises(RpcError) as caught:
            send_raw_calldata(world.chain, call, extra, world.provider)
        assert (caught.value.data or b"")[:4] == _core.keccak256(b"TrailingBytes(uint256,uint256)")[:4]
    send_raw_calldata(world.chain, call, b"", world.provider)


def _in_order(world: World, terms: Terms) -> tuple[bytes, int, LinkedProof]:
    commitment, proof = world.prove_listing(world.provider, terms)
    return commitment, N, proof


def test_rejects_terms_that_make_no_sense(world: World) -> None:
    good = world.terms()
    commitment, proof = world.prove_listing(world.provider, good)
    words = world.market.mint_dataset_call(good, commitment, N, proof).arguments
    (class_id, schema, card, thresholds, prices, files), listing = words

    def mint(*terms: object) -> None:
        world.chain.transact(world.market.registry.functions.mintDataset(terms, listing), world.provider)

    with rejects("ClassNotOpen", 0):
        mint(0, schema, card, thresholds, prices, files)
    with rejects("ClassNotOpen", class_id + 1):
        mint(class_id + 1, schema, card, thresholds, prices, files)
    with rejects("MissingSchema"):
        mint(class_id, bytes(32), card, thresholds, prices, files)
    with rejects("TierZeroIsFree"):
        mint(class_id, schema, card, (1, *thresholds[1:]), prices, files)
    with rejects("TierZeroIsFree"):
        mint(class_id, schema, card, thresholds, (1, *prices[1:]), files)
    assert thresholds[4] == 0
    with rejects("PriceWithoutTier", 4):
        mint(class_id, schema, card, thresholds, (*prices[:4], 1, 0), files)


@pytest.mark.parametrize(
    "changes",
    [
        {"class_id": 0},
        {"schema": bytes(32)},
        {"schema": b"short"},
        {"thresholds": (1, 0, 0, 0, 0, 0)},
        {"thresholds": (0, UNIT, 2 * UNIT)},
        {"prices": (0,) * 5},
        {"thresholds": (0, MAX_AMOUNT + UNIT, 0, 0, 0, 0)},
        {"thresholds": (0, UNIT + 1, 0, 0, 0, 0)},
        {"thresholds": (0, 1, 0, 0, 0, 0)},
        {"thresholds": (0, -UNIT, 0, 0, 0, 0)},
        {"prices": (UNIT, 0, 0, 0, 0, 0)},
        {"prices": (0, MAX_AMOUNT + UNIT, 0, 0, 0, 0)},
        {"prices": (0, UNIT - 1, 0, 0, 0, 0)},
        {"prices": (0, -UNIT, 0, 0, 0, 0)},
        {"prices": (0, 0, 0, 0, UNIT, 0)},
        {"card": b"short"},
        {"sealed_files": (b"",) * 6},
    ],
)
def test_python_refuses_the_same_terms_before_anything_is_sent(world: World, changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        world.terms(**changes)


def test_rejects_a_listing_in_a_closed_class(world: World) -> None:
    terms = world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    world.market.close_class(world.owner, world.class_id)
    with rejects("ClassNotOpen", world.class_id):
        send(world, terms, commitment, proof)


def test_rejects_a_proof_under_another_classes_key(world: World) -> None:
    other = toy.listing_keys("a wider listing")
    class_id = world.market.register_class(world.owner, 128, 4, other.verifying, toy.eligibility_keys().verifying)
    terms = world.terms(class_id=class_id)
    commitment, proof = world.prove_listing(world.provider, terms)
    with rejects("InvalidProof"):
        send(world, terms, commitment, proof)


def test_a_starved_listing_reverts_and_never_says_invalid(world: World) -> None:
    terms = world.terms()
    call = world.market.mint_dataset_call(terms, *_in_order(world, terms))
    outcomes = set()
    for gas in range(60_000, 640_000, 10_000):
        try:
            outcomes.add(call_with_gas(world.chain, call, gas, world.provider))
        except RpcError as error:
            outcomes.add((error.data or b"")[:4])
    assert _core.keccak256(b"InvalidProof()")[:4] not in outcomes
    assert 1 in outcomes
    assert len(outcomes) > 1


def test_asking_for_a_dataset_that_does_not_exist_is_refused(world: World) -> None:
    functions = world.market.registry.functions
    for function in (
        functions.getDataset(1),
        functions.commitmentOf(1),
        functions.shapeOf(1),
        functions.getDataset(0),
        *(functions[name](1) for name in ("versionOf", "isRetired")),
    ):
        with rejects("NoSuchDataset"):
            world.chain.call(function)
