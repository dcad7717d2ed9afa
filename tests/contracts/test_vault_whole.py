"""The vault as a whole: its balance, its tree, tokens that call back, and a spend of the real statement."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from web3.contract import Contract

from fedproof import _core
from fedproof.ledger.abi import encode_call
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.vault import Vault
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.linked import prove_plain
from fedproof.statements.notes import LeanImt, Note, owner_of
from fedproof.statements.spend import Payment, SpendStatement, SpendWitness
from tests.contracts.spends import GAS, balance, spend
from tests.contracts.support import rejects
from tests.contracts.test_note_vault import deposit, odd_vault
from tests.contracts.test_vault_spend import filled
from tests.contracts.world import World

__all__ = ["filled"]

STATEMENT = SpendStatement(depth=4)
SECRET, OTHER = 4711, 4712
FALSE, REENTER = 3, 4


def test_whatever_comes_the_vault_holds_what_went_in_and_not_out_and_has_the_statements_tree(world: World) -> None:
    vault, rng = world.market.vault, random.Random(20)
    deposited = withdrawn = 0
    leaves: list[int] = []
    outside = balance(world, world.grantee.address)
    sizes = []
    for number in range(14):
        if rng.random() < 0.45 or not leaves:
            amount = rng.randint(1, 10**20)
            leaves.append(deposit(world, amount=amount).leaf)
            deposited += amount
        else:
            amount = rng.choice([0, 0, 1, rng.randint(1, deposited - withdrawn)])
            to = world.grantee if amount else None
            asked = spend(world, number, withdrawn=amount, recipient=to)
            leaves += asked.send(world).leaves
            withdrawn += amount
        sizes.append(len(leaves))
        assert vault.leaves() == leaves
        assert world.chain.call(vault.contract.functions.root()) == vault.growth()[-1].root == LeanImt(leaves).root
        assert balance(world, vault.address) == deposited - withdrawn
    assert balance(world, world.grantee.address) == outside + withdrawn
    assert {size % 2 for size in sizes} == {0, 1}  # both leaves of a spend in one pair, and across two


def test_more_than_the_vault_holds_cannot_be_withdrawn(filled: World) -> None:
    """Even with a forged proof, and then nothing is spent."""
    asked = spend(filled, withdrawn=501, recipient=filled.grantee)
    with rejects("ERC20InsufficientBalance"):
        asked.send(filled)
    assert filled.market.vault.spends() == []
    assert not filled.market.vault.is_spent(asked.nullifiers[0])


# tokens that call back


def odd_world(world: World) -> tuple[Vault, Contract, int]:
    """A vault of an odd token that holds two notes of 100; and its next epoch."""
    contract, token = odd_vault(world)
    vault = Vault(world.chain, token, contract)
    unlock = vault.current_epoch() + 1
    for _ in range(2):
        world.chain.transact(vault.deposit_call(100, 7, unlock), world.owner)
    return vault, token, unlock


def held(world: World, token: Contract, address: str) -> int:
    return int(world.chain.call(token.functions.balanceOf(address)))


def test_a_token_that_calls_back_cannot_spend_the_same_notes_again(world: World) -> None:
    vault, token, _ = odd_world(world)
    call = spend(world, 1, withdrawn=60, recipient=world.grantee, vault=vault).call(vault)
    world.chain.transact(token.functions.behave(REENTER, vault.address, encode_call(call)), world.owner)
    world.chain.transact(call, world.stranger, GAS)
    assert world.chain.call(token.functions.wasTaken()) is False
    assert world.chain.call(token.functions.answer())[:4] == _core.keccak256(b"NoteSpent(uint256)")[:4]
    assert (held(world, token, vault.address), held(world, token, world.grantee.address)) == (140, 60)


def test_a_token_that_calls_back_finds_the_vault_in_order(world: World) -> None:
    """Another spend inside a spend is one more spend, no less and no more."""
    vault, token, _ = odd_world(world)
    outer = spend(world, 1, withdrawn=60, recipient=world.grantee, vault=vault).call(vault)
    inner = spend(world, 2, withdrawn=30, recipient=world.stranger, vault=vault).call(vault)
    world.chain.transact(token.functions.behave(REENTER, vault.address, encode_call(inner)), world.owner)
    world.chain.transact(outer, world.stranger, 2 * GAS)
    assert world.chain.call(token.functions.wasTaken()) is True
    assert (held(world, token, vault.address), held(world, token, world.stranger.address)) == (110, 30)
    assert [each.leaf_index for each in vault.growth()] == [0, 1, 2, 4]
    assert LeanImt(vault.leaves()).root == world.chain.call(vault.contract.functions.root())


@pytest.mark.parametrize("withdrawn", [5, 60])
def test_a_withdrawal_inside_a_deposit_fails_the_whole(world: World, withdrawn: int) -> None:
    """What comes in and what goes out at once cannot be told apart, so that neither is believed."""
    vault, token, unlock = odd_world(world)
    inner = spend(world, 1, withdrawn=withdrawn, recipient=world.stranger, vault=vault).call(vault)
    world.chain.transact(token.functions.behave(REENTER, vault.address, encode_call(inner)), world.owner)
    with rejects("WrongAmountReceived" if withdrawn < 50 else "Panic"):
        world.chain.transact(vault.deposit_call(50, 7, unlock), world.owner)
    assert vault.size() == 2


def test_a_withdrawal_that_the_token_refuses_spends_nothing(world: World) -> None:
    vault, token, _ = odd_world(world)
    asked = spend(world, 1, withdrawn=60, recipient=world.grantee, vault=vault)
    world.chain.transact(token.functions.behave(FALSE, vault.address, b""), world.owner)
    with rejects("SafeERC20FailedOperation"):
        world.chain.transact(asked.call(vault), world.stranger, GAS)
    assert not vault.is_spent(asked.nullifiers[0])


# the real statement


@pytest.fixture(scope="module")
def keys() -> Keys:
    return setup(compile_statement(STATEMENT), _core.Srs.generate(4, [1]))


@pytest.mark.slow
def test_from_a_deposit_through_a_transfer_to_a_withdrawal(world: World, keys: Keys) -> None:
    market = Marketplace.deploy(
        world.chain, world.owner, spend_key=keys.verifying, epoch_length=3600, allow_development_keys=True
    )
    chain, vault = world.chain, market.vault
    epoch = vault.current_epoch()
    notes = [
        Note(
            owner_of(SECRET),
            amount,
            epoch + 1,
            vault.deposit(world.owner, amount, owner_of(SECRET), epoch + 1).leaf_index,
        )
        for amount in (70, 30)
    ]

    def spend_now(secret: int, notes: list[Note], paid: list[Payment], withdrawn: int = 0) -> SpendWitness:
        tree = LeanImt(vault.leaves())
        to = world.grantee.address if withdrawn else None
        witness = SpendWitness.of(
            secret,
            notes,
            [tree.proof(tree.leaves.index(note.leaf())) for note in notes],
            paid,
            withdrawn=withdrawn,
            root=tree.root,
            epoch=vault.current_epoch(),
        )
        witness = replace(witness, signal=vault.spend_signal(to, b"memo"))
        proof, public = prove_plain(keys, STATEMENT, witness)
        spent = vault.spend(world.stranger, public, to, b"memo", proof)
        assert spent.leaves == tuple(note.leaf() for note in witness.made)
        return witness

    # The notes are locked: the vault computes the epoch itself, and a proof about a later one does not help.
    early = SpendWitness.of(
        SECRET,
        notes,
        [LeanImt(vault.leaves()).proof(place) for place in (0, 1)],
        [Payment(owner_of(OTHER), 100, epoch + 1)],
        withdrawn=0,
        root=LeanImt(vault.leaves()).root,
        epoch=epoch + 1,
    )
    early = replace(early, signal=vault.spend_signal(None, b"memo"))
    proof, public = prove_plain(keys, STATEMENT, early)
    with rejects("InvalidProof"):
        vault.spend(world.stranger, public, None, b"memo", proof)

    chain.dev.set_next_timestamp((epoch + 1) * 3600)
    chain.mine()
    paid = spend_now(SECRET, notes, [Payment(owner_of(OTHER), 80, epoch + 1), Payment(owner_of(SECRET), 20, epoch + 9)])
    with rejects("NoteSpent", paid.nullifiers[0]):
        spend_now(SECRET, notes[:1], [Payment(owner_of(SECRET), 70, epoch + 1)])
    spend_now(OTHER, [paid.made[0]], [Payment(owner_of(OTHER), 5, epoch + 1)], withdrawn=75)
    assert balance(world, world.grantee.address) == 0
    assert chain.call(market.token.functions.balanceOf(world.grantee.address)) == 75
    assert chain.call(market.token.functions.balanceOf(vault.address)) == 25
    assert vault.size() == 6
