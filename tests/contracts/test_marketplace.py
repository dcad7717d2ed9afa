"""The marketplace from deposit to delivered key with the real statements, and the wrapper's own refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import LedgerError
from fedproof.ledger.market_types import UNIT, KeyDelivered, ShareReleased, Terms
from fedproof.ledger.marketplace import Marketplace
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.linked import prove_linked, prove_plain
from fedproof.statements.eligibility import EligibilityStatement, EligibilityWitness
from fedproof.statements.listing import ListingStatement, ListingWitness
from fedproof.statements.notes import LeanImt, Note, owner_of
from tests.contracts import toy
from tests.contracts.support import rejects
from tests.contracts.world import X25519_KEY, World

ROWS, COLUMNS, REAL = 32, 3, 29
SECRET = 4711


@pytest.fixture(scope="module")
def listing() -> tuple[ListingStatement, Keys, _core.Srs]:
    statement = ListingStatement(ROWS, COLUMNS)
    srs = _core.Srs.generate(256, [1])
    return statement, setup(compile_statement(statement), srs), srs


@pytest.fixture(scope="module")
def eligibility() -> tuple[EligibilityStatement, Keys]:
    statement = EligibilityStatement(depth=4, notes=2)
    return statement, setup(compile_statement(statement), _core.Srs.generate(16, [1]))


@pytest.mark.slow
def test_from_a_deposit_to_a_delivered_key(
    world: World,
    listing: tuple[ListingStatement, Keys, _core.Srs],
    eligibility: tuple[EligibilityStatement, Keys],
) -> None:
    market = Marketplace.at(world.chain, world.market.addresses)
    statement, keys, srs = listing
    class_id = market.register_class(world.owner, ROWS, COLUMNS, keys.verifying, eligibility[1].verifying)

    # The provider lists 29 real rows.
    rng = np.random.default_rng(1)
    mask = (np.arange(ROWS) < REAL).astype(np.int64)
    features = rng.integers(-2048, 2048, (ROWS, COLUMNS - 1)) * mask[:, None]
    labels = rng.integers(0, 2, ROWS) * mask
    witness = ListingWitness(features, mask, labels, _core.fr_random(2))
    records = np.concatenate([features, mask[:, None]], axis=1).reshape(-1)
    vector = np.concatenate([_core.fr_from_i64(np.concatenate([records, labels])), witness.blinding])
    commitment = srs.commit(vector)
    terms = Terms(class_id, b"\x07" * 32, (0, 50 * UNIT, 0, 100 * UNIT, 0, 0), prices=(0, 0, 0, 7 * UNIT, 0, 0))
    proof = prove_linked(
        keys,
        statement,
        witness,
        srs,
        [vector],
        lambda d: market.listing_challenges(
            world.provider.address, terms, commitment, REAL, keys.circuit.circuit_id, d
        ),
    )
    with rejects("InvalidProof"):
        market.mint_dataset(world.provider, terms, commitment, REAL + 1, proof)
    dataset_id = market.mint_dataset(world.provider, terms, commitment, REAL, proof).dataset_id

    # The grantee locks 60 and 40 among others and proves 100.
    epoch = market.vault.current_epoch()
    deposits = [
        market.vault.deposit(world.owner, amount * UNIT, owner_of(secret), epoch + 3)
        for secret, amount in ((1, 10), (SECRET, 60), (2, 30), (SECRET, 40), (3, 99))
    ]
    tree = LeanImt(market.vault.leaves())
    mine = [d for d in deposits if d.owner == owner_of(SECRET)]
    asked = market.eligibility_terms(dataset_id, world.grantee.address, 3, 3600, X25519_KEY)
    holder = EligibilityWitness(
        secret=SECRET,
        notes=tuple(Note(d.owner, d.amount, d.unlock_epoch, d.leaf_index) for d in mine),
        proofs=tuple(tree.proof(d.leaf_index) for d in mine),
        root=tree.root,
        scope=asked.scope,
        threshold=asked.threshold,
        signal=asked.signal,
        epoch=asked.epoch,
    )
    proof_bytes, public = prove_plain(eligibility[1], eligibility[0], holder)
    assert public == holder.public_inputs()
    world.chain.transact(market.token.functions.transfer(world.grantee.address, 7 * UNIT), world.owner)
    granted = market.access_dataset(
        world.grantee,
        dataset_id,
        3,
        3600,
        X25519_KEY,
        root=tree.root,
        nullifier=holder.nullifier,
        proof=proof_bytes,
        price=7 * UNIT,
    )
    assert world.chain.call(market.token.functions.balanceOf(world.provider.address)) == 7 * UNIT
    assert market.has_access(dataset_id, world.grantee.address, 3)

    # The provider's node answers the event.
    (event,) = market.grants(datasetId=dataset_id)
    assert event == granted
    market.deliver_key(world.provider, dataset_id, event.grantee, event.tier, 1, b"sealed to " + event.hpke_key)
    assert market.deliveries(grantee=world.grantee.address)[0].sealed_key == b"sealed to " + X25519_KEY


def test_refuses_contracts_that_do_not_belong_together(world: World) -> None:
    other = Marketplace.deploy(
        world.chain, world.owner, spend_key=toy.spend_keys().verifying, allow_development_keys=True
    )
    a, b = world.market.addresses, other.addresses
    assert Marketplace.at(world.chain, a).addresses == a
    for field, wrong in (
        ("vault", "another vault"), ("token", "another token"), ("registry", "another vault"),
        ("escrow", "another registry"), ("sales", "another registry"),
    ):  # fmt: skip
        with pytest.raises(LedgerError, match=wrong):
            Marketplace.at(world.chain, replace(a, **{field: getattr(b, field)}))


def test_refuses_to_rebuild_the_tree_from_incomplete_logs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        world.lock()
    honest = world.chain.events

    def leaves_out(missing: int) -> object:
        def events(*args: object, **kwargs: object) -> list[object]:
            return [event for event in honest(*args, **kwargs) if event.args["leafIndex"] != missing]  # type: ignore[arg-type]

        return events

    for missing in (0, 1, 2):
        monkeypatch.setattr(world.chain, "events", leaves_out(missing))
        with pytest.raises(LedgerError, match="left out deposits"):
            world.market.vault.leaves()
    monkeypatch.setattr(world.chain, "events", honest)
    assert len(world.market.vault.leaves()) == 3


def test_no_repr_shows_a_sealed_key(world: World) -> None:
    delivered = KeyDelivered(1, world.grantee.address, 3, 1, b"the sealed key", "0x", 1)
    released = ShareReleased(1, world.grantee.address, world.owner.address, 3, 1, b"the sealed key", 1, 0, "0x")
    assert "the sealed key" not in repr((delivered, released))
