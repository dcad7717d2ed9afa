"""Attacks on who is eligible: lines 16 and 17 of the table in docs/security.md.

The notes here are locked in a vault, and proven with the real statement for small trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from fedproof.errors import ProofError
from fedproof.ledger import Account
from fedproof.ledger.market_types import UNIT
from fedproof.ledger.vault import Vault
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.linked import prove_plain
from fedproof.statements.eligibility import EligibilityStatement, EligibilityWitness
from fedproof.statements.notes import LeanImt, MerkleProof, Note, nullifier_of, owner_of
from tests.attacks.trying import DONE, rerandomised, tried
from tests.contracts import toy
from tests.contracts.federation.arena import Arena
from tests.contracts.spends import spend
from tests.contracts.support import R, int_words
from tests.contracts.world import EPOCH_LENGTH, X25519_KEY, World
from tests.statements.holders import EPOCH, SCOPE, SECRET, SIGNAL, digits, holding
from tests.statements.spenders import ATTACKED, spending
from tests.support.soundness import assert_only_rule_notices, broken_rules, forged, put

pytestmark = pytest.mark.xdist_group("attacks on contracts")

STATEMENT = EligibilityStatement(depth=3, notes=4)
THRESHOLD = 300 * UNIT
TIER, SECONDS = 3, 3600


@cache
def keys() -> Keys:
    return setup(compile_statement(STATEMENT), toy.srs())


@dataclass
class Bank:
    """A dataset whose grants take real proofs, and the notes of one secret in the vault."""

    world: World
    dataset: int

    @property
    def vault(self) -> Vault:
        return self.world.market.vault

    def deposit(self, *amounts: int, secret: int = SECRET, epochs: int = 5) -> list[Note]:
        unlock, made = self.vault.current_epoch() + epochs, []
        for amount in amounts:
            receipt = self.vault.deposit(self.world.owner, amount, owner_of(secret), unlock)
            made.append(Note(owner_of(secret), amount, unlock, receipt.leaf_index))
        return made

    def witness(self, notes: Sequence[Note], account: Account, secret: int = SECRET) -> EligibilityWitness:
        tree = LeanImt(self.vault.leaves())
        terms = self.world.market.eligibility_terms(self.dataset, account.address, TIER, SECONDS, X25519_KEY)
        proofs = [tree.proof(note.nonce) for note in notes]
        return EligibilityWitness(
            secret, list(notes), proofs, tree.root, terms.scope, terms.threshold, terms.signal, terms.epoch
        )

    def ask(self, notes: Sequence[Note], account: Account, **changes: Any) -> str:
        """Asks for Tier 3; `changes` are of the witness, and of what is sent: `sent=...`."""
        sent: dict[str, Any] = changes.pop("sent", {})
        w = replace(self.witness(notes, account, changes.pop("secret", SECRET)), **changes)
        proof, public = prove_plain(keys(), STATEMENT, w)
        call = self.world.market.access_dataset_call(
            **{
                "dataset_id": self.dataset,
                "tier": TIER,
                "duration": SECONDS,
                "hpke_key": X25519_KEY,
                "root": public[0],
                "nullifier": public[2],
                "proof": proof,
                **sent,
            }
        )
        return tried(self.world.chain, call, account)


@pytest.fixture
def bank(ours: Arena) -> Bank:
    world, listing = ours.world, toy.listing_keys("of real eligibility")
    class_id = world.market.register_class(world.owner, 64, 3, listing.verifying, keys().verifying)
    thresholds = (0, 100 * UNIT, THRESHOLD, THRESHOLD, 0, THRESHOLD)  # so that a tier is told by the signal alone
    terms, vector = world.terms(class_id=class_id, thresholds=thresholds), toy.vector(5)
    commitment = toy.srs().commit(vector)
    proof = toy.prove_listing(
        40,
        vector,
        lambda d: world.market.listing_challenges(
            world.provider.address, terms, commitment, 40, listing.circuit.circuit_id, d
        ),
        keys=listing,
    )
    return Bank(world, world.market.mint_dataset(world.provider, terms, commitment, 40, proof).dataset_id)


# 16


def test_one_secret_gets_one_grant_however_its_notes_are_split_or_regrouped(bank: Bank) -> None:
    """Two accounts, two roots, two sets of notes that each suffice: one nullifier."""
    first = bank.deposit(200 * UNIT, 100 * UNIT)
    assert bank.ask(first, bank.world.grantee) == DONE
    second = bank.deposit(150 * UNIT, 100 * UNIT, 50 * UNIT)
    for notes in (second, [first[0], second[1]], [first[0], first[1], *second[1:]]):
        assert bank.ask(notes, bank.world.stranger) == "NullifierSpent"
    others = bank.deposit(300 * UNIT, secret=SECRET + 1)
    assert bank.ask(others, bank.world.stranger, secret=SECRET + 1) == DONE  # another balance is another grant


def test_a_locked_balance_moves_to_no_second_identity() -> None:
    """What was shown stays where it is until its epoch is over: the vault's statement has no spend for it."""
    assert broken_rules(forged(ATTACKED, spending([30], [(30, 2)], unlock=EPOCH))) == set()
    for paid in ([(30, 2)], [(10, 2), (20, 2)], []):  # to somebody, split, withdrawn
        locked = spending([30], paid, unlock=EPOCH + 1)
        assert broken_rules(forged(ATTACKED, locked)) == {"root"}  # the age keeps its low bits: the leaf is another
        aged = {"age/bits": put(digits(-1, 32, 2))}
        assert_only_rule_notices(forged(ATTACKED, locked, aged), "age/bits")


def test_one_note_named_four_times_is_one_note() -> None:
    """A quarter of the threshold, four times."""
    statement, witness = EligibilityStatement(depth=3, notes=4), holding([25], size=5, at=[2], threshold=100)
    four = replace(witness, notes=[*witness.notes] * 4, proofs=[*witness.proofs] * 4)
    assert_only_rule_notices(forged(statement, four), "distinct")
    with pytest.raises(ProofError):
        prove_plain(keys(), STATEMENT, four)


def test_two_transactions_with_one_nullifier_in_one_block_are_one_grant(bank: Bank) -> None:
    world, chain = bank.world, bank.world.chain
    notes = bank.deposit(300 * UNIT)
    prepared = []
    for account in (world.grantee, world.stranger):
        w = bank.witness(notes, account)
        proof, public = prove_plain(keys(), STATEMENT, w)
        prepared.append((account, public, rerandomised(proof)))
    with chain.dev.hold_mining():
        sent = [
            chain.send(
                world.market.access_dataset_call(bank.dataset, TIER, SECONDS, X25519_KEY, public[0], public[2], proof),
                account,
                gas=900_000,
            )
            for account, public, proof in prepared
        ]
    receipts = [chain.rpc.request("eth_getTransactionReceipt", each.tx_hash) for each in sent]
    assert [int(receipt["status"], 16) for receipt in receipts] == [1, 0]
    assert len({receipt["blockNumber"] for receipt in receipts}) == 1


@pytest.mark.parametrize("place", ["root", "nullifier"])
def test_a_number_beyond_the_field_is_refused_on_chain(bank: Bank, place: str) -> None:
    notes = bank.deposit(300 * UNIT)
    w = bank.witness(notes, bank.world.grantee)
    value = w.root if place == "root" else nullifier_of(SECRET, w.scope)
    outcome = bank.ask(notes, bank.world.grantee, sent={place: value + R})
    assert outcome == {"root": "UnknownRoot", "nullifier": "ScalarTooLarge"}[place]


def test_a_scope_of_the_provers_choosing_is_not_the_chains(bank: Bank) -> None:
    """Each other scope would give the same secret another nullifier."""
    notes = bank.deposit(300 * UNIT)
    honest = bank.witness(notes, bank.world.grantee).scope
    for scope in (0, honest + 1, SCOPE):
        assert bank.ask(notes, bank.world.grantee, scope=scope) == "InvalidProof"


def test_a_note_that_was_spent_or_is_unlocked_does_not_count(ours: Arena) -> None:
    """A spend waits for the unlock epoch, and from then on the note counts for nothing: no note is both."""
    statement = EligibilityStatement(depth=3, notes=2)
    for unlock, accepted in ((EPOCH + 1, True), (EPOCH, False)):
        note = Note(owner_of(SECRET), 10, unlock, 0)
        tree = LeanImt([note.leaf()])
        w = EligibilityWitness(SECRET, [note], [tree.proof(0)], tree.root, SCOPE, 10, SIGNAL, EPOCH)
        cs = forged(statement, w)
        assert (broken_rules(cs) == set()) == accepted
    world = ours.world
    world.lock()
    paid = spend(world, 5, withdrawn=1, recipient=world.stranger)
    assert tried(world.chain, paid.call(world.market.vault), world.stranger) == DONE
    assert tried(world.chain, paid.call(world.market.vault), world.grantee) == "NoteSpent"


# 17


def test_a_stale_root_is_good_and_a_future_or_zero_one_is_not(bank: Bank) -> None:
    """A locked note is in every later tree, so an old root hides nothing that was taken out."""
    world, notes = bank.world, bank.deposit(300 * UNIT)
    old = bank.witness(notes, world.grantee)
    bank.deposit(1, 2, 3)
    future = LeanImt([*bank.vault.leaves(), 12345])
    path = future.proof(notes[0].nonce)
    assert bank.ask(notes, world.grantee, root=future.root, proofs=[path]) == "UnknownRoot"
    assert bank.ask(notes, world.grantee, sent={"root": 0}) == "UnknownRoot"
    assert bank.ask(notes, world.grantee, root=old.root, proofs=old.proofs) == DONE


def test_a_lone_leaf_is_its_own_root_and_no_shorter_path_passes_for_one(bank: Bank) -> None:
    note = Note(owner_of(SECRET), 10**9 * UNIT, bank.vault.current_epoch() + 5, 0)
    w = bank.witness([], bank.world.grantee)
    made_up = replace(w, notes=[note], proofs=[MerkleProof((), ())], root=note.leaf())
    proof, public = prove_plain(keys(), STATEMENT, made_up)
    call = bank.world.market.access_dataset_call(bank.dataset, TIER, SECONDS, X25519_KEY, public[0], public[2], proof)
    assert tried(bank.world.chain, call, bank.world.grantee) == "UnknownRoot"


def test_a_threshold_one_unit_too_high_has_no_proof(bank: Bank) -> None:
    notes = bank.deposit(THRESHOLD - 1)
    with pytest.raises(ProofError, match="threshold"):
        bank.ask(notes, bank.world.grantee)
    assert bank.ask(notes, bank.world.grantee, threshold=THRESHOLD - 1) == "InvalidProof"
    assert bank.ask([*notes, *bank.deposit(1)], bank.world.grantee) == DONE


def test_a_proof_for_a_tier_opens_no_other_tier_duration_key_or_account(bank: Bank) -> None:
    world, notes = bank.world, bank.deposit(600 * UNIT)
    for sent in (
        {"tier": 5},
        {"tier": 2},
        {"duration": SECONDS + 1},
        {"hpke_key": bytes(31) + b"\x01"},
        {"dataset_id": 1},
    ):
        assert bank.ask(notes, world.grantee, sent=sent) == "InvalidProof"
    stolen = bank.witness(notes, world.grantee).signal
    assert bank.ask(notes, world.stranger, signal=stolen) == "InvalidProof"
    assert bank.ask(notes, world.grantee) == DONE


def test_a_proof_of_the_last_epoch_or_the_next_is_refused(bank: Bank) -> None:
    world, notes = bank.world, bank.deposit(300 * UNIT)
    epoch = bank.vault.current_epoch()
    for other in (epoch - 1, epoch + 1):
        assert bank.ask(notes, world.grantee, epoch=other) == "InvalidProof"
    proof, public = prove_plain(keys(), STATEMENT, bank.witness(notes, world.grantee))
    world.chain.dev.set_next_timestamp((epoch + 1) * EPOCH_LENGTH + 1)
    world.chain.mine()
    call = world.market.access_dataset_call(bank.dataset, TIER, SECONDS, X25519_KEY, public[0], public[2], proof)
    assert tried(world.chain, call, world.grantee) == "InvalidProof"
    assert len(int_words(proof)) == 8
