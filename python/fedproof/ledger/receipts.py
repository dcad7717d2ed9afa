"""What became of a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address

from fedproof.errors import LedgerError
from fedproof.ledger.events import Event, Log
from fedproof.ledger.knowledge import AbiIndex
from fedproof.ledger.rpc import parse_data, parse_quantity


@dataclass(frozen=True)
class Receipt:
    """A mined transaction. `gas_used` in gas units, `calldata_size` in bytes, `status` 1 for success, `to` None for a
    creation."""

    tx_hash: str
    block_number: int
    block_hash: str
    gas_used: int
    calldata_size: int
    status: int
    events: tuple[Event, ...]
    logs: tuple[Log, ...] = field(repr=False)
    contract_address: ChecksumAddress | None = None
    to: ChecksumAddress | None = None

    def event(self, name: str) -> Event:
        """The one event of this name that the called contract wrote; what others wrote in its course does not count.

        Raises:
            LedgerError: there is none, or more than one.
        """
        author = self.to or self.contract_address
        found = [event for event in self.events if event.name == name and event.address == author]
        if len(found) != 1:
            raise LedgerError(f"transaction {self.tx_hash} has {len(found)} events named {name}, not one")
        return found[0]


def check_receipt(raw: Mapping[str, Any], tx_hash: str) -> None:
    """Passes a receipt from JSON-RPC that is of this transaction.

    Raises:
        LedgerError: it is of another one, or does not say of which.
    """
    if parse_data(raw.get("transactionHash"), "a transaction hash", 32) != bytes.fromhex(tx_hash.removeprefix("0x")):
        raise LedgerError(f"the node sent the receipt of another transaction than {tx_hash}")


def parse_log(raw: Mapping[str, Any]) -> Log:
    """A log from JSON-RPC.

    Raises:
        LedgerError: it is malformed.
    """
    try:
        return Log(
            address=to_checksum_address(parse_data(raw["address"], "a log's address", 20)),
            topics=tuple(parse_data(topic, "a topic", 32) for topic in raw["topics"]),
            data=parse_data(raw["data"], "log data"),
            block_number=parse_quantity(raw["blockNumber"], "a block number"),
            tx_hash="0x" + parse_data(raw["transactionHash"], "a transaction hash", 32).hex(),
            log_index=parse_quantity(raw["logIndex"], "a log index"),
        )
    except (KeyError, TypeError) as error:
        raise LedgerError("the node sent a malformed log") from error


def parse_receipt(raw: Mapping[str, Any], calldata_size: int, abis: AbiIndex) -> Receipt:
    """A receipt from JSON-RPC, with the events of known contracts decoded.

    Raises:
        LedgerError: it is malformed, or has logs of another transaction.
    """
    try:
        logs = tuple(parse_log(log) for log in raw["logs"])
        contract, to = raw.get("contractAddress"), raw.get("to")
        receipt = Receipt(
            tx_hash="0x" + parse_data(raw["transactionHash"], "a transaction hash", 32).hex(),
            block_number=parse_quantity(raw["blockNumber"], "a block number"),
            block_hash="0x" + parse_data(raw["blockHash"], "a block hash", 32).hex(),
            gas_used=parse_quantity(raw["gasUsed"], "the gas used"),
            calldata_size=calldata_size,
            status=parse_quantity(raw["status"], "a receipt's status"),
            events=tuple(event for event in map(abis.event, logs) if event is not None),
            logs=logs,
            contract_address=to_checksum_address(parse_data(contract, "an address", 20)) if contract else None,
            to=to_checksum_address(parse_data(to, "an address", 20)) if to else None,
        )
    except (KeyError, TypeError) as error:
        raise LedgerError("the node sent a malformed receipt") from error
    if any((log.tx_hash, log.block_number) != (receipt.tx_hash, receipt.block_number) for log in logs):
        raise LedgerError(f"the node sent logs of another transaction with the receipt of {receipt.tx_hash}")
    return receipt
