"""Attacks on what counts: amounts, epochs, thresholds, one note twice, each with a forgery that one rule notices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof import _core
from fedproof.proving.r1cs import FrArray
from fedproof.statements.eligibility import EligibilityStatement, EligibilityWitness
from fedproof.statements.notes import LeanImt, Note, owner_of
from tests.statements.holders import EPOCH, SCOPE, SECRET, SIGNAL, R, about, digits, holding, leaf_in_tree, poseidon
from tests.support.soundness import Forger, add, assert_only_rule_notices, broken_rules, forged, put

STATEMENT = EligibilityStatement(depth=3, notes=2)


@pytest.mark.parametrize("amount", [-1, 2**128, R - 1, R // 2])
def test_rejects_an_amount_out_of_range(amount: int) -> None:
    """Even if such a note were in the tree; the second note makes the sum come out."""
    owner = owner_of(SECRET)
    leaf = poseidon([owner, amount % R, 60, 5])
    tree, _ = leaf_in_tree(leaf)
    rest = Note(owner, 2**127, 60, 6)
    tree = LeanImt([*tree.leaves[:6], rest.leaf(), tree.leaves[7]])
    witness = EligibilityWitness(
        SECRET, [Note(owner, 0, 60, 5), rest], [tree.proof(5), tree.proof(6)], tree.root, SCOPE, 10, SIGNAL, EPOCH
    )
    total = (amount + 2**127 - 10) % R
    amounts = digits(amount, 128, 2)
    amounts[128 + 127] = 1
    fits = total < 2**129
    excess = [total >> bit & 1 for bit in range(129)] if fits else digits(total, 129)
    cs = forged(STATEMENT, witness, {"amount/bits": put(amounts), "excess/bits": put(excess)})
    if fits:
        assert_only_rule_notices(cs, "amount/bits")
    else:
        assert broken_rules(cs) == {"amount/bits", "excess/bits"}


def test_rejects_a_dummy_that_counts() -> None:
    witness = holding([10], size=5)
    amounts = forged(STATEMENT, witness).ints("amount/bits")
    amounts[128 + 100] = 1
    witness = replace(witness, threshold=2**100)
    cs = forged(STATEMENT, witness, {"amount/bits": put(amounts), "excess/bits": put([0, 1, 0, 1] + [0] * 125)})
    assert_only_rule_notices(cs, "root")


@pytest.mark.parametrize("unlock", [EPOCH, EPOCH - 1, 0])
def test_rejects_a_note_that_is_unlocked(unlock: int) -> None:
    note = Note(owner_of(SECRET), 10, unlock, 5)
    witness = about(note, *leaf_in_tree(note.leaf()), threshold=10)
    assert broken_rules(forged(STATEMENT, witness)) == {"root"}
    cs = forged(STATEMENT, witness, {"unlock epoch/bits": put(digits(unlock - EPOCH - 1, 32, 2))})
    assert_only_rule_notices(cs, "unlock epoch/bits")


def test_rejects_a_note_named_twice() -> None:
    witness = holding([10], size=5)
    twice = replace(witness, notes=list(witness.notes) * 2, proofs=list(witness.proofs) * 2, threshold=20)
    assert_only_rule_notices(forged(STATEMENT, twice), "distinct")
    renumbered = {"nonce": add(1, at=1), "distinct": put([-1])}
    assert_only_rule_notices(forged(STATEMENT, twice, renumbered), "root")


def test_rejects_one_note_named_four_times() -> None:
    statement = EligibilityStatement(depth=3, notes=4)
    witness = holding([10], size=5)
    often = replace(witness, notes=list(witness.notes) * 4, proofs=list(witness.proofs) * 4, threshold=40)
    assert_only_rule_notices(forged(statement, often), "distinct")
    far_apart = replace(
        holding([10, 20, 30], size=5),
        threshold=70,
    )
    first_and_last = replace(
        far_apart, notes=[*far_apart.notes, far_apart.notes[0]], proofs=[*far_apart.proofs, far_apart.proofs[0]]
    )
    assert_only_rule_notices(forged(statement, first_and_last), "distinct")


def test_rejects_a_threshold_one_token_too_high() -> None:
    witness = replace(holding([10, 20], size=5), threshold=31)
    assert_only_rule_notices(forged(STATEMENT, witness), "sum")
    assert_only_rule_notices(forged(STATEMENT, witness, {"excess/bits": put([0] * 129)}), "sum")
    assert_only_rule_notices(forged(STATEMENT, witness, {"excess/bits": put(digits(-1, 129))}), "excess/bits")


@pytest.mark.parametrize("threshold", [R - 5, R - 2**127])
def test_rejects_a_threshold_below_zero(threshold: int) -> None:
    witness = replace(holding([10], size=5), threshold=threshold)
    low = {"excess/bits": put([(10 - threshold) % R >> bit & 1 for bit in range(129)])}
    assert_only_rule_notices(forged(STATEMENT, witness, low), "threshold/value")
    aliased = {**low, "threshold/bits": put(digits(threshold, 128))}
    assert_only_rule_notices(forged(STATEMENT, witness, aliased), "threshold/bits")


def test_rejects_an_epoch_below_zero() -> None:
    """An epoch of -40 would make a note that unlocks in epoch 3 look locked."""
    note = Note(owner_of(SECRET), 10, 3, 5)
    witness = replace(about(note, *leaf_in_tree(note.leaf()), threshold=10), epoch=R - 40)
    late = {"unlock epoch/bits": put([42 >> bit & 1 for bit in range(32)] * 2)}
    assert_only_rule_notices(forged(STATEMENT, witness, late), "epoch/value")
    aliased = {**late, "epoch/bits": put(digits(-40, 32))}
    assert_only_rule_notices(forged(STATEMENT, witness, aliased), "epoch/bits")


def test_rejects_another_epoch() -> None:
    cs = forged(STATEMENT, holding([10], size=5))
    cs.assign(cs.made["epoch"][0], [EPOCH + 1])
    assert broken_rules(cs) == {"epoch/value", "leaf"}


@pytest.mark.parametrize("number", ["amount", "unlock epoch", "excess", "threshold", "epoch"])
def test_rejects_digits_that_are_not_bits(number: str) -> None:
    """The number stays what it was; only its digits are others."""
    name = f"{number}/bits"

    def alias(_: Forger, values: FrArray) -> FrArray:
        low, high = _core.fr_to_ints(values[:2])
        values[:2] = _core.fr_from_ints([low + 2, high - 1])
        return values

    assert_only_rule_notices(forged(STATEMENT, holding([10, 20], size=5), {name: alias}), name)


def test_every_rule_has_been_attacked() -> None:
    attacked = {
        "amount/bits", "distinct", "epoch/bits", "epoch/value", "excess/bits", "leaf", "nullifier/hash",
        "nullifier/public", "owner", "path/above", "path/child", "path/goes on", "path/hash", "path/stranger", "root",
        "signal", "sum", "threshold/bits", "threshold/value", "unlock epoch/bits",
    }  # fmt: skip
    assert set(forged(STATEMENT, holding([10], size=5)).groups) == attacked
