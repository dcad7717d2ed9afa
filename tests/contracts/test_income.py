"""Money in = money out + held, over seeded random sequences of listings, updates, grants, extensions and sales."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from fedproof.errors import ContractRejected
from fedproof.ledger import Account
from fedproof.ledger.market_types import UNIT
from tests.contracts.test_access import at_time, request
from tests.contracts.world import EPOCH_LENGTH, World

STEPS = 30
START = 10_000 * UNIT


class Books:
    """What everybody should have, kept beside the chain."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.rng = world, random.Random(seed)
        self.people = [world.provider, world.grantee, world.stranger]
        self.owners: dict[int, Account] = {}
        self.versions: dict[int, int] = {}
        self.prices: dict[int, int] = {}
        self.held: defaultdict[str, int] = defaultdict(int)
        self.done: defaultdict[str, int] = defaultdict(int)
        for account in self.people:
            for spender in (world.market.registry.address, world.market.sales.address):
                world.chain.transact(world.market.token.functions.approve(spender, 2**256 - 1), account)
            world.give(account, START)
            self.held[account.address] = START

    def terms(self) -> tuple[int, object]:
        price = self.rng.choice([0, 1, 7, 1000]) * UNIT
        return price, self.world.terms(prices=(0, 0, 0, price, 0, 0))

    def mint(self) -> None:
        who = self.rng.choice(self.people)
        price, terms = self.terms()
        commitment, proof = self.world.prove_listing(who, terms)  # type: ignore[arg-type]
        minted = self.world.market.mint_dataset(who, terms, commitment, 40, proof)  # type: ignore[arg-type]
        self.owners[minted.dataset_id] = who
        self.versions[minted.dataset_id], self.prices[minted.dataset_id] = 1, price

    def update(self) -> None:
        dataset = self.rng.choice(list(self.owners))
        price, terms = self.terms()
        self.world.update(terms, sender=self.owners[dataset], dataset_id=dataset)  # type: ignore[arg-type]
        self.versions[dataset] += 1
        self.prices[dataset] = price

    def grant(self) -> None:
        """A first grant or an extension, whichever it is for this grantee."""
        dataset, who = self.rng.choice(list(self.owners)), self.rng.choice(self.people)
        asked = request(self.world, grantee=who, dataset_id=dataset)
        try:
            granted = asked.send(self.world, who)
        except ContractRejected as error:
            if error.name not in ("NullifierSpent", "DurationOutOfRange", "ERC20InsufficientBalance"):
                raise
            return
        assert granted.price == self.prices[dataset]
        self.pay(who, self.owners[dataset], granted.price)
        self.done["income"] += granted.price
        self.done["extension" if granted.extension else "grant"] += 1

    def sell(self) -> None:
        dataset, buyer = self.rng.choice(list(self.owners)), self.rng.choice(self.people)
        price = self.rng.randrange(0, 3000 * UNIT)
        sales = self.world.market.sales
        sales.offer(self.owners[dataset], dataset, price, buyer.address if self.rng.random() < 0.5 else None)
        offer = sales.offer_of(dataset)
        assert offer is not None
        try:
            sales.buy(buyer, offer, self.versions[dataset])
        except ContractRejected as error:
            if error.name != "ERC20InsufficientBalance":
                raise
            return
        self.pay(buyer, self.owners[dataset], price)
        self.owners[dataset] = buyer
        self.done["sale"] += 1

    def next_epoch(self) -> None:
        at_time(self.world, (self.world.market.vault.current_epoch() + 1) * EPOCH_LENGTH)
        self.world.lock(epochs=5)

    def pay(self, payer: Account, payee: Account, amount: int) -> None:
        self.held[payer.address] -= amount
        self.held[payee.address] += amount

    def check(self) -> None:
        world, market = self.world, self.world.market
        for account in self.people:
            assert world.balance(account) == self.held[account.address]
        assert sum(self.held.values()) == len(self.people) * START
        assert [world.balance(x.address) for x in (market.registry, market.sales, market.escrow)] == [0, 0, 0]
        for dataset, owner in self.owners.items():
            found = market.dataset(dataset)
            assert (found.provider, found.version) == (owner.address, self.versions[dataset])
            assert found.prices[3] == self.prices[dataset]
        assert sum(each.price for each in market.grants()) == self.done["income"]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_books_balance_after_every_step(world: World, seed: int) -> None:
    world.lock()
    books = Books(world, seed)
    books.mint()
    acts = [books.mint, books.update, books.sell, books.next_epoch, *[books.grant] * 5]
    for _ in range(STEPS):
        books.rng.choice(acts)()
        books.check()
    assert all(books.done[what] for what in ("grant", "extension", "sale")), dict(books.done)
