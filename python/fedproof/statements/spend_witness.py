"""What a holder brings to spend notes: checked in words, and laid out for the circuit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from fedproof import _core
from fedproof.errors import InputError, ProofError
from fedproof.statements.notes import (
    AMOUNT_BITS,
    EPOCH_BITS,
    MerkleProof,
    Note,
    new_secret,
    output_nonce,
    owner_of,
    spend_nullifier,
)

INPUTS = 2
OUTPUTS = 2
LOCK_BITS = 20


@final
@dataclass(frozen=True)
class Payment:
    """A note to be made: who may spend it (`owner_of(secret)`), base units, and the first epoch in which it may."""

    owner: int
    amount: int = field(repr=False)
    unlock_epoch: int


@final
@dataclass(frozen=True)
class SpendWitness:
    """What a holder knows, and what it proves it for. Missing inputs and outputs are filled with empty notes.

    Attributes:
        secret: behind the owner of all spent notes.
        inputs: one or two notes, or none for a spend of nothing; proofs: the path of each in the tree of `root`.
        outputs: two notes to make.
        blinds: what hides the leaf of each new note; random, and never used again.
        withdrawn: base units that leave the vault.
        root, epoch, signal: public inputs, as the vault will know them.
    """

    secret: int = field(repr=False)
    inputs: tuple[Note, ...] = field(repr=False)
    proofs: tuple[MerkleProof, ...] = field(repr=False)
    outputs: tuple[Payment, ...] = field(repr=False)
    blinds: tuple[int, ...] = field(repr=False)
    withdrawn: int
    root: int
    epoch: int
    signal: int

    @classmethod
    def of(
        cls,
        secret: int,
        inputs: Sequence[Note],
        proofs: Sequence[MerkleProof],
        outputs: Sequence[Payment],
        *,
        withdrawn: int,
        root: int,
        epoch: int,
    ) -> SpendWitness:
        """Fill up with empty notes. An empty input has a random nonce, so that its nullifier looks like any other.

        `signal` is 0: `replace` it once the memos, which need the new notes, are sealed.

        Raises:
            InputError: more than two inputs or outputs, or a path is missing.
        """
        if len(inputs) > INPUTS or len(outputs) > OUTPUTS or len(inputs) != len(proofs):
            raise InputError(f"a spend takes {INPUTS} notes with their paths and makes {OUTPUTS}; spend in steps")
        empty = [Note(owner_of(secret), 0, epoch, new_secret()) for _ in range(INPUTS - len(inputs))]
        nothing = [Payment(owner_of(secret), 0, epoch)] * (OUTPUTS - len(outputs))
        paths = [MerkleProof((), ())] * len(empty)
        return cls(
            secret=secret,
            inputs=(*inputs, *empty),
            proofs=(*proofs, *paths),
            outputs=(*outputs, *nothing),
            blinds=tuple(new_secret() for _ in range(OUTPUTS)),
            withdrawn=withdrawn,
            root=root,
            epoch=epoch,
            signal=0,
        )

    @property
    def nullifiers(self) -> tuple[int, ...]:
        """One for each input, in order."""
        return tuple(spend_nullifier(self.secret, note) for note in self.inputs)

    @property
    def made(self) -> tuple[Note, ...]:
        """The notes that this spend makes, with their nonces."""
        first = self.nullifiers[0]
        return tuple(
            Note(each.owner, each.amount, each.unlock_epoch, output_nonce(first, place, blind))
            for place, (each, blind) in enumerate(zip(self.outputs, self.blinds, strict=True))
        )

    def public_inputs(self) -> list[int]:
        """The public inputs in their order."""
        leaves = [note.leaf() for note in self.made]
        return [self.root, *self.nullifiers, *leaves, self.withdrawn, self.epoch, self.signal]

    def check(self) -> None:
        """Say in words why no proof can be made.

        Raises:
            ProofError: the statement does not hold. The message names the note, never an amount.
        """
        if not 0 <= self.epoch < 1 << EPOCH_BITS or not 0 <= self.withdrawn < 1 << AMOUNT_BITS:
            raise ProofError(f"the epoch must lie in [0, 2^{EPOCH_BITS}), the withdrawal in [0, 2^{AMOUNT_BITS})")
        if not 0 <= self.root < _core.MODULUS or not 0 <= self.signal < _core.MODULUS:
            raise ProofError("root and signal are field elements: they must lie in [0, r)")
        owner = owner_of(self.secret)
        for number, (note, proof) in enumerate(zip(self.inputs, self.proofs, strict=True), start=1):
            if note.owner != owner:
                raise ProofError(f"note {number} belongs to another secret")
            if note.unlock_epoch > self.epoch:
                raise ProofError(f"note {number} is locked until epoch {note.unlock_epoch}: this is {self.epoch}")
            if note.amount and proof.root(note.leaf()) != self.root:
                raise ProofError(f"note {number} is not in the tree of this root: fetch its path again")
        for number, made in enumerate(self.outputs, start=1):
            if not 0 <= made.amount < 1 << AMOUNT_BITS:
                raise ProofError(f"the amount of new note {number} must lie in [0, 2^{AMOUNT_BITS})")
            # one that unlocks after the last epoch of 32 bits could never be spent
            if not self.epoch <= made.unlock_epoch < min(self.epoch + (1 << LOCK_BITS), 1 << EPOCH_BITS):
                raise ProofError(f"new note {number} must unlock within 2^{LOCK_BITS} epochs from now")
        if sum(note.amount for note in self.inputs) != sum(made.amount for made in self.outputs) + self.withdrawn:
            raise ProofError("what is spent, what is made and what is withdrawn do not add up")
