"""Prices: a grant that is not paid is not given, and the money goes to whoever holds the token at that moment."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fedproof import _core
from fedproof.errors import InputError, LedgerError
from fedproof.ledger import Account
from fedproof.ledger.abi import encode_call
from fedproof.ledger.market_types import UNIT, Terms
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.rpc import RpcError
from fedproof.statements.notes import owner_of
from tests.contracts.support import call_with_gas, load_test_artifact, rejects
from tests.contracts.test_access import INVALID_PROOF, Request, request
from tests.contracts.test_note_vault import deploy_vault
from tests.contracts.world import MAX_DURATION, World

PRICES = (0, UNIT, 2 * UNIT, 30 * UNIT, 0, 500 * UNIT)
REENTER = 4


def priced(world: World, **changes: object) -> Terms:
    return world.terms(**{"prices": PRICES, **changes})


@pytest.fixture
def listed(world: World) -> World:
    """Dataset 1 with prices, a locked balance, and a grantee who can pay and has allowed 1,000 units."""
    world.mint(priced(world))
    world.lock()
    world.give(world.grantee, 1000 * UNIT, allow=world.market.registry.address)
    return world


def untouched(world: World, asked: Request, balance: int = 1000 * UNIT, account: Account | None = None) -> bool:
    """Whether a refused request left nothing behind."""
    account = account or world.grantee
    spent = world.chain.call(world.market.registry.functions.isSpent(asked.nullifier))
    grant = world.market.grant(asked.dataset_id, account.address, asked.tier)
    paid = world.balance(world.provider)
    return (spent, grant.expiry, world.balance(account), paid) == (False, 0, balance, 0)


@pytest.mark.parametrize("tier", [1, 2, 3, 5])
def test_a_grant_costs_exactly_the_tiers_price(listed: World, tier: int) -> None:
    granted = request(listed, tier=tier).send(listed)
    assert granted.price == PRICES[tier]
    assert listed.balance(listed.grantee) == 1000 * UNIT - PRICES[tier]
    assert listed.balance(listed.provider) == PRICES[tier]
    assert listed.balance(listed.market.registry.address) == 0
    assert listed.market.grants()[-1] == granted


def test_an_extension_costs_the_price_again(listed: World) -> None:
    request(listed).send(listed)
    assert request(listed).send(listed).price == PRICES[3]
    assert listed.balance(listed.provider) == 2 * PRICES[3]


def test_a_free_tier_moves_no_token(world: World) -> None:
    world.mint()
    world.lock()
    granted = request(world).send(world)
    assert granted.price == 0
    assert [event.name for event in world.chain.receipt(granted.tx_hash).events] == ["AccessGranted"]


@pytest.mark.parametrize("price", [0, 29 * UNIT, 30 * UNIT - 1, 30 * UNIT + 1, 31 * UNIT, 2**256 - 1])
def test_rejects_another_price_than_the_tiers(listed: World, price: int) -> None:
    asked = request(listed)
    with rejects("WrongPrice", 30 * UNIT):
        replace(asked, price=price).send(listed)
    assert untouched(listed, asked)
    asked.send(listed)


@pytest.mark.parametrize("price", [31 * UNIT, 29 * UNIT, 0])
def test_rejects_a_price_that_changed_between_reading_and_sending(listed: World, price: int) -> None:
    """Dearer, cheaper or free: the grantee agreed to something else."""
    asked = request(listed)
    listed.update(priced(listed, prices=(*PRICES[:3], price, *PRICES[4:])))
    with rejects("WrongPrice", price):
        asked.send(listed)
    assert untouched(listed, asked)
    assert replace(asked, price=price).send(listed).price == price


def test_rejects_a_tier_that_is_no_longer_offered_or_needs_more(listed: World) -> None:
    asked = request(listed)
    listed.update(priced(listed, thresholds=(0, *(200 * UNIT,) * 5)))
    with rejects("InvalidProof"):
        asked.send(listed)
    listed.update(listed.terms(thresholds=(0, UNIT, 0, 0, 0, 0)))
    with rejects("TierNotOffered", 1, 3):
        asked.send(listed)
    assert untouched(listed, asked)


def test_a_grant_that_is_not_paid_is_not_given(listed: World) -> None:
    poor = listed.stranger
    asked = request(listed, grantee=poor)
    registry, token = listed.market.registry.address, listed.market.token.functions
    with rejects("ERC20InsufficientAllowance", registry, 0, 30 * UNIT):
        asked.send(listed, poor)
    listed.chain.transact(token.approve(registry, 2**256 - 1), poor)
    with rejects("ERC20InsufficientBalance", poor.address, 0, 30 * UNIT):
        asked.send(listed, poor)
    listed.give(poor, 30 * UNIT - 1)
    with rejects("ERC20InsufficientBalance"):
        asked.send(listed, poor)
    listed.chain.transact(token.approve(registry, 30 * UNIT - 1), poor)
    with rejects("ERC20InsufficientAllowance"):
        asked.send(listed, poor)
    assert untouched(listed, asked, 30 * UNIT - 1, poor)
    assert listed.market.grants() == []
    listed.give(poor, 1, allow=registry)
    listed.chain.transact(token.approve(registry, 30 * UNIT), poor)
    assert asked.send(listed, poor).price == 30 * UNIT
    assert listed.balance(poor) == 0


def test_a_failed_transaction_takes_neither_money_nor_nullifier(listed: World) -> None:
    asked = request(listed)
    for gas in (150_000, 250_000, 330_000):
        with pytest.raises(LedgerError):
            listed.chain.transact(asked.call(listed), listed.grantee, gas)
    assert untouched(listed, asked)
    call = asked.call(listed)
    outcomes: set[object] = set()
    for gas in range(60_000, 500_000, 25_000):
        try:
            outcomes.add(call_with_gas(listed.chain, call, gas, listed.grantee))
        except RpcError as error:
            outcomes.add((error.data or b"")[:4])
    assert INVALID_PROOF not in outcomes
    assert None in outcomes
    assert len(outcomes) > 1


def test_the_present_holder_is_paid_and_no_approved_operator(listed: World) -> None:
    functions = listed.market.registry.functions
    listed.chain.transact(functions.setApprovalForAll(listed.owner.address, True), listed.provider)
    move = functions.transferFrom(listed.provider.address, listed.stranger.address, 1)
    asked = request(listed)
    listed.chain.transact(move, listed.owner)
    before = listed.balance(listed.owner)
    asked.send(listed)
    assert (listed.balance(listed.stranger), listed.balance(listed.provider)) == (30 * UNIT, 0)
    assert listed.balance(listed.owner) == before


def test_the_buyer_gets_the_price_of_every_later_grant(listed: World) -> None:
    sales, buyer = listed.market.sales, listed.stranger
    request(listed).send(listed)
    sales.offer(listed.provider, 1, 100 * UNIT)
    listed.give(buyer, 100 * UNIT)
    offer = sales.offer_of(1)
    assert offer is not None
    sales.buy(buyer, offer, 1)
    request(listed).send(listed)  # an extension
    assert (listed.balance(listed.provider), listed.balance(buyer)) == (130 * UNIT, 30 * UNIT)


def test_a_provider_that_grants_itself_pays_itself(listed: World) -> None:
    registry, provider = listed.market.registry.address, listed.provider
    listed.give(provider, 30 * UNIT, allow=registry)
    asked = request(listed, grantee=provider)
    asked.send(listed, provider)
    assert listed.balance(provider) == 30 * UNIT
    assert listed.market.has_access(1, provider.address, 3)


def test_the_wrapper_allows_what_a_grant_costs_and_no_more(listed: World) -> None:
    asked, poor, registry = request(listed, grantee=listed.stranger), listed.stranger, listed.market.registry.address
    listed.give(poor, 40 * UNIT)
    given = {"root": asked.root, "nullifier": asked.nullifier, "proof": asked.proof, "price": asked.price}
    granted = listed.market.access_dataset(poor, 1, 3, 600, asked.key, **given)
    assert granted.price == 30 * UNIT
    assert listed.chain.call(listed.market.token.functions.allowance(poor.address, registry)) == 0
    with pytest.raises(InputError, match="HPKE public key"):
        listed.market.access_dataset(poor, 1, 3, 600, b"short", **given)
    assert listed.chain.call(listed.market.token.functions.allowance(poor.address, registry)) == 0


# a token that calls back


@pytest.fixture
def odd(world: World) -> World:
    """A marketplace whose token does what its tester tells it to, with a priced dataset and a locked balance."""
    chain, owner, kept = world.chain, world.owner, world.market
    token = chain.deploy(load_test_artifact("OddToken"), sender=owner)
    vault = deploy_vault(world, token.address)
    registry = chain.deploy("DatasetRegistry", vault.address, MAX_DURATION, True, sender=owner)
    escrow = chain.deploy("KeyEscrow", registry.address, sender=owner)
    sales = chain.deploy("DatasetSales", registry.address, token.address, sender=owner)
    found = kept.capacity_class(world.class_id)
    chain.transact(registry.functions.registerClass(found.rows, 3, found.listing_key, found.eligibility_key), owner)
    other = replace(world, market=Marketplace(chain, token, vault, registry, escrow, sales), class_id=1)
    call = vault.functions.deposit(500 * UNIT, owner_of(other.secret), other.market.vault.current_epoch() + 5)
    chain.transact(call, owner, 1_500_000)
    other.mint(priced(other))
    return other


def test_a_token_that_calls_back_finds_the_grant_made(odd: World) -> None:
    """It is the token itself that calls: with a proof of its own about the same balance."""
    chain, token, registry = odd.chain, odd.market.token, odd.market.registry
    asked = request(odd)
    inner = request(odd, grantee=SimpleNamespace(address=token.address))  # type: ignore[arg-type]
    assert inner.nullifier == asked.nullifier
    chain.transact(token.functions.behave(REENTER, registry.address, encode_call(inner.call(odd))), odd.owner)
    granted = asked.send(odd)
    assert chain.call(token.functions.wasTaken()) is False
    assert chain.call(token.functions.answer())[:4] == _core.keccak256(b"NullifierSpent(uint256)")[:4]
    assert odd.market.grants() == [granted]
    assert not odd.market.has_access(1, token.address, 3)
    assert chain.call(token.functions.balanceOf(odd.provider.address)) == 30 * UNIT


def test_a_token_that_does_not_pay_gives_no_grant(odd: World) -> None:
    says_no = 3
    asked = request(odd)
    registry = odd.market.registry.address
    odd.chain.transact(odd.market.token.functions.behave(says_no, registry, b""), odd.owner)
    with rejects("SafeERC20FailedOperation"):
        asked.send(odd)
    assert odd.market.grants() == []
    assert odd.chain.call(odd.market.registry.functions.isSpent(asked.nullifier)) is False
