"""The anvil of the tests can be stopped and goes on where it was."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fedproof.ledger import Chain
from tests.support.anvil import AnvilProcess

pytestmark = [pytest.mark.anvil, pytest.mark.xdist_group("anvil")]


def test_goes_on_with_the_same_chain_at_the_same_address(tmp_path: Path) -> None:
    with AnvilProcess(state=tmp_path / "chain.json") as anvil, Chain.connect(anvil.url, retries=0) as chain:
        url, alice = anvil.url, chain.new_account("alice")
        receipt = chain.transfer(alice, "0x" + "11" * 20, 5)
        chain.mine(3)
        head, block = chain.block_number(), chain.rpc.request("eth_getBlockByNumber", "latest", False)
        anvil.stop()
        assert not anvil.is_running
        with pytest.raises(Exception, match="no usable answer"):
            chain.block_number()
        anvil.start()
        assert (anvil.url, chain.block_number()) == (url, head)
        assert chain.rpc.request("eth_getBlockByNumber", "latest", False) == block
        found = chain.rpc.request("eth_getTransactionReceipt", receipt.tx_hash)
        assert found["blockHash"] == receipt.block_hash
        balances = [
            chain.rpc.request("eth_getBalance", "0x" + "11" * 20, hex(receipt.block_number - 1 + k)) for k in (0, 1)
        ]
        assert balances == ["0x0", "0x5"]  # of blocks before the stop, too
        assert chain.transfer(alice, "0x" + "11" * 20, 5).block_number == head + 1


def test_without_a_state_it_starts_a_fresh_chain() -> None:
    with AnvilProcess() as anvil, Chain.connect(anvil.url) as chain:
        chain.mine(3)
        anvil.restart()
        assert chain.block_number() == 0


def test_makes_blocks_at_its_own_pace() -> None:
    with AnvilProcess(block_time=1) as anvil, Chain.connect(anvil.url) as chain:
        start = chain.block_number()
        deadline = time.monotonic() + 20
        while chain.block_number() < start + 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert chain.block_number() >= start + 2
