"""Builds one block: transactions go in one by one, then the block is sealed and belongs to the chain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI, VirtualMachineAPI
from eth.chains.base import Chain as PyEvmChain
from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.exceptions import Revert
from eth_bloom.bloom import BloomFilter
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from fedproof.ledger.embedded.genesis import COINBASE
from fedproof.ledger.rpc import RpcError

_METHOD = "eth_sendRawTransaction"
RawLog = tuple[bytes, tuple[bytes, ...], bytes]  # address, topics, data


@dataclass(frozen=True)
class Mined:
    """A transaction in its block."""

    raw: bytes
    hash: bytes
    sender: bytes
    to: bytes
    nonce: int
    data: bytes
    value: int
    gas: int
    gas_used: int
    status: int
    logs: tuple[RawLog, ...]
    contract: bytes | None
    revert_data: bytes | None


@dataclass(frozen=True)
class Sealed:
    """A finished block."""

    header: BlockHeaderAPI
    transactions: tuple[Mined, ...]

    @property
    def number(self) -> int:
        """Height; the genesis block is 0."""
        return int(self.header.block_number)

    @cached_property
    def hash(self) -> bytes:
        """Keccak of the RLP header."""
        return bytes(self.header.hash)


class BlockBuilder:
    """The block that comes next, with its own view of the state."""

    def __init__(self, chain: PyEvmChain, parent: BlockHeaderAPI, timestamp: int) -> None:
        self._chain = chain
        vm_class = chain.get_vm_class_for_block_number(parent.block_number + 1)
        self._header = vm_class.create_header_from_parent(
            parent,
            timestamp=timestamp,
            gas_limit=parent.gas_limit,
            coinbase=COINBASE,
            difficulty=0,
            mix_hash=keccak(parent.hash),  # prevrandao: any fixed function of the past keeps a replay exact
        )
        self.vm: VirtualMachineAPI = chain.get_vm(self._header)
        self._transactions: list[SignedTransactionAPI] = []
        self._receipts: list[ReceiptAPI] = []
        self._mined: list[Mined] = []

    @property
    def transactions(self) -> tuple[Mined, ...]:
        """What the block holds so far."""
        return tuple(self._mined)

    def add(self, raw: bytes) -> bytes:
        """Executes a raw transaction in this block and gives its hash.

        Raises:
            RpcError: it is malformed, for another chain, or not payable; the block stays as it was.
        """
        transaction = decode_transaction(self.vm, raw, self._chain.chain_id)
        try:
            receipt, computation = self.vm.apply_transaction(self._header, transaction)
        except ValidationError as error:
            raise RpcError(_METHOD, -32000, _one_line(str(error))) from error
        gas_used = receipt.gas_used - self._header.gas_used
        self._header = self._header.copy(
            gas_used=receipt.gas_used, bloom=int(BloomFilter(self._header.bloom) | receipt.bloom)
        )
        self._transactions.append(transaction)
        self._receipts.append(receipt)
        self._mined.append(_mined(raw, transaction, receipt, computation, gas_used))
        return bytes(transaction.hash)

    def seal(self) -> Sealed:
        """Writes the block to the chain."""
        if not self._transactions:  # waiting for a deadline mines thousands of these
            self._chain.chaindb.persist_header(self._header)
            return Sealed(self._header, ())
        block = self.vm.set_block_transactions_and_withdrawals(
            self.vm.get_block(), self._header, tuple(self._transactions), tuple(self._receipts)
        )
        block = self.vm.finalize_block(block).block
        self._chain.chaindb.persist_block(block)
        return Sealed(block.header, tuple(self._mined))


def decode_transaction(vm: VirtualMachineAPI, raw: bytes, chain_id: int) -> SignedTransactionAPI:
    """A raw transaction of type 0 (with EIP-155), 1 or 2.

    Raises:
        RpcError: not such a transaction, a bad signature, or another chain's.
    """
    try:
        transaction = vm.get_transaction_builder().decode(raw)
        sender = transaction.sender
    except Exception as error:  # rlp, eth-keys and py-evm raise unrelated types on malformed bytes
        raise RpcError(_METHOD, -32000, "the transaction cannot be decoded") from error
    type_id = transaction.type_id or 0
    if type_id not in (0, 1, 2):
        raise RpcError(_METHOD, -32000, f"transaction type {type_id} is not supported")
    if transaction.chain_id != chain_id:
        raise RpcError(_METHOD, -32000, f"invalid chain id for signer: have {transaction.chain_id}, want {chain_id}")
    expected = vm.state.get_nonce(sender)
    if transaction.nonce < expected:
        raise RpcError(_METHOD, -32003, f"nonce too low: next nonce {expected}, tx nonce {transaction.nonce}")
    return transaction


def _mined(
    raw: bytes, transaction: SignedTransactionAPI, receipt: ReceiptAPI, computation: ComputationAPI, gas_used: int
) -> Mined:
    is_create = transaction.to == CREATE_CONTRACT_ADDRESS
    failed = computation.is_error
    reverted = failed and isinstance(computation.error, Revert)
    return Mined(
        raw=raw,
        hash=bytes(transaction.hash),
        sender=bytes(transaction.sender),
        to=bytes(transaction.to),
        nonce=transaction.nonce,
        data=bytes(transaction.data),
        value=transaction.value,
        gas=transaction.gas,
        gas_used=gas_used,
        status=0 if failed else 1,
        logs=tuple(
            (bytes(log.address), tuple(topic.to_bytes(32, "big") for topic in log.topics), bytes(log.data))
            for log in receipt.logs
        ),
        contract=bytes(computation.msg.storage_address) if is_create and not failed else None,
        revert_data=bytes(computation.output) if reverted else None,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
