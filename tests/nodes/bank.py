"""Nodes on an embedded marketplace whose vault has the real spend circuit, for trees of up to 64 notes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedproof.ledger import Account, Chain
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.state import StateFile
from fedproof.nodes.wallet import Wallet
from fedproof.proving.keys import Keys
from fedproof.statements.spend import SpendStatement

STATEMENT = SpendStatement(depth=6)
EPOCH_LENGTH = 3600


@dataclass
class Bank:
    """A marketplace, and wallets on it."""

    chain: Chain
    market: Marketplace
    keys: Keys
    owner: Account
    folder: Path

    def wallet(self, name: str, tokens: int = 1000) -> Wallet:
        """A fresh wallet whose account has tokens."""
        account = self.chain.new_account(name)
        self.chain.transact(self.market.token.functions.transfer(account.address, tokens), self.owner)
        return self.open(name, account)

    def open(self, name: str, account: Account) -> Wallet:
        """The wallet in a state folder, as after a restart."""
        return Wallet(self.market, self.keys, account, StateFile(self.folder / name, "holder"), STATEMENT)

    def reopen(self, wallet: Wallet) -> Wallet:
        """The same wallet in another process."""
        wallet._state.close()
        return self.open(wallet._state.folder.name, wallet.account)

    def pass_epochs(self, count: int = 1) -> int:
        """Let epochs pass; returns the present one."""
        self.chain.dev.set_next_timestamp((self.market.vault.current_epoch() + count) * EPOCH_LENGTH + 1)
        self.chain.mine()
        return self.market.vault.current_epoch()

    def tokens(self, address: str) -> int:
        return int(self.chain.call(self.market.token.functions.balanceOf(address)))


def amounts(wallet: Wallet) -> list[int]:
    """What is not spent, the richest note first."""
    return [own.amount for own in wallet.holdings().notes]


def filled(bank: Bank, name: str, *notes: int) -> Wallet:
    """A wallet with these notes, unlocked."""
    wallet = bank.wallet(name, 1000 + sum(notes))
    for amount in notes:
        wallet.deposit(amount, bank.market.vault.current_epoch() + 1)
    bank.pass_epochs()
    return wallet
