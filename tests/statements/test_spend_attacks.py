"""Attacks on a spend, each with a forgery that one rule notices: whose note, which note, to whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof import _core
from fedproof.proving.r1cs import FrArray
from fedproof.statements.notes import LeanImt, MerkleProof, Note, nullifier_of, owner_of, spend_nullifier
from fedproof.statements.spend import SpendStatement, SpendWitness
from tests.statements.holders import EPOCH, OTHER, SECRET, SIGNAL, R, leaf_in_tree, outputs, poseidon
from tests.statements.spenders import ATTACKED, PAYEE, assigned_public, mine, spend_of, spending
from tests.support.soundness import Forger, Forgery, add, assert_only_rule_notices, broken_rules, forged, put

# whose notes


def test_rejects_notes_of_another_owner() -> None:
    note = Note(owner_of(OTHER), 10, EPOCH, 5)
    tree, proof = leaf_in_tree(note.leaf())
    witness = spend_of([note], [proof], root=tree.root)
    assert broken_rules(forged(ATTACKED, witness)) == {"root"}
    cs = forged(ATTACKED, witness, {"owner/fifth": outputs(1, owner_of(OTHER))})
    assert_only_rule_notices(cs, "owner")


def test_rejects_joining_the_notes_of_two_secrets() -> None:
    notes = [mine(nonce=0), Note(owner_of(OTHER), 10, EPOCH, 1)]
    tree = LeanImt([note.leaf() for note in notes])
    witness = spend_of(notes, [tree.proof(0), tree.proof(1)], [(20, 0)], root=tree.root)
    assert_only_rule_notices(forged(ATTACKED, witness), "root")


# spent twice


@pytest.mark.parametrize("place", [0, 1])
def test_rejects_a_second_nullifier_of_one_note(place: int) -> None:
    cs = forged(ATTACKED, spending([10, 20]), {"nullifier/hash/fifth": outputs(3, 4242, instance=place, instances=2)})
    assert cs.public_values()[1 + place] == 4242
    assert_only_rule_notices(cs, "nullifier/hash")


@pytest.mark.parametrize("place", [1, 2])
@pytest.mark.parametrize("nullifier", [0, 1, nullifier_of(SECRET, 5), spend_nullifier(OTHER, mine())])
def test_rejects_the_nullifier_of_another(place: int, nullifier: int) -> None:
    assert_only_rule_notices(assigned_public(f"nullifier {place}", nullifier), "nullifier/public")


def test_rejects_nullifiers_in_another_order() -> None:
    """Else the nonces of the new notes would follow from one nullifier here and from another there."""
    witness = spending([10, 20])
    cs = forged(ATTACKED, witness)
    for place, value in zip((1, 2), reversed(witness.nullifiers), strict=True):
        cs.assign(cs.made[f"nullifier {place}"][0], [value])
    assert_only_rule_notices(cs, "nullifier/public")


def test_one_note_has_one_nullifier_whatever_root_place_and_company() -> None:
    found = set()
    for witness, place in (
        (spending([10], size=1), 0),
        (spending([10, 20], [(30, 0)], size=2), 0),
        (spending([10, 20], [(5, 7)], size=9), 0),
        (spending([20, 10], size=9, at=[1, 0]), 1),
        (spending([10], size=5, epoch=EPOCH + 9), 0),
    ):
        cs = forged(SpendStatement(depth=4), witness)
        assert broken_rules(cs) == set()
        found.add(cs.public_values()[1 + place])
    assert len(found) == 1


def test_one_note_in_both_places_shows_one_nullifier_twice() -> None:
    """The circuit lets it pass, and the vault refuses it: it takes no nullifier twice, not even in one spend."""
    tree, proof = leaf_in_tree(mine().leaf())
    cs = forged(ATTACKED, spend_of([mine(), mine()], [proof, proof], [(20, 0)], root=tree.root))
    assert broken_rules(cs) == set()
    assert cs.public_values()[1] == cs.public_values()[2]


def test_rejects_another_nonce_for_a_note_of_the_tree() -> None:
    """The nonce is part of the leaf: no second nullifier by renumbering."""
    tree, proof = leaf_in_tree(mine().leaf())
    witness = spend_of([mine()], [proof], root=tree.root)
    assert broken_rules(forged(ATTACKED, witness, {"nonce": add(1)})) == {"root"}


# membership


def test_rejects_a_note_that_is_not_in_the_tree() -> None:
    tree, proof = leaf_in_tree(Note(owner_of(OTHER), 10, EPOCH, 5).leaf())
    assert_only_rule_notices(forged(ATTACKED, spend_of([mine()], [proof], root=tree.root)), "root")


@pytest.mark.parametrize("root", [0, 12345])
def test_rejects_a_zero_or_false_root(root: int) -> None:
    assert_only_rule_notices(assigned_public("root", root), "root")


@pytest.mark.parametrize("kind", ["leaf", "node", "root"])
def test_rejects_a_leaf_or_an_inner_node_presented_as_a_rich_note(kind: str) -> None:
    tree, path = leaf_in_tree(Note(owner_of(OTHER), 10, EPOCH, 5).leaf())
    up = {"leaf": 0, "node": 2, "root": 3}[kind]
    target = MerkleProof(path.siblings[:up], path.right[:up]).root(tree.leaves[5])
    rest = MerkleProof(path.siblings[up:], path.right[up:])
    witness = spend_of([mine(2**100)], [rest], [(2**100, 0)], root=tree.root)
    assert broken_rules(forged(ATTACKED, witness)) == {"root"}
    cs = forged(ATTACKED, witness, {"leaf/fifth": outputs(4, target, instances=2)})
    assert_only_rule_notices(cs, "leaf")


def other_path() -> tuple[SpendWitness, dict[str, Forgery]]:
    """A note outside the tree, with the steps of a path that belongs to another leaf."""
    tree, proof = leaf_in_tree(Note(owner_of(OTHER), 10, EPOCH, 5).leaf())
    victim = spend_of([Note(owner_of(OTHER), 10, EPOCH, 5)], [proof], root=tree.root)
    honest = forged(ATTACKED, replace(victim, secret=OTHER))
    absent = spend_of([mine()], [proof], root=tree.root)
    dummy = forged(ATTACKED, absent)
    steps = {
        name: put(honest.ints(name)[:3] + dummy.ints(name)[3:]) for name in ("path/left", "path/right", "path/above")
    }
    return absent, steps


def test_rejects_a_path_that_starts_in_another_leaf() -> None:
    assert_only_rule_notices(forged(ATTACKED, *other_path()), "path/child")


def test_rejects_a_stranger_passed_off_as_a_child() -> None:
    witness, steps = other_path()

    def deny(_: Forger, values: FrArray) -> FrArray:
        values[:3] = 0
        return values

    assert_only_rule_notices(forged(ATTACKED, witness, {**steps, "path/stranger": deny}), "path/stranger")


def absent_note() -> SpendWitness:
    tree, proof = leaf_in_tree(Note(owner_of(OTHER), 10, EPOCH, 5).leaf())
    return spend_of([mine()], [proof], root=tree.root)


def above_in_root(witness: SpendWitness) -> Forgery:
    """Let the path of the first note end in the root."""
    honest = forged(ATTACKED, witness).ints("path/above")
    return put([*honest[:2], witness.root, *honest[3:]])


def test_rejects_a_parent_that_is_not_the_hash_of_its_children() -> None:
    witness = absent_note()
    hashes = outputs(2, witness.root, instance=2, instances=6)
    cs = forged(ATTACKED, witness, {"path/above": above_in_root(witness), "path/hash/fifth": hashes})
    assert_only_rule_notices(cs, "path/hash")


def test_rejects_a_path_that_jumps_to_the_root() -> None:
    witness = absent_note()
    for each in (witness, replace(witness, proofs=(MerkleProof((), ()),) * 2)):
        assert_only_rule_notices(forged(ATTACKED, each, {"path/above": above_in_root(each)}), "path/above")


def test_rejects_a_step_that_is_neither_taken_nor_skipped() -> None:
    witness = absent_note()
    twice: dict[str, Forgery] = {"path/goes on": add(1, at=2)}
    first = forged(ATTACKED, witness, twice)
    row = _core.poseidon_parameters(2)[1][0]
    cells = first.ints("path/hash/fifth")[80 * 3 - 3 : 80 * 3]
    parent = sum(weight * cell for weight, cell in zip(row, cells, strict=True))
    above = first.ints("path/above")
    beyond = (above[1] + 2 * (parent - above[1])) % R
    steps = {**twice, "path/above": put([*above[:2], beyond, *above[3:]])}
    assert_only_rule_notices(forged(ATTACKED, replace(witness, root=beyond), steps), "path/goes on")


# what is made


@pytest.mark.parametrize("place", [0, 1])
def test_rejects_a_nonce_of_the_makers_choosing(place: int) -> None:
    """Two notes of one nonce and one value have one leaf and one nullifier: the payee could spend only one."""
    cs = forged(ATTACKED, spending([10], [(4, 0)]), {"new nonce/fifth": outputs(3, 4242, instance=place, instances=2)})
    assert_only_rule_notices(cs, "new nonce")


def test_no_two_new_notes_have_one_nonce_whatever_blinds_are_chosen() -> None:
    nonces = []
    for witness in (spending([10]), spending([10], at=[3]), spending([10, 20]), spending([])):
        cs = forged(ATTACKED, replace(witness, blinds=(7, 7)))
        assert broken_rules(cs) == set()
        nonces += [note.nonce for note in replace(witness, blinds=(7, 7)).made]
    first, again = nonces[:2], nonces[4:6]
    assert first == again  # the same first note: the vault takes only one of these spends
    assert len(set(nonces)) == len(nonces) - 2


@pytest.mark.parametrize("kind", ["node", "rich"])
def test_rejects_a_new_leaf_that_is_no_hash_of_its_note(kind: str) -> None:
    """A node as a leaf would give the tree paths of the maker's own; another note, any amount."""
    target = poseidon([1, 2]) if kind == "node" else Note(PAYEE, 2**100, EPOCH, 0).leaf()
    cs = forged(ATTACKED, spending([10], [(4, 0)]), {"new leaf/hash/fifth": outputs(4, target, instances=2)})
    assert cs.public_values()[3] == target
    assert_only_rule_notices(cs, "new leaf/hash")


@pytest.mark.parametrize("place", [1, 2])
def test_rejects_a_leaf_exchanged_on_the_way(place: int) -> None:
    theirs = Note(owner_of(OTHER + 1), 4, EPOCH, 0).leaf()
    assert_only_rule_notices(assigned_public(f"leaf {place}", theirs), "new leaf/public")


def test_rejects_another_recipient_or_memo() -> None:
    assert_only_rule_notices(assigned_public("signal", SIGNAL - 1), "signal")


def test_every_rule_has_been_attacked() -> None:
    attacked = {
        "age/bits", "amount/bits", "epoch/bits", "epoch/value", "leaf", "lock/bits", "new amount/bits",
        "new leaf/hash", "new leaf/public", "new nonce", "nullifier/hash", "nullifier/public", "owner", "path/above",
        "path/child", "path/goes on", "path/hash", "path/stranger", "root", "signal", "sum", "withdrawn/bits",
        "withdrawn/value",
    }  # fmt: skip
    assert set(forged(ATTACKED, spending([10])).groups) == attacked
