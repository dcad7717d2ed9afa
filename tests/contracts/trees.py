"""A marketplace over a vault whose trees hold few leaves, so that a test can fill them."""

from __future__ import annotations

from fedproof.ledger import Account
from fedproof.ledger.marketplace import Marketplace
from tests.contracts.support import load_test_artifact


def with_small_trees(
    market: Marketplace, sender: Account, capacity: int, max_duration: int = 7200, token: str | None = None
) -> Marketplace:
    """A marketplace like another, of the same token and spend key, with trees of so many leaves."""
    chain, old = market.chain, market.vault
    poseidon = {name: chain.deploy(name, sender=sender).address for name in ("PoseidonT3", "PoseidonT5")}
    given = (token or market.token.address, old.epoch_length(), chain.call(old.contract.functions.spendKey()), True)
    vault = chain.deploy(load_test_artifact("SmallVault"), *given, capacity, sender=sender, libraries=poseidon)
    registry = chain.deploy("DatasetRegistry", vault.address, max_duration, True, sender=sender)
    escrow = chain.deploy("KeyEscrow", registry.address, sender=sender)
    sales = chain.deploy("DatasetSales", registry.address, market.token.address, sender=sender)
    made = Marketplace(chain, market.token, vault, registry, escrow, sales)
    made.vault.tree_capacity = capacity
    return made
