"""The proxy does what it says, also to another process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from fedproof.ledger import Chain
from fedproof.ledger.http import HttpRpc, UnreachableError
from tests.support import proxy as faults
from tests.support.flaky import FlakyNode
from tests.support.proxy import FaultProxy


@pytest.fixture
def node() -> Iterator[FlakyNode]:
    with FlakyNode() as honest:
        yield honest


@pytest.fixture
def proxy(node: FlakyNode) -> Iterator[FaultProxy]:
    with FaultProxy(node.url) as between:
        yield between


@pytest.fixture
def rpc(proxy: FaultProxy) -> Iterator[HttpRpc]:
    client = HttpRpc(proxy.url, timeout=0.5, retries=0)
    yield client
    client.close()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faults.status(429), "HTTP status 429"),
        (faults.status(500), "HTTP status 500"),
        (faults.garbage(), "no JSON-RPC"),
        (faults.slow(1.0), "timed out"),
        (faults.hang, "timed out"),
        (faults.hang_up, "connection failed"),
        (faults.done_then_hang, "timed out"),
        (faults.done_then_hang_up, "connection failed"),
        (faults.cut(10), "connection failed|no JSON-RPC"),
    ],
)
def test_fault(proxy: FaultProxy, rpc: HttpRpc, fault: faults.Fault, said: str) -> None:
    assert rpc.request("eth_blockNumber") == "0x0"
    with proxy.fault(fault), pytest.raises(UnreachableError, match=said):
        rpc.request("eth_blockNumber")
    assert rpc.request("eth_blockNumber") == "0x0"


def test_a_fault_can_be_of_some_requests_and_so_many(proxy: FaultProxy, rpc: HttpRpc) -> None:
    proxy.set(faults.status(500), only={"eth_chain"}, times=2)
    for _ in range(2):
        with pytest.raises(UnreachableError):
            rpc.request("eth_chainId")
        assert rpc.request("eth_blockNumber") == "0x0"
    assert rpc.request("eth_chainId") == hex(31_337)
    assert len(proxy.asked("eth_chainId")) == 3


def test_what_was_done_is_done(node: FlakyNode, proxy: FaultProxy, rpc: HttpRpc) -> None:
    with proxy.fault(faults.done_then_hang_up), pytest.raises(UnreachableError):
        rpc.request("evm_mine")
    with proxy.fault(faults.hang_up), pytest.raises(UnreachableError):
        rpc.request("evm_mine")
    assert node.chain.request("eth_blockNumber") == "0x1"


def test_a_dead_server_is_no_answer_until_it_is_back(node: FlakyNode, proxy: FaultProxy, rpc: HttpRpc) -> None:
    proxy.target = "http://127.0.0.1:9"
    with pytest.raises(UnreachableError, match="connection failed"):
        rpc.request("eth_blockNumber")
    proxy.target = node.url
    assert rpc.request("eth_blockNumber") == "0x0"


def test_another_chain(proxy: FaultProxy, rpc: HttpRpc) -> None:
    proxy.set(faults.chain_id(1))
    assert (rpc.request("eth_chainId"), rpc.request("eth_blockNumber")) == ("0x1", "0x0")


def test_a_stale_node_knows_nothing_later(node: FlakyNode, proxy: FaultProxy) -> None:
    with Chain.connect(node.url) as fresh, Chain.connect(proxy.url) as chain:
        alice, bob = fresh.new_account("alice"), "0x" + "11" * 20
        old = fresh.transfer(alice, bob, 1)
        frozen = fresh.block_number()
        new = fresh.transfer(alice, bob, 2)
        proxy.set(faults.stale(frozen))
        ask = chain.rpc.request
        assert chain.block_number() == frozen
        assert chain.balance(bob) == 1
        assert ask("eth_getBlockByNumber", "latest", False)["number"] == hex(frozen)
        assert ask("eth_getBlockByNumber", hex(frozen + 1), False) is None
        assert ask("eth_getTransactionReceipt", old.tx_hash) is not None
        assert ask("eth_getTransactionReceipt", new.tx_hash) is None
        assert ask("eth_getTransactionByHash", new.tx_hash) is None
        assert ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}) == []
        assert ask("eth_getLogs", {"fromBlock": hex(frozen + 1), "toBlock": hex(frozen + 9)}) == []
        proxy.clear()
        assert (chain.block_number(), chain.balance(bob)) == (frozen + 1, 3)


ASKING = """
import sys, urllib.request
body = b'{"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}'
for line in sys.stdin:
    try:
        print(urllib.request.urlopen(urllib.request.Request(sys.argv[1], body), timeout=20).status, flush=True)
    except urllib.error.HTTPError as error:
        print(error.code, flush=True)
"""


def test_faults_reach_another_process(proxy: FaultProxy) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ASKING, proxy.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        for fault, said in ((None, "200"), (faults.status(429), "429"), (None, "200")):
            proxy.set(fault) if fault else proxy.clear()
            client.stdin.write("\n")
            client.stdin.flush()
            assert client.stdout.readline().strip() == said
        client.stdin.close()


def test_what_hangs_is_let_go(proxy: FaultProxy) -> None:
    proxy.set(faults.hang)
    ended: list[Any] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(proxy.url, json.dumps({"method": "x", "params": []}).encode(), timeout=20)
        except (urllib.error.URLError, ConnectionError) as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    start = time.monotonic()
    thread.start()
    while not proxy.seen:
        time.sleep(0.01)
    proxy.clear()
    thread.join(10)
    assert ended
    assert time.monotonic() - start < 5
