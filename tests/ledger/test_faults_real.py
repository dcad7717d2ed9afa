"""A real node that times out, forgets, lags, reorganises and restarts: one act stays one transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from web3.contract import Contract

from fedproof.errors import LedgerError
from fedproof.ledger import Account, Chain, Receipt, SendingPolicy, UnsettledError
from fedproof.ledger.http import UnreachableError
from fedproof.ledger.view import View
from fedproof.nodes.journal import Journal
from fedproof.nodes.outbox import forget, send_once, settle_saved
from fedproof.nodes.state import StateFile
from tests.ledger.conftest import PROBE, deploy_probe
from tests.support import proxy as faults
from tests.support.anvil import AnvilProcess
from tests.support.proxy import FaultProxy
from tests.support.reorg import reorganise

pytestmark = [pytest.mark.slow, pytest.mark.anvil, pytest.mark.xdist_group("anvil")]

SEND = {"eth_sendRawTransaction"}
DEEP = SendingPolicy(confirmations=2, receipt_seconds=20.0, poll_seconds=0.05)


@pytest.fixture
def anvil(tmp_path: Path) -> Iterator[AnvilProcess]:
    with AnvilProcess(state=tmp_path / "chain.json") as node:
        yield node


@pytest.fixture
def direct(anvil: AnvilProcess) -> Iterator[Chain]:
    """The chain itself, for the test's own hand."""
    with Chain.connect(anvil.url) as chain:
        yield chain


@pytest.fixture
def proxy(anvil: AnvilProcess) -> Iterator[FaultProxy]:
    with FaultProxy(anvil.url) as between:
        yield between


@pytest.fixture
def chain(proxy: FaultProxy) -> Iterator[Chain]:
    """The chain as a node sees it: through what fails."""
    with Chain.connect(proxy.url, timeout=0.5, retries=1, policy=DEEP, pause=lambda _: None) as connected:
        yield connected


@pytest.fixture
def alice(direct: Chain) -> Account:
    return direct.new_account("alice")


@pytest.fixture
def probe(direct: Chain, chain: Chain, alice: Account) -> Contract:
    return chain.contract_at(PROBE, deploy_probe(direct, alice).address)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFile]:
    with StateFile(tmp_path / "state", "worker") as opened:
        yield opened


@pytest.fixture
def blocks(direct: Chain) -> Iterator[threading.Event]:
    """Blocks that come by themselves while the test waits for confirmations; set it to have none."""
    paused, over = threading.Event(), threading.Event()

    def mine() -> None:
        while not over.wait(0.1):
            if not paused.is_set():
                try:
                    direct.mine(1)
                except LedgerError:
                    continue  # the node is down

    miner = threading.Thread(target=mine)
    miner.start()
    yield paused
    over.set()
    miner.join()


def keys(direct: Chain, probe: Contract) -> list[int]:
    """The keys under which `store` has happened, in order."""
    logs = direct.rpc.request("eth_getLogs", {"address": probe.address, "fromBlock": "0x0", "toBlock": "latest"})
    return [int(log["topics"][2], 16) for log in logs]


def act(chain: Chain, state: StateFile, probe: Contract, alice: Account, key: int = 1) -> Receipt:
    """What a role does once, under the name of its key."""
    function = probe.functions.store(key, 2, b"")
    return send_once(chain, state, f"act-{key}", lambda: chain.prepare(function, alice, gas=300_000))


def sent(proxy: FaultProxy) -> set[str]:
    """The different transactions that were sent."""
    return {params[0] for params in proxy.asked("eth_sendRawTransaction")}


LOST = {
    "time-out after broadcast": faults.done_then_hang,
    "hang-up after broadcast": faults.done_then_hang_up,
    "time-out before": faults.hang,
    "429": faults.status(429),
    "500": faults.status(500),
    "garbage": faults.garbage(),
    "swallowed": faults.swallow,
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
def test_one_act_is_one_transaction_when_sending_fails(
    direct: Chain,
    proxy: FaultProxy,
    chain: Chain,
    state: StateFile,
    probe: Contract,
    alice: Account,
    blocks: threading.Event,
    fault: faults.Fault,
) -> None:
    proxy.set(fault, only=SEND, times=2)  # all attempts of the first request
    try:
        receipt = act(chain, state, probe, alice)
    except UnreachableError:  # the act is tried again, as a node does after its restart
        receipt = act(chain, state, probe, alice)
    assert (receipt.status, keys(direct, probe), len(sent(proxy))) == (1, [1], 1)
    again = act(chain, state, probe, alice)
    assert again.tx_hash == receipt.tx_hash  # until it is forgotten it is the same act
    forget(state, "act-1")
    assert act(chain, state, probe, alice).tx_hash != receipt.tx_hash
    assert keys(direct, probe) == [1, 1]


@pytest.mark.parametrize("mined", [False, True], ids=["in the pool", "in a block"])
def test_the_same_bytes_are_taken_twice_and_happen_once(
    direct: Chain, chain: Chain, probe: Contract, alice: Account, mined: bool
) -> None:
    direct.rpc.request("evm_setAutomine", False)
    transaction = chain.prepare(probe.functions.store(1, 2, b""), alice)
    chain.broadcast(transaction)
    if mined:
        direct.mine(1)
    chain.broadcast(transaction)
    direct.mine(3)
    assert chain.wait(transaction).status == 1
    assert keys(direct, probe) == [1]


def test_a_gap_of_nonces_is_waited_out_and_closed(
    direct: Chain, chain: Chain, state: StateFile, probe: Contract, alice: Account, blocks: threading.Event
) -> None:
    first = chain.prepare(probe.functions.store(1, 2, b""), alice, gas=300_000)
    direct.rpc.request("anvil_setNonce", alice.address, hex(first.nonce + 1))
    second = chain.prepare(probe.functions.store(2, 2, b""), alice, gas=300_000)
    direct.rpc.request("anvil_setNonce", alice.address, hex(first.nonce))
    assert second.nonce == first.nonce + 1
    chain.broadcast(second)
    hasty = SendingPolicy(confirmations=2, receipt_seconds=0.5, poll_seconds=0.05)
    chain._sender._policy = hasty
    with pytest.raises(UnsettledError, match="may still be mined"):
        chain.wait(second)
    assert keys(direct, probe) == []
    chain._sender._policy = DEEP
    chain.broadcast(first)
    assert (chain.wait(second).status, keys(direct, probe)) == (1, [1, 2])


def test_what_a_reorganisation_drops_is_sent_again_while_it_is_waited_for(
    direct: Chain,
    proxy: FaultProxy,
    chain: Chain,
    state: StateFile,
    probe: Contract,
    alice: Account,
    blocks: threading.Event,
) -> None:
    blocks.set()
    results: list[Receipt] = []
    waiting = threading.Thread(target=lambda: results.append(act(chain, state, probe, alice)))
    waiting.start()
    while not keys(direct, probe):
        time.sleep(0.02)
    dropped = direct.rpc.request("eth_getBlockByNumber", "latest", False)
    reorganise(direct.rpc, 1, drop=dropped["transactions"])
    while not keys(direct, probe):
        time.sleep(0.02)
    blocks.clear()
    waiting.join(30)
    assert [receipt.block_hash for receipt in results] != [dropped["hash"]]
    assert (keys(direct, probe), len(sent(proxy))) == ([1], 1)
    assert direct.block_number() >= results[0].block_number + 2


def test_what_a_deep_reorganisation_drops_later_is_sent_again_by_its_saved_bytes(
    direct: Chain,
    proxy: FaultProxy,
    chain: Chain,
    state: StateFile,
    probe: Contract,
    alice: Account,
    blocks: threading.Event,
) -> None:
    receipt = act(chain, state, probe, alice)
    blocks.set()
    time.sleep(0.2)
    reorganise(direct.rpc, direct.block_number() - receipt.block_number + 1, drop={receipt.tx_hash})
    assert keys(direct, probe) == []
    blocks.clear()
    again = act(chain, state, probe, alice)
    assert again.tx_hash == receipt.tx_hash
    assert (keys(direct, probe), len(sent(proxy))) == ([1], 1)
    assert [name for name, _ in settle_saved(chain, state, "act-")] == ["act-1"]


def test_what_comes_later_in_the_new_branch_gets_its_new_receipt(
    direct: Chain, chain: Chain, state: StateFile, probe: Contract, alice: Account, blocks: threading.Event
) -> None:
    receipt = act(chain, state, probe, alice)
    blocks.set()
    time.sleep(0.2)
    depth = direct.block_number() - receipt.block_number + 1
    reorganise(direct.rpc, depth, later={receipt.tx_hash: 2})
    blocks.clear()
    moved = act(chain, state, probe, alice)
    assert (moved.tx_hash, moved.block_number) == (receipt.tx_hash, receipt.block_number + 2)
    assert keys(direct, probe) == [1]


def test_a_transaction_whose_nonce_went_to_another_after_a_reorganisation_is_made_anew(
    direct: Chain, chain: Chain, state: StateFile, probe: Contract, alice: Account, blocks: threading.Event
) -> None:
    lost = act(chain, state, probe, alice)
    blocks.set()
    time.sleep(0.2)
    reorganise(direct.rpc, direct.block_number() - lost.block_number + 1, drop={lost.tx_hash})
    direct.transact(direct.contract_at(PROBE, probe.address).functions.store(9, 9, b""), alice)
    blocks.clear()
    receipt = act(chain, state, probe, alice)
    assert receipt.tx_hash != lost.tx_hash
    assert keys(direct, probe) == [9, 1]


def test_a_restart_of_the_node_in_the_middle_of_waiting_is_waited_out(
    anvil: AnvilProcess,
    direct: Chain,
    proxy: FaultProxy,
    chain: Chain,
    state: StateFile,
    probe: Contract,
    alice: Account,
    blocks: threading.Event,
) -> None:
    blocks.set()
    direct.rpc.request("evm_setAutomine", False)
    results: list[Receipt] = []
    waiting = threading.Thread(target=lambda: results.append(act(chain, state, probe, alice)))
    waiting.start()
    while not proxy.asked("eth_getTransactionReceipt"):  # so the sending was answered
        time.sleep(0.02)
    anvil.stop()  # what was in its pool is gone
    time.sleep(1.0)
    assert not results
    anvil.start()
    blocks.clear()
    waiting.join(30)
    assert (results[0].status, keys(direct, probe), len(sent(proxy))) == (1, [1], 1)


def test_a_node_that_answers_as_another_chain_is_refused_at_the_door(proxy: FaultProxy, chain: Chain) -> None:
    with proxy.fault(faults.chain_id(1)), pytest.raises(LedgerError, match="is chain 1, not 31337"):
        Chain.connect(proxy.url, chain_id=31_337)


# -- reading --


def test_a_stale_node_behind_the_journal_loses_nothing_and_is_told_apart_from_a_reorganisation(
    direct: Chain, proxy: FaultProxy, chain: Chain, probe: Contract, alice: Account, tmp_path: Path
) -> None:
    own = direct.contract_at(PROBE, probe.address)
    with Journal(tmp_path / "journal.db", chain.chain_id) as journal:
        direct.transact(own.functions.store(1, 1, b""), alice)
        frozen = direct.block_number()
        direct.transact(own.functions.store(2, 2, b""), alice)
        direct.mine(3)
        journal.advance(chain, [probe], chain.block_number())
        journal.handled(journal.pending())
        cursor = journal.cursor
        with proxy.fault(faults.stale(frozen)):
            with pytest.raises(LedgerError, match="behind, or stale"):
                journal.advance(chain, [probe], chain.block_number())
            assert (journal.cursor, journal.pending()) == (cursor, [])
        direct.transact(own.functions.store(3, 3, b""), alice)
        assert journal.advance(chain, [probe], chain.block_number()) == 0
        assert len(journal.pending()) == 1


def test_a_reorganisation_under_the_journal_is_read_anew(
    direct: Chain, chain: Chain, probe: Contract, alice: Account, tmp_path: Path
) -> None:
    own = direct.contract_at(PROBE, probe.address)
    bob = direct.new_account("bob")
    with Journal(tmp_path / "journal.db", chain.chain_id) as journal:
        direct.mine(3)
        receipts = [direct.transact(own.functions.store(k, k, b""), who) for k, who in ((1, alice), (2, bob))]
        journal.advance(chain, [probe], chain.block_number())
        journal.handled(journal.pending())
        reorganise(direct.rpc, 2, drop={receipts[0].tx_hash}, longer=3)
        assert journal.advance(chain, [probe], chain.block_number()) >= 2
        assert [entry.tx_hash for entry in journal.pending()] == [receipts[1].tx_hash]


def test_a_view_of_a_block_that_a_stale_node_does_not_have_is_an_error(
    direct: Chain, proxy: FaultProxy, chain: Chain, probe: Contract, alice: Account
) -> None:
    before = direct.block_number()
    direct.transact(direct.contract_at(PROBE, probe.address).functions.store(1, 7, b""), alice)
    view = View.of(chain)
    view.move_to(direct.block_number())
    call = probe.functions.values(1)
    assert view.call(call) == 7
    with proxy.fault(faults.stale(before)), pytest.raises(LedgerError):
        view.call(call)
    view.move_to(before)
    assert view.call(call) == 0
    for fault in (faults.status(429), faults.status(500), faults.garbage(), faults.hang, faults.hang_up, faults.cut(9)):
        with proxy.fault(fault, times=1):
            assert view.call(call) == 0
        with proxy.fault(fault), pytest.raises(UnreachableError):
            view.call(call)


def test_an_act_counts_only_below_its_confirmations(
    direct: Chain, chain: Chain, state: StateFile, probe: Contract, alice: Account
) -> None:
    chain._sender._policy = SendingPolicy(confirmations=2, receipt_seconds=0.5, poll_seconds=0.05)
    with pytest.raises(UnsettledError):
        act(chain, state, probe, alice)
    direct.mine(2)
    assert act(chain, state, probe, alice).status == 1
    assert keys(direct, probe) == [1]


def test_a_transaction_that_another_replaced_is_dropped_at_the_start(
    direct: Chain, proxy: FaultProxy, chain: Chain, state: StateFile, probe: Contract, alice: Account
) -> None:
    with proxy.fault(faults.status(500), only=SEND), pytest.raises(UnreachableError):
        act(chain, state, probe, alice)
    direct.transact(direct.contract_at(PROBE, probe.address).functions.store(9, 9, b""), alice)
    direct.mine(2)
    assert settle_saved(chain, state, "act-") == []
    assert state.get("outbox") == {}
