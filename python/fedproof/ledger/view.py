"""A chain as it was at one block: what a node decides by, while it sends to the chain as it is.

Blocks near the head may still be exchanged for others. A node looks at the chain so many blocks below the head, where
that does not happen any more, and all that it reads in one step is of one block.
"""

from __future__ import annotations

from typing import Any, Final, Self

from fedproof.errors import LedgerError
from fedproof.ledger.anchor import NO_ANCHOR, anchor
from fedproof.ledger.chain import Chain
from fedproof.ledger.rpc import Rpc
from fedproof.ledger.sending import SendingPolicy

# Where in its parameters a method names the block.
_BLOCK_AT: Final = {
    "eth_call": 1,
    "eth_getCode": 1,
    "eth_getBalance": 1,
    "eth_getTransactionCount": 1,
    "eth_getStorageAt": 2,
    "eth_getBlockByNumber": 0,
}
_FREE: Final = frozenset({"eth_getLogs", "eth_getTransactionByHash", "eth_getTransactionReceipt", "eth_chainId"})


class _RpcAt:
    """Answers `latest` as of a block that its owner moves; refuses to send anything."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self.block = 0

    @property
    def url(self) -> str:
        """Where the node is."""
        return self._rpc.url

    def request(self, method: str, *params: Any) -> Any:
        """One request, with `latest` exchanged for the block."""
        if method == "eth_blockNumber":
            return hex(self.block)
        place = _BLOCK_AT.get(method)
        if place is None:
            if method not in _FREE:
                raise LedgerError(f"{method} asks for more than reading: use the chain itself")
            return self._rpc.request(method, *params)
        changed = list(params)
        if changed[place] == "latest":
            changed[place] = hex(self.block)
        return self._rpc.request(method, *changed)


class View(Chain):
    """A chain that is read at one block. `move_to` names it; nothing can be sent."""

    _anchor = NO_ANCHOR

    @classmethod
    def of(cls, chain: Chain) -> Self:
        """A view of a chain, at its genesis."""
        rpc = _RpcAt(chain.rpc)
        return cls(rpc, chain_id=chain.chain_id, dev=None, policy=SendingPolicy())

    def move_to(self, block: int, block_hash: bytes | None = None) -> None:
        """Read as of this block from now on.

        Args:
            block_hash: the block as it was known before anything is read; names the branch in `anchor`.
        """
        assert isinstance(self.rpc, _RpcAt)
        self.rpc.block = block
        self._anchor = NO_ANCHOR if block_hash is None else anchor(block, block_hash)

    @property
    def anchor(self) -> int:
        """The block that is read, for a transaction that shall count on its branch alone (`ledger/anchor.py`)."""
        return self._anchor

    def close(self) -> None:
        """Nothing: the chain is another's."""
