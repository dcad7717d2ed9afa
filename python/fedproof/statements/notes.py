"""Notes, owners, nullifiers and the tree of notes (protocol, section 5; docs/architecture.md, "Notes").

    owner     = Poseidon(secret)
    leaf      = Poseidon(owner, amount, unlock epoch, nonce)
    nullifier = Poseidon(secret, scope)              of eligibility
    spent     = Poseidon(secret, nonce, leaf)        of a spend
    new nonce = Poseidon(first spent, place, blind)  of the notes that a spend makes, place 0 and 1

The tree is zk-kit's LeanIMT over `Poseidon(left, right)`: a node without a right sibling is passed up unchanged, so the
tree of one leaf is that leaf and no level holds zeros. Leaves hash four values and nodes two, so no node can pass for a
leaf.

A full tree has 2^20 leaves. Leaves that come together and do not all fit into the newest tree start another (`Forest`).
The index of a note counts through all trees, so that the nonce of a deposit, which is its index, never comes twice.
Notes of one proof are of one tree, as it has one root; the statements themselves know nothing of other trees.

Every field element is an `int` in `[0, r)`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from fedproof import _core
from fedproof.errors import InputError

AMOUNT_BITS = 128
EPOCH_BITS = 32
MAX_DEPTH = 20
TREE_CAPACITY = 1 << MAX_DEPTH
"""Leaves of a full tree."""


def _element(value: int, what: str) -> int:
    if not 0 <= value < _core.MODULUS:
        raise InputError(f"{what} is not a field element: it must lie in [0, r)")
    return value


def _poseidon(values: list[int], arity: int) -> list[int]:
    return _core.fr_to_ints(_core.poseidon(_core.fr_from_ints(values), arity))


def new_secret() -> int:
    """A fresh secret from the operating system's randomness."""
    return _core.fr_to_ints(_core.fr_random(1))[0]


def owner_of(secret: int) -> int:
    """The owner that a secret's notes name."""
    return _poseidon([_element(secret, "the secret")], 1)[0]


def nullifier_of(secret: int, scope: int) -> int:
    """What marks a scope as used by a secret: one secret has one nullifier in each scope."""
    return _poseidon([_element(secret, "the secret"), _element(scope, "the scope")], 2)[0]


@dataclass(frozen=True)
class Note:
    """Tokens locked until an epoch begins, for whoever knows the secret behind `owner`.

    Attributes:
        owner: `owner_of(secret)`.
        amount: base units of the token, below 2^128.
        unlock_epoch: the first epoch in which the note no longer counts, below 2^32.
        nonce: never given twice: the vault's number for a deposit, or `output_nonce`, which its owner keeps secret.

    Raises:
        InputError: a value is out of its range.
    """

    owner: int
    amount: int = field(repr=False)
    unlock_epoch: int
    nonce: int = field(repr=False)

    def __post_init__(self) -> None:
        _element(self.owner, "the owner of a note")
        _element(self.nonce, "the nonce of a note")
        if not 0 <= self.amount < 1 << AMOUNT_BITS:
            raise InputError(f"the amount of a note must lie in [0, 2^{AMOUNT_BITS})")
        if not 0 <= self.unlock_epoch < 1 << EPOCH_BITS:
            raise InputError(f"the unlock epoch of a note must lie in [0, 2^{EPOCH_BITS})")

    def leaf(self) -> int:
        """The note as a leaf of the tree."""
        return _poseidon([self.owner, self.amount, self.unlock_epoch, self.nonce], 4)[0]


def spend_nullifier(secret: int, note: Note) -> int:
    """What marks a note as spent; nobody without the secret can tell which note it is."""
    return _poseidon([_element(secret, "the secret"), note.nonce, note.leaf()], 3)[0]


def output_nonce(first_nullifier: int, place: int, blind: int) -> int:
    """The nonce of a note that a spend makes: no nullifier is taken twice, so no nonce comes twice.

    The nullifier is public, and owners and amounts can be guessed: without the random blind anybody could find out by
    trial who owns the new leaf.
    """
    return _poseidon([_element(first_nullifier, "a nullifier"), place, _element(blind, "a blind")], 3)[0]


@dataclass(frozen=True)
class MerkleProof:
    """A path from a leaf to the root: only the levels at which the node has a sibling.

    Attributes:
        siblings: the other child, from the leaf up.
        right: whether the node of the path is the right child, for each sibling.
    """

    siblings: tuple[int, ...]
    right: tuple[bool, ...]

    def __post_init__(self) -> None:
        if len(self.siblings) != len(self.right):
            raise InputError(f"a path has {len(self.siblings)} siblings but {len(self.right)} directions")
        for sibling in self.siblings:
            _element(sibling, "a sibling of a path")

    @property
    def index(self) -> int:
        """The directions as one number, the lowest level first, as zk-kit writes them."""
        return sum(1 << level for level, right in enumerate(self.right) if right)

    def root(self, leaf: int) -> int:
        """The root that a leaf has by this path."""
        node = leaf
        for sibling, right in zip(self.siblings, self.right, strict=True):
            node = _poseidon([sibling, node] if right else [node, sibling], 2)[0]
        return node


class LeanImt:
    """A LeanIMT that keeps all its nodes, so that it can prove any leaf and grow.

    Args:
        leaves: the first leaves, in the order of the vault's deposits.
    """

    def __init__(self, leaves: Iterable[int] = ()) -> None:
        level = [_element(leaf, "a leaf") for leaf in leaves]
        self._levels: list[list[int]] = [level]
        while len(level) > 1:
            pairs = len(level) // 2
            level = _poseidon(level[: 2 * pairs], 2) + level[2 * pairs :]
            self._levels.append(level)

    def __len__(self) -> int:
        return len(self._levels[0])

    @property
    def leaves(self) -> tuple[int, ...]:
        """All leaves in order."""
        return tuple(self._levels[0])

    @property
    def depth(self) -> int:
        """Levels above the leaves: 0 for one leaf."""
        return len(self._levels) - 1

    @property
    def root(self) -> int:
        """The root; 0 while the tree is empty, as in the vault."""
        return self._levels[-1][0] if len(self) else 0

    def insert(self, leaf: int) -> int:
        """Append a leaf; returns its index. Costs one hash for each level."""
        index = at = len(self)
        node = _element(leaf, "a leaf")
        for height, level in enumerate(self._levels):
            level[at:] = [node]
            if at == 0 and height == self.depth:
                return index
            if at % 2:
                node = _poseidon([level[at - 1], node], 2)[0]
            at //= 2
        # the old root got a sibling: one more level
        self._levels.append([node])
        return index

    def proof(self, index: int) -> MerkleProof:
        """The path of a leaf.

        Raises:
            InputError: there is no such leaf.
        """
        if not 0 <= index < len(self):
            raise InputError(f"the tree has {len(self)} leaves, none with index {index}")
        siblings, right = [], []
        for level in self._levels[:-1]:
            if index ^ 1 < len(level):
                siblings.append(level[index ^ 1])
                right.append(bool(index & 1))
            index //= 2
        return MerkleProof(tuple(siblings), tuple(right))


class Forest:
    """The trees of a vault, with one count of leaves through all of them.

    Args:
        groups: leaves in the order of the vault's deposits and spends, those of one spend together.
        capacity: leaves of a full tree.
    """

    def __init__(self, groups: Iterable[Sequence[int]] = (), capacity: int = TREE_CAPACITY) -> None:
        self._capacity = capacity
        trees: list[list[int]] = [[]]
        for leaves in groups:
            if not self._fit(len(trees[-1]), leaves):
                trees.append([])
            trees[-1].extend(leaves)
        self._trees = [LeanImt(leaves) for leaves in trees]
        self._starts = [0, *accumulate(len(leaves) for leaves in trees[:-1])]

    def _fit(self, taken: int, leaves: Sequence[int]) -> bool:
        if len(leaves) > self._capacity:
            raise InputError(f"a tree of {self._capacity} leaves takes no {len(leaves)} at once")
        return taken + len(leaves) <= self._capacity

    def __len__(self) -> int:
        return self._starts[-1] + len(self._trees[-1])

    @property
    def trees(self) -> tuple[LeanImt, ...]:
        """All trees, the newest last."""
        return tuple(self._trees)

    @property
    def starts(self) -> tuple[int, ...]:
        """The index of the first leaf of each tree."""
        return tuple(self._starts)

    @property
    def root(self) -> int:
        """The root of the newest tree; 0 while there are no leaves."""
        return self._trees[-1].root

    def grow(self, leaves: Sequence[int]) -> int:
        """Append what one deposit or spend adds; returns the index of its first leaf."""
        first = len(self)
        if not self._fit(len(self._trees[-1]), leaves):
            self._trees.append(LeanImt())
            self._starts.append(first)
        for leaf in leaves:
            self._trees[-1].insert(leaf)
        return first

    def tree_of(self, index: int) -> int:
        """The number of the tree in which a leaf is, the oldest being 0.

        Raises:
            InputError: there is no such leaf.
        """
        if not 0 <= index < len(self):
            raise InputError(f"the vault has {len(self)} leaves, none with index {index}")
        return bisect_right(self._starts, index) - 1

    def proof(self, index: int) -> MerkleProof:
        """The path of a leaf in its tree.

        Raises:
            InputError: there is no such leaf.
        """
        tree = self.tree_of(index)
        return self._trees[tree].proof(index - self._starts[tree])
