"""Attacks on who is eligible: owner, nullifier, signal and membership, each with a forgery that one rule notices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof import _core
from fedproof.proving.r1cs import FrArray
from fedproof.statements.eligibility import EligibilityStatement, EligibilityWitness
from fedproof.statements.notes import LeanImt, MerkleProof, Note, nullifier_of, owner_of
from tests.statements.holders import EPOCH, OTHER, SCOPE, SECRET, SIGNAL, R, about, holding, leaf_in_tree, outputs
from tests.support.soundness import Forger, Forgery, add, assert_only_rule_notices, broken_rules, forged, put

STATEMENT = EligibilityStatement(depth=3, notes=2)


# whose notes, and which nullifier


def strangers_note() -> EligibilityWitness:
    note = Note(owner_of(OTHER), 10, 60, 5)
    return about(note, *leaf_in_tree(note.leaf()), threshold=10)


def test_rejects_notes_of_another_owner() -> None:
    witness = strangers_note()
    assert broken_rules(forged(STATEMENT, witness)) == {"root"}
    cs = forged(STATEMENT, witness, {"owner/fifth": outputs(1, owner_of(OTHER))})
    assert_only_rule_notices(cs, "owner")


def test_rejects_a_second_nullifier_of_one_secret() -> None:
    cs = forged(STATEMENT, holding([10], size=5), {"nullifier/hash/fifth": outputs(2, 424242)})
    assert cs.public_values()[2] == 424242
    assert_only_rule_notices(cs, "nullifier/hash")


@pytest.mark.parametrize("nullifier", [0, 1, nullifier_of(SECRET, SCOPE + 1), nullifier_of(OTHER, SCOPE)])
def test_rejects_the_nullifier_of_another_scope_or_secret(nullifier: int) -> None:
    cs = forged(STATEMENT, holding([10], size=5))
    cs.assign(cs.made["nullifier"][0], [nullifier])
    assert_only_rule_notices(cs, "nullifier/public")


def test_rejects_a_secret_that_makes_the_nullifier_but_not_the_owner() -> None:
    cs = forged(STATEMENT, holding([10], size=5), {"owner/fifth": outputs(1, owner_of(OTHER))})
    assert {"owner", "root"} == broken_rules(cs)


def test_rejects_a_scope_of_the_provers_choosing() -> None:
    cs = forged(STATEMENT, holding([10], size=5))
    cs.assign(cs.made["scope"][0], [SCOPE + 1])
    assert_only_rule_notices(cs, "nullifier/hash")


# the signal


def test_rejects_another_grantees_signal() -> None:
    cs = forged(STATEMENT, holding([10], size=5))
    cs.assign(cs.made["signal"][0], [SIGNAL - 1])
    assert_only_rule_notices(cs, "signal")


# membership


def test_rejects_a_note_that_is_not_in_the_tree() -> None:
    absent = Note(owner_of(SECRET), 10, 60, 5)
    tree, proof = leaf_in_tree(Note(owner_of(OTHER), 10, 60, 5).leaf())
    assert_only_rule_notices(forged(STATEMENT, about(absent, tree, proof, threshold=10)), "root")


@pytest.mark.parametrize("root", [0, 12345])
def test_rejects_a_zero_or_false_root(root: int) -> None:
    cs = forged(STATEMENT, holding([10], size=5))
    cs.assign(cs.made["root"][0], [root])
    assert_only_rule_notices(cs, "root")


def test_rejects_the_root_of_a_tree_without_the_note() -> None:
    witness = holding([10], size=5, at=[4])
    older = replace(witness, root=LeanImt([Note(owner_of(1000 + i), 5, 60, i).leaf() for i in range(4)]).root)
    assert_only_rule_notices(forged(STATEMENT, older), "root")


@pytest.mark.parametrize("kind", ["leaf", "node", "root"])
def test_rejects_a_leaf_or_an_inner_node_presented_as_a_rich_note(kind: str) -> None:
    tree = LeanImt([Note(owner_of(2000 + place), 5, 60, place).leaf() for place in range(8)])
    path = tree.proof(5)
    up = {"leaf": 0, "node": 2, "root": 3}[kind]
    target = MerkleProof(path.siblings[:up], path.right[:up]).root(tree.leaves[5])
    rest = MerkleProof(path.siblings[up:], path.right[up:])
    assert rest.root(target) == tree.root
    rich = Note(owner_of(SECRET), 2**100, 60, 5)
    witness = about(rich, tree, rest, threshold=2**100)
    assert broken_rules(forged(STATEMENT, witness)) == {"root"}
    cs = forged(STATEMENT, witness, {"leaf/fifth": outputs(4, target, instances=2)})
    assert_only_rule_notices(cs, "leaf")


def other_path() -> tuple[EligibilityWitness, dict[str, Forgery]]:
    """A note outside the tree, with the steps of a path that belongs to another leaf."""
    victim = Note(owner_of(OTHER), 10, 60, 5)
    tree, proof = leaf_in_tree(victim.leaf())
    honest = forged(STATEMENT, about(victim, tree, proof, threshold=10, secret=OTHER))
    absent = about(Note(owner_of(SECRET), 10, 60, 5), tree, proof, threshold=10)
    steps = {name: put(honest.ints(name)[:3] + [0] * 3) for name in ("path/left", "path/right")}
    dummy = forged(STATEMENT, absent).ints("path/above")[3:]
    steps["path/above"] = put(honest.ints("path/above")[:3] + dummy)
    return absent, steps


def test_rejects_a_path_that_starts_in_another_leaf() -> None:
    witness, steps = other_path()
    cs = forged(STATEMENT, witness, steps)
    assert_only_rule_notices(cs, "path/child")


def test_rejects_a_stranger_passed_off_as_a_child() -> None:
    witness, steps = other_path()

    def deny(_: Forger, values: FrArray) -> FrArray:
        values[:3] = 0
        return values

    assert_only_rule_notices(forged(STATEMENT, witness, {**steps, "path/stranger": deny}), "path/stranger")


def absent_note() -> EligibilityWitness:
    absent = Note(owner_of(SECRET), 10, 60, 5)
    return about(absent, *leaf_in_tree(Note(owner_of(OTHER), 10, 60, 5).leaf()), threshold=10)


def above_in_root(witness: EligibilityWitness) -> Forgery:
    """Let the path of the first note end in the root."""
    honest = forged(STATEMENT, witness).ints("path/above")
    return put([*honest[:2], witness.root, *honest[3:]])


def test_rejects_a_parent_that_is_not_the_hash_of_its_children() -> None:
    witness = absent_note()
    hashes = outputs(2, witness.root, instance=2, instances=6)
    cs = forged(STATEMENT, witness, {"path/above": above_in_root(witness), "path/hash/fifth": hashes})
    assert_only_rule_notices(cs, "path/hash")


def test_rejects_a_path_that_jumps_to_the_root() -> None:
    witness = absent_note()
    assert_only_rule_notices(forged(STATEMENT, witness, {"path/above": above_in_root(witness)}), "path/above")


def test_rejects_a_jump_to_the_root_over_a_level_without_a_sibling() -> None:
    witness = absent_note()
    short = replace(witness, proofs=[MerkleProof((), ())])
    assert_only_rule_notices(forged(STATEMENT, short, {"path/above": above_in_root(short)}), "path/above")


def test_rejects_a_step_that_is_neither_taken_nor_skipped() -> None:
    """With a free choice of the factor, a node between the two, or beyond, could be any root."""
    witness = absent_note()
    twice: dict[str, Forgery] = {"path/goes on": add(1, at=2)}
    first = forged(STATEMENT, witness, twice)
    row = _core.poseidon_parameters(2)[1][0]
    cells = first.ints("path/hash/fifth")[80 * 3 - 3 : 80 * 3]
    parent = sum(weight * cell for weight, cell in zip(row, cells, strict=True))
    above = first.ints("path/above")
    beyond = (above[1] + 2 * (parent - above[1])) % R
    cs = forged(
        STATEMENT, replace(witness, root=beyond), {**twice, "path/above": put([*above[:2], beyond, *above[3:]])}
    )
    assert_only_rule_notices(cs, "path/goes on")


# one balance, two proofs


def test_one_secret_has_one_nullifier_whatever_notes_and_roots_it_names() -> None:
    """Splitting, regrouping or waiting for another root opens no second use of a scope."""
    first = holding([10, 20], size=4)
    second = holding([10, 20, 30], size=8)
    regrouped = replace(second, notes=second.notes[1:], proofs=second.proofs[1:], threshold=50)
    nullifiers = set()
    for witness in (first, replace(second, notes=second.notes[:2], proofs=second.proofs[:2], threshold=30), regrouped):
        cs = forged(STATEMENT, witness)
        assert broken_rules(cs) == set()
        nullifiers.add(cs.public_values()[2])
    assert len(nullifiers) == 1


def test_rejects_pooling_the_notes_of_two_secrets() -> None:
    mine, theirs = Note(owner_of(SECRET), 10, 60, 0), Note(owner_of(OTHER), 10, 60, 1)
    tree = LeanImt([mine.leaf(), theirs.leaf()])
    witness = EligibilityWitness(
        SECRET, [mine, theirs], [tree.proof(0), tree.proof(1)], tree.root, SCOPE, 20, SIGNAL, EPOCH
    )
    assert_only_rule_notices(forged(STATEMENT, witness), "root")
