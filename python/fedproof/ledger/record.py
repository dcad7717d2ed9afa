"""A stretch of a chain as data: what an auditor keeps of a run, and what two chains are compared by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils.crypto import keccak

from fedproof.errors import AuditError
from fedproof.ledger.rpc import hex_data

FORMAT = "fedproof/chain/v1"
EMBEDDED, REMOTE = "embedded", "remote"


@dataclass(frozen=True)
class LogRecord:
    """Address, topics and data of one log."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes

    def to_json(self) -> dict[str, Any]:
        """As in an export."""
        topics = [hex_data(topic) for topic in self.topics]
        return {"address": hex_data(self.address), "topics": topics, "data": hex_data(self.data)}


@dataclass(frozen=True)
class TransactionRecord:
    """A signed transaction and its receipt."""

    raw: bytes
    status: int
    gas_used: int
    logs: tuple[LogRecord, ...]

    @property
    def hash(self) -> str:
        """The transaction's hash, from its bytes."""
        return hex_data(keccak(self.raw))

    def to_json(self) -> dict[str, Any]:
        """As in an export."""
        receipt = {"status": self.status, "gasUsed": self.gas_used, "logs": [log.to_json() for log in self.logs]}
        return {"hash": self.hash, "raw": hex_data(self.raw), "receipt": receipt}

    def difference(self, found: TransactionRecord) -> str | None:
        """Which part of the receipt is another in `found`, or None."""
        for name, mine, theirs in (
            ("status", self.status, found.status),
            ("gas", self.gas_used, found.gas_used),
            ("number of logs", len(self.logs), len(found.logs)),
        ):
            if mine != theirs:
                return f"{name} is {theirs}, the export says {mine}"
        for index, (mine_log, their_log) in enumerate(zip(self.logs, found.logs, strict=True)):
            if mine_log != their_log:
                return f"log {index} is not the exported one"
        return None


@dataclass(frozen=True)
class BlockRecord:
    """A block: the hash covers the state after it, so that equal hashes mean equal states."""

    number: int
    timestamp: int
    hash: bytes
    transactions: tuple[TransactionRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """As in an export."""
        transactions = [transaction.to_json() for transaction in self.transactions]
        return {
            "number": self.number,
            "timestamp": self.timestamp,
            "hash": hex_data(self.hash),
            "transactions": transactions,
        }

    def check(self, found: BlockRecord) -> None:
        """Passes the same block.

        Raises:
            AuditError: names the first transaction that differs, else the block.
        """
        for index, mine in enumerate(self.transactions):
            where = f"transaction {mine.hash} in block {self.number}"
            if index >= len(found.transactions) or found.transactions[index].raw != mine.raw:
                raise AuditError(f"{where} is not on the chain at its place")
            difference = mine.difference(found.transactions[index])
            if difference is not None:
                raise AuditError(f"{where}: {difference}")
        if len(found.transactions) > len(self.transactions):
            extra = found.transactions[len(self.transactions)].hash
            raise AuditError(f"transaction {extra} in block {self.number} is missing from the export")
        if (self.number, self.timestamp, self.hash) != (found.number, found.timestamp, found.hash):
            raise AuditError(
                f"block {self.number} has hash {hex_data(found.hash)}, the export says {hex_data(self.hash)}"
            )


@dataclass(frozen=True)
class ChainRecord:
    """Blocks of one chain, in order.

    `genesis` is there for an embedded chain alone, which can be run again: its blocks follow one another. `addresses`
    is there where only transactions to these contracts were kept; then blocks without any may be left out, too.
    """

    kind: str
    chain_id: int
    genesis: Mapping[str, Any] | None
    addresses: tuple[str, ...] | None
    blocks: tuple[BlockRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """The export."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "chainId": self.chain_id,
            "genesis": None if self.genesis is None else dict(self.genesis),
            "addresses": None if self.addresses is None else list(self.addresses),
            "blocks": [block.to_json() for block in self.blocks],
        }

    @classmethod
    def from_json(cls, export: object) -> ChainRecord:
        """Reads an export.

        Raises:
            AuditError: it is malformed; the message says where.
        """
        top = _fields(export, "the export", {"format", "kind", "chainId", "genesis", "addresses", "blocks"})
        if top["format"] != FORMAT:
            raise AuditError(f"the export has format {str(top['format'])[:40]!r}: this version reads {FORMAT}")
        if top["kind"] not in (EMBEDDED, REMOTE):
            raise AuditError("the export is of an unknown kind of chain")
        genesis, addresses = top["genesis"], top["addresses"]
        if (genesis is not None) != (top["kind"] == EMBEDDED) or not isinstance(genesis, Mapping | None):
            raise AuditError("the export of an embedded chain, and no other, must have its genesis")
        record = cls(
            kind=top["kind"],
            chain_id=_number(top["chainId"], "chainId"),
            genesis=genesis,
            addresses=None
            if addresses is None
            else tuple(hex_data(_data(each, "addresses", 20)) for each in _list(addresses, "addresses")),
            blocks=tuple(_block(block) for block in _list(top["blocks"], "blocks")),
        )
        for first, second in zip(record.blocks, record.blocks[1:], strict=False):
            sparse = record.kind == REMOTE and record.addresses is not None
            if second.number <= first.number or not (sparse or second.number == first.number + 1):
                raise AuditError(f"block {first.number} is followed by block {second.number} in the export")
        return record


def log_record(raw: object) -> LogRecord:
    """A log of an export or of JSON-RPC."""
    if not isinstance(raw, Mapping):
        raise AuditError("a log is not an object")
    topics = tuple(_data(topic, "a topic", 32) for topic in _list(raw.get("topics"), "topics"))
    return LogRecord(_data(raw.get("address"), "a log's address", 20), topics, _data(raw.get("data"), "log data"))


def _block(raw: object) -> BlockRecord:
    fields = _fields(raw, "a block", {"number", "timestamp", "hash", "transactions"})
    return BlockRecord(
        number=_number(fields["number"], "a block's number"),
        timestamp=_number(fields["timestamp"], "a block's timestamp"),
        hash=_data(fields["hash"], "a block's hash", 32),
        transactions=tuple(_transaction(each) for each in _list(fields["transactions"], "a block's transactions")),
    )


def _transaction(raw: object) -> TransactionRecord:
    fields = _fields(raw, "a transaction", {"hash", "raw", "receipt"})
    receipt = _fields(fields["receipt"], "a receipt", {"status", "gasUsed", "logs"})
    transaction = TransactionRecord(
        raw=_data(fields["raw"], "a raw transaction"),
        status=_number(receipt["status"], "a status"),
        gas_used=_number(receipt["gasUsed"], "gas used"),
        logs=tuple(log_record(each) for each in _list(receipt["logs"], "logs")),
    )
    if transaction.hash != fields["hash"]:
        raise AuditError(f"transaction {str(fields['hash'])[:66]}: its bytes have another hash")
    return transaction


def _fields(value: object, what: str, names: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or set(value) != names:
        raise AuditError(f"{what} must have exactly the fields {', '.join(sorted(names))}")
    return value


def _list(value: object, what: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise AuditError(f"{what} must be a list in the export")
    return value


def _number(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**64:
        raise AuditError(f"{what} must be a whole number in the export")
    return value


def _data(value: object, what: str, length: int | None = None) -> bytes:
    if isinstance(value, str) and value.startswith("0x"):
        try:
            data = bytes.fromhex(value[2:])
        except ValueError:
            data = None
        if data is not None and (length is None or len(data) == length):
            return data
    raise AuditError(f"{what} must be hexadecimal bytes in the export")
