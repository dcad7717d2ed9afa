"""The notes of one secret, found on chain in deposits by their owner and in spends by memos that open; which to spend.

Nothing is remembered that the chain does not say, so that a wallet needs no backup but its secrets, and a chain that
takes blocks back takes notes back, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fedproof.errors import InputError, ProofError, SealingError
from fedproof.ledger.vault import Deposited, Spent, Vault
from fedproof.sealing.hpke import KeyPair
from fedproof.sealing.memo import MemoContext, open_memo
from fedproof.statements.notes import Forest, MerkleProof, Note, owner_of, spend_nullifier
from fedproof.statements.spend_witness import INPUTS


@dataclass(frozen=True)
class OwnNote:
    """A note of this holder that is not spent, its index in the vault, and the tree in which that is."""

    note: Note
    index: int
    tree: int

    @property
    def amount(self) -> int:
        """Base units."""
        return self.note.amount


@dataclass(frozen=True)
class Holdings:
    """What a holder has in one state of the chain: the richest note first."""

    forest: Forest = field(repr=False)
    epoch: int
    notes: tuple[OwnNote, ...]

    def unlocked(self) -> list[OwnNote]:
        """Notes that can be spent in this epoch."""
        return [each for each in self.notes if each.note.unlock_epoch <= self.epoch]

    def locked(self, epoch: int) -> list[OwnNote]:
        """Notes that count as locked in an epoch."""
        return [each for each in self.notes if each.note.unlock_epoch > epoch]

    def proofs(self, notes: Sequence[OwnNote]) -> list[MerkleProof]:
        """The paths of notes."""
        return [self.forest.proof(each.index) for each in notes]

    def root(self, notes: Sequence[OwnNote]) -> int:
        """The root of the tree that notes of one proof are in; for no notes that of the newest.

        Raises:
            ProofError: they are in several.
        """
        trees = {each.tree for each in notes}
        if len(trees) > 1:
            raise ProofError("a proof names one root, so its notes must be in one tree of the vault")
        return self.forest.trees[trees.pop()].root if trees else self.forest.root


class Finder:
    """Finds the notes of a secret. Memos are tried once in the life of a process, and never again."""

    def __init__(self, vault: Vault, secret: int, key: KeyPair) -> None:
        self._vault = vault
        self._secret = secret
        self._owner = owner_of(secret)
        self._key = key
        self._context = MemoContext(vault.chain.chain_id, bytes.fromhex(vault.address[2:]))
        self._tried: dict[tuple[int, bytes, int], Note | None] = {}

    @property
    def context(self) -> MemoContext:
        """Where the memos of this vault stand."""
        return self._context

    def look(self) -> Holdings:
        """The present holdings.

        Raises:
            LedgerError: the node leaves out deposits or spends.
        """
        epoch = self._vault.current_epoch()
        growth = self._vault.growth()
        spent = {nullifier for each in growth if isinstance(each, Spent) for nullifier in each.nullifiers}
        forest = self._vault.forest(growth)
        notes = [own for each in growth for own in self._mine(each, forest)]
        notes = [own for own in notes if own.amount and spend_nullifier(self._secret, own.note) not in spent]
        notes.sort(key=lambda own: (-own.amount, own.index))
        return Holdings(forest, epoch, tuple(notes))

    def _mine(self, event: Deposited | Spent, forest: Forest) -> list[OwnNote]:
        tree = forest.tree_of(event.leaf_index)  # also of the second leaf of a spend
        if isinstance(event, Deposited):
            note = Note(event.owner, event.amount, event.unlock_epoch, event.leaf_index)
            return [OwnNote(note, event.leaf_index, tree)] if event.owner == self._owner else []
        found = []
        for place, leaf in enumerate(event.leaves):
            tried = (leaf, event.memo, place)
            if tried not in self._tried:
                self._tried[tried] = self._open(event.memo, place, leaf)
            opened = self._tried[tried]
            if opened is not None:
                found.append(OwnNote(opened, event.leaf_index + place, tree))
        return found

    def _open(self, memo: bytes, place: int, leaf: int) -> Note | None:
        """The note of a leaf, if its memo is for this holder and true: anybody can seal anything to anybody."""
        try:
            message = open_memo(self._key, memo, place, leaf, self._context)
            note = Note(self._owner, message.amount, message.unlock_epoch, message.nonce)
        except (SealingError, InputError):
            return None
        return note if note.leaf() == leaf else None


def reserve(amounts: Sequence[int], notes: Sequence[OwnNote]) -> tuple[list[int], list[OwnNote]]:
    """The amounts that no note has, the greatest first, and the notes that are free."""
    free, wanted = list(notes), []
    for amount in sorted(amounts, reverse=True):
        match = next((own for own in free if own.amount == amount), None)
        if match is None:
            wanted.append(amount)
        else:
            free.remove(match)
    return wanted, free


def at_once(notes: Sequence[OwnNote]) -> bool:
    """Whether one spend can take these notes: no more than two, of one tree."""
    return len(notes) <= INPUTS and len({own.tree for own in notes}) <= 1


def next_step(notes: Sequence[OwnNote]) -> list[OwnNote]:
    """What to spend first where notes must become one: of the oldest tree the poorest two, or the only one.

    What a spend makes is in the newest tree, so that in the end all are.
    """
    oldest = min(own.tree for own in notes)
    return [own for own in notes if own.tree == oldest][-INPUTS:]


def richest(notes: Sequence[OwnNote], count: int) -> list[OwnNote]:
    """Of the notes of one tree the richest, no more than so many; of the tree in which these hold the most."""
    trees = sorted({own.tree for own in notes}, reverse=True)
    return max(([own for own in notes if own.tree == tree][:count] for tree in trees), key=total, default=[])


def total(notes: Sequence[OwnNote]) -> int:
    """Base units of all of them."""
    return sum(own.amount for own in notes)


def choose(notes: Sequence[OwnNote], amount: int, holdings: Holdings) -> list[OwnNote]:
    """The least note that covers an amount, or else two that one spend can take, or else the richest, as few as can be.

    Raises:
        ProofError: they do not cover it. The message says when the next note unlocks, and no amount.
    """
    enough = [own for own in notes if own.amount >= amount]
    if enough:
        return enough[-1:]
    pair = richest(notes, INPUTS)
    if total(pair) >= amount:
        return pair
    for count in range(2, len(notes) + 1):
        if total(notes[:count]) >= amount:
            return list(notes[:count])
    locked = holdings.locked(holdings.epoch)
    if not locked:
        raise ProofError("the notes of this wallet do not cover the amount")
    next_epoch = min(own.note.unlock_epoch for own in locked)
    raise ProofError(
        f"the unlocked notes do not cover the amount; {len(locked)} more are locked, the first until epoch "
        f"{next_epoch} (this is {holdings.epoch})"
    )
