"""Collects what a chain holds: every block's time, signed transactions and receipts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from eth_utils.crypto import keccak

from fedproof.errors import LedgerError
from fedproof.ledger.record import BlockRecord, TransactionRecord, log_record
from fedproof.ledger.rpc import Rpc, RpcError, parse_data, parse_quantity
from fedproof.ledger.transactions import encode_signed


def collect_block(rpc: Rpc, number: int, addresses: Collection[str] | None = None) -> BlockRecord:
    """A block with all its transactions, or with those to (or creating) one of the lowercase `addresses`.

    Raises:
        LedgerError: the block is not there, or the node's answers contradict each other.
    """
    block = rpc.request("eth_getBlockByNumber", hex(number), True)
    if not isinstance(block, Mapping):
        raise LedgerError(f"block {number} is not there")
    transactions = []
    for transaction in block.get("transactions", []):
        receipt = rpc.request("eth_getTransactionReceipt", transaction["hash"])
        if not isinstance(receipt, Mapping) or receipt.get("blockHash") != block["hash"]:
            raise LedgerError(f"the node gives no receipt of {transaction['hash']} in block {number}: try again")
        target = transaction.get("to") or receipt.get("contractAddress")
        if addresses is not None and str(target).lower() not in addresses:
            continue
        transactions.append(
            TransactionRecord(
                raw=_raw(rpc, transaction),
                status=parse_quantity(receipt.get("status"), "a receipt's status"),
                gas_used=parse_quantity(receipt.get("gasUsed"), "the gas used"),
                logs=tuple(log_record(log) for log in receipt["logs"]),
            )
        )
    return BlockRecord(
        number=parse_quantity(block.get("number"), "a block number"),
        timestamp=parse_quantity(block.get("timestamp"), "a timestamp"),
        hash=parse_data(block.get("hash"), "a block hash", 32),
        transactions=tuple(transactions),
    )


def _raw(rpc: Rpc, transaction: Mapping[str, Any]) -> bytes:
    """The signed bytes. Whoever gives them, they must have the transaction's hash."""
    wanted = parse_data(transaction.get("hash"), "a transaction hash", 32)
    try:
        answer = rpc.request("eth_getRawTransactionByHash", transaction["hash"])
        raw = parse_data(answer, "a raw transaction") if answer else b""
    except RpcError:  # few public nodes have this method
        raw = b""
    if keccak(raw) != wanted:
        raw = encode_signed(transaction)
    if keccak(raw) != wanted:
        raise LedgerError(f"the node does not give the bytes of transaction {transaction['hash']}")
    return raw
