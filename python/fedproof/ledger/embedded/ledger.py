"""The embedded chain itself: sealed blocks, the block being built, and the clock."""

from __future__ import annotations

from eth.abc import VirtualMachineAPI
from eth.chains.base import Chain as PyEvmChain
from eth.constants import POST_MERGE_DIFFICULTY, POST_MERGE_MIX_HASH, POST_MERGE_NONCE
from eth.db.atomic import AtomicDB

from fedproof.ledger.embedded.block import BlockBuilder, Mined, Sealed
from fedproof.ledger.embedded.evm import NativeVM
from fedproof.ledger.embedded.genesis import BASE_FEE, COINBASE, Genesis


class EmbeddedLedger:
    """Blocks and what goes into the next one. Not thread-safe: the node has the lock."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.automine = True
        chain_class = PyEvmChain.configure(
            __name__="EmbeddedPyEvmChain", vm_configuration=((0, NativeVM),), chain_id=genesis.chain_id
        )
        state = {
            address: {"balance": balance, "nonce": 0, "code": b"", "storage": {}}
            for address, balance in genesis.allocation.items()
        }
        parameters = {
            "coinbase": COINBASE,
            "difficulty": POST_MERGE_DIFFICULTY,
            "extra_data": b"",
            "gas_limit": genesis.gas_limit,
            "mix_hash": POST_MERGE_MIX_HASH,
            "nonce": POST_MERGE_NONCE,
            "timestamp": genesis.timestamp,
            "base_fee_per_gas": BASE_FEE,
        }
        self._chain = chain_class.from_genesis(AtomicDB(), parameters, state)
        self._blocks = [Sealed(self._chain.get_canonical_block_header_by_number(0), ())]
        self._where: dict[bytes, tuple[int, int]] = {}
        self._building: BlockBuilder | None = None
        self._next_timestamp: int | None = None
        self._snapshots: list[int] = []

    @property
    def head(self) -> Sealed:
        """The latest block."""
        return self._blocks[-1]

    @property
    def blocks(self) -> tuple[Sealed, ...]:
        """All sealed blocks, genesis first."""
        return tuple(self._blocks)

    @property
    def pending(self) -> tuple[Mined, ...]:
        """What the next block holds so far."""
        return self._building.transactions if self._building else ()

    def block(self, number: int) -> Sealed | None:
        """The block at a height, if it is there."""
        return self._blocks[number] if 0 <= number < len(self._blocks) else None

    def find(self, transaction_hash: bytes) -> tuple[Sealed, int] | None:
        """Block and position of a mined transaction."""
        where = self._where.get(transaction_hash)
        return None if where is None else (self._blocks[where[0]], where[1])

    def vm_at(self, block: Sealed) -> VirtualMachineAPI:
        """The state after a block; changes to it are nobody's."""
        return self._chain.get_vm(block.header)

    def pending_vm(self) -> VirtualMachineAPI:
        """The state that the next transaction will meet; the caller takes changes back."""
        return (self._building or self._new_builder()).vm

    def add(self, raw: bytes) -> bytes:
        """Executes a raw transaction, mines it unless mining is held, and gives its hash.

        Raises:
            RpcError: it is refused; nothing has changed.
        """
        builder = self._building or self._new_builder()
        transaction_hash = builder.add(raw)
        self._building = builder
        if self.automine:
            self.mine()
        return transaction_hash

    def mine(self, count: int = 1) -> None:
        """Seals blocks; the first takes what is pending."""
        for _ in range(count):
            block = (self._building or self._new_builder()).seal()
            self._building = None
            self._next_timestamp = None
            self._blocks.append(block)
            for index, mined in enumerate(block.transactions):
                self._where[mined.hash] = (block.number, index)

    def set_next_timestamp(self, timestamp: int) -> bool:
        """The next block's time; False where that is too early or the block has begun."""
        if timestamp <= self.head.header.timestamp or self._building is not None:
            return False
        self._next_timestamp = timestamp
        return True

    def snapshot(self) -> int:
        """Remembers the chain as it is."""
        self._snapshots.append(self.head.number)
        return len(self._snapshots) - 1

    def revert(self, snapshot: int) -> bool:
        """Back to a snapshot, which is used up with all later ones; False where there is none."""
        if not 0 <= snapshot < len(self._snapshots):
            return False
        height = self._snapshots[snapshot]
        del self._snapshots[snapshot:]
        self._building = None
        self._next_timestamp = None
        for block in self._blocks[height + 1 :]:
            for mined in block.transactions:
                del self._where[mined.hash]
        del self._blocks[height + 1 :]
        return True

    def _new_builder(self) -> BlockBuilder:
        head = self.head.header
        return BlockBuilder(self._chain, head, self._next_timestamp or head.timestamp + self.genesis.block_interval)
