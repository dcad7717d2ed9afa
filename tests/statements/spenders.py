"""Holders who spend notes, honestly: shared by the tests of the spend statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fedproof.statements.notes import LeanImt, MerkleProof, Note, owner_of
from fedproof.statements.spend import Payment, SpendStatement, SpendWitness
from tests.statements.holders import EPOCH, OTHER, SECRET, SIGNAL
from tests.support.soundness import Forger, forged

PAYEE = owner_of(OTHER)
ATTACKED = SpendStatement(depth=3)


def stranger(place: int) -> int:
    """The leaf of somebody else's note."""
    return Note(owner_of(1000 + place), 5, 60, place).leaf()


def spending(
    amounts: Sequence[int],
    outputs: Sequence[tuple[int, int]] = (),
    *,
    size: int = 5,
    at: Sequence[int] | None = None,
    unlock: int = EPOCH - 3,
    epoch: int = EPOCH,
) -> SpendWitness:
    """Spend notes of these amounts, at some places of a tree, to the payee.

    Each output is an amount and the epochs that it stays locked; what is left is withdrawn.
    """
    places = range(len(amounts)) if at is None else at
    notes = [Note(owner_of(SECRET), amount, unlock, place) for amount, place in zip(amounts, places, strict=True)]
    leaves = [stranger(place) for place in range(size)]
    for note in notes:
        leaves[note.nonce] = note.leaf()
    tree = LeanImt(leaves)
    return spend_of(
        notes,
        [tree.proof(note.nonce) for note in notes],
        outputs,
        root=tree.root,
        epoch=epoch,
    )


def spend_of(
    notes: Sequence[Note],
    proofs: Sequence[MerkleProof],
    outputs: Sequence[tuple[int, int]] = (),
    *,
    root: int,
    epoch: int = EPOCH,
    withdrawn: int | None = None,
) -> SpendWitness:
    """Spend these notes in this tree; by default what the outputs leave is withdrawn."""
    paid = [Payment(PAYEE, amount, epoch + lock) for amount, lock in outputs]
    rest = sum(note.amount for note in notes) - sum(amount for amount, _ in outputs)
    witness = SpendWitness.of(
        SECRET, notes, proofs, paid, withdrawn=rest if withdrawn is None else withdrawn, root=root, epoch=epoch
    )
    return replace(witness, signal=SIGNAL)


def mine(amount: int = 10, unlock: int = EPOCH - 3, nonce: int = 5) -> Note:
    return Note(owner_of(SECRET), amount, unlock, nonce)


def bits(value: int, width: int) -> list[int]:
    return [value >> bit & 1 for bit in range(width)]


def assigned_public(name: str, value: int, witness: SpendWitness | None = None) -> Forger:
    """An honest assignment with another value of one public input."""
    cs = forged(ATTACKED, witness or spending([10, 20], [(4, 2)]))
    cs.assign(cs.made[name][0], [value])
    return cs
