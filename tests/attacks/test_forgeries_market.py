"""Forgeries at the marketplace and at the verifier: each succeeds where its check is left out, and only there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import ContractRejected
from fedproof.learning.fixed import TrainingSpec
from fedproof.ledger import Artifact, Chain
from fedproof.ledger.embedded.evm import NativeComputation
from fedproof.ledger.market_types import UNIT
from fedproof.proving.keys import Keys
from fedproof.proving.transcript import Challenges
from fedproof.statements.eligibility import EligibilityStatement, EligibilityWitness
from fedproof.statements.listing import ListingStatement, ListingWitness
from fedproof.statements.notes import LeanImt, Note, owner_of
from fedproof.statements.vectors import dataset_vector
from tests.attacks.conftest import Weak
from tests.attacks.trying import DONE, disguised, rerandomised, starved, tried
from tests.attacks.weak_contracts import leave_out
from tests.attacks.weakened import Check, cheat_linked, cheat_plain, weak_keys
from tests.contracts import toy
from tests.contracts.federation.arena import Arena
from tests.contracts.spends import spend
from tests.contracts.support import P, R, int_words, load_test_artifact, rejects
from tests.contracts.test_bn254 import _absent
from tests.contracts.world import X25519_KEY, World
from tests.statements.conftest import make_witness

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.xdist_group("attacks on contracts")]

Markets = Callable[[Check], Iterator[tuple[str, World]]]
ZERO = "0x" + "00" * 20
AS_IT_IS_OR = pytest.mark.parametrize("weakened", [False, True], ids=["as it is", "weakened"])


@pytest.fixture
def markets(ours: Arena, weak: Weak) -> Markets:
    """The marketplace as it is, and the weakened one with the switch set."""

    def each(check: Check) -> Iterator[tuple[str, World]]:
        yield "ours", ours.world
        weak.leave_out(check)
        yield "weakened", weak.world

    return each


def refused(error: str) -> dict[str, str]:
    return {"ours": error, "weakened": DONE}


# a listing with n inflated


@AS_IT_IS_OR
def test_rejects_a_listing_with_more_rows_than_there_are(ours: Arena, weakened: bool) -> None:
    """Twenty rows, listed as thirty: n is what weighs an update and divides the reward."""
    check = Check.COUNT_OF_ROWS if weakened else Check.NONE
    world, statement, spec = ours.world, ListingStatement(32, 2), TrainingSpec(32, 2)
    srs = _core.Srs.generate(32 * 3 + 2, [1])
    keys = weak_keys(check, statement, srs)
    class_id = world.market.register_class(
        world.owner, 32, 2, keys.verifying, toy.eligibility_keys("for this class").verifying
    )
    w, terms = make_witness(spec, real=20), world.terms(class_id=class_id)
    witness = ListingWitness(w.features, w.mask, w.labels, _core.fr_random(2))
    vector = dataset_vector(w.features, w.mask, w.labels, witness.blinding)
    commitment = srs.commit(vector)

    def lie(rows: int) -> str:
        proof = cheat_linked(
            check,
            keys,
            statement,
            witness,
            srs,
            [vector],
            lambda d: world.market.listing_challenges(
                world.provider.address, terms, commitment, rows, keys.circuit.circuit_id, d
            ),
            afterthought=lambda cs, *_: cs.assign(cs.made["n"], [rows]),
        )
        call = world.market.mint_dataset_call(terms, commitment, rows, proof)
        return tried(world.chain, call, world.provider)

    if weakened:
        assert lie(30) == DONE
        assert world.market.dataset(world.market.datasets()).rows == 30
        return
    with pytest.raises(ValueError, match="row"):
        lie(30)
    proof = cheat_linked(
        check,
        keys,
        statement,
        witness,
        srs,
        [vector],
        lambda d: world.market.listing_challenges(
            world.provider.address, terms, commitment, 30, keys.circuit.circuit_id, d
        ),
    )  # of the twenty, under the challenges of thirty
    call = world.market.mint_dataset_call(terms, commitment, 30, proof)
    assert tried(world.chain, call, world.provider) == "InvalidProof"
    assert lie(20) == DONE


# a balance one short

ELIGIBILITY = EligibilityStatement(depth=4, notes=2)
SECRET = 0xA11CE


def class_of(world: World, keys: Keys) -> int:
    """A class whose eligibility key is this one, with a dataset that everybody may ask for."""
    listing = toy.listing_keys("of the eligibility class")
    class_id = world.market.register_class(world.owner, 64, 3, listing.verifying, keys.verifying)
    terms, vector = world.terms(class_id=class_id), toy.vector(3)
    commitment = toy.srs().commit(vector)
    proof = toy.prove_listing(
        40,
        vector,
        lambda d: world.market.listing_challenges(
            world.provider.address, terms, commitment, 40, listing.circuit.circuit_id, d
        ),
        keys=listing,
    )
    return world.market.mint_dataset(world.provider, terms, commitment, 40, proof).dataset_id


@AS_IT_IS_OR
def test_rejects_an_eligibility_proof_with_a_balance_one_short(ours: Arena, weakened: bool) -> None:
    """One base unit of 300 * 10^18 is missing."""
    check = Check.SUM_OF_NOTES if weakened else Check.NONE
    world = ours.world
    vault, keys = world.market.vault, weak_keys(check, ELIGIBILITY, toy.srs())
    dataset, owner, epochs = class_of(world, keys), owner_of(SECRET), vault.current_epoch() + 5
    notes = []
    for amount in (200 * UNIT, 100 * UNIT - 1):
        made = vault.deposit(world.owner, amount, owner, epochs)
        notes.append(Note(owner, amount, epochs, made.leaf_index))
    tree = LeanImt(vault.leaves())
    terms = world.market.eligibility_terms(dataset, world.grantee.address, 3, 3600, X25519_KEY)
    assert sum(note.amount for note in notes) == terms.threshold - 1
    witness = EligibilityWitness(
        secret=SECRET,
        notes=notes,
        proofs=[tree.proof(note.nonce) for note in notes],
        root=tree.root,
        scope=terms.scope,
        threshold=terms.threshold - 1,
        signal=terms.signal,
        epoch=terms.epoch,
    )

    def ask(witness: EligibilityWitness, threshold: int) -> str:
        bits = [threshold >> bit & 1 for bit in range(128)]
        proof, public = cheat_plain(
            check,
            keys,
            ELIGIBILITY,
            witness,
            forgeries={"threshold/bits": lambda values: _core.fr_from_ints(bits[: len(values)])},
            public={"threshold": threshold},
        )
        call = world.market.access_dataset_call(
            dataset, 3, 3600, X25519_KEY, root=tree.root, nullifier=public[2], proof=proof
        )
        return tried(world.chain, call, world.grantee)

    if weakened:
        assert ask(witness, terms.threshold) == DONE
        return
    with pytest.raises(ValueError, match="row"):
        ask(witness, terms.threshold)
    assert ask(witness, terms.threshold - 1) == "InvalidProof"  # a good proof of one less
    made = vault.deposit(world.owner, 1, owner, epochs)
    notes = [replace(notes[0]), notes[1], Note(owner, 1, epochs, made.leaf_index)]
    assert sum(note.amount for note in notes) == terms.threshold  # three notes are more than this circuit takes
    made = vault.deposit(world.owner, 100 * UNIT, owner, epochs)
    tree = LeanImt(vault.leaves())
    enough = [notes[0], Note(owner, 100 * UNIT, epochs, made.leaf_index)]
    rich = replace(
        witness,
        notes=enough,
        proofs=[tree.proof(note.nonce) for note in enough],
        root=tree.root,
        threshold=terms.threshold,
    )
    assert ask(rich, terms.threshold) == DONE


# copies and replays at the marketplace


def test_the_weakened_contracts_with_all_checks_in_place_refuse_as_ours_do(weak: Weak) -> None:
    """So nothing but the switch makes the difference. Of rounds, `rounds` shows it in each test."""
    world = weak.world
    dataset, root = listed(world)
    public = world.public_inputs(dataset, 3, 3600, root)
    proof = toy.prove_eligibility(public)

    def ask(root: int, nullifier: int) -> str:
        call = world.market.access_dataset_call(dataset, 3, 3600, X25519_KEY, root, nullifier, proof)
        return tried(world.chain, call, world.grantee)

    assert ask(5, public[2]) == "UnknownRoot"
    assert ask(root, public[2] + R) == "ScalarTooLarge"
    assert ask(root, public[2] + 1) == "InvalidProof"
    assert ask(root, public[2]) == DONE
    assert ask(root, public[2]) == "NullifierSpent"
    paid = spend(world, 1, withdrawn=10, recipient=world.stranger)
    for error in (DONE, "NoteSpent"):
        assert tried(world.chain, paid.call(world.market.vault), world.stranger) == error


def test_rejects_a_listing_that_another_copied_out_of_the_pool(markets: Markets) -> None:
    seen = {}
    for build, world in markets(Check.MINTER_OF_LISTING):
        terms, vector, named = world.terms(), toy.vector(77), ZERO if build == "weakened" else world.provider.address
        commitment, circuit_id = toy.srs().commit(vector), toy.listing_keys().circuit.circuit_id

        def challenge(d: bytes, world: World = world, named: str = named) -> Challenges:
            return world.market.listing_challenges(named, world.terms(), commitment, 40, circuit_id, d)  # noqa: B023

        proof = disguised(toy.prove_listing(40, vector, challenge))
        call = world.market.mint_dataset_call(terms, commitment, 40, proof)
        seen[build] = tried(world.chain, call, world.stranger)
        if build != "weakened":
            assert tried(world.chain, call, world.provider) == DONE
    assert seen == refused("InvalidProof")


def listed(world: World) -> tuple[int, int]:
    """A dataset of this marketplace, and a root of its vault."""
    return world.mint().dataset_id, world.lock()


@pytest.mark.parametrize(
    ("check", "alias", "error"),
    [(Check.NULLIFIER_ONCE, 0, "NullifierSpent"), (Check.CANONICAL_SCALARS, R, "ScalarTooLarge")],
    ids=["the same nullifier", "the nullifier and r"],
)
def test_rejects_one_balance_twice_in_an_epoch(markets: Markets, check: Check, alias: int, error: str) -> None:
    """The second grant is for another account, with a proof of its own about the same secret and scope."""
    seen = {}
    for build, world in markets(check):
        dataset, root = listed(world)
        for account, name in ((world.grantee, 0), (world.stranger, alias)):
            public = world.public_inputs(dataset, 3, 3600, root, account)
            proof = rerandomised(toy.prove_eligibility(public))
            call = world.market.access_dataset_call(
                dataset, 3, 3600, X25519_KEY, root=root, nullifier=public[2] + name, proof=proof
            )
            seen[build] = tried(world.chain, call, account)
            if account is world.grantee:
                assert seen[build] == DONE
    assert seen == refused(error)


def test_rejects_a_grant_that_another_account_copied(markets: Markets) -> None:
    seen = {}
    for build, world in markets(Check.GRANTEE_OF_SIGNAL):
        dataset, root = listed(world)
        public = world.public_inputs(dataset, 3, 3600, root, world.grantee)
        proof = rerandomised(toy.prove_eligibility(public))
        call = world.market.access_dataset_call(
            dataset, 3, 3600, X25519_KEY, root=root, nullifier=public[2], proof=proof
        )
        seen[build] = tried(world.chain, call, world.stranger)
    assert seen == refused("InvalidProof")


def test_rejects_a_proof_about_a_tree_of_the_provers_own(markets: Markets) -> None:
    """A tree with one rich note that nobody deposited."""
    seen = {}
    for build, world in markets(Check.KNOWN_ROOT):
        dataset, _ = listed(world)
        note = Note(owner_of(world.secret), 10**9 * UNIT, world.market.vault.current_epoch() + 5, 0)
        public = world.public_inputs(dataset, 3, 3600, LeanImt([note.leaf()]).root)
        call = world.market.access_dataset_call(
            *(dataset, 3, 3600, X25519_KEY, public[0], public[2], toy.prove_eligibility(public))
        )
        seen[build] = tried(world.chain, call, world.grantee)
    assert seen == refused("UnknownRoot")


def test_rejects_a_note_that_is_spent_again_in_other_company(markets: Markets) -> None:
    seen = {}
    for build, world in markets(Check.NOTE_ONCE):
        world.lock()
        spend(world, 1, withdrawn=10, recipient=world.stranger).send(world)
        again = spend(world, 2, withdrawn=10, recipient=world.stranger, nullifiers=(5555, 2001))
        call = replace(again, proof=rerandomised(again.proof)).call(world.market.vault)
        seen[build] = tried(world.chain, call, world.stranger)
    assert seen == refused("NoteSpent")


def test_rejects_a_withdrawal_that_was_turned_to_another_recipient(markets: Markets) -> None:
    seen = {}
    for build, world in markets(Check.RECIPIENT_OF_SPEND):
        world.lock()
        vault = world.market.vault
        signal = vault.spend_signal(ZERO if build == "weakened" else world.grantee.address, b"memo")
        signed = partial(_with_signal, signal)
        honest = spend(world, 3, withdrawn=10, recipient=world.grantee, memo=b"memo", change=signed)
        stolen = replace(honest, recipient=world.stranger.address, proof=rerandomised(honest.proof))
        seen[build] = tried(world.chain, stolen.call(vault), world.stranger)
    assert seen == refused("InvalidProof")


def _with_signal(signal: int, public: list[int]) -> list[int]:
    return [*public[:-1], signal]


# the verifier without gas, and without a precompile


def test_a_starved_verifier_never_says_invalid(markets: Markets) -> None:
    public, seen = [11, 12, 13, 14, 15, 16], {}
    proof = int_words(toy.prove_eligibility(public))
    for build, world in markets(Check.FAILED_PRECOMPILE):
        key = world.deploy_key(toy.eligibility_keys().verifying)
        call = world.harness.functions.verify(key, public, proof)
        answers = starved(world.chain, call, world.stranger, range(60_000, 440_000, 25_000))
        assert True in answers
        seen[build] = False in answers
    assert seen == {"ours": False, "weakened": True}


def test_no_verifier_accepts_junk_where_the_pairing_precompile_is_missing(
    monkeypatch: pytest.MonkeyPatch, weak_artifacts: dict[str, Artifact]
) -> None:
    """A call to an address without code succeeds and returns nothing. The proof is three points of nobody's."""
    generator = int_words(_core.g1_generator())
    point = next(
        words
        for words in (int_words(_core.g1_mul(_core.g1_generator(), _core.fr_from_ints([k]))) for k in range(2, 40))
        if words[0] % 2  # what is left of the input is taken for the answer, and its last bit says yes
    )
    junk = [*point, *int_words(_core.g2_generator()), *generator]
    public, key_blob = [1, 2, 3, 4, 5, 6], toy.eligibility_keys().verifying.encode()
    junk[1] = P - junk[1]

    before = Chain.embedded()  # where the precompile was there when the contract was made, and is gone later
    sender = before.new_account("deployer")
    stood = before.deploy(load_test_artifact("ProofHarness"), sender=sender)
    key = before.deploy_data(key_blob, sender)
    assert before.call(stood.functions.verify(key, public, junk)) is False
    monkeypatch.setitem(NativeComputation._precompiles, (8).to_bytes(20, "big"), _absent)
    before.mine(1)  # the embedded node answers the same again of the same block
    with rejects("PrecompileFailed", 8):
        before.call(stood.functions.verify(key, public, junk))

    chain = Chain.embedded()
    sender = chain.new_account("deployer")
    key = chain.deploy_data(key_blob, sender)
    for artifact in (load_test_artifact("ProofHarness"), weak_artifacts["ProofHarness"]):
        with pytest.raises(ContractRejected, match="PrecompileFailed"):
            chain.deploy(artifact, sender=sender)
    leave_out(chain, Check.ABSENT_PRECOMPILE)
    careless = chain.deploy(weak_artifacts["ProofHarness"], sender=sender)
    assert chain.call(careless.functions.verify(key, public, junk)) is True


def test_the_disguise_is_a_proof_of_the_same_statement() -> None:
    """What the copies above are measured against: the factor leaves nothing of A and B, and the proof still holds."""
    public = [11, 12, 13, 14, 15, 16]
    proof = toy.prove_eligibility(public)
    other, vk = rerandomised(proof), toy.eligibility_keys().verifying
    assert other[:192] != proof[:192]
    assert not np.array_equal(int_words(other[:64]), int_words(proof[:64]))
    assert _core.groth16_verify(vk.groth16(), _core.fr_from_ints(public), other, None)
