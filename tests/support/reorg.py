"""Reorganisations on order: the last blocks of anvil exchanged for others, with chosen transactions lost or late."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping

from fedproof.ledger.rpc import Rpc


def reorganise(
    rpc: Rpc, depth: int, *, drop: Collection[str] = (), later: Mapping[str, int] | None = None, longer: int = 1
) -> None:
    """Exchange the last `depth` blocks; what is not named stays in the block with its number.

    The node forgets what is dropped: it is in no block and not in the pool, as where other miners never heard of it.
    The new branch is `longer` blocks longer than the old one, as branches that win are.

    Args:
        drop: hashes of transactions that the new branch does not have. Those of the same account with later nonces
            cannot stay: name them, too.
        later: hashes with the number of blocks by which they come later; a place beyond the old head is not possible.

    Raises:
        ValueError: a named transaction is not in these blocks.
        RuntimeError: the node did something else.
    """
    moved = dict(later or {})
    head = int(rpc.request("eth_blockNumber"), 16)
    first = head - depth + 1
    old = _hash(rpc, first)
    pairs: list[list[object]] = []
    kept: list[str] = []
    missing = {*drop, *moved}
    for number in range(first, head + 1):
        for tx_hash in rpc.request("eth_getBlockByNumber", hex(number), False)["transactions"]:
            missing.discard(tx_hash)
            if tx_hash not in drop:
                raw = rpc.request("eth_getRawTransactionByHash", tx_hash)
                pairs.append([raw, number - first + moved.get(tx_hash, 0)])
                kept.append(tx_hash)
    if missing:
        raise ValueError(f"not in the last {depth} blocks: {sorted(missing)}")
    # Blocks of the same second with the same content and base fee would be the same blocks: another miner makes others.
    rpc.request("anvil_setCoinbase", "0x" + secrets.token_hex(20))
    rpc.request("anvil_reorg", depth, pairs)
    if longer:
        rpc.request("anvil_mine", hex(longer))
    lost = [tx_hash for tx_hash in kept if rpc.request("eth_getTransactionReceipt", tx_hash) is None]
    if lost or _hash(rpc, first) == old:
        raise RuntimeError(f"the reorganisation went wrong: lost {lost}, blocks {first} to {head}")


def _hash(rpc: Rpc, number: int) -> str:
    return str(rpc.request("eth_getBlockByNumber", hex(number), False)["hash"])
