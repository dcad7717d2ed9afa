"""Two small contracts beside the registry: sales of dataset tokens, and the escrow of tier keys with a committee."""

from __future__ import annotations

from typing import Any

from eth_typing import ChecksumAddress
from web3.contract import Contract
from web3.contract.contract import ContractFunction

from fedproof.ledger.accounts import Account
from fedproof.ledger.chain import Chain
from fedproof.ledger.market_types import KeysPlaced, Offer, ShareReleased
from fedproof.ledger.receipts import Receipt

_NOBODY = "0x" + "0" * 40


class Sales:
    """Sales of dataset tokens at a fixed price; token and price change hands in one transaction."""

    def __init__(self, chain: Chain, token: Contract, registry: Contract, contract: Contract) -> None:
        self.chain = chain
        self.token = token
        self.registry = registry
        self.contract = contract

    @property
    def address(self) -> ChecksumAddress:
        """Where it is."""
        return self.contract.address

    def offer(self, sender: Account, dataset_id: int, price: int, buyer: str | None = None) -> Receipt:
        """Approves the sale of the token where needed, and offers it; `buyer` None lets anybody buy."""
        if not self._is_approved(dataset_id):
            # a forgotten offer would hold from the approval on until the new one takes its place
            if self.chain.call(self.contract.functions.offers(dataset_id))[0] == sender.address:
                self.withdraw(sender, dataset_id)
            self.chain.transact(self.registry.functions.approve(self.address, dataset_id), sender)
        return self.chain.transact(self.contract.functions.offer(dataset_id, price, buyer or _NOBODY), sender)

    def withdraw(self, sender: Account, dataset_id: int) -> Receipt:
        """Takes the sender's offer back."""
        return self.chain.transact(self.contract.functions.withdraw(dataset_id), sender)

    def offer_of(self, dataset_id: int) -> Offer | None:
        """The open offer of a dataset; None when there is none, or its seller has moved the token since."""
        seller, buyer, price = self.chain.call(self.contract.functions.offers(dataset_id))
        if seller == _NOBODY or self.chain.call(self.registry.functions.ownerOf(dataset_id)) != seller:
            return None
        if not self._is_approved(dataset_id):
            return None
        return Offer(dataset_id, seller, None if buyer == _NOBODY else buyer, int(price))

    def buy(self, sender: Account, offer: Offer, version: int) -> Receipt:
        """Buys at exactly the offer's price, from exactly its seller, in exactly this version of the dataset."""
        if self.chain.call(self.token.functions.allowance(sender.address, self.address)) < offer.price:
            self.chain.transact(self.token.functions.approve(self.address, offer.price), sender)
        call = self.contract.functions.buy(offer.dataset_id, offer.seller, offer.price, version)
        return self.chain.transact(call, sender)

    def _is_approved(self, dataset_id: int) -> bool:
        return bool(self.chain.call(self.registry.functions.getApproved(dataset_id)) == self.address)


class Escrow:
    """The board on which providers name shared tier keys and workers release their shares."""

    def __init__(self, chain: Chain, contract: Contract) -> None:
        self.chain = chain
        self.contract = contract

    @property
    def address(self) -> ChecksumAddress:
        """Where it is."""
        return self.contract.address

    def place_call(self, dataset_id: int, version: int, escrow_id: bytes) -> ContractFunction:
        """Says where the shared keys of a version are; only the provider may."""
        return self.contract.functions.place(dataset_id, version, escrow_id)

    def place(self, sender: Account, dataset_id: int, version: int, escrow_id: bytes) -> Receipt:
        """Says where the shared keys of a version are."""
        return self.chain.transact(self.place_call(dataset_id, version, escrow_id), sender)

    def placed(self, dataset_id: int, version: int) -> KeysPlaced | None:
        """The last word on where the keys of a version are."""
        found = self.placements(datasetId=dataset_id, version=version)
        return found[-1] if found else None

    def placements(self, **filters: Any) -> list[KeysPlaced]:
        """Everything that was placed, in order; `filters` are `datasetId`, `version`."""
        events = self.chain.events(self.contract, "KeysPlaced", argument_filters=filters)
        return [KeysPlaced.of(event) for event in events]

    def release_call(self, dataset_id: int, version: int, tier: int, grantee: str, sealed: bytes) -> ContractFunction:
        """Publishes the sender's share of a tier's key, sealed to the grantee."""
        return self.contract.functions.release(dataset_id, version, tier, grantee, sealed)

    def release(
        self, sender: Account, dataset_id: int, version: int, tier: int, grantee: str, sealed: bytes
    ) -> Receipt:
        """Publishes the sender's share of a tier's key, sealed to the grantee."""
        return self.chain.transact(self.release_call(dataset_id, version, tier, grantee, sealed), sender)

    def released(self, **filters: Any) -> list[ShareReleased]:
        """All released shares; `filters` are `datasetId`, `grantee`, `worker`."""
        events = self.chain.events(self.contract, "ShareReleased", argument_filters=filters)
        return [ShareReleased.of(event) for event in events]
