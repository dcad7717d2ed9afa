"""The eligibility statement: what it accepts, what it costs, and what it says when it cannot be proven."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import FedproofError, InputError, ProofError
from fedproof.proving.circuit import Circuit, compile_statement
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.statements.eligibility import EligibilityStatement, EligibilityWitness
from fedproof.statements.notes import MerkleProof, Note, nullifier_of, owner_of
from tests.statements.holders import EPOCH, SCOPE, SECRET, SIGNAL, holding
from tests.support.mutation import unnoticed_wires
from tests.support.soundness import forged

R = _core.MODULUS


def assigned(statement: EligibilityStatement, witness: EligibilityWitness) -> ConstraintSystem:
    cs = ConstraintSystem(structure=False, challenge=lambda _: (0, 0))
    statement.synthesize(cs, witness)
    return cs


@pytest.fixture(scope="module")
def full() -> Circuit:
    return compile_statement(EligibilityStatement())


def test_the_full_circuit_costs_what_it_says(full: Circuit) -> None:
    assert EligibilityStatement().cost() == 22_106
    assert full.r1cs.num_constraints == 22_106 + 7  # the rows of [1 | x]
    assert full.r1cs.domain_size <= 1 << 15


@pytest.mark.parametrize(("depth", "notes"), [(0, 1), (1, 1), (1, 3), (3, 2), (5, 4)])
def test_accepts_and_costs_what_it_says(depth: int, notes: int) -> None:
    statement = EligibilityStatement(depth, notes)
    cs = forged(statement, holding([9], size=min(2, 1 << depth)))
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert cs.num_constraints == statement.cost()


@pytest.mark.parametrize(
    ("size", "at"),
    [
        (1, [0]), (2, [1]), (2, [0, 1]), (3, [2]), (3, [0, 2]), (5, [4, 0, 2]), (7, [6, 5, 4, 3]), (8, [0, 7]),
        (9, [8]), (9, [8, 0, 3, 7]), (33, [32, 31]), (100, [99, 0, 64, 63]),
    ],
)  # fmt: skip
def test_accepts_notes_anywhere_in_trees_of_any_size(full: Circuit, size: int, at: list[int]) -> None:
    witness = holding([10 + place for place in at], size=size, at=at)
    cs = assigned(EligibilityStatement(), witness)
    assert full.r1cs.first_unsatisfied(cs.witness()) is None
    assert cs.public_values() == witness.public_inputs()
    assert cs.public_values()[2] == nullifier_of(SECRET, SCOPE)


@pytest.mark.parametrize("depth", range(21))
def test_accepts_a_path_of_any_length(full: Circuit, depth: int) -> None:
    note = Note(owner_of(SECRET), 5, EPOCH + 1, 3)
    siblings, right = tuple(range(900, 900 + depth)), tuple(level % 3 == 1 for level in range(depth))
    proof = MerkleProof(siblings, right)
    witness = EligibilityWitness(SECRET, [note], [proof], proof.root(note.leaf()), SCOPE, 5, SIGNAL, EPOCH)
    assert full.r1cs.first_unsatisfied(assigned(EligibilityStatement(), witness).witness()) is None


@pytest.mark.parametrize("amounts", [[2**128 - 1] * 4, [2**128 - 1, 1], [0, 7], [0], []])
def test_accepts_amounts_at_the_edges(full: Circuit, amounts: list[int]) -> None:
    witness = holding(amounts, size=4, threshold=min(sum(amounts), 2**128 - 1))
    assert full.r1cs.first_unsatisfied(assigned(EligibilityStatement(), witness).witness()) is None


@pytest.mark.parametrize("epoch", [0, 2**32 - 2])
def test_accepts_epochs_at_the_edges(full: Circuit, epoch: int) -> None:
    note = Note(owner_of(SECRET), 5, 2**32 - 1, 0)
    witness = EligibilityWitness(SECRET, [note], [MerkleProof((), ())], note.leaf(), SCOPE, 5, SIGNAL, epoch)
    assert full.r1cs.first_unsatisfied(assigned(EligibilityStatement(), witness).witness()) is None


def test_an_assignment_alone_gives_the_same_witness() -> None:
    statement, witness = EligibilityStatement(3, 2), holding([4, 5], size=6)
    cs = forged(statement, witness)
    assert np.array_equal(cs.witness(), assigned(statement, witness).witness())


def test_unused_levels_and_dummies_hash_nothing() -> None:
    """Zero wires are what makes the usual proof, of one note in a young tree, several times cheaper than the worst."""
    cs = forged(EligibilityStatement(), holding([4], size=3, at=[1]))
    fifth = np.array(cs.ints("path/hash/fifth"), dtype=object).reshape(4, 20, 80)
    assert (fifth[0, :2] != 0).all()
    assert (fifth[0, 2:] == 0).all()
    assert (fifth[1:] == 0).all()


@pytest.mark.parametrize("by", [1, -1, 2**130 + 12345])
@pytest.mark.parametrize("amounts", [[7, 8], [7], []])
def test_every_mutated_wire_is_noticed(amounts: list[int], by: int) -> None:
    """There is no free wire, not even in dummies and unused levels; the root alone is free if no note counts."""
    cs = forged(EligibilityStatement(depth=3, notes=2), holding(amounts, size=5, threshold=sum(amounts)))
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert unnoticed_wires(cs, by) == (set() if amounts else {"root"})


def test_the_circuit_is_pinned(full: Circuit) -> None:
    """A change here is another statement: raise its version, and make new keys."""
    assert full.circuit_id.hex() == "d27c797bc7994b3ba5de831bd3871a00e5986980875a57eace8a74f84ef1ee19"


Change = dict[str, object]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secret": SECRET + 1}, "note 1 belongs to another secret"),
        ({"epoch": EPOCH + 1}, "note 1 unlocks in epoch 50"),
        ({"root": 5}, "note 1 is not in the tree"),
        ({"threshold": 31}, "do not reach the threshold"),
        ({"threshold": 2**128}, "threshold in"),
        ({"threshold": -1}, "threshold in"),
        ({"epoch": -1}, "epoch must lie in"),
        ({"epoch": R - 1}, "epoch must lie in"),
        ({"scope": R}, "scope"),
        ({"signal": R}, "signal"),
        ({"root": R}, "root"),
        ({"secret": R + SECRET}, "secret"),
    ],
)
def test_says_why_a_holder_is_not_eligible(change: Change, words: str) -> None:
    witness = replace(holding([10, 20], size=4), **change)  # type: ignore[arg-type]
    with pytest.raises(FedproofError, match=words) as error:
        assigned(EligibilityStatement(3, 2), witness)
    for private in (SECRET, R + SECRET, 10, 20, 30):
        assert f" {private} " not in f" {error.value} "


def test_says_that_a_note_is_named_twice() -> None:
    witness = holding([10, 20], size=4)
    twice = replace(witness, notes=witness.notes[:1] * 2, proofs=witness.proofs[:1] * 2, threshold=20)
    with pytest.raises(ProofError, match="named twice"):
        assigned(EligibilityStatement(3, 2), twice)


def test_says_that_the_circuit_is_too_small() -> None:
    for statement in (EligibilityStatement(3, 1), EligibilityStatement(1, 2)):
        with pytest.raises(ProofError, match=r"at most 1 notes|1 levels"):
            assigned(statement, holding([10, 20], size=4))
    witness = holding([10, 20], size=4)
    with pytest.raises(ProofError, match="each with its path"):
        assigned(EligibilityStatement(3, 2), replace(witness, proofs=witness.proofs[:1]))
    for depth, notes in ((-1, 4), (21, 4), (20, 0), (20, 17)):
        with pytest.raises(InputError):
            EligibilityStatement(depth, notes)


def test_a_witness_does_not_show_its_secrets() -> None:
    shown = repr(holding([123456789], size=1))
    assert str(SECRET) not in shown
    assert "123456789" not in shown.replace("threshold=123456789", "")
