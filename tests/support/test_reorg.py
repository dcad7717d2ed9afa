"""Reorganisations on order drop and move what they are told to, and nothing else."""

from __future__ import annotations

import pytest

from fedproof.ledger import Chain
from tests.support.reorg import reorganise

TO = "0x" + "11" * 20


def test_drops_one_and_delays_one(anvil_chain: Chain) -> None:
    chain = anvil_chain
    people = [chain.new_account(name) for name in ("alice", "bob", "carol")]
    receipts = [chain.transfer(each, TO, 1) for each in people]
    head = chain.block_number()
    kept, late, lost = receipts[1], receipts[0], receipts[2]
    reorganise(chain.rpc, 3, drop={lost.tx_hash}, later={late.tx_hash: 2})
    assert chain.block_number() == head + 1
    assert chain.rpc.request("eth_getTransactionReceipt", lost.tx_hash) is None
    assert chain.rpc.request("eth_getTransactionByHash", lost.tx_hash) is None
    found = [chain.rpc.request("eth_getTransactionReceipt", each.tx_hash) for each in (kept, late)]
    assert [int(each["blockNumber"], 16) for each in found] == [kept.block_number, late.block_number + 2]
    assert all(each["blockHash"] not in {receipt.block_hash for receipt in receipts} for each in found)


@pytest.mark.parametrize("blocks", [3, 400])  # after so many the base fee is at its floor, and changes no more
def test_exchanges_empty_blocks(anvil_chain: Chain, blocks: int) -> None:
    anvil_chain.mine(blocks)
    old = anvil_chain.rpc.request("eth_getBlockByNumber", "latest", False)
    reorganise(anvil_chain.rpc, 2, longer=0)
    new = anvil_chain.rpc.request("eth_getBlockByNumber", "latest", False)
    assert new["number"] == old["number"]
    assert new["hash"] != old["hash"]


def test_refuses_what_it_cannot_do(anvil_chain: Chain) -> None:
    alice = anvil_chain.new_account("alice")
    first, second = (anvil_chain.transfer(alice, TO, k) for k in (1, 2))
    with pytest.raises(ValueError, match="not in the last 1 blocks"):
        reorganise(anvil_chain.rpc, 1, drop={first.tx_hash})
    with pytest.raises(RuntimeError, match=second.tx_hash):  # its nonce is too high now
        reorganise(anvil_chain.rpc, 2, drop={first.tx_hash})
