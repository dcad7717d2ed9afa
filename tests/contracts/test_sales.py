"""Sales of dataset tokens: nothing changes hands but what seller and buyer both agreed to, in its present state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedproof.ledger import Account
from fedproof.ledger.market_types import UNIT, Offer
from tests.contracts.support import rejects
from tests.contracts.test_access import request
from tests.contracts.world import World

PRICE = 25 * UNIT
NOBODY = "0x" + "0" * 40


@pytest.fixture
def offered(world: World) -> World:
    """Dataset 1 is for sale at 25 units to anybody; the stranger has 100."""
    world.mint()
    world.market.sales.offer(world.provider, 1, PRICE)
    world.give(world.stranger, 100 * UNIT, allow=world.market.sales.address)
    return world


def transfer(world: World, sender: Account, to: Account, dataset_id: int = 1) -> None:
    functions = world.market.registry.functions
    world.chain.transact(functions.transferFrom(sender.address, to.address, dataset_id), sender)


def owner(world: World) -> str:
    return world.market.dataset(1).provider


def buy(
    world: World, buyer: Account | None = None, *, seller: str | None = None, price: int = PRICE, version: int = 1
) -> None:
    call = world.market.sales.contract.functions.buy(1, seller or world.provider.address, price, version)
    world.chain.transact(call, buyer or world.stranger)


def nothing_moved(world: World) -> bool:
    return (world.balance(world.stranger), world.balance(world.provider)) == (100 * UNIT, 0)


def test_token_and_price_change_hands_at_once(offered: World) -> None:
    sales = offered.market.sales
    offer = sales.offer_of(1)
    assert offer == Offer(1, offered.provider.address, None, PRICE)
    receipt = sales.buy(offered.stranger, offer, 1)
    sold = receipt.event("Sold").args
    assert (sold["datasetId"], sold["seller"], sold["buyer"], sold["price"]) == (
        1,
        offered.provider.address,
        offered.stranger.address,
        PRICE,
    )
    assert owner(offered) == offered.stranger.address
    assert (offered.balance(offered.stranger), offered.balance(offered.provider)) == (75 * UNIT, PRICE)
    assert offered.balance(sales.address) == 0
    assert sales.offer_of(1) is None
    assert offered.chain.call(sales.contract.functions.offers(1)) == (NOBODY, NOBODY, 0)
    with rejects("NoSuchOffer", 1):
        buy(offered)


def test_running_grants_stay_and_the_buyer_is_the_provider(offered: World) -> None:
    offered.lock()
    granted = request(offered).send(offered)
    buy(offered)
    assert offered.market.has_access(1, granted.grantee, 3)
    with rejects("NotProvider"):
        offered.market.deliver_key(offered.provider, 1, granted.grantee, 3, 1, b"key")
    offered.market.deliver_key(offered.stranger, 1, granted.grantee, 3, 1, b"key")
    with rejects("NotProvider"):
        offered.market.retire(offered.provider, 1)


def test_only_the_owner_offers_and_only_what_it_approved(world: World) -> None:
    world.mint()
    functions, registry = world.market.sales.contract.functions, world.market.registry.functions
    for sender in (world.owner, world.grantee, world.stranger):
        with rejects("NotOwner", 1, sender.address):
            world.chain.transact(functions.offer(1, PRICE, NOBODY), sender)
    with rejects("NotApproved", 1):
        world.chain.transact(functions.offer(1, PRICE, NOBODY), world.provider)
    world.chain.transact(registry.approve(world.stranger.address, 1), world.provider)
    with rejects("NotApproved", 1):
        world.chain.transact(functions.offer(1, PRICE, NOBODY), world.provider)
    world.chain.transact(registry.setApprovalForAll(world.market.sales.address, True), world.provider)
    with rejects("NotApproved", 1):  # of all tokens: it would outlive the offer
        world.chain.transact(functions.offer(1, PRICE, NOBODY), world.provider)
    for unknown in (0, 2):
        with rejects("ERC721NonexistentToken", unknown):
            world.chain.transact(functions.offer(unknown, PRICE, NOBODY), world.provider)
    assert world.market.sales.offer_of(1) is None


def test_only_the_named_buyer_buys(offered: World) -> None:
    sales = offered.market.sales
    sales.offer(offered.provider, 1, PRICE, offered.grantee.address)
    offer = sales.offer_of(1)
    assert offer is not None
    assert offer.buyer == offered.grantee.address
    with rejects("NoSuchOffer", 1):
        buy(offered)
    offered.give(offered.grantee, PRICE)
    sales.buy(offered.grantee, offer, 1)
    assert owner(offered) == offered.grantee.address


@pytest.mark.parametrize("price", [0, PRICE - 1, PRICE + 1, 2**256 - 1])
def test_rejects_another_price_than_the_offers(offered: World, price: int) -> None:
    with rejects("NoSuchOffer", 1):
        buy(offered, price=price)
    assert nothing_moved(offered)


def test_rejects_an_offer_that_changed_between_reading_and_sending(offered: World) -> None:
    sales = offered.market.sales
    offer = sales.offer_of(1)
    assert offer is not None
    sales.offer(offered.provider, 1, 4 * PRICE)
    with rejects("NoSuchOffer", 1):
        sales.buy(offered.stranger, offer, 1)
    with rejects("NoSuchOffer", 1):
        buy(offered, seller=offered.owner.address)
    assert nothing_moved(offered)
    sales.buy(offered.stranger, replace(offer, price=4 * PRICE), 1)


def test_rejects_another_version_than_the_buyer_has_seen(offered: World) -> None:
    """The owner cannot swap the dataset for a worse one under a buyer's hands."""
    for version in (0, 2):
        with rejects("Changed", 1):
            buy(offered, version=version)
    offered.update()
    with rejects("Changed", 1):
        buy(offered, version=1)
    assert nothing_moved(offered)
    buy(offered, version=2)


def test_rejects_a_retired_dataset(offered: World) -> None:
    offered.market.retire(offered.provider, 1)
    with rejects("Changed", 1):
        buy(offered)
    assert nothing_moved(offered)


def test_an_offer_ends_when_the_token_moves(offered: World) -> None:
    transfer(offered, offered.provider, offered.grantee)
    assert offered.market.sales.offer_of(1) is None
    for seller in (offered.provider, offered.grantee):
        with rejects("NoSuchOffer", 1):
            buy(offered, seller=seller.address)
    assert nothing_moved(offered)


@pytest.mark.parametrize("of_all", [False, True])
def test_an_old_offer_does_not_come_back_with_the_token(offered: World, of_all: bool) -> None:
    """Its price is of another time: nobody may take a token that came back at what it once was offered for."""
    sales, registry = offered.market.sales, offered.market.registry.functions
    offered.chain.transact(registry.setApprovalForAll(sales.address, of_all), offered.provider)
    transfer(offered, offered.provider, offered.grantee)
    transfer(offered, offered.grantee, offered.provider)
    assert sales.offer_of(1) is None
    with rejects("NotApproved", 1):
        buy(offered)
    assert nothing_moved(offered)
    seen = []
    honest = sales.chain.transact

    def watched(call: object, *rest: object) -> object:
        receipt = honest(call, *rest)  # type: ignore[arg-type]
        seen.append(sales.offer_of(1))
        return receipt

    sales.chain.transact = watched  # type: ignore[assignment, method-assign]
    try:
        sales.offer(offered.provider, 1, 4 * PRICE)
    finally:
        del sales.chain.transact  # type: ignore[method-assign]
    # at no moment did the old price hold
    assert {offer.price for offer in seen if offer} == {4 * PRICE}


def test_rejects_a_purchase_after_the_approval_was_taken_back(offered: World) -> None:
    offered.chain.transact(offered.market.registry.functions.approve(NOBODY, 1), offered.provider)
    with rejects("NotApproved", 1):
        buy(offered)
    assert nothing_moved(offered)


def test_a_purchase_that_is_not_paid_moves_nothing(offered: World) -> None:
    sales, token = offered.market.sales.address, offered.market.token.functions
    offered.chain.transact(token.approve(sales, PRICE - 1), offered.stranger)
    with rejects("ERC20InsufficientAllowance", sales, PRICE - 1, PRICE):
        buy(offered)
    offered.chain.transact(token.transfer(offered.owner.address, 100 * UNIT - PRICE + 1), offered.stranger)
    offered.chain.transact(token.approve(sales, PRICE), offered.stranger)
    with rejects("ERC20InsufficientBalance", offered.stranger.address, PRICE - 1, PRICE):
        buy(offered)
    assert owner(offered) == offered.provider.address
    assert offered.market.sales.offer_of(1) is not None


def test_an_offer_can_be_taken_back_by_its_seller_alone(offered: World) -> None:
    functions = offered.market.sales.contract.functions
    for sender in (offered.stranger, offered.grantee, offered.owner):
        with rejects("NoSuchOffer", 1):
            offered.chain.transact(functions.withdraw(1), sender)
    with rejects("NoSuchOffer", 2):
        offered.chain.transact(functions.withdraw(2), offered.provider)
    receipt = offered.market.sales.withdraw(offered.provider, 1)
    assert receipt.event("Withdrawn").args["seller"] == offered.provider.address
    assert offered.market.sales.offer_of(1) is None
    with rejects("NoSuchOffer", 1):
        buy(offered)
    with rejects("NoSuchOffer", 1):
        offered.market.sales.withdraw(offered.provider, 1)


def test_a_price_of_zero_gives_the_token_away(offered: World) -> None:
    sales = offered.market.sales
    sales.offer(offered.provider, 1, 0, offered.stranger.address)
    buy(offered, price=0)
    assert owner(offered) == offered.stranger.address
    assert nothing_moved(offered)


def test_nobody_buys_what_is_not_for_sale(world: World) -> None:
    world.mint()
    for seller in (world.provider.address, NOBODY):
        with rejects("NoSuchOffer", 1):
            buy(world, seller=seller, price=0)


def test_refuses_addresses_without_a_contract(world: World) -> None:
    nobody, a = world.chain.new_account("nobody", funded=False).address, world.market.addresses
    for given in ((nobody, a.token), (a.registry, nobody)):
        with rejects("NotAContract", nobody):
            world.chain.deploy("DatasetSales", *given, sender=world.owner)
