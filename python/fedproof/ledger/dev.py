"""What only a development chain can do: mine at will, set the clock, and give money to anybody."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from fedproof.errors import InputError, LedgerError
from fedproof.ledger.rpc import Rpc, RpcError, parse_quantity

_METHOD_MISSING = -32601
_DEV_CLIENTS = ("fedproof-embedded", "anvil", "hardhatnetwork")
# What anvil, Hardhat and the embedded chain take, and what geth and Ganache did. A name alone is only what a node says:
# with one of these ids the worst that it gets is signatures that no other chain takes.
DEVELOPMENT_CHAINS: Final = frozenset({1_337, 31_337})


class DevTools:
    """The development methods of an embedded chain or anvil."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    @classmethod
    def detect(cls, rpc: Rpc, chain_id: int) -> DevTools | None:
        """The tools, if the node says that it is a development node and its chain has the id of such chains."""
        if chain_id not in DEVELOPMENT_CHAINS:
            return None
        try:
            version = rpc.request("web3_clientVersion")
        except RpcError:
            return None
        return cls(rpc) if isinstance(version, str) and version.lower().startswith(_DEV_CLIENTS) else None

    def mine(self, count: int) -> None:
        """Mines `count` blocks."""
        try:
            self._rpc.request("anvil_mine", hex(count))
        except RpcError as error:
            if error.code != _METHOD_MISSING:
                raise
            for _ in range(count):
                self._rpc.request("evm_mine")

    def set_next_timestamp(self, timestamp: int) -> None:
        """The next block gets this time, in seconds; it must be later than the last block's."""
        try:
            self._rpc.request("evm_setNextBlockTimestamp", hex(timestamp))
        except RpcError as error:
            raise InputError(f"timestamp {timestamp} cannot be the next block's: {error.detail}") from error

    @contextlib.contextmanager
    def hold_mining(self) -> Iterator[None]:
        """Transactions sent inside share one block, which is mined at the end."""
        self._rpc.request("evm_setAutomine", False)
        try:
            yield
        finally:
            self._rpc.request("evm_mine")
            self._rpc.request("evm_setAutomine", True)

    def snapshot(self) -> int:
        """Remembers the chain as it is."""
        return parse_quantity(self._rpc.request("evm_snapshot"), "a snapshot id")

    def revert(self, snapshot: int) -> None:
        """Back to a snapshot, which is used up."""
        if self._rpc.request("evm_revert", hex(snapshot)) is not True:
            raise LedgerError(f"the node has no snapshot {snapshot}")

    def give(self, address: str, wei: int) -> str:
        """Sends money from the node's first account and returns the transaction's hash."""
        accounts = self._rpc.request("eth_accounts")
        if not isinstance(accounts, list) or not accounts:
            raise LedgerError("the development node has no unlocked account to give money from")
        return str(self._rpc.request("eth_sendTransaction", {"from": accounts[0], "to": address, "value": hex(wei)}))
