"""The spend statement: what it accepts, what it costs, and what it says when it cannot be proven."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import FedproofError, InputError, ProofError
from fedproof.proving.circuit import Circuit, compile_statement
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.statements.notes import MerkleProof, Note, output_nonce, owner_of, spend_nullifier
from fedproof.statements.spend import Payment, SpendStatement, SpendWitness
from tests.statements.holders import EPOCH, SECRET, SIGNAL, poseidon
from tests.statements.spenders import PAYEE, spend_of, spending
from tests.support.mutation import unnoticed_wires
from tests.support.soundness import forged

R = _core.MODULUS
MOST = 2**128 - 1
FARTHEST = 2**20 - 1


def assigned(statement: SpendStatement, witness: SpendWitness) -> ConstraintSystem:
    cs = ConstraintSystem(structure=False, challenge=lambda _: (0, 0))
    statement.synthesize(cs, witness)
    return cs


@pytest.fixture(scope="module")
def full() -> Circuit:
    return compile_statement(SpendStatement())


def accepts(circuit: Circuit, witness: SpendWitness) -> bool:
    cs = assigned(SpendStatement(), witness)
    assert cs.public_values() == witness.public_inputs()
    return circuit.r1cs.first_unsatisfied(cs.witness()) is None


def test_the_full_circuit_costs_what_it_says(full: Circuit) -> None:
    assert SpendStatement().cost() == 12_991
    assert full.r1cs.num_constraints == 12_991 + 9  # the rows of [1 | x]
    assert full.r1cs.domain_size == 1 << 14


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 7])
def test_accepts_and_costs_what_it_says(depth: int) -> None:
    statement = SpendStatement(depth)
    cs = forged(statement, spending([9], [(4, 0)], size=min(5, 1 << depth)))
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert cs.num_constraints == statement.cost()


@pytest.mark.parametrize(
    ("amounts", "outputs"),
    [
        ([7], [(7, 0)]), ([7], [(3, 0), (4, 9)]), ([7, 8], [(15, 1)]), ([7, 8], [(1, 0), (14, 0)]), ([7], []),
        ([7, 8], []), ([7, 8], [(5, 0)]), ([7, 8], [(5, 0), (6, 0)]), ([], []), ([0], []), ([0, 0], [(0, 0), (0, 0)]),
        ([0, 5], [(5, 0)]), ([MOST], [(MOST, 0)]), ([MOST], []), ([MOST, MOST], [(MOST, 0), (MOST, 0)]),
        ([MOST, MOST], [(MOST, 0)]), ([MOST, 1], [(1, 0), (MOST, 0)]), ([5], [(5, FARTHEST)]),
        ([5], [(2, FARTHEST), (3, FARTHEST)]),
    ],
)  # fmt: skip
def test_accepts_transfers_splits_joins_and_withdrawals(
    full: Circuit, amounts: list[int], outputs: list[tuple[int, int]]
) -> None:
    assert accepts(full, spending(amounts, outputs))


@pytest.mark.parametrize(
    ("size", "at"),
    [
        (1, [0]), (2, [1]), (2, [1, 0]), (3, [2]), (3, [0, 2]), (5, [4, 0]), (7, [6, 5]), (8, [0, 7]), (9, [8]),
        (9, [8, 3]), (33, [32, 31]), (100, [99, 64]),
    ],
)  # fmt: skip
def test_accepts_notes_anywhere_in_trees_of_any_size(full: Circuit, size: int, at: list[int]) -> None:
    assert accepts(full, spending([10 + place for place in at], [(3, 0)], size=size, at=at))


@pytest.mark.parametrize("depth", range(21))
def test_accepts_a_path_of_any_length(full: Circuit, depth: int) -> None:
    note = Note(owner_of(SECRET), 5, EPOCH, 3)
    proof = MerkleProof(tuple(range(900, 900 + depth)), tuple(level % 3 == 1 for level in range(depth)))
    assert accepts(full, spend_of([note], [proof], [(4, 0)], root=proof.root(note.leaf())))


@pytest.mark.parametrize(("unlock", "epoch"), [(EPOCH, EPOCH), (0, 0), (0, 2**32 - 1), (2**32 - 1, 2**32 - 1)])
def test_accepts_a_note_from_the_epoch_on_in_which_it_unlocks(full: Circuit, unlock: int, epoch: int) -> None:
    assert accepts(full, spending([5], [(5, 0)], unlock=unlock, epoch=epoch))


def test_accepts_new_notes_as_inputs(full: Circuit) -> None:
    """What a spend makes has a nonce that is any field element, and can be spent in the same epoch."""
    first = spending([7, 8], [(5, 0), (10, 0)])
    mine = Note(owner_of(SECRET), 5, EPOCH, first.made[0].nonce)
    assert mine.nonce > 2**128
    proof = MerkleProof((12345,), (True,))
    assert accepts(full, spend_of([mine], [proof], [(5, 0)], root=proof.root(mine.leaf())))


def test_public_inputs_are_what_the_protocol_says() -> None:
    witness = spending([7, 8], [(4, 6), (5, 0)])
    first, second = witness.inputs
    nullifiers = [poseidon([SECRET, note.nonce, note.leaf()]) for note in (first, second)]
    assert nullifiers == [spend_nullifier(SECRET, first), spend_nullifier(SECRET, second)]
    nonces = [poseidon([nullifiers[0], place, blind]) for place, blind in enumerate(witness.blinds)]
    assert nonces == [output_nonce(nullifiers[0], place, blind) for place, blind in enumerate(witness.blinds)]
    leaves = [poseidon([PAYEE, 4, EPOCH + 6, nonces[0]]), poseidon([PAYEE, 5, EPOCH, nonces[1]])]
    assert witness.public_inputs() == [witness.root, *nullifiers, *leaves, 6, EPOCH, SIGNAL]


def test_an_assignment_alone_gives_the_same_witness() -> None:
    statement, witness = SpendStatement(3), spending([4, 5], [(3, 1)], size=6)
    assert np.array_equal(forged(statement, witness).witness(), assigned(statement, witness).witness())


@pytest.mark.parametrize("by", [1, -1, 2**130 + 12345])
@pytest.mark.parametrize("amounts", [[7, 8], [7], []])
def test_every_mutated_wire_is_noticed(amounts: list[int], by: int) -> None:
    """There is no free wire, not even in empty notes and unused levels; the root alone is free if nothing is spent."""
    cs = forged(SpendStatement(depth=3), spending(amounts, [(sum(amounts), 3)]))
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert unnoticed_wires(cs, by) == (set() if amounts else {"root"})


def test_the_circuit_is_pinned(full: Circuit) -> None:
    """A change here is another statement: raise its version, and make new keys."""
    assert full.circuit_id.hex() == "5104f227bfe1ea7f1e7d0f94feec2a0f75019fb70763b90d5ca05270720f9443"


def test_empty_notes_look_like_any_other() -> None:
    """Neither the nullifier of an empty input nor the leaf of an empty output comes twice, or can be found by trial."""
    seen: set[int] = set()
    for _ in range(5):
        witness = spending([7])
        seen |= {witness.nullifiers[1], *(note.leaf() for note in witness.made)}
        assert {note.amount for note in witness.made} == {0}
    assert len(seen) == 15


def test_who_knows_owner_amount_epoch_and_nullifier_cannot_find_the_leaf_by_trial() -> None:
    """All of these can be guessed; the blind cannot. Two spends alike in all the rest share no leaf."""
    first, second = spending([7], [(7, 0)]), spending([7], [(7, 0)])
    second = replace(second, inputs=first.inputs)
    assert first.nullifiers == second.nullifiers
    assert {note.leaf() for note in first.made}.isdisjoint(note.leaf() for note in second.made)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secret": SECRET + 1}, "note 1 belongs to another secret"),
        ({"epoch": EPOCH - 4}, "note 1 is locked until epoch 46: this is 45"),
        ({"root": 5}, "note 1 is not in the tree"),
        ({"withdrawn": 16}, "do not add up"),
        ({"withdrawn": 14}, "do not add up"),
        ({"withdrawn": 2**128}, "withdrawal in"),
        ({"withdrawn": -1}, "withdrawal in"),
        ({"epoch": -1}, "epoch must lie in"),
        ({"epoch": 2**32}, "epoch must lie in"),
        ({"signal": R}, "signal"),
        ({"root": R}, "root"),
        ({"secret": R + SECRET}, "secret"),
        ({"outputs": (Payment(PAYEE, 15, EPOCH - 1), Payment(PAYEE, 0, EPOCH))}, "new note 1 must unlock"),
        ({"outputs": (Payment(PAYEE, 15, EPOCH), Payment(PAYEE, 0, EPOCH + 2**20))}, "new note 2 must unlock"),
        ({"outputs": (Payment(PAYEE, 16, EPOCH), Payment(PAYEE, -1, EPOCH))}, "amount of new note 2"),
        ({"outputs": (Payment(PAYEE, 2**128, EPOCH), Payment(PAYEE, 0, EPOCH))}, "amount of new note 1"),
        ({"proofs": (MerkleProof((1,) * 4, (True,) * 4), MerkleProof((), ()))}, "longer than the 3 levels"),
    ],
)
def test_says_why_notes_cannot_be_spent(change: dict[str, object], words: str) -> None:
    witness = replace(spending([7, 8]), **change)  # type: ignore[arg-type]
    with pytest.raises(FedproofError, match=words) as error:
        assigned(SpendStatement(3), witness)
    for private in (SECRET, R + SECRET, 7, 8, 15):
        assert f" {private} " not in f" {error.value} "


def test_refuses_a_new_note_that_no_epoch_can_spend() -> None:
    witness = spending([5], [(5, 1)], unlock=0, epoch=2**32 - 1)
    with pytest.raises(ProofError, match="new note 1 must unlock"):
        witness.check()


def test_refuses_more_notes_than_a_spend_has() -> None:
    note = Note(owner_of(SECRET), 5, EPOCH, 3)
    path = MerkleProof((), ())
    paid = Payment(PAYEE, 5, EPOCH)
    for notes, proofs, outputs in (([note] * 3, [path] * 3, []), ([note], [], []), ([], [], [paid] * 3)):
        with pytest.raises(InputError, match="spend in steps"):
            SpendWitness.of(SECRET, notes, proofs, outputs, withdrawn=0, root=1, epoch=EPOCH)
    for depth in (-1, 21):
        with pytest.raises(InputError, match="depth"):
            SpendStatement(depth)


def test_a_witness_does_not_show_its_secrets() -> None:
    witness = spending([123456789], [(123450000, 1)])
    shown = repr(witness)
    assert "123450000" not in repr(Payment(PAYEE, 123450000, 1))
    for private in (SECRET, 123456789, 123450000, *witness.blinds):
        assert str(private) not in shown
