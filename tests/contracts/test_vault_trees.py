"""A full tree freezes nothing: the next one starts, and the notes of all trees stay good."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from fedproof.errors import LedgerError
from fedproof.ledger.abi import encode_call
from fedproof.ledger.market_types import UNIT
from fedproof.ledger.vault import Deposited, Spent, Vault
from fedproof.statements.notes import MAX_DEPTH, TREE_CAPACITY, Forest, LeanImt, Note
from tests.contracts import toy
from tests.contracts.spends import GAS, balance, spend
from tests.contracts.support import int_words, load_test_artifact, rejects
from tests.contracts.test_note_vault import deposit, root_is_known
from tests.contracts.test_vault_whole import REENTER
from tests.contracts.trees import with_small_trees
from tests.contracts.world import COLUMNS, MAX_DURATION, ROWS, X25519_KEY, World


@pytest.fixture
def small(world: World) -> World:
    """A world whose vault has trees of four leaves."""
    return of_capacity(world, 4)


def of_capacity(world: World, capacity: int) -> World:
    return replace(world, market=with_small_trees(world.market, world.owner, capacity, MAX_DURATION))


def newest(world: World) -> tuple[int, int, int, int]:
    """Start, root and depth of the newest tree, and the number of all notes, as the vault has them."""
    f = world.market.vault.contract.functions
    start, root, depth, size = (world.chain.call(each()) for each in (f.treeStart, f.root, f.depth, f.size))
    return start, root, depth, size


def test_the_vault_and_python_mean_the_same_trees(world: World) -> None:
    vault = world.market.vault
    assert world.chain.call(vault.contract.functions.MAX_DEPTH()) == MAX_DEPTH
    assert vault.tree_capacity == TREE_CAPACITY == 1 << MAX_DEPTH


def test_a_deposit_takes_the_last_place_and_the_next_one_starts_a_tree(small: World) -> None:
    made = [deposit(small) for _ in range(4)]
    assert newest(small) == (0, made[3].root, 2, 4)
    first = deposit(small)
    assert (first.leaf_index, first.root) == (4, first.leaf)
    assert newest(small) == (4, first.leaf, 0, 5)
    assert all(root_is_known(small, each.root) for each in (*made, first))
    second = deposit(small)
    assert (second.leaf_index, second.root) == (5, LeanImt([first.leaf, second.leaf]).root)


@pytest.mark.parametrize(("taken", "start"), [(2, 0), (3, 3), (4, 4)])
def test_a_spend_starts_a_tree_unless_both_of_its_leaves_fit(small: World, taken: int, start: int) -> None:
    """Where one place is left, it stays empty."""
    before = [deposit(small).leaf for _ in range(taken)]
    spent = spend(small).send(small)
    tree = LeanImt([*before, *spent.leaves][start:])
    assert (spent.leaf_index, spent.root) == (taken, tree.root)
    assert newest(small) == (start, tree.root, tree.depth, taken + 2)
    assert deposit(small).leaf_index == taken + 2


def test_a_note_of_a_full_tree_is_withdrawn(small: World) -> None:
    """What a full vault once made impossible."""
    made = [deposit(small, amount=100) for _ in range(4)]
    before = balance(small, small.grantee.address)
    for number, root in enumerate((made[3].root, made[1].root)):  # its last root, and an older one
        spend(small, number, withdrawn=100, recipient=small.grantee, root=root).send(small)
    assert balance(small, small.grantee.address) == before + 200
    assert newest(small)[3] == 8


def test_no_note_is_spent_again_by_the_root_of_another_tree(small: World) -> None:
    asked = spend(small, root=[deposit(small) for _ in range(3)][-1].root)
    fresh = asked.send(small).root
    assert newest(small)[0] == 3
    for nullifiers in (asked.nullifiers, (asked.nullifiers[1], 7), (7, asked.nullifiers[0])):
        again = spend(small, 2, root=fresh, nullifiers=nullifiers)
        with rejects("NoteSpent"):
            again.send(small)


def test_equal_deposits_in_the_same_place_of_two_trees_are_two_notes(small: World) -> None:
    unlock = small.market.vault.current_epoch() + 2
    made = [deposit(small, unlock_epoch=unlock) for _ in range(9)]
    assert [each.leaf_index for each in made] == list(range(9))
    assert len({each.leaf for each in made}) == 9
    assert [each.leaf for each in made] == [Note(7, 5, unlock, index).leaf() for index in range(9)]


def test_a_leaf_of_an_older_tree_is_not_made_again(small: World) -> None:
    made = [deposit(small) for _ in range(4)]
    there = made[0].leaf
    for leaves in ((there, 1), (1, there)):
        with rejects("LeafAlreadyExists"):
            spend(small, leaves=leaves).send(small)
    assert newest(small)[0] == 0  # what is refused starts no tree


def test_a_refused_deposit_starts_no_tree(small: World) -> None:
    root = [deposit(small) for _ in range(4)][-1].root
    unlock = small.market.vault.current_epoch() + 1
    with rejects("ERC20InsufficientAllowance"):
        small.chain.transact(small.market.vault.deposit_call(5, 7, unlock), small.stranger)
    assert newest(small) == (0, root, 2, 4)


@pytest.mark.parametrize("capacity", [2, 3, 4, 8])
def test_whatever_comes_no_token_is_lost_and_the_trees_are_those_of_the_statement(world: World, capacity: int) -> None:
    small, rng = of_capacity(world, capacity), random.Random(capacity)
    vault = small.market.vault
    deposited = withdrawn = 0
    groups: list[tuple[int, ...]] = []
    roots: list[int] = []
    forest = Forest(capacity=capacity)
    for number in range(16):
        if rng.random() < 0.5 or not groups:
            made: Deposited | Spent = deposit(small, amount=rng.randint(1, 10**20))
            deposited += made.amount if isinstance(made, Deposited) else 0
        else:
            amount = rng.choice([0, 1, rng.randint(1, deposited - withdrawn)])
            to = small.grantee if amount else None
            made = spend(small, number, withdrawn=amount, recipient=to, root=rng.choice(roots)).send(small)
            withdrawn += amount
        groups.append(made.leaves)
        assert made.leaf_index == forest.grow(made.leaves)
        roots.append(made.root)
        assert newest(small) == (forest.starts[-1], forest.root, forest.trees[-1].depth, len(forest))
        assert made.root == forest.root
        assert balance(small, vault.address) == deposited - withdrawn
    assert len(forest.trees) > 2
    assert [tree.leaves for tree in vault.forest().trees] == [tree.leaves for tree in forest.trees]
    assert [each.leaves for each in vault.growth()] == groups
    assert all(root_is_known(small, root) for root in roots)


def test_events_that_are_left_out_where_a_tree_ends_are_missed(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indices have no gap there, so that nobody can hide a note in it."""
    vault = small.market.vault
    for _ in range(3):
        deposit(small)
    spend(small).send(small)
    deposit(small)
    assert [each.leaf_index for each in vault.growth()] == [0, 1, 2, 3, 5]
    deposits = vault.deposits()
    for hidden in (2, 5):  # the last of a tree, and the newest of all
        monkeypatch.setattr(vault, "deposits", lambda *_, at=hidden: [d for d in deposits if d.leaf_index != at])
        with pytest.raises(LedgerError, match="left out"):
            vault.forest()


def test_a_token_that_calls_back_while_a_tree_ends_finds_the_vault_in_order(world: World) -> None:
    token = world.chain.deploy(load_test_artifact("OddToken"), sender=world.owner)
    small = with_small_trees(world.market, world.owner, 4, token=token.address).vault
    vault = Vault(world.chain, token, small.contract)
    vault.tree_capacity = 4
    for _ in range(2):
        world.chain.transact(vault.deposit_call(100, 7, vault.current_epoch() + 1), world.owner)
    outer = spend(world, 1, withdrawn=60, recipient=world.grantee, vault=vault).call(vault)
    inner = spend(world, 2, withdrawn=30, recipient=world.stranger, vault=vault).call(vault)
    world.chain.transact(token.functions.behave(REENTER, vault.address, encode_call(inner)), world.owner)
    world.chain.transact(outer, world.stranger, 2 * GAS)
    assert world.chain.call(token.functions.wasTaken()) is True
    assert [each.leaf_index for each in vault.growth()] == [0, 1, 2, 4]
    assert vault.forest().starts == (0, 4)
    assert [tree.root for tree in vault.forest().trees] == [each.root for each in vault.growth()[2:]]


def test_a_grant_is_taken_by_notes_of_an_older_tree(small: World) -> None:
    market = small.market
    class_id = market.register_class(
        small.owner, ROWS, COLUMNS, toy.listing_keys().verifying, toy.eligibility_keys().verifying
    )
    small = replace(small, class_id=class_id)
    small.mint()
    root = [small.lock() for _ in range(4)][-1]
    deposit(small)
    assert newest(small)[0] == 4
    for known in (root, root + 1):
        public = small.public_inputs(1, 3, 600, known)
        proof = toy.prove_eligibility(public)
        assert public[3] == 300 * UNIT
        call = market.access_dataset_call(1, 3, 600, X25519_KEY, known, public[2], proof, 0)
        if known == root:
            small.chain.transact(call, small.grantee)
            continue
        with rejects("UnknownRoot", known):
            small.chain.transact(call, small.grantee)
    assert [each.tier for each in market.grants(datasetId=1)] == [3]
    assert len(int_words(proof)) == 8
