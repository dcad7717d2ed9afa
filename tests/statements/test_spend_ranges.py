"""Attacks on when and how much: locks, ages, amounts and sums, each with a forgery that one rule notices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof import _core
from fedproof.proving.r1cs import FrArray
from fedproof.statements.notes import LeanImt, owner_of
from fedproof.statements.spend import Payment
from tests.statements.holders import EPOCH, SECRET, R, digits, leaf_in_tree, poseidon
from tests.statements.spenders import ATTACKED, PAYEE, assigned_public, bits, mine, spend_of, spending
from tests.support.soundness import Forger, assert_only_rule_notices, broken_rules, forged, put

# the lock


@pytest.mark.parametrize("unlock", [EPOCH + 1, EPOCH + 2**20, 2**32 - 1])
def test_rejects_a_locked_note(unlock: int) -> None:
    note = mine(unlock=unlock)
    tree, proof = leaf_in_tree(note.leaf())
    witness = spend_of([note], [proof], root=tree.root)
    assert "root" in broken_rules(forged(ATTACKED, witness))  # the age keeps its low bits, and the leaf is another
    aged = {"age/bits": put(digits(EPOCH - unlock, 32, 2))}
    assert_only_rule_notices(forged(ATTACKED, witness, aged), "age/bits")


@pytest.mark.parametrize("epoch", [2**32 + EPOCH, R - 40])
def test_rejects_an_epoch_that_is_none(epoch: int) -> None:
    witness = replace(spending([10], [(4, 2)]), epoch=epoch)
    age = {"age/bits": put([*digits((epoch - EPOCH + 3) % R, 32), *([0] * 32)])}
    assert broken_rules(forged(ATTACKED, witness, age)) == {"age/bits", "epoch/value"}


def test_rejects_an_epoch_beyond_its_bits() -> None:
    """In epoch 2^32 + 5 a note that is locked until 2^32 - 1 would be old."""
    note = mine(unlock=2**32 - 1)
    tree, proof = leaf_in_tree(note.leaf())
    epoch = 2**32 + 5
    witness = replace(
        spend_of([note], [proof], root=tree.root),
        epoch=epoch,
        outputs=(Payment(PAYEE, 0, 7), Payment(PAYEE, 0, 7)),
    )
    forgeries = {"lock/bits": put([0] * 40)}
    assert_only_rule_notices(forged(ATTACKED, witness, forgeries), "epoch/value")
    aliased = {**forgeries, "epoch/bits": put(digits(epoch, 32))}
    assert_only_rule_notices(forged(ATTACKED, witness, aliased), "epoch/bits")


def test_rejects_another_epoch() -> None:
    assert broken_rules(assigned_public("epoch", EPOCH + 1)) == {"epoch/value", "leaf", "new leaf/hash"}


@pytest.mark.parametrize("unlock", [EPOCH - 1, 0, EPOCH + 2**20, R - 1])
def test_rejects_a_new_note_that_unlocks_too_early_or_too_late(unlock: int) -> None:
    """One that is born long ago, or far beyond all epochs, would let an age below zero be written down later."""
    lock = {"lock/bits": put(digits(unlock - EPOCH, 20, 2))}
    assert_only_rule_notices(forged(ATTACKED, spending([10], [(4, 0)]), lock), "lock/bits")


# how much


def test_rejects_more_made_than_spent() -> None:
    for amounts, made, withdrawn in (([10], [11], 0), ([10, 20], [15, 16], 0), ([], [1], 0), ([10], [], 11)):
        witness = spending(amounts, [(amount, 0) for amount in made])
        assert_only_rule_notices(forged(ATTACKED, replace(witness, withdrawn=withdrawn)), "sum")


def test_rejects_less_made_than_spent() -> None:
    assert_only_rule_notices(forged(ATTACKED, replace(spending([10], [(4, 0)]), withdrawn=5)), "sum")


def test_rejects_another_withdrawal() -> None:
    assert broken_rules(assigned_public("withdrawn", 27)) == {"withdrawn/value", "sum"}


@pytest.mark.parametrize("gift", [1, 2**127])
def test_rejects_an_empty_note_that_counts(gift: int) -> None:
    witness = spending([10], [(10, 0)])
    amounts = [*bits(10, 128), *bits(gift, 128)]
    cs = forged(ATTACKED, replace(witness, withdrawn=gift), {"amount/bits": put(amounts)})
    assert_only_rule_notices(cs, "root")


@pytest.mark.parametrize("amount", [-5, 2**128, R - 1])
def test_rejects_a_new_amount_out_of_range(amount: int) -> None:
    """One note below zero would let the other be as rich as one likes."""
    richer = (10 - amount) % R
    made = [*digits(amount, 128), *(bits(richer, 128) if richer < 2**128 else digits(richer, 128))]
    cs = forged(ATTACKED, spending([10], [(10, 0)]), {"new amount/bits": put(made)})
    assert_only_rule_notices(cs, "new amount/bits")


@pytest.mark.parametrize("amount", [-5, 2**128, R - 1])
def test_rejects_an_amount_out_of_range(amount: int) -> None:
    leaf = poseidon([owner_of(SECRET), amount % R, EPOCH, 5])
    tree, _ = leaf_in_tree(leaf)
    other = mine(2**127, nonce=6)
    tree = LeanImt([*tree.leaves[:6], other.leaf(), tree.leaves[7]])
    notes = [mine(0, EPOCH), other]
    total = (amount + 2**127) % R
    made = [*(bits(total, 128) if total < 2**128 else digits(total, 128)), *([0] * 128)]
    witness = spend_of(notes, [tree.proof(5), tree.proof(6)], root=tree.root, withdrawn=0)
    values = [*digits(amount, 128), *bits(2**127, 128)]
    cs = forged(ATTACKED, witness, {"amount/bits": put(values), "new amount/bits": put(made)})
    fits = total < 2**128
    assert broken_rules(cs) == ({"amount/bits"} if fits else {"amount/bits", "new amount/bits"})


@pytest.mark.parametrize("withdrawn", [-5, -(2**127)])
def test_rejects_a_withdrawal_below_zero(withdrawn: int) -> None:
    """It would pay for a new note that nothing was spent for."""
    low = {"new amount/bits": put([*bits(10 - withdrawn, 128), *([0] * 128)])}
    witness = replace(spending([10]), withdrawn=withdrawn)
    assert_only_rule_notices(forged(ATTACKED, witness, low), "withdrawn/value")
    aliased = {**low, "withdrawn/bits": put(digits(withdrawn, 128))}
    assert_only_rule_notices(forged(ATTACKED, witness, aliased), "withdrawn/bits")


@pytest.mark.parametrize("number", ["amount", "age", "withdrawn", "epoch", "new amount", "lock"])
def test_rejects_digits_that_are_not_bits(number: str) -> None:
    """The number stays what it was; only its digits are others."""
    name = f"{number}/bits"

    def alias(_: Forger, values: FrArray) -> FrArray:
        low, high = _core.fr_to_ints(values[:2])
        values[:2] = _core.fr_from_ints([low + 2, high - 1])
        return values

    assert_only_rule_notices(forged(ATTACKED, spending([10, 20], [(4, 2)]), {name: alias}), name)
