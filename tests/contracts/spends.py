"""Spends of toy proofs: any public inputs can be proven, so whatever the vault refuses, it refuses by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from web3.contract.contract import ContractFunction

from fedproof.ledger import Account
from fedproof.ledger.vault import Spent, Vault
from tests.contracts import toy
from tests.contracts.support import int_words
from tests.contracts.world import World

GAS = 1_500_000


@dataclass(frozen=True)
class Spend:
    """A spend as it is sent, with its proof."""

    root: int
    nullifiers: tuple[int, int]
    leaves: tuple[int, ...]
    withdrawn: int
    recipient: str
    memo: bytes
    proof: bytes

    def call(self, vault: Vault) -> ContractFunction:
        return vault.contract.functions.spend(
            self.root,
            list(self.nullifiers),
            list(self.leaves),
            self.withdrawn,
            self.recipient,
            self.memo,
            int_words(self.proof),
        )

    def send(self, world: World, sender: Account | None = None) -> Spent:
        vault = world.market.vault
        receipt = world.chain.transact(self.call(vault), sender or world.stranger, GAS)
        return Spent.of(receipt.event("Spent"))


def spend(
    world: World,
    number: int = 1,
    *,
    withdrawn: int = 0,
    recipient: Account | str | None = None,
    memo: bytes = b"for the owners",
    root: int | None = None,
    nullifiers: tuple[int, int] | None = None,
    leaves: tuple[int, int] | None = None,
    change: Callable[[list[int]], list[int]] = list,
    vault: Vault | None = None,
) -> Spend:
    """An honest spend, but for what `change` does to the public inputs that are proven; `number` tells spends apart."""
    vault = vault or world.market.vault
    to = recipient.address if isinstance(recipient, Account) else recipient or "0x" + "0" * 40
    root = vault.growth()[-1].root if root is None else root
    nullifiers = nullifiers or (1000 + number, 2000 + number)
    leaves = leaves or (3000 + number, 4000 + number)
    signal = vault.spend_signal(to, memo)
    public = [root, *nullifiers, *leaves, withdrawn, vault.current_epoch(), signal]
    return Spend(root, nullifiers, leaves, withdrawn, to, memo, toy.prove_spend(change(list(public))))


def balance(world: World, address: str) -> int:
    return int(world.chain.call(world.market.token.functions.balanceOf(address)))
