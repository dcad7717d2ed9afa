"""Blocks, transactions, receipts and logs of the embedded chain in the words of JSON-RPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_utils.address import to_checksum_address

from fedproof.ledger.embedded.block import Mined, RawLog, Sealed
from fedproof.ledger.rpc import hex_data, parse_data, parse_quantity


def block(sealed: Sealed, full: bool) -> dict[str, Any]:
    """A block, with its transactions whole or as hashes."""
    header = sealed.header
    return {
        "number": hex(sealed.number),
        "hash": hex_data(sealed.hash),
        "parentHash": hex_data(header.parent_hash),
        "timestamp": hex(header.timestamp),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "baseFeePerGas": hex(header.base_fee_per_gas),
        "miner": hex_data(header.coinbase),
        "stateRoot": hex_data(header.state_root),
        "transactions": [
            transaction(sealed, index) if full else hex_data(mined.hash)
            for index, mined in enumerate(sealed.transactions)
        ],
    }


def unmined(mined: Mined) -> dict[str, Any]:
    """A transaction without its place."""
    return {
        "hash": hex_data(mined.hash),
        "from": to_checksum_address(mined.sender),
        "to": to_checksum_address(mined.to) if mined.to else None,
        "nonce": hex(mined.nonce),
        "input": hex_data(mined.data),
        "value": hex(mined.value),
        "gas": hex(mined.gas),
        "blockNumber": None,
        "blockHash": None,
        "transactionIndex": None,
    }


def transaction(sealed: Sealed, index: int) -> dict[str, Any]:
    """A transaction in its block."""
    return {
        **unmined(sealed.transactions[index]),
        "blockNumber": hex(sealed.number),
        "blockHash": hex_data(sealed.hash),
        "transactionIndex": hex(index),
    }


def receipt(sealed: Sealed, index: int) -> dict[str, Any]:
    """A receipt; where the transaction reverted it says with what, as Besu's do."""
    mined = sealed.transactions[index]
    position = sum(len(earlier.logs) for earlier in sealed.transactions[:index])
    fields: dict[str, Any] = {
        "transactionHash": hex_data(mined.hash),
        "transactionIndex": hex(index),
        "blockNumber": hex(sealed.number),
        "blockHash": hex_data(sealed.hash),
        "from": to_checksum_address(mined.sender),
        "to": to_checksum_address(mined.to) if mined.to else None,
        "gasUsed": hex(mined.gas_used),
        "cumulativeGasUsed": hex(sum(each.gas_used for each in sealed.transactions[: index + 1])),
        "status": hex(mined.status),
        "contractAddress": to_checksum_address(mined.contract) if mined.contract else None,
        "logs": [log(sealed, index, position + offset, each) for offset, each in enumerate(mined.logs)],
    }
    if mined.revert_data is not None:
        fields["revertReason"] = hex_data(mined.revert_data)
    return fields


def log(sealed: Sealed, index: int, position: int, raw: RawLog) -> dict[str, Any]:
    """A log at its position in the block."""
    address, topics, data = raw
    return {
        "address": to_checksum_address(address),
        "topics": [hex_data(topic) for topic in topics],
        "data": hex_data(data),
        "blockNumber": hex(sealed.number),
        "blockHash": hex_data(sealed.hash),
        "transactionHash": hex_data(sealed.transactions[index].hash),
        "transactionIndex": hex(index),
        "logIndex": hex(position),
        "removed": False,
    }


def matching_logs(blocks: Sequence[Sealed], query: dict[str, Any]) -> list[dict[str, Any]]:
    """The logs of `blocks` that an eth_getLogs query asks for."""
    addresses = _alternatives(query.get("address"), 20)
    topics = [_alternatives(topic, 32) for topic in query.get("topics", [])]
    found = []
    for sealed in blocks:
        position = 0
        for index, mined in enumerate(sealed.transactions):
            for each in mined.logs:
                if _matches(each, addresses, topics):
                    found.append(log(sealed, index, position, each))
                position += 1
    return found


def parse_call(request: dict[str, str]) -> tuple[bytes, bytes, bytes, int]:
    """Sender, recipient (empty for a creation), data and value of a call."""
    sender = parse_data(request.get("from", "0x" + "00" * 20), "a sender", 20)
    to = parse_data(request["to"], "a recipient", 20) if request.get("to") else b""
    data = parse_data(request.get("data", "0x"), "call data")
    return sender, to, data, parse_quantity(request.get("value", "0x0"), "a value")


def _alternatives(value: str | list[str] | None, length: int) -> frozenset[bytes] | None:
    if value is None:
        return None
    return frozenset(parse_data(each, "a filter", length) for each in ([value] if isinstance(value, str) else value))


def _matches(raw: RawLog, addresses: frozenset[bytes] | None, topics: list[frozenset[bytes] | None]) -> bool:
    address, own, _ = raw
    if addresses is not None and address not in addresses:
        return False
    if len(topics) > len(own):
        return False
    return all(wanted is None or topic in wanted for wanted, topic in zip(topics, own, strict=False))
