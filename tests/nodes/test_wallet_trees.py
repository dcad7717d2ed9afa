"""A vault of many trees: old notes stay good, and a wallet brings together what one proof cannot name."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from fedproof.app.audit_market import GrantAuditor
from fedproof.errors import AuditError, ProofError
from fedproof.ledger.market_types import EligibilityTerms
from fedproof.ledger.marketplace import Addresses, Marketplace
from fedproof.ledger.replay import replay
from fedproof.ledger.vault import Deposited, Spent
from fedproof.nodes.holdings import at_once, choose, next_step, richest
from fedproof.nodes.wallet import Wallet
from fedproof.statements.eligibility import EligibilityStatement
from tests.contracts.trees import with_small_trees
from tests.nodes.bank import Bank, amounts
from tests.nodes.test_wallet import note_of
from tests.support.soundness import broken_rules, forged

CAPACITY = 8
NOBODY = 9


@pytest.fixture
def small(bank: Bank) -> Bank:
    """A bank whose vault has trees of eight leaves."""
    return replace(bank, market=with_small_trees(bank.market, bank.owner, CAPACITY))


def fill(bank: Bank) -> None:
    """Take what is left of the newest tree, so that the next leaf starts another."""
    vault = bank.market.vault
    for _ in range(CAPACITY - len(vault.forest().trees[-1])):
        vault.deposit(bank.owner, 1, NOBODY, vault.current_epoch() + 1)


def across(bank: Bank, *trees: tuple[int, ...], ahead: int = 1) -> Wallet:
    """A wallet with notes of these amounts, those of each tuple in a tree of their own; unlocked unless they last."""
    wallet = bank.wallet("a", 1000)
    for place, notes in enumerate(trees):
        if place:
            fill(bank)
        for amount in notes:
            wallet.deposit(amount, bank.market.vault.current_epoch() + ahead)
    if ahead == 1:
        bank.pass_epochs()
    return wallet


def trees_of(wallet: Wallet) -> list[int]:
    return [own.tree for own in wallet.holdings().notes]


def test_a_note_of_a_full_tree_is_paid_and_withdrawn(small: Bank) -> None:
    wallet, payee = across(small, (100,), ()), small.wallet("b")
    recipient = small.chain.new_account("somebody", funded=False).address
    assert trees_of(wallet) == [0]
    spent = wallet.withdraw(60, recipient)
    assert (small.tokens(recipient), amounts(wallet), spent.leaf_index) == (60, [40], CAPACITY)
    wallet.pay(payee.address, 15)
    assert (amounts(wallet), amounts(payee)) == ([25], [15])
    assert trees_of(wallet) == trees_of(payee) == [1]


def test_a_deposit_beyond_the_first_tree_has_its_index_for_nonce_and_is_spent(small: Bank) -> None:
    wallet = across(small, (), (70,))
    own = wallet.holdings().notes[0]
    assert (own.note.nonce, own.index, own.tree) == (CAPACITY, CAPACITY, 1)
    wallet.pay(wallet.address, 30)
    assert amounts(wallet) == [40, 30]


def test_a_payment_out_of_two_trees_moves_the_older_note_first(small: Bank) -> None:
    wallet, payee = across(small, (60,), (50,)), small.wallet("b")
    wallet.pay(payee.address, 80)
    assert (amounts(wallet), amounts(payee)) == ([30], [80])
    assert len(small.market.vault.spends()) == 2
    assert small.tokens(small.market.vault.address) == 110 + CAPACITY - 1


def test_two_notes_of_one_tree_are_taken_rather_than_the_richest_of_two(small: Bank) -> None:
    wallet, payee = across(small, (60,), (50, 40)), small.wallet("b")
    wallet.pay(payee.address, 80)
    assert len(small.market.vault.spends()) == 1
    assert amounts(wallet) == [60, 10]


@pytest.mark.parametrize(
    ("trees", "spends"),
    [(((1,), (2,)), 2), (((1, 2), (4,)), 2), (((1, 2, 4), (8,)), 4), (((1,), (2,), (4,)), 4), (((1, 2),), 1)],
)
def test_join_makes_one_note_of_the_notes_of_all_trees(
    small: Bank, trees: tuple[tuple[int, ...], ...], spends: int
) -> None:
    wallet = across(small, *trees)
    assert len(wallet.join()) == spends
    assert amounts(wallet) == [sum(map(sum, trees))]
    assert wallet.join() == []


def test_split_takes_notes_of_several_trees(small: Bank) -> None:
    wallet = across(small, (30,), (40,))
    wallet.split([55, 10])
    assert sorted(amounts(wallet)) == [5, 10, 55]


def test_locked_notes_of_a_full_tree_count_by_its_root(small: Bank) -> None:
    wallet = across(small, (60, 50), (100,), ahead=5)
    vault = small.market.vault
    now = small.pass_epochs()
    witness = wallet.eligibility(EligibilityTerms(scope=7, threshold=110, signal=8, epoch=now), 4)
    assert [note.amount for note in witness.notes] == [60, 50]
    assert witness.root == vault.forest().trees[0].root != vault.forest().root
    assert small.chain.call(vault.contract.functions.isKnownRoot(witness.root)) is True
    assert broken_rules(forged(EligibilityStatement(depth=6), witness)) == set()


def test_notes_of_several_trees_do_not_count_together_and_it_says_so(small: Bank) -> None:
    wallet = across(small, (60, 50), (100,), ahead=5)
    epoch = small.market.vault.current_epoch()
    with pytest.raises(ProofError, match="in several trees of the vault, and a proof names notes of one"):
        wallet.eligibility(EligibilityTerms(scope=7, threshold=210, signal=8, epoch=epoch), 4)
    with pytest.raises(ProofError, match="do not reach the threshold"):
        wallet.eligibility(EligibilityTerms(scope=7, threshold=211, signal=8, epoch=epoch), 4).check()
    small.pass_epochs(5)
    now = small.market.vault.current_epoch()
    wallet.pay(wallet.address, 210, now + 3)  # what the message says
    wallet.eligibility(EligibilityTerms(scope=7, threshold=210, signal=8, epoch=now), 4).check()


def test_holdings_give_no_root_for_notes_of_several_trees(small: Bank) -> None:
    holdings = across(small, (60,), (50,)).holdings()
    with pytest.raises(ProofError, match="one tree"):
        holdings.root(holdings.notes)
    assert holdings.root([]) == holdings.forest.root
    assert [holdings.root([own]) for own in holdings.notes] == [tree.root for tree in holdings.forest.trees]


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_wallets_do_across_trees_no_token_is_lost(small: Bank, seed: int) -> None:
    rng, vault = random.Random(seed), small.market.vault
    wallets = [small.wallet(name) for name in "ab"]
    recipient = small.chain.new_account("somebody", funded=False).address
    deposited = 0
    for _ in range(14):
        wallet, other = rng.sample(wallets, 2)
        free = sum(own.amount for own in wallet.holdings().unlocked())
        amount = rng.randint(1, max(free, 1))
        act = rng.choice(["deposit", "deposit", "pay", "withdraw", "join"]) if free else "deposit"
        if act == "deposit":
            wallet.deposit(amount, vault.current_epoch() + 1)
            deposited += amount
            small.pass_epochs()
        elif act == "pay":
            wallet.pay(other.address, amount)
        elif act == "withdraw":
            wallet.withdraw(amount, recipient)
        else:
            wallet.join()
        held = sum(sum(amounts(each)) for each in wallets)
        assert held + small.tokens(recipient) == deposited
        assert small.tokens(vault.address) == held
    assert len(vault.forest().trees) > 1
    for wallet in wallets:
        if amounts(wallet):
            wallet.withdraw(sum(amounts(wallet)), recipient)
    assert small.tokens(vault.address) == 0


# the auditor


def grown(bank: Bank) -> GrantAuditor:
    return GrantAuditor(bank.market, bank.keys.verifying, bank.keys.verifying)


def test_an_auditor_who_runs_the_chain_again_finds_the_roots_of_all_trees(small: Bank) -> None:
    wallet = across(small, (60,), (50,))
    wallet.join()
    wallet.withdraw(100, small.owner.address)
    forest = small.market.vault.forest()
    line = f"vault: {len(forest)} notes in 2 trees, each paid in or spent to, and every root is that of their tree"
    assert grown(small).line == line
    market = small.market
    where = Addresses(*(c.address for c in (market.token, market.vault.contract, market.registry)),
                      market.escrow.address, market.sales.address)  # fmt: skip
    again = Marketplace.at(replay(small.chain.export()), where)
    again.vault.tree_capacity = CAPACITY
    assert GrantAuditor(again, small.keys.verifying, small.keys.verifying).line == line
    with pytest.raises(AuditError, match=f"note {CAPACITY}: the vault's tree does not add up"):
        GrantAuditor(
            Marketplace.at(small.chain, where), *2 * [small.keys.verifying]
        )  # who thinks that trees are larger


def other_root(each: Deposited | Spent) -> Deposited | Spent:
    return replace(each, root=each.root + 1)


@pytest.mark.parametrize(
    ("where", "lie", "match"),
    [
        (CAPACITY, other_root, "does not add up"),
        (CAPACITY + 1, other_root, "does not add up"),
        (CAPACITY, lambda each: replace(each, leaf_index=each.leaf_index + 1), "not the hash"),
        (CAPACITY + 1, lambda each: replace(each, leaf_index=each.leaf_index + 1), "does not add up"),
        (CAPACITY - 1, other_root, "does not add up"),
    ],
)
def test_an_auditor_finds_a_lie_where_a_tree_ends(
    small: Bank,
    monkeypatch: pytest.MonkeyPatch,
    where: int,
    lie: Callable[[Deposited | Spent], Deposited | Spent],
    match: str,
) -> None:
    wallet = across(small, (60,), (50,))
    wallet.join()
    growth = small.market.vault.growth()
    told = [lie(each) if each.leaf_index == where else each for each in growth]
    assert told != growth
    monkeypatch.setattr(small.market.vault, "growth", lambda: told)
    with pytest.raises(AuditError, match=match):
        grown(small)


# plans


def test_what_one_spend_takes_and_what_comes_first() -> None:
    a, b, c = (note_of(amount, index) for index, amount in enumerate((40, 20, 7)))
    d, e = note_of(30, 8, 1), note_of(5, 9, 1)
    assert [at_once(notes) for notes in ([a], [a, b], [a, b, c], [a, d], [d, e], [])] == [
        *(True, True, False, False, True, True)
    ]
    assert next_step([a, b, c]) == [b, c]
    assert next_step([a, d, b, c, e]) == [b, c]
    assert next_step([a, d, e]) == [a]
    assert richest([a, d, b, c, e], 2) == [a, b]
    assert richest([d, b, c, e], 2) == [d, e]
    assert richest([a, d, b, c, e], 1) == [a]
    assert richest([], 4) == []


@pytest.mark.parametrize(
    ("amount", "chosen"), [(5, [5]), (41, [40, 20]), (35, [40]), (61, [40, 30]), (71, [40, 30, 20]), (31, [40])]
)
def test_two_notes_of_one_tree_come_before_the_richest_of_all(small: Bank, amount: int, chosen: list[int]) -> None:
    notes = [note_of(40, 0, 0), note_of(30, 8, 1), note_of(20, 1, 0), note_of(5, 9, 1)]
    assert [own.amount for own in choose(notes, amount, small.wallet("a").holdings())] == chosen
