"""What a holder brings to an eligibility proof: checked in words, and laid out for the circuit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.statements.notes import AMOUNT_BITS, EPOCH_BITS, MerkleProof, Note, nullifier_of, owner_of


@final
@dataclass(frozen=True)
class EligibilityWitness:
    """What a holder knows, and what it proves it for.

    Attributes:
        secret: behind the owner of all notes.
        notes: as many as the circuit takes, or fewer.
        proofs: the path of each note in the tree of `root`.
        root, scope, threshold, signal, epoch: the public inputs; `nullifier` follows from them.
    """

    secret: int = field(repr=False)
    notes: Sequence[Note] = field(repr=False)
    proofs: Sequence[MerkleProof] = field(repr=False)
    root: int
    scope: int
    threshold: int
    signal: int
    epoch: int

    @property
    def nullifier(self) -> int:
        """The nullifier of the secret in the scope."""
        return nullifier_of(self.secret, self.scope)

    def public_inputs(self) -> list[int]:
        """The public inputs in their order."""
        return [self.root, self.scope, self.nullifier, self.threshold, self.signal, self.epoch]

    def check(self) -> None:
        """Say in words why no proof can be made.

        Raises:
            ProofError: the statement does not hold. The message names the note, never an amount.
        """
        if not 0 <= self.epoch < 1 << EPOCH_BITS or not 0 <= self.threshold < 1 << AMOUNT_BITS:
            raise ProofError(f"the epoch must lie in [0, 2^{EPOCH_BITS}) and the threshold in [0, 2^{AMOUNT_BITS})")
        for name in ("root", "scope", "signal"):
            if not 0 <= getattr(self, name) < _core.MODULUS:
                raise ProofError(f"the {name} is not a field element: it must lie in [0, r)")
        owner = owner_of(self.secret)
        for number, (note, proof) in enumerate(zip(self.notes, self.proofs, strict=True), start=1):
            if note.owner != owner:
                raise ProofError(f"note {number} belongs to another secret")
            if note.unlock_epoch <= self.epoch:
                raise ProofError(f"note {number} unlocks in epoch {note.unlock_epoch}: too early in epoch {self.epoch}")
            if note.amount and proof.root(note.leaf()) != self.root:
                raise ProofError(f"note {number} is not in the tree of this root: fetch its path again")
        if len({note.nonce for note in self.notes}) < len(self.notes):
            raise ProofError("a note is named twice: each counts once")
        if sum(note.amount for note in self.notes) < self.threshold:
            raise ProofError("the notes do not reach the threshold")


@final
class Slots:
    """The note slots of a circuit: the notes of a witness, then dummies of amount 0 with nonces that no note has."""

    def __init__(self, witness: EligibilityWitness, slots: int, depth: int) -> None:
        notes, proofs = witness.notes, witness.proofs
        if not len(notes) == len(proofs) <= slots:
            raise ProofError(
                f"a proof names at most {slots} notes, each with its path: got {len(notes)}, {len(proofs)}"
            )
        if any(len(proof.siblings) > depth for proof in proofs):
            raise ProofError(f"a path is longer than the {depth} levels of this circuit")
        dummies = slots - len(notes)
        taken = {note.nonce for note in notes}
        self.amounts = [note.amount for note in notes] + [0] * dummies
        self.epochs_left = [note.unlock_epoch - witness.epoch - 1 for note in notes] + [0] * dummies
        self.nonces = [note.nonce for note in notes]
        self.nonces += [nonce for nonce in range(slots) if nonce not in taken][:dummies]
        self.excess = sum(self.amounts) - witness.threshold
        self.proofs = [*proofs, *[MerkleProof((), ())] * dummies]
