"""What an observer of the whole chain can find out about holders (docs/privacy.md): two worlds that differ in what must
stay hidden show the same, but for fresh randomness, and nothing that is shown can be computed from what is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from fedproof import _core
from fedproof.ledger import Account, Chain
from fedproof.ledger.market_types import UNIT, Terms
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.transactions import intrinsic_gas
from fedproof.nodes.state import StateFile
from fedproof.nodes.wallet import Wallet
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.linked import prove_plain
from fedproof.statements.eligibility import EligibilityStatement
from fedproof.statements.notes import Note, output_nonce
from fedproof.statements.spend import SpendStatement
from tests.contracts import toy

EPOCH_LENGTH = 3600
SPEND, ELIGIBILITY = SpendStatement(depth=5), EligibilityStatement(depth=5, notes=2)
THRESHOLD = 100 * UNIT
# Whose note, how much, and for how many epochs: equal and different ones; two holders have two notes.
DEPOSITS = (
    *((0, 100, 9), (1, 100, 9), (2, 100, 9), (3, 60, 9), (3, 60, 9)),
    *((4, 250, 9), (5, 400, 9), (6, 400, 1), (7, 400, 1), (7, 100, 1)),
)
LARGE = 1 << 200
"""Words from here on are field elements, hashes, keys, proofs or ciphertexts; all below are numbers and addresses."""


@dataclass(frozen=True)
class Story:
    """What happens after the deposits. Of all this an observer should see the withdrawal alone."""

    first_grant: int = 0
    second_grant: int = 1
    payer: int = 6
    payee: int = 7
    paid: int = 150
    split: int = 20
    locked: int = 0
    withdrawer: int = 6
    withdrawn: int = 50


@dataclass
class Market:
    """A marketplace with two datasets and eight holders, who let one relayer send their spends."""

    chain: Chain
    market: Marketplace
    eligibility: Keys
    holders: list[Wallet]
    grantees: list[Account]
    recipient: Account

    def grant(self, holder: int, dataset: int, grantee: Account) -> None:
        key = bytes(range(32))
        terms = self.market.eligibility_terms(dataset, grantee.address, 3, 600, key)
        witness = self.holders[holder].eligibility(terms, ELIGIBILITY.notes)
        proof, public = prove_plain(self.eligibility, ELIGIBILITY, witness)
        self.market.access_dataset(grantee, dataset, 3, 600, key, root=public[0], nullifier=public[2], proof=proof)

    def play(self, story: Story) -> list[Any]:
        """Live through a story, return what an observer saw of everything since the contracts were made, forget it."""
        snapshot = self.chain.dev.snapshot()
        try:
            epoch = self.market.vault.current_epoch()
            self.grant(story.first_grant, 1, self.grantees[0])
            payer, payee = self.holders[story.payer], self.holders[story.payee]
            payer.pay(payee.address, story.paid * UNIT, epoch + story.locked)
            self.grant(story.second_grant, 2, self.grantees[1])
            payer.pay(payer.address, story.split * UNIT)
            self.holders[story.withdrawer].withdraw(story.withdrawn * UNIT, self.recipient.address)
            return observe(self.chain)
        finally:
            self.chain.dev.revert(snapshot)


def observe(chain: Chain) -> list[Any]:
    """All of every block, except what follows from the rest: hashes, signatures, bloom filters, limits of gas."""
    seen = []
    for number in range(1, chain.block_number() + 1):
        block = chain.rpc.request("eth_getBlockByNumber", hex(number), True)
        sent = []
        for tx in block["transactions"]:
            receipt = chain.rpc.request("eth_getTransactionReceipt", tx["hash"])
            data = bytes.fromhex(tx["input"][2:])
            run = int(receipt["gasUsed"], 16) - intrinsic_gas(data, tx["to"] is None)  # zero bytes come by chance
            logs = [(log["address"], len(log["data"]), words(log["topics"], log["data"])) for log in receipt["logs"]]
            body = (data[:4], len(data), words([], "0x" + data[4:].hex())) if tx["to"] else len(data)
            sent.append((tx["from"], tx["to"], tx["nonce"], tx["value"], receipt["status"], run, body, logs))
        seen.append((number, block["timestamp"], sent))
    return seen


def words(topics: list[str], data: str) -> list[int]:
    digits = "".join(topic[2:] for topic in topics) + data[2:]
    return [int(digits[at : at + 64].ljust(64, "0"), 16) for at in range(0, len(digits), 64)]


def without_randomness(seen: Any, names: dict[int, str] | None = None) -> Any:
    """Each large word by the order in which it came up first: what is equal to what still shows."""
    names = {} if names is None else names
    if isinstance(seen, list | tuple):
        return [without_randomness(each, names) for each in seen]
    if isinstance(seen, int) and seen >= LARGE:
        return names.setdefault(seen, f"random {len(names)}")
    return seen


def large_words(seen: Any) -> set[int]:
    if isinstance(seen, list | tuple):
        return set().union(*map(large_words, seen))
    return {seen} if isinstance(seen, int) and seen >= LARGE else set()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    chain = Chain.embedded()
    owner, relayer = chain.new_account("owner"), chain.new_account("relayer")
    srs = _core.Srs.generate(4, [1])
    spend, eligibility = setup(compile_statement(SPEND), srs), setup(compile_statement(ELIGIBILITY), srs)
    chain.dev.set_next_timestamp((chain.timestamp() // EPOCH_LENGTH + 1) * EPOCH_LENGTH + 1)
    market = Marketplace.deploy(
        chain, owner, spend_key=spend.verifying, epoch_length=EPOCH_LENGTH, allow_development_keys=True
    )
    list_datasets(market, owner, eligibility)
    folder: Path = tmp_path_factory.mktemp("observer")
    states = [StateFile(folder / str(number), "holder") for number in range(8)]
    holders = [Wallet(market, spend, relayer, state, SPEND) for state in states]
    epoch = market.vault.current_epoch()
    for holder, amount, epochs in DEPOSITS:
        depositor = chain.new_account(f"depositor {holder}")
        chain.transact(market.token.functions.transfer(depositor.address, amount * UNIT), owner)
        market.vault.deposit(depositor, amount * UNIT, holders[holder].address.owner, epoch + epochs)
    chain.dev.set_next_timestamp((epoch + 1) * EPOCH_LENGTH + 1)
    chain.mine()
    grantees = [chain.new_account(f"grantee {number}") for number in range(2)]
    yield Market(chain, market, eligibility, holders, grantees, chain.new_account("recipient"))
    for state in states:
        state.close()


def list_datasets(market: Marketplace, provider: Account, eligibility: Keys) -> None:
    class_id = market.register_class(provider, 64, 3, toy.listing_keys().verifying, eligibility.verifying)
    terms = Terms(class_id, b"\x05" * 32, (0, 0, 0, THRESHOLD, 0, 0))
    values, circuit_id = toy.vector(), toy.listing_keys().circuit.circuit_id
    commitment = toy.srs().commit(values)
    proof = toy.prove_listing(
        40, values, lambda d: market.listing_challenges(provider.address, terms, commitment, 40, circuit_id, d)
    )
    for _ in range(2):
        market.mint_dataset(provider, terms, commitment, 40, proof)


@pytest.fixture(scope="module")
def told(stage: Market) -> list[Any]:
    """What shows of the story that all others are compared with."""
    return stage.play(Story())


HIDDEN = {
    "another holder of an equal note is granted": {"first_grant": 2},
    "a richer holder is granted": {"first_grant": 4},
    "a holder of two notes is granted": {"first_grant": 3},
    "both grants are of other holders": {"first_grant": 5, "second_grant": 3},
    "both grants are of one holder": {"second_grant": 0},
    "the grants changed places": {"first_grant": 1, "second_grant": 0},
    "another amount was paid": {"paid": 1},
    "all was paid but the rest": {"paid": 329},
    "the payment is locked": {"locked": 7},
    "somebody else was paid": {"payee": 0},
    "the payer paid itself": {"payee": 6},
    "another holder paid": {"payer": 7, "payee": 6},
    "another amount was split": {"split": 199},
    "nothing was left": {"split": 250},
    "another holder withdrew": {"withdrawer": 7},
}


@pytest.mark.parametrize("name", HIDDEN)
def test_the_observer_sees_no_difference_when(stage: Market, told: list[Any], name: str) -> None:
    assert without_randomness(stage.play(replace(Story(), **HIDDEN[name]))) == without_randomness(told)


def test_the_observer_does_see_what_the_documents_say_it_sees(stage: Market, told: list[Any]) -> None:
    """Else the comparison above would be blind: another withdrawal, one transaction more, another relayer."""
    plain = without_randomness(told)
    assert without_randomness(stage.play(replace(Story(), withdrawn=51))) != plain
    stage.grantees.reverse()
    try:
        assert without_randomness(stage.play(Story())) != plain
    finally:
        stage.grantees.reverse()
    relayer = stage.holders[6].account
    stage.holders[6].account = stage.grantees[0]
    try:
        assert without_randomness(stage.play(Story())) != plain
    finally:
        stage.holders[6].account = relayer


def guesses(stage: Market, spent: list[Any], scope: int) -> set[int]:
    """What an observer can compute from deposits, addresses, public inputs and guessed amounts."""
    hashes = {
        k: lambda *values, k=k: _core.fr_to_ints(_core.poseidon(_core.fr_from_ints(list(values)), k))
        for k in (1, 2, 3, 4)
    }
    deposits = stage.market.vault.deposits()
    owners = sorted({each.owner for each in deposits} | {holder.address.owner for holder in stage.holders})
    known = [*owners, *(each.leaf for each in deposits), *range(len(deposits)), *{each.amount for each in deposits}]
    found = {value for first in known for value in hashes[1](first)}
    nullifiers = [nullifier for each in spent for nullifier in each.nullifiers]
    others = [*known, *nullifiers, scope, 0, 1]
    found |= set(hashes[2](*(value for pair in product(known, others) for value in pair)))
    found |= set(
        hashes[3](*(value for owner in owners for each in deposits for value in (owner, each.leaf_index, each.leaf)))
    )
    amounts = {0, 1, *(UNIT * each for each in (20, 50, 100, 130, 150, 180, 230, 250, 400))}
    epoch = stage.market.vault.current_epoch()
    nonces = [*range(2), *nullifiers, *hashes[2](*(v for pair in product(nullifiers, (0, 1)) for v in pair))]
    nonces += [output_nonce(nullifier, place, 0) for nullifier in nullifiers for place in (0, 1)]
    tried = product(owners, amounts, (epoch, epoch + 1), nonces)
    return found | set(hashes[4](*(value for guess in tried for value in guess)))


def test_nothing_that_shows_can_be_computed_from_owner_amount_or_leaf(stage: Market) -> None:
    chain, market = stage.chain, stage.market
    before = large_words(observe(chain))
    snapshot = chain.dev.snapshot()
    try:
        terms = market.eligibility_terms(1, stage.grantees[0].address, 3, 600, bytes(range(32)))
        stage.grant(5, 1, stage.grantees[0])
        payer = stage.holders[6]
        payer.pay(stage.holders[7].address, 150 * UNIT)
        payer.pay(payer.address, 20 * UNIT)
        fresh = large_words(observe(chain)) - before
        spent = market.vault.spends()
        computed = guesses(stage, spent, terms.scope)
        assert {leaf for each in spent for leaf in each.leaves} <= fresh
        assert not fresh & computed
        # The guesses are good: without the blind, the very leaves of these spends would be among them.
        epoch = market.vault.current_epoch()
        for each, owner, amount in ((spent[0], 7, 150), (spent[0], 6, 250), (spent[1], 6, 20)):
            for place in (0, 1):
                nonce = _core.fr_to_ints(_core.poseidon(_core.fr_from_ints([each.nullifiers[0], place]), 2))[0]
                assert Note(stage.holders[owner].address.owner, amount * UNIT, epoch, nonce).leaf() in computed
    finally:
        chain.dev.revert(snapshot)
