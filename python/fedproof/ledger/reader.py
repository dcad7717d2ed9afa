"""What is to be read of a chain: receipts, events, code, and whole runs for an audit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from eth_utils.address import to_checksum_address
from web3.contract import Contract

from fedproof.errors import InputError, LedgerError
from fedproof.ledger import embedded
from fedproof.ledger.anchor import NO_ANCHOR
from fedproof.ledger.dev import DevTools
from fedproof.ledger.events import Event, decode_event, filter_topics, find_event
from fedproof.ledger.export import collect_block
from fedproof.ledger.knowledge import AbiIndex
from fedproof.ledger.logs import get_logs
from fedproof.ledger.node import Node
from fedproof.ledger.receipts import Receipt, check_receipt, parse_receipt
from fedproof.ledger.record import EMBEDDED, REMOTE, ChainRecord
from fedproof.ledger.rpc import Rpc, parse_data
from fedproof.ledger.sending import SendingPolicy


class Reader(Node):
    """A chain with what contracts wrote on it."""

    def __init__(self, rpc: Rpc, *, chain_id: int, dev: DevTools | None, policy: SendingPolicy) -> None:
        super().__init__(rpc, chain_id=chain_id, dev=dev, policy=policy)
        self._abis = AbiIndex()

    @property
    def anchor(self) -> int:
        """What binds a transaction to the branch that was looked at: nothing, for a chain that is read at its head."""
        return NO_ANCHOR

    def events(
        self,
        contract: Contract,
        name: str,
        from_block: int = 0,
        to_block: int | None = None,
        argument_filters: Mapping[str, Any] | None = None,
    ) -> list[Event]:
        """The contract's events of this name, oldest first. `argument_filters` gives values of indexed arguments."""
        event = find_event(contract.abi, name)
        topics = filter_topics(event, argument_filters or {})
        last = self.block_number() if to_block is None else to_block
        logs = get_logs(self.rpc, contract.address, topics, from_block, last)
        return [decode_event(event, log) for log in logs]

    def transaction_input(self, tx_hash: str) -> bytes:
        """Calldata of a transaction.

        Raises:
            LedgerError: the chain has no such transaction.
        """
        found = self.rpc.request("eth_getTransactionByHash", tx_hash)
        if not isinstance(found, dict):
            raise LedgerError(f"the chain has no transaction {tx_hash}")
        return parse_data(found.get("input"), "calldata")

    def receipt(self, tx_hash: str) -> Receipt:
        """The receipt of a mined transaction, whether it succeeded or failed.

        Raises:
            LedgerError: the chain has no such transaction, or it is not mined yet.
        """
        raw = self.rpc.request("eth_getTransactionReceipt", tx_hash)
        if not isinstance(raw, dict):
            raise LedgerError(f"the chain has no mined transaction {tx_hash}")
        check_receipt(raw, tx_hash)
        return parse_receipt(raw, len(self.transaction_input(tx_hash)), self._abis)

    def code_at(self, address: str) -> bytes:
        """Runtime code at an address; empty where there is no contract."""
        return parse_data(self.rpc.request("eth_getCode", to_checksum_address(address), "latest"), "code")

    def export(
        self,
        from_block: int = 0,
        to_block: int | None = None,
        addresses: Collection[str] | None = None,
        *,
        eventful: bool = False,
    ) -> dict[str, Any]:
        """Blocks, signed transactions and receipts as JSON-able data, for `replay` or `check_export`.

        Of a public network give the range of the run, and the addresses of its contracts: then only transactions to
        these are kept; with `eventful`, only the first block, the last, and those in which these contracts logged
        something, for most blocks of a long run hold nothing of it. An embedded chain is exported whole.

        Raises:
            InputError: a part of an embedded chain is asked for.
        """
        if isinstance(self.rpc, embedded.EmbeddedNode):
            if from_block != 0 or to_block is not None or addresses is not None or eventful:
                raise InputError("an embedded chain is exported whole, or it could not be run again")
            genesis = self.rpc.ledger.genesis.to_json()
        else:
            genesis = None
        kept = None if addresses is None else tuple(sorted(address.lower() for address in addresses))
        last = self.block_number() if to_block is None else to_block
        numbers = self._eventful(from_block, last, kept or ()) if eventful else range(from_block, last + 1)
        return ChainRecord(
            kind=REMOTE if genesis is None else EMBEDDED,
            chain_id=self.chain_id,
            genesis=genesis,
            addresses=kept,
            blocks=tuple(collect_block(self.rpc, number, kept) for number in numbers),
        ).to_json()

    def _eventful(self, first: int, last: int, addresses: Collection[str]) -> list[int]:
        found = {first, last}
        for address in addresses:
            logs = get_logs(self.rpc, to_checksum_address(address), [], first, last)
            found |= {log.block_number for log in logs}
        return sorted(found)
