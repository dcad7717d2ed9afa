"""Holders of notes, and what a cheating one needs: shared by the tests of eligibility."""

from __future__ import annotations

from collections.abc import Sequence

from fedproof import _core
from fedproof.proving.r1cs import FrArray
from fedproof.statements.eligibility import EligibilityWitness
from fedproof.statements.notes import LeanImt, MerkleProof, Note, owner_of
from tests.support.soundness import Forger, Forgery

R = _core.MODULUS
OTHER = 0x0BAD
SECRET, SCOPE, SIGNAL, EPOCH = 0xFEED5EC4E7, 77, R - 3, 49


def holding(
    amounts: Sequence[int], *, size: int, at: Sequence[int] | None = None, threshold: int | None = None
) -> EligibilityWitness:
    """Notes of one holder at some places of a tree of so many leaves; the others are strangers' leaves."""
    places = range(len(amounts)) if at is None else at
    notes = [
        Note(owner_of(SECRET), amount, EPOCH + 1 + place, place) for amount, place in zip(amounts, places, strict=True)
    ]
    leaves = [Note(owner_of(1000 + place), 5, 60, place).leaf() for place in range(size)]
    for note in notes:
        leaves[note.nonce] = note.leaf()
    tree = LeanImt(leaves)
    return EligibilityWitness(
        secret=SECRET,
        notes=notes,
        proofs=[tree.proof(note.nonce) for note in notes],
        root=tree.root,
        scope=SCOPE,
        threshold=sum(amounts) if threshold is None else threshold,
        signal=SIGNAL,
        epoch=EPOCH,
    )


def digits(low: int, width: int, count: int = 1, at: int = 0) -> list[int]:
    """Bit wires of `count` numbers, all 0 but the lowest digit of one, which holds the number whole."""
    out = [0] * (width * count)
    out[at * width] = low
    return out


def poseidon(values: Sequence[int]) -> int:
    return _core.fr_to_ints(_core.poseidon(_core.fr_from_ints(list(values)), len(values)))[0]


def outputs(group_arity: int, target: int, *, instance: int = 0, instances: int = 1) -> Forgery:
    """Change the last S-box of a hash so that the hash comes out as `target`."""
    row = _core.poseidon_parameters(group_arity)[1][0]

    def forge(_: Forger, values: FrArray) -> FrArray:
        boxes = len(values) // instances
        last = (instance + 1) * boxes
        cells = _core.fr_to_ints(values[last - len(row) : last])
        short = target - sum(weight * cell for weight, cell in zip(row, cells, strict=True))
        values[last - 1] = _core.fr_from_ints([cells[-1] + short * pow(row[-1], -1, R)])[0]
        return values

    return forge


def leaf_in_tree(leaf: int) -> tuple[LeanImt, MerkleProof]:
    """A tree of eight leaves with this one in place 5."""
    leaves = [Note(owner_of(2000 + place), 5, 60, place).leaf() for place in range(8)]
    leaves[5] = leaf
    tree = LeanImt(leaves)
    return tree, tree.proof(5)


def about(note: Note, tree: LeanImt, proof: MerkleProof, *, threshold: int, secret: int = SECRET) -> EligibilityWitness:
    return EligibilityWitness(secret, [note], [proof], tree.root, SCOPE, threshold, SIGNAL, EPOCH)
