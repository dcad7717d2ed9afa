"""Spending notes: the vault takes a proof about exactly what it is told, and no note twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedproof import _core
from fedproof.ledger.rpc import RpcError
from fedproof.proving.transcript import spend_signal
from fedproof.statements.notes import LeanImt
from tests.contracts import toy
from tests.contracts.spends import GAS, balance, spend
from tests.contracts.support import P, R, call_with_gas, int_words, rejects, send_raw_calldata, to_bytes
from tests.contracts.test_note_vault import deposit, set_size
from tests.contracts.world import EPOCH_LENGTH, World

PUBLIC = ["root", "nullifier 1", "nullifier 2", "leaf 1", "leaf 2", "withdrawn", "epoch", "signal"]
INVALID_PROOF = _core.keccak256(b"InvalidProof()")[:4]
NOBODY = "0x" + "0" * 40


@pytest.fixture
def filled(world: World) -> World:
    """A vault with a note of 500."""
    deposit(world, amount=500)
    return world


def test_a_spend_makes_two_notes_and_pays_the_recipient(filled: World) -> None:
    vault = filled.market.vault
    asked = spend(filled, withdrawn=120, recipient=filled.grantee)
    before = balance(filled, filled.grantee.address)
    spent = asked.send(filled)
    tree = LeanImt(vault.leaves())
    assert (spent.leaf_index, spent.leaves, spent.root) == (1, asked.leaves, tree.root)
    assert (spent.nullifiers, spent.memo) == (asked.nullifiers, b"for the owners")
    assert (spent.withdrawn, spent.recipient) == (120, filled.grantee.address)
    assert (balance(filled, filled.grantee.address), balance(filled, vault.address)) == (before + 120, 380)
    assert all(vault.is_spent(nullifier) for nullifier in asked.nullifiers)
    assert not vault.is_spent(asked.nullifiers[0] + R)
    assert vault.spends() == [spent]
    assert filled.chain.call(vault.contract.functions.isKnownRoot(spent.root)) is True


def test_a_transfer_moves_no_token_and_shows_no_recipient(filled: World) -> None:
    spent = spend(filled).send(filled)
    assert (spent.withdrawn, spent.recipient) == (0, NOBODY)
    assert balance(filled, filled.market.vault.address) == 500
    assert filled.chain.receipt(spent.tx_hash).events[0].name == "Spent"
    assert len(filled.chain.receipt(spent.tx_hash).events) == 1


def test_the_signal_is_that_of_the_python_transcript(filled: World) -> None:
    vault = filled.market.vault
    for memo in (b"", b"\x01", bytes(32), bytes(range(200))):
        signal = spend_signal(
            chain_id=filled.chain.chain_id, vault=vault.address, recipient=filled.grantee.address, memo=memo
        )
        asked = spend(filled, 50 + len(memo), withdrawn=1, recipient=filled.grantee, memo=memo)
        assert signal == vault.spend_signal(filled.grantee.address, memo)
        asked.send(filled)


# no note twice


def test_rejects_a_spent_nullifier(filled: World) -> None:
    """In either place, in other company, against a newer root, from another relayer."""
    asked = spend(filled)
    asked.send(filled)
    first, second = asked.nullifiers
    for nullifiers, spent in (
        ((first, second), first), ((first, 7), first), ((7, first), first), ((second, 7), second), ((7, second), second)
    ):  # fmt: skip
        again = spend(filled, 2, nullifiers=nullifiers)
        for sender in (filled.stranger, filled.grantee):
            with rejects("NoteSpent", spent):
                again.send(filled, sender)


def test_rejects_one_nullifier_for_both_notes(filled: World) -> None:
    with rejects("NoteSpent", 9):
        spend(filled, nullifiers=(9, 9)).send(filled)


def test_one_nullifier_in_two_transactions_of_one_block_counts_once(filled: World) -> None:
    chain, vault = filled.chain, filled.market.vault
    first = spend(filled, 1, nullifiers=(5, 6), withdrawn=100, recipient=filled.grantee)
    second = spend(filled, 2, nullifiers=(7, 5), withdrawn=100, recipient=filled.grantee)
    before = balance(filled, filled.grantee.address)
    with chain.hold_mining():
        sent = [
            chain.send(first.call(vault), filled.grantee, GAS),
            chain.send(second.call(vault), filled.stranger, GAS),
        ]
    receipts = [chain.rpc.request("eth_getTransactionReceipt", each.tx_hash) for each in sent]
    assert receipts[0]["blockNumber"] == receipts[1]["blockNumber"]
    assert sorted(int(receipt["status"], 16) for receipt in receipts) == [0, 1]
    assert len(vault.spends()) == 1
    assert balance(filled, filled.grantee.address) == before + 100


def test_a_refused_spend_burns_no_nullifier(filled: World) -> None:
    asked = spend(filled)
    with rejects("InvalidProof"):
        replace(asked, withdrawn=1, recipient=filled.stranger.address).send(filled)
    assert not filled.market.vault.is_spent(asked.nullifiers[0])
    asked.send(filled)


def test_two_honest_spends_fit_in_one_block(filled: World) -> None:
    """Neither is about the newest root or the place of its leaves: spenders do not get into each other's way."""
    chain, vault = filled.chain, filled.market.vault
    spends = [spend(filled, number) for number in (1, 2)]
    with chain.hold_mining():
        chain.send(spends[0].call(vault), filled.grantee, GAS)
        chain.send(spends[1].call(vault), filled.stranger, GAS)
    assert sorted(each.leaf_index for each in vault.spends()) == [1, 3]


# what a proof is about


@pytest.mark.parametrize("position", range(8), ids=PUBLIC)
@pytest.mark.parametrize("difference", [1, -1])
def test_rejects_a_proof_of_another(filled: World, position: int, difference: int) -> None:
    """Among them: the last and the next epoch, one unit less than is withdrawn, another leaf."""

    def change(public: list[int]) -> list[int]:
        public[position] += difference
        return public

    with rejects("InvalidProof"):
        spend(filled, withdrawn=5, recipient=filled.grantee, change=change).send(filled)


@pytest.mark.parametrize(
    "changes",
    [
        {"withdrawn": 121}, {"withdrawn": 119}, {"recipient": "stranger"}, {"memo": b"for other owners"}, {"memo": b""},
        {"memo": b"for the owners\0"}, {"leaves": (3001, 4002)}, {"leaves": (4001, 3001)}, {"nullifiers": (1001, 2002)},
        {"nullifiers": (2001, 1001)}, {"withdrawn": 0, "recipient": NOBODY},
    ],
    ids=str,
)  # fmt: skip
def test_rejects_a_spend_that_says_other_than_its_proof(filled: World, changes: dict[str, Any]) -> None:
    if changes.get("recipient") == "stranger":
        changes = {"recipient": filled.stranger.address}
    asked = spend(filled, withdrawn=120, recipient=filled.grantee)
    with rejects("InvalidProof"):
        replace(asked, **changes).send(filled)


@pytest.mark.parametrize("item", ["chain", "vault"])
def test_rejects_a_signal_of_another(filled: World, item: str) -> None:
    def change(public: list[int]) -> list[int]:
        public[7] = spend_signal(
            chain_id=filled.chain.chain_id + (item == "chain"),
            vault=(filled.market.registry if item == "vault" else filled.market.vault).address,
            recipient=NOBODY,
            memo=b"for the owners",
        )
        return public

    with rejects("InvalidProof"):
        spend(filled, change=change).send(filled)


def test_rejects_a_proof_of_the_last_epoch(filled: World) -> None:
    asked = spend(filled)
    filled.chain.dev.set_next_timestamp((filled.market.vault.current_epoch() + 1) * EPOCH_LENGTH)
    filled.chain.mine()
    with rejects("InvalidProof"):
        asked.send(filled)


def test_rejects_a_proof_under_another_key(filled: World) -> None:
    asked = spend(filled)
    vault = filled.market.vault
    public = [asked.root, *asked.nullifiers, *asked.leaves, 0, vault.current_epoch()]
    public.append(vault.spend_signal(None, asked.memo))
    forged = toy.prove_spend(public, toy.spend_keys("another statement"))
    with rejects("InvalidProof"):
        replace(asked, proof=forged).send(filled)


@pytest.mark.parametrize("root", [0, 1, R, R + 5])
def test_rejects_a_root_that_the_vault_never_had(filled: World, root: int) -> None:
    with rejects("UnknownRoot", root):
        replace(spend(filled), root=root).send(filled)


def test_rejects_any_spend_of_an_empty_vault(world: World) -> None:
    with rejects("UnknownRoot", 0):
        spend(world, root=0).send(world)


def test_accepts_an_old_root(filled: World) -> None:
    old = filled.market.vault.growth()[-1].root
    deposit(filled)
    spend(filled, 1, root=old).send(filled)
    spend(filled, 2, root=old).send(filled)


# shapes


@pytest.mark.parametrize("name", ["nullifier 1", "nullifier 2", "leaf 1", "leaf 2"])
@pytest.mark.parametrize("over", [False, True])
def test_rejects_scalars_at_or_over_r(filled: World, name: str, over: bool) -> None:
    """x + r is the same field element under another name: one note would have many nullifiers."""
    asked = spend(filled)
    words = dict(zip(PUBLIC[1:5], (*asked.nullifiers, *asked.leaves), strict=True))
    words[name] = alias = words[name] + R if over else R
    n1, n2, l1, l2 = words.values()
    with rejects("ScalarTooLarge", alias):
        replace(asked, nullifiers=(n1, n2), leaves=(l1, l2)).send(filled)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_rejects_another_number_of_leaves(filled: World, count: int) -> None:
    with rejects("WrongLeafCount", count):
        replace(spend(filled), leaves=(3001, 4001, 5001)[:count]).send(filled)


def test_rejects_a_leaf_that_is_there_already(filled: World) -> None:
    """No honest proof makes one, as no two notes have one nonce."""
    there = filled.market.vault.leaves()[0]
    for leaves in ((there, 1), (1, there), (8, 8)):
        with rejects("LeafAlreadyExists"):
            spend(filled, leaves=leaves).send(filled)


def test_rejects_a_withdrawal_without_a_recipient_and_a_recipient_without_a_withdrawal(filled: World) -> None:
    with rejects("WrongRecipient", NOBODY):
        spend(filled, withdrawn=1).send(filled)
    with rejects("WrongRecipient", filled.grantee.address):
        spend(filled, recipient=filled.grantee).send(filled)
    vault = filled.market.vault.address
    with rejects("WrongRecipient", vault):
        spend(filled, withdrawn=1, recipient=vault).send(filled)


def test_rejects_a_memo_that_is_too_long(filled: World) -> None:
    with rejects("MemoTooLong", 4097):
        spend(filled, memo=bytes(4097)).send(filled)
    assert spend(filled, memo=b"\x07" * 4096).send(filled).memo == b"\x07" * 4096


def test_rejects_bytes_behind_the_spend(filled: World) -> None:
    for memo in (b"", b"\x01", bytes(32)):
        call = spend(filled, memo=memo).call(filled.market.vault)
        for extra in (b"\0", bytes(32)):
            with pytest.raises(RpcError) as caught:
                send_raw_calldata(filled.chain, call, extra, filled.stranger)
            assert (caught.value.data or b"")[:4] == _core.keccak256(b"TrailingBytes(uint256,uint256)")[:4]
        send_raw_calldata(filled.chain, call, b"", filled.stranger)


@pytest.mark.parametrize(
    ("start", "values", "error"),
    [
        (0, [0] * 8, "PointAtInfinity"),
        (0, [1, 3], "NotOnCurve"),
        (0, [P + 1, 2], "CoordinateTooLarge"),
        (2, [P], "CoordinateTooLarge"),
        (2, [1, 2, 3, 4], "PrecompileFailed"),
        (6, [0, 0], "PointAtInfinity"),
    ],
)
def test_rejects_a_malformed_proof(filled: World, start: int, values: list[int], error: str) -> None:
    asked = spend(filled)
    words = int_words(asked.proof)
    words[start : start + len(values)] = values
    with rejects(error):
        replace(asked, proof=to_bytes(words)).send(filled)


def test_a_starved_spend_reverts_and_never_says_invalid(filled: World) -> None:
    call = spend(filled, withdrawn=5, recipient=filled.grantee).call(filled.market.vault)
    outcomes: set[object] = set()
    for gas in [*range(60_000, 460_000, 16_000), GAS]:
        try:
            outcomes.add(call_with_gas(filled.chain, call, gas, filled.stranger))
        except RpcError as error:
            outcomes.add((error.data or b"")[:4])
    assert INVALID_PROOF not in outcomes
    assert None in outcomes  # the call returns nothing when it succeeds
    assert len(outcomes) > 1


@pytest.mark.parametrize(("taken", "start"), [((1 << 20) - 2, 0), ((1 << 20) - 1, (1 << 20) - 1), (1 << 20, 1 << 20)])
def test_a_spend_fills_a_tree_or_starts_another(filled: World, taken: int, start: int) -> None:
    functions = filled.market.vault.contract.functions
    asked = spend(filled)
    set_size(filled, taken)
    spent = asked.send(filled)
    assert spent.leaf_index == taken
    assert filled.chain.call(functions.treeStart()) == start
    assert filled.chain.call(functions.depth()) == (1 if start else 20)
    assert start == 0 or spent.root == LeanImt(spent.leaves).root
