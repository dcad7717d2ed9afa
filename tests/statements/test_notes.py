"""Notes, owners, nullifiers and the LeanIMT."""

from __future__ import annotations

import pytest

from fedproof import _core
from fedproof.errors import InputError
from fedproof.statements.notes import Forest, LeanImt, MerkleProof, Note, new_secret, nullifier_of, owner_of
from tests.statements.test_poseidon_gadget import PUBLISHED

R = _core.MODULUS


def pair(left: int, right: int) -> int:
    return _core.fr_to_ints(_core.poseidon(_core.fr_from_ints([left, right]), 2))[0]


def defined_root(leaves: list[int]) -> int:
    """The definition: pairs are hashed, a node without a right sibling goes up as it is."""
    while len(leaves) > 1:
        leaves = [pair(*leaves[i : i + 2]) if i + 1 < len(leaves) else leaves[i] for i in range(0, len(leaves), 2)]
    return leaves[0]


def test_notes_hash_in_the_order_of_the_protocol() -> None:
    assert owner_of(1) == PUBLISHED[1]
    assert nullifier_of(secret=1, scope=2) == PUBLISHED[2]
    assert Note(owner=1, amount=2, unlock_epoch=3, nonce=4).leaf() == PUBLISHED[4]


def test_secrets_are_field_elements_and_differ() -> None:
    secrets = {new_secret() for _ in range(20)}
    assert len(secrets) == 20
    assert all(0 < secret < R for secret in secrets)


@pytest.mark.parametrize(
    ("owner", "amount", "epoch", "nonce"),
    [
        (R, 1, 1, 1), (-1, 1, 1, 1), (1, 1 << 128, 1, 1), (1, -1, 1, 1), (1, R - 1, 1, 1), (1, 1, 1 << 32, 1),
        (1, 1, -1, 1), (1, 1, 1, R), (1, 1, 1, -1),
    ],
)  # fmt: skip
def test_rejects_a_note_out_of_range(owner: int, amount: int, epoch: int, nonce: int) -> None:
    with pytest.raises(InputError):
        Note(owner, amount, epoch, nonce)


@pytest.mark.parametrize("secret", [R, R + 1, -1])
def test_rejects_a_secret_that_is_an_alias_of_another_without_naming_it(secret: int) -> None:
    for call in (lambda: owner_of(secret), lambda: nullifier_of(secret, 1)):
        with pytest.raises(InputError) as error:
            call()
        assert str(secret) not in str(error.value)
    with pytest.raises(InputError):
        nullifier_of(1, R)


def test_a_note_does_not_show_its_amount() -> None:
    assert "123456789" not in repr(Note(1, 123456789, 3, 4))


@pytest.mark.parametrize("size", [*range(1, 18), 31, 33])
def test_the_tree_is_a_lean_imt_however_it_is_grown(size: int) -> None:
    leaves = list(range(100, 100 + size))
    tree, grown = LeanImt(leaves), LeanImt()
    assert [grown.insert(leaf) for leaf in leaves] == list(range(size))
    assert tree.root == grown.root == defined_root(leaves)
    assert tree.depth == grown.depth == (size - 1).bit_length()
    assert tree.leaves == grown.leaves == tuple(leaves)
    assert tree._levels == grown._levels
    for index, leaf in enumerate(leaves):
        proof = tree.proof(index)
        assert proof == grown.proof(index)
        assert len(proof.siblings) <= tree.depth
        assert proof.root(leaf) == tree.root


def test_a_root_of_one_leaf_is_that_leaf_and_of_none_is_zero() -> None:
    assert LeanImt([7]).root == 7
    assert LeanImt([7]).proof(0) == MerkleProof((), ())
    assert LeanImt().root == 0


def test_a_path_leaves_out_levels_without_a_sibling() -> None:
    tree = LeanImt([1, 2, 3, 4, 5])
    assert tree.proof(4) == MerkleProof((pair(pair(1, 2), pair(3, 4)),), (True,))
    assert (tree.proof(4).index, tree.proof(1).index, tree.proof(2).index) == (1, 1, 2)


def test_a_path_fits_one_leaf_only() -> None:
    tree = LeanImt([1, 2, 3, 4, 5])
    for index in range(5):
        for other in range(1, 6):
            assert (tree.proof(index).root(other) == tree.root) == (other == index + 1)


@pytest.mark.parametrize("index", [-1, 3, 100])
def test_rejects_the_path_of_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(InputError):
        LeanImt([1, 2, 3]).proof(index)


def test_rejects_values_outside_the_field() -> None:
    with pytest.raises(InputError):
        LeanImt([R])
    with pytest.raises(InputError):
        LeanImt().insert(-1)
    with pytest.raises(InputError):
        MerkleProof((R,), (True,))
    with pytest.raises(InputError):
        MerkleProof((1, 2), (True,))


@pytest.mark.parametrize("capacity", [2, 3, 4, 8])
def test_a_forest_is_the_same_however_it_is_grown(capacity: int) -> None:
    """What comes together is in one tree; indices have no gap; every path leads to the root of its own tree."""
    sizes = [1, 2, 2, 1, 1, 2, 1, 1, 2, 2, 2]
    numbers = iter(range(100, 200))
    groups = [[next(numbers) for _ in range(size)] for size in sizes]
    forest, grown = Forest(groups, capacity), Forest(capacity=capacity)
    assert [grown.grow(group) for group in groups] == [sum(sizes[:k]) for k in range(len(sizes))]
    trees: list[list[int]] = [[]]
    for group in groups:
        if len(trees[-1]) + len(group) > capacity:
            trees.append([])
        trees[-1] += group
    for each in (forest, grown):
        assert [list(tree.leaves) for tree in each.trees] == trees
        assert each.starts == tuple(sum(map(len, trees[:k])) for k in range(len(trees)))
        assert len(each) == sum(sizes)
        assert each.root == LeanImt(trees[-1]).root
        for index in range(sum(sizes)):
            tree = each.tree_of(index)
            assert each.proof(index).root(100 + index) == LeanImt(trees[tree]).root
            assert 100 + index in trees[tree]


def test_a_forest_of_nothing_is_an_empty_tree() -> None:
    assert (len(Forest()), Forest().root, Forest().starts, len(Forest().trees)) == (0, 0, (0,), 1)


@pytest.mark.parametrize("index", [-1, 5, 100])
def test_a_forest_has_no_path_of_a_leaf_that_is_not_there(index: int) -> None:
    forest = Forest([[1], [2, 3], [4, 5]], 4)
    for ask in (forest.proof, forest.tree_of):
        with pytest.raises(InputError, match="the vault has 5 leaves"):
            ask(index)


def test_a_tree_takes_no_more_at_once_than_it_has_places() -> None:
    for act in (lambda: Forest([[1, 2, 3]], 2), lambda: Forest(capacity=2).grow([1, 2, 3])):
        with pytest.raises(InputError, match="takes no 3 at once"):
            act()
