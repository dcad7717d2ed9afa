"""The vault: what it takes, and that its tree is the one the eligibility statement proves paths in."""

from __future__ import annotations

import pytest
from web3 import Web3
from web3.contract import Contract

from fedproof.ledger.abi import encode_call
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.vault import Deposited
from fedproof.proving.keys import VerifyingKey
from fedproof.statements.notes import LeanImt, Note, owner_of
from tests.contracts import toy
from tests.contracts.support import R, int_words, load_test_artifact, rejects, to_bytes
from tests.contracts.world import EPOCH_LENGTH, World

SIZE_SLOT = 2  # of the tree's `size`, after the mappings of roots and nullifiers
MAX_LOCK_EPOCHS = 1 << 20


def deposit(world: World, amount: int = 5, owner: int = 7, unlock_epoch: int | None = None) -> Deposited:
    unlock = world.market.vault.current_epoch() + 1 if unlock_epoch is None else unlock_epoch
    return world.market.vault.deposit(world.owner, amount, owner, unlock)


def root_is_known(world: World, root: int) -> bool:
    return bool(world.chain.call(world.market.vault.contract.functions.isKnownRoot(root)))


def test_the_tree_is_the_lean_imt_of_the_statement_at_every_size(world: World) -> None:
    vault, chain = world.market.vault.contract, world.chain
    tree = LeanImt()
    assert chain.call(vault.functions.root()) == tree.root == 0
    epoch = world.market.vault.current_epoch()
    roots = []
    for k in range(9):
        found = deposit(world, amount=10**18 + k, owner=owner_of(k % 3), unlock_epoch=epoch + 1 + k)
        note = Note(owner_of(k % 3), 10**18 + k, epoch + 1 + k, k)
        assert (found.leaf_index, found.leaf) == (k, note.leaf())
        tree.insert(note.leaf())
        roots.append(tree.root)
        assert found.root == tree.root == chain.call(vault.functions.root())
        assert chain.call(vault.functions.depth()) == tree.depth
    assert world.market.vault.leaves() == list(tree.leaves)
    assert LeanImt(world.market.vault.leaves()).root == roots[-1]
    assert len(set(roots)) == 9
    assert all(root_is_known(world, root) for root in roots)


def test_two_equal_deposits_are_two_notes(world: World) -> None:
    first, second = deposit(world), deposit(world)
    assert first.leaf != second.leaf
    assert (first.leaf_index, second.leaf_index) == (0, 1)


def test_a_deposit_moves_the_tokens_and_names_all_that_a_holder_needs(world: World) -> None:
    token = world.market.token
    before = world.chain.call(token.functions.balanceOf(world.owner.address))
    found = deposit(world, amount=123, owner=R - 1)
    assert (found.amount, found.owner, found.depositor) == (123, R - 1, world.owner.address)
    assert world.chain.call(token.functions.balanceOf(world.owner.address)) == before - 123
    assert world.chain.call(token.functions.balanceOf(world.market.vault.address)) == 123
    assert world.market.vault.deposits() == [found]


@pytest.mark.parametrize("amount", [0, 1 << 128, (1 << 256) - 1])
def test_rejects_an_amount_out_of_range(world: World, amount: int) -> None:
    with rejects("AmountOutOfRange", amount):
        world.chain.call(
            world.market.vault.deposit_call(amount, 7, world.market.vault.current_epoch() + 1), sender=world.owner
        )


def test_accepts_the_greatest_amount(world: World) -> None:
    market = Marketplace.deploy(
        world.chain, world.owner, spend_key=toy.spend_keys().verifying, supply=1 << 128, allow_development_keys=True
    )
    found = market.vault.deposit(world.owner, (1 << 128) - 1, 7, market.vault.current_epoch() + 1)
    assert found.leaf == Note(7, (1 << 128) - 1, found.unlock_epoch, 0).leaf()


@pytest.mark.parametrize("owner", [0, R, R + 7, (1 << 256) - 1])
def test_rejects_an_owner_that_is_no_field_element(world: World, owner: int) -> None:
    with rejects("OwnerOutOfRange", owner):
        deposit(world, owner=owner)


@pytest.mark.parametrize("ahead", [-1, 0, MAX_LOCK_EPOCHS + 1])
def test_rejects_an_unlock_epoch_that_is_past_or_too_far(world: World, ahead: int) -> None:
    epoch = world.market.vault.current_epoch()
    with rejects("UnlockEpochOutOfRange", epoch + ahead, epoch):
        deposit(world, unlock_epoch=epoch + ahead)


@pytest.mark.parametrize("ahead", [1, MAX_LOCK_EPOCHS])
def test_accepts_the_nearest_and_the_farthest_unlock_epoch(world: World, ahead: int) -> None:
    epoch = world.market.vault.current_epoch()
    assert deposit(world, unlock_epoch=epoch + ahead).unlock_epoch == epoch + ahead


def test_an_epoch_changes_when_its_last_second_is_over(world: World) -> None:
    epoch = world.market.vault.current_epoch()
    for offset, expected in ((-1, epoch), (0, epoch + 1), (1, epoch + 1)):
        world.chain.dev.set_next_timestamp((epoch + 1) * EPOCH_LENGTH + offset)
        world.chain.mine()
        assert world.market.vault.current_epoch() == expected


def test_rejects_a_deposit_that_is_not_paid(world: World) -> None:
    unlock = world.market.vault.current_epoch() + 1
    with rejects("ERC20InsufficientAllowance"):
        world.chain.transact(world.market.vault.deposit_call(5, 7, unlock), world.stranger)
    world.chain.transact(world.market.token.functions.approve(world.market.vault.address, 5), world.stranger)
    with rejects("ERC20InsufficientBalance"):
        world.chain.transact(world.market.vault.deposit_call(5, 7, unlock), world.stranger)
    assert world.market.vault.leaves() == []


def test_no_root_is_known_that_the_tree_never_had(world: World) -> None:
    root = deposit(world).root
    assert root_is_known(world, root)
    assert not any(root_is_known(world, other) for other in (0, root + 1, root + R, 1))


def odd_vault(world: World) -> tuple[Contract, Contract]:
    """A vault of an odd token, and the token."""
    chain, sender = world.chain, world.owner
    token = chain.deploy(load_test_artifact("OddToken"), sender=sender)
    return deploy_vault(world, token.address), token


def deploy_vault(
    world: World, token: str, epoch_length: int = EPOCH_LENGTH, key: str | None = None, *, development: bool = True
) -> Contract:
    """A vault; `key` is by default that of the toy statement."""
    chain, sender = world.chain, world.owner
    poseidon = {name: chain.deploy(name, sender=sender).address for name in ("PoseidonT3", "PoseidonT5")}
    key = key or chain.call(world.market.vault.contract.functions.spendKey())
    return chain.deploy("NoteVault", token, epoch_length, key, development, sender=sender, libraries=poseidon)


@pytest.mark.parametrize("behaviour", ["Fee", "Nothing", "False", "Reenter"])
def test_rejects_a_token_that_does_not_do_what_it_says(world: World, behaviour: str) -> None:
    kinds = ["Honest", "Fee", "Nothing", "False", "Reenter"]
    chain, sender = world.chain, world.owner
    vault, token = odd_vault(world)
    unlock = chain.call(vault.functions.currentEpoch()) + 1
    chain.transact(vault.functions.deposit(10, 7, unlock), sender)
    again = encode_call(vault.functions.deposit(10, 7, unlock))
    chain.transact(token.functions.behave(kinds.index(behaviour), vault.address, again), sender)
    errors = {
        "Fee": "WrongAmountReceived",
        "Nothing": "WrongAmountReceived",
        "False": "SafeERC20FailedOperation",
        "Reenter": "WrongAmountReceived",
    }
    with rejects(errors[behaviour]):
        chain.transact(vault.functions.deposit(10, 7, unlock), sender)
    assert chain.call(vault.functions.size()) == 1


def test_rejects_a_vault_without_a_token_or_an_epoch(world: World) -> None:
    nobody = world.chain.new_account("nobody", funded=False).address
    with rejects("NotAToken", nobody):
        deploy_vault(world, nobody)
    with rejects("ZeroEpochLength"):
        deploy_vault(world, world.market.token.address, 0)


def test_rejects_a_key_that_is_not_of_a_spend(world: World) -> None:
    token = world.market.token.address
    words = int_words(toy.spend_keys().verifying.encode())
    committed = [*words[:1], words[1] | 1 << 8, *words[2:]]
    for address, error in (
        (world.chain.new_account("nobody", funded=False).address, "NotAKey"),
        (world.deploy_key(toy.eligibility_keys().verifying), "WrongPublicInputs"),
        (world.deploy_blob(to_bytes(committed)), "WrongCommittedSegment"),
        (world.deploy_blob(to_bytes([*words[:9], *words[5:9], *words[13:]])), "CoincidingKeyPoints"),
    ):
        with rejects(error, address):
            deploy_vault(world, token, key=address)


def test_rejects_a_development_key_unless_they_are_allowed(world: World) -> None:
    """Whoever dealt such a key can spend notes that do not exist."""
    token, key = world.market.token.address, toy.spend_keys().verifying
    address = world.deploy_key(key)
    with rejects("DevelopmentKeyRefused", address):
        deploy_vault(world, token, key=address, development=False)
    ceremony = world.deploy_key(VerifyingKey(**{**key.__dict__, "development": False}))
    vault = deploy_vault(world, token, key=ceremony, development=False)
    assert world.chain.call(vault.functions.spendKey()) == ceremony


def set_size(world: World, size: int) -> None:
    """Write the size of the tree into storage: a million deposits take too long, and only anvil lets us do this."""
    if world.chain.rpc.url == "embedded":
        pytest.skip("the embedded chain does not let anybody write storage")
    vault = world.market.vault
    word = Web3.to_hex(size.to_bytes(32, "big"))
    world.chain.rpc.request("anvil_setStorageAt", vault.address, Web3.to_hex(SIZE_SLOT.to_bytes(32, "big")), word)
    assert vault.size() == size


def test_a_deposit_fills_a_tree_and_the_next_one_starts_another(world: World) -> None:
    functions = world.market.vault.contract.functions
    deposit(world)
    set_size(world, (1 << 20) - 1)
    last = deposit(world)
    assert last.leaf_index == (1 << 20) - 1
    assert world.chain.call(functions.depth()) <= 20
    assert world.chain.call(functions.treeStart()) == 0
    first = deposit(world)
    assert (first.leaf_index, first.root) == (1 << 20, first.leaf)
    assert (world.chain.call(functions.depth()), world.chain.call(functions.treeStart())) == (0, 1 << 20)
    assert root_is_known(world, last.root)


def test_nothing_changes_the_vault_but_deposits_and_spends(world: World) -> None:
    """No owner, no pause, no other key: who deployed it has no say in it."""
    changing = {
        entry["name"]
        for entry in world.market.vault.contract.abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }
    assert changing == {"deposit", "spend"}
