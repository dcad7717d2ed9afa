"""A chain as a clock and a purse: blocks, time and accounts. What a contract is comes in `chain`."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Self

from eth_utils.address import to_checksum_address

from fedproof.errors import LedgerError
from fedproof.ledger.accounts import Account, account_from_key, development_account
from fedproof.ledger.dev import DevTools
from fedproof.ledger.http import HttpRpc
from fedproof.ledger.rpc import Rpc, parse_quantity
from fedproof.ledger.sending import SendingPolicy

ETHER = 10**18
_FUNDS = 100 * ETHER


class Node:
    """What every chain has, whoever runs it."""

    def __init__(self, rpc: Rpc, *, chain_id: int, dev: DevTools | None, policy: SendingPolicy) -> None:
        self.rpc = rpc
        self.chain_id = chain_id
        self._dev = dev
        self._policy = policy

    def __repr__(self) -> str:
        return f"Chain({self.rpc.url!r}, chain_id={self.chain_id})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes connections; the embedded chain has none."""
        if isinstance(self.rpc, HttpRpc):
            self.rpc.close()

    # -- time --

    @property
    def is_development(self) -> bool:
        """Whether it mines on demand and gives money away."""
        return self._dev is not None

    @property
    def dev(self) -> DevTools:
        """What only a development chain can do.

        Raises:
            LedgerError: this is not one.
        """
        if self._dev is None:
            raise LedgerError(f"{self.rpc.url} is not a development chain: it mines at its own pace")
        return self._dev

    def block_number(self) -> int:
        """Height of the latest block."""
        return parse_quantity(self.rpc.request("eth_blockNumber"), "a block number")

    def timestamp(self, block: int | None = None) -> int:
        """Time of a block, or of the latest one, in seconds."""
        found = self.rpc.request("eth_getBlockByNumber", block_tag(block), False)
        if not isinstance(found, dict):
            raise LedgerError(f"block {block} is not there yet")
        return parse_quantity(found.get("timestamp"), "a timestamp")

    def mine(self, count: int = 1) -> None:
        """Mines blocks on a development chain.

        Raises:
            LedgerError: this is not one.
        """
        if count > 0:
            self.dev.mine(count)

    def wait_until_block(self, number: int, seconds: float = 600.0) -> None:
        """Returns once the latest block is `number` or later; a development chain mines up to it.

        Raises:
            LedgerError: it did not come within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while (missing := number - self.block_number()) > 0:
            if self._dev is not None:
                self._dev.mine(missing)
            elif time.monotonic() >= deadline:
                raise LedgerError(f"block {number} did not come within {seconds:g} s: {missing} are missing")
            else:
                time.sleep(self._policy.poll_seconds)

    @contextlib.contextmanager
    def hold_mining(self) -> Iterator[None]:
        """On a development chain, all that is sent (`send`) inside shares one block, mined at the end."""
        with self.dev.hold_mining():
            yield

    # -- accounts --

    def new_account(self, name: str, funded: bool = True) -> Account:
        """An account. On a development chain its key follows from the name, elsewhere it is random.

        Raises:
            LedgerError: money is asked for where nobody gives any.
        """
        if self._dev is None:
            if funded:
                raise LedgerError(f"{self.rpc.url} gives no money away: use account_from_key with a funded key")
            return account_from_key(secrets.token_bytes(32), name)
        account = development_account(name)
        if funded and self.balance(account.address) < _FUNDS // 2:
            tx_hash = self._dev.give(account.address, _FUNDS)
            if self.rpc.request("eth_getTransactionReceipt", tx_hash) is None:
                self._dev.mine(1)
        return account

    def account_from_key(self, key: bytes | str, name: str = "") -> Account:
        """The account of a private key: 32 bytes, or 64 hexadecimal digits."""
        return account_from_key(key, name)

    def balance(self, address: str) -> int:
        """Balance in wei."""
        return parse_quantity(self.rpc.request("eth_getBalance", to_checksum_address(address), "latest"), "a balance")


def block_tag(number: int | None) -> str:
    """How JSON-RPC names a block; None is the latest."""
    return "latest" if number is None else hex(number)
