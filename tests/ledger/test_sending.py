"""Whatever the network does to a transaction, it is sent as one and happens once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from web3.contract import Contract

from fedproof.errors import ContractRejected, InputError, LedgerError, RevertedError
from fedproof.ledger import Account, Chain, ReplacedError, SendingPolicy, UnsettledError, http, read_signed
from fedproof.ledger.accounts import account_from_key
from fedproof.ledger.embedded.genesis import FAUCET_KEY
from fedproof.ledger.sending import TX_GAS_CAP
from fedproof.ledger.transactions import fee_limits
from tests.ledger.conftest import PROBE, deploy_probe
from tests.support.flaky import (
    Exchange,
    FlakyNode,
    Forwarded,
    Handler,
    content,
    execute_then,
    execute_then_drop,
    execute_then_hang,
    foreign_error,
    refusal,
    result,
    status,
    swallow,
)

SEND = "eth_sendRawTransaction"
POLICY = SendingPolicy(receipt_seconds=20.0, poll_seconds=0.05)
HASTY = SendingPolicy(receipt_seconds=0.2, poll_seconds=0.02)


@pytest.fixture
def node() -> Iterator[FlakyNode]:
    with FlakyNode() as flaky:
        yield flaky


def connect(node: FlakyNode, policy: SendingPolicy = POLICY, retries: int = 3) -> Chain:
    return Chain.connect(node.url, timeout=0.5, retries=retries, policy=policy, pause=lambda _: None)


@pytest.fixture
def chain(node: FlakyNode) -> Iterator[Chain]:
    with connect(node) as connected:
        yield connected


@pytest.fixture
def alice(chain: Chain) -> Account:
    return chain.new_account("alice")


@pytest.fixture
def probe(node: FlakyNode, chain: Chain, alice: Account) -> Contract:
    deployed = deploy_probe(chain, alice)
    node.seen.clear()
    return deployed


def sent_bytes(node: FlakyNode) -> set[str]:
    """The different transactions that reached the node."""
    return {params[0] for params in node.asked(SEND)}


def stored(node: FlakyNode, probe: Contract) -> int:
    """How often `store` has happened on the chain behind."""
    query = {"address": probe.address, "fromBlock": "0x0", "toBlock": "latest"}
    return len(node.chain.request("eth_getLogs", query))


LOST: dict[str, Handler] = {
    "time_out_after_broadcast": execute_then_hang,
    "time_out_before_broadcast": Exchange.hang,
    "hang_up_after_broadcast": execute_then_drop,
    "hang_up_before_broadcast": Exchange.drop,
    "garbage": content(b"<html>"),
    "busy": status(503),
    "swallowed": swallow,
}


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("times", [1, 6])  # within one request's attempts, and beyond them
def test_transaction_happens_once_after(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account, fault: str, times: int
) -> None:
    node.faults[SEND] = [LOST[fault]] * times
    receipt = chain.transact(probe.functions.store(1, 2, b""), alice)
    assert receipt.status == 1
    assert len(sent_bytes(node)) == 1
    assert stored(node, probe) == 1


ODD: dict[str, Handler] = {
    "408": status(408, b"took too long"),
    "too_large": content(b"x" * 100_001),
    "time_out_as_error": refusal(-32000, "request timed out"),
    "error_of_another_request": foreign_error,
    "error_in_a_word": content(b'{"jsonrpc": "2.0", "id": 1, "result": null, "error": "unauthorized"}'),
    "reverted": refusal(3, "execution reverted"),
    "refused_by_one_that_took_it": refusal(-32000, "insufficient funds for gas * price + value"),
}


@pytest.mark.parametrize("answer", ODD)
def test_transaction_that_was_taken_is_followed_whatever_the_answer(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_MAX_RESPONSE", 100_000)
    node.faults[SEND] = [execute_then(ODD[answer])] * 4
    assert chain.transact(probe.functions.store(1, 2, b""), alice).status == 1
    assert len(sent_bytes(node)) == 1
    assert stored(node, probe) == 1


@pytest.mark.parametrize("answer", [name for name in ODD if name != "refused_by_one_that_took_it"])
def test_whoever_tries_again_sends_the_same_bytes_after_an_odd_answer(
    node: FlakyNode, probe: Contract, alice: Account, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes went on to a node that is not seen yet: what the answer says is no end of them."""
    monkeypatch.setattr(http, "_MAX_RESPONSE", 100_000)
    forwarded = Forwarded(ODD[answer])
    node.faults[SEND] = [forwarded] * 100
    with connect(node, HASTY, retries=0) as chain:
        function = chain.contract_at(PROBE, probe.address).functions.store(1, 2, b"")
        with pytest.raises(LedgerError):
            chain.transact(function, alice)
        node.faults.clear()
        forwarded.arrive(node.chain)
        assert chain.transact(function, alice).status == 1
        assert chain._sender._unsettled == {}
    assert len(sent_bytes(node)) == 1
    assert stored(node, probe) == 1


def test_time_out_is_no_second_send_even_for_a_caller_who_tries_again(
    node: FlakyNode, probe: Contract, alice: Account
) -> None:
    node.faults[SEND] = [Exchange.hang, Exchange.hang, execute_then_hang]
    node.faults["eth_getTransactionReceipt"] = [Exchange.hang]
    with connect(node, HASTY, retries=0) as hasty:
        function = hasty.contract_at(PROBE, probe.address).functions.store(1, 2, b"")
        with pytest.raises(UnsettledError, match="may still be mined: wait for it again") as caught:
            hasty.transact(function, alice)
        hasty._sender._policy = POLICY
        receipt = hasty.transact(function, alice)
        assert receipt.tx_hash == caught.value.transaction.tx_hash
        assert hasty.transact(function, alice).tx_hash != receipt.tx_hash  # settled: now it is another one
    assert len(sent_bytes(node)) == 2
    assert stored(node, probe) == 2


def test_unsettled_transaction_goes_before_the_next(node: FlakyNode, probe: Contract, alice: Account) -> None:
    node.faults[SEND] = [Exchange.drop] * 2
    node.faults["eth_getTransactionReceipt"] = [status(503)] * 3
    with connect(node, SendingPolicy(receipt_seconds=0.01, poll_seconds=0.02), retries=0) as hasty:
        functions = hasty.contract_at(PROBE, probe.address).functions
        with pytest.raises(UnsettledError):
            hasty.transact(functions.store(1, 1, b""), alice)
        node.faults.clear()
        hasty._sender._policy = POLICY
        second = hasty.transact(functions.store(2, 2, b""), alice)
    keys = [int(log["topics"][2], 16) for log in node.chain.request("eth_getLogs", {"address": probe.address})]
    assert keys == [1, 2]
    assert second.block_number == int(node.chain.request("eth_blockNumber"), 16)


def test_refused_transaction_is_not_sent_again(node: FlakyNode, chain: Chain, probe: Contract, alice: Account) -> None:
    node.faults[SEND] = [refusal(-32000, "transaction underpriced")]
    with pytest.raises(LedgerError, match="transaction underpriced"):
        chain.transact(probe.functions.store(1, 1, b""), alice)
    assert len(node.asked(SEND)) == 1
    assert stored(node, probe) == 0
    assert chain._sender._unsettled == {}  # it will be signed anew, at the fees of then
    assert chain.transact(probe.functions.store(1, 1, b""), alice).status == 1


def test_refusal_by_a_node_that_cannot_be_asked_what_it_holds_is_no_end(
    node: FlakyNode, probe: Contract, alice: Account
) -> None:
    forwarded = Forwarded(refusal(-32000, "transaction underpriced"))
    node.faults[SEND] = [forwarded]
    node.faults["eth_getTransactionByHash"] = [status(503)]
    with connect(node, retries=0) as chain:
        function = chain.contract_at(PROBE, probe.address).functions.store(1, 1, b"")
        with pytest.raises(LedgerError, match="underpriced"):
            chain.transact(function, alice)
        forwarded.arrive(node.chain)
        assert chain.transact(function, alice).status == 1
    assert stored(node, probe) == 1


def test_refusal_after_a_loss_is_waited_out(node: FlakyNode, chain: Chain, probe: Contract, alice: Account) -> None:
    # The pool was full only when the bytes came again: they must not be given up, or another would take their place.
    node.faults[SEND] = [swallow, refusal(-32000, "txpool is full"), refusal(-32000, "txpool is full")]
    assert chain.transact(probe.functions.store(1, 1, b""), alice).status == 1
    assert len(sent_bytes(node)) == 1


def test_replaced_transaction_is_noticed(node: FlakyNode, chain: Chain, probe: Contract, alice: Account) -> None:
    node.faults[SEND] = [swallow]
    sent = chain.send(probe.functions.store(1, 1, b""), alice)
    chain.broadcast(other := chain.prepare(probe.functions.store(2, 2, b""), alice))
    assert sent.nonce == other.nonce
    with pytest.raises(ReplacedError, match=f"another one took nonce {sent.nonce}"):
        chain.wait(sent)
    assert stored(node, probe) == 1


@pytest.mark.parametrize("depths", [{"confirmations": 3}, {"rival_confirmations": 3}], ids=str)
def test_a_rival_counts_only_when_it_is_deep_enough(
    node: FlakyNode, probe: Contract, alice: Account, depths: dict[str, int]
) -> None:
    with connect(node, SendingPolicy(receipt_seconds=0.5, poll_seconds=0.02, **depths)) as chain:
        functions = chain.contract_at(PROBE, probe.address).functions
        lost, rival = (chain.prepare(functions.store(key, key, b""), alice) for key in (1, 2))
        snapshot = node.chain.request("evm_snapshot")
        chain.broadcast(rival)
        for _ in range(3):
            with pytest.raises(UnsettledError):
                chain.wait(lost)
            node.chain.request("evm_mine")
        chain._sender._policy = SendingPolicy(poll_seconds=0.02, **depths)  # type: ignore[arg-type]
        with pytest.raises(ReplacedError):
            chain.wait(lost)
        # Had it been given up before, another would have been sent in its place, and now both be there.
        assert node.chain.request("evm_revert", snapshot) is True
        chain.broadcast(lost)
        node.chain.request("anvil_mine", "0x3")
        assert chain.wait(lost).status == 1


def test_one_look_of_a_node_that_lags_is_not_believed(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account
) -> None:
    # The block is there, and this answer comes from a node that has not seen the transaction yet.
    node.faults["eth_getTransactionReceipt"] = [result(None)] * 2
    node.faults["eth_getTransactionByHash"] = [result(None)] * 2
    assert chain.transact(probe.functions.store(1, 1, b""), alice).status == 1
    assert len(sent_bytes(node)) == 1


class Looks:
    """A node of which each look at a transaction finds another thing: the nonce taken (T), the bytes in its pool (K),
    neither of them (N), or the receipt (R)."""

    url = "x"

    def __init__(self, looks: str) -> None:
        self.looks = iter(looks)
        self.now = ""

    def request(self, method: str, *params: Any) -> Any:
        match method:
            case "eth_getTransactionReceipt":
                self.now = next(self.looks)
                return {"transactionHash": params[0], "blockNumber": "0x1"} if self.now == "R" else None
            case "eth_getTransactionByHash":
                return {} if self.now == "K" else None
            case "eth_getTransactionCount":
                return hex(self.now == "T")
        return None


@pytest.mark.parametrize(
    ("looks", "poll", "is_replaced"),
    [
        ("TTTT", 0.0001, True),
        ("TTTKTTTR", 0.0001, False),
        ("TTTNTTTR", 0.0001, False),
        ("TTTTR", 1.0, False),  # so soon after each other, all may be of one node that lags
    ],
)
def test_only_looks_in_a_row_and_over_some_time_tell_that_a_nonce_is_taken(
    looks: str, poll: float, is_replaced: bool
) -> None:
    rpc = Looks(looks)
    account = account_from_key(bytes([7]) * 32)
    fields = {"chainId": 1, "nonce": 0, "gas": 21_000, "gasPrice": 1, "to": account.address, "value": 0}
    with Chain(rpc, chain_id=1, dev=None, policy=SendingPolicy(poll_seconds=poll)) as chain:
        transaction = read_signed(account.sign(fields))
        if is_replaced:
            with pytest.raises(ReplacedError):
                chain._sender.wait_raw(transaction)
        else:
            assert chain._sender.wait_raw(transaction)["transactionHash"] == transaction.tx_hash
    assert not list(rpc.looks)


def test_transaction_without_a_receipt_in_time_is_the_one_that_a_second_call_waits_for(
    node: FlakyNode, probe: Contract, alice: Account
) -> None:
    node.faults[SEND] = [swallow] * 100  # every answer is good
    with connect(node, HASTY) as hasty:
        function = hasty.contract_at(PROBE, probe.address).functions.store(1, 2, b"")
        with pytest.raises(UnsettledError) as caught:
            hasty.transact(function, alice)
        assert hasty._sender._unsettled == {alice.address: caught.value.transaction}
        node.faults.clear()
        hasty._sender._policy = POLICY
        # Prices have changed meanwhile: signed anew it would be another transaction.
        node.faults["eth_maxPriorityFeePerGas"] = [result(hex(7 * 10**9))]
        assert hasty.transact(function, alice).tx_hash == caught.value.transaction.tx_hash
    assert stored(node, probe) == 1


def test_crash_between_signing_and_sending_loses_nothing(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account
) -> None:
    saved = chain.prepare(probe.functions.store(1, 1, b"note"), alice, value=5).raw
    assert stored(node, probe) == 0
    with connect(node) as restarted:
        again = read_signed(saved)
        assert (again.sender, again.to, again.value) == (alice.address, probe.address, 5)
        restarted.broadcast(again)
        restarted.broadcast(again)
        assert restarted.wait(again).status == 1
    assert stored(node, probe) == 1


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\x02\xc0", b"\x7f" * 40, bytes(range(200)), b"\xc0"])
def test_damaged_saved_transaction_is_refused(raw: bytes) -> None:
    with pytest.raises(InputError, match="not a signed transaction"):
        read_signed(raw)


class Reorganising:
    """Orders a reorganisation when the receipt is asked for the n-th time."""

    def __init__(self, node: FlakyNode, snapshot: str, at: int) -> None:
        self.node, self.snapshot, self.at, self.count = node, snapshot, at, 0

    def __call__(self, exchange: Exchange) -> None:
        self.count += 1
        if self.count == self.at:
            assert self.node.chain.request("evm_revert", self.snapshot) is True
        else:
            self.node.chain.request("evm_mine")
        exchange.answer()


@pytest.mark.parametrize("at", [1, 2, 3])
def test_reorganisation_is_survived_at(node: FlakyNode, chain: Chain, probe: Contract, alice: Account, at: int) -> None:
    deep = SendingPolicy(confirmations=4, receipt_seconds=20.0, poll_seconds=0.02)
    with connect(node, deep) as patient:
        function = patient.contract_at(PROBE, probe.address).functions.store(1, 1, b"")
        snapshot = node.chain.request("evm_snapshot")
        node.faults["eth_getTransactionReceipt"] = [Reorganising(node, snapshot, at)] * 12
        receipt = patient.transact(function, alice)
    assert node.chain.request("evm_revert", snapshot) is False  # it did happen
    assert stored(node, probe) == 1
    assert len(sent_bytes(node)) == 1
    mined = node.chain.request("eth_getTransactionReceipt", receipt.tx_hash)
    assert (receipt.block_hash, receipt.block_number) == (mined["blockHash"], int(mined["blockNumber"], 16))
    assert int(node.chain.request("eth_blockNumber"), 16) >= receipt.block_number + 4


def test_receipt_is_not_believed_before_its_confirmations(node: FlakyNode, probe: Contract, alice: Account) -> None:
    shallow = SendingPolicy(confirmations=1, receipt_seconds=0.3, poll_seconds=0.02)
    with connect(node, shallow) as patient:
        function = patient.contract_at(PROBE, probe.address).functions.store(1, 1, b"")
        with pytest.raises(UnsettledError):
            patient.transact(function, alice)
        node.chain.request("evm_mine")
        assert patient.transact(function, alice).status == 1
    assert stored(node, probe) == 1


def test_fee_over_the_limit_is_not_paid(node: FlakyNode, chain: Chain, probe: Contract, alice: Account) -> None:
    function = probe.functions.store(1, 1, b"")
    node.faults["eth_maxPriorityFeePerGas"] = [result(hex(10**15))]
    with pytest.raises(LedgerError, match="wei per gas, the limit is 1000000000000"):
        chain.transact(function, alice)
    block = node.chain.request("eth_getBlockByNumber", "latest") | {"baseFeePerGas": hex(2 * 10**12)}
    node.faults["eth_getBlockByNumber"] = [result(block)]
    with pytest.raises(LedgerError, match="wei per gas"):
        chain.transact(function, alice)
    node.faults["eth_getBlockByNumber"] = [result({"number": "0x1"})]
    node.faults["eth_gasPrice"] = [result(hex(2 * 10**12))]
    with pytest.raises(LedgerError, match="wei per gas"):
        chain.transact(function, alice)
    assert node.asked(SEND) == []


def test_a_tip_is_paid_up_to_its_own_limit(node: FlakyNode, chain: Chain, probe: Contract, alice: Account) -> None:
    """A base fee is the chain's, and a lie about it costs nothing; a tip is paid in full, whoever named it."""
    node.faults["eth_maxPriorityFeePerGas"] = [result(hex(tip * 10**9)) for tip in (49, 50, 990)]
    limits = [fee_limits(chain.prepare(probe.functions.store(1, 1, b""), alice)) for _ in range(3)]
    assert [each and each[1] // 10**9 for each in limits] == [49, 50, 50]
    assert limits[1] == limits[2]


def test_chain_without_base_fee_gets_the_old_kind_of_transaction(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account
) -> None:
    block = node.chain.request("eth_getBlockByNumber", "latest")
    node.faults["eth_getBlockByNumber"] = [result({name: block[name] for name in block if name != "baseFeePerGas"})]
    node.faults["eth_gasPrice"] = [result(hex(3 * 10**9))]
    assert chain.transact(probe.functions.store(1, 1, b""), alice).status == 1
    assert bytes.fromhex(node.asked(SEND)[0][0][2:])[0] >= 0xC0  # a bare RLP list


def test_node_without_priority_fee_method(node: FlakyNode, chain: Chain, probe: Contract, alice: Account) -> None:
    node.faults["eth_maxPriorityFeePerGas"] = [refusal(-32601, "method not found")]
    assert chain.transact(probe.functions.store(1, 1, b""), alice).status == 1


def test_two_threads_of_one_account_take_two_nonces(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account
) -> None:
    receipts: list[Any] = []

    def work(key: int) -> None:
        receipts.append(chain.transact(probe.functions.store(key, key, b""), alice, gas=300_000))

    threads = [threading.Thread(target=work, args=(key,)) for key in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({receipt.tx_hash for receipt in receipts}) == 4
    assert stored(node, probe) == 4


# -- what a node may get wrong --


@pytest.mark.parametrize("answer", [5, "0x", {}, {"blockNumber": "0x1"}, {"blockNumber": "0x1", "status": "yes"}])
def test_malformed_receipt_is_refused(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account, answer: Any
) -> None:
    sent = chain.send(probe.functions.store(1, 1, b""), alice)
    node.faults["eth_getTransactionReceipt"] = [result(answer)] * 500
    chain._sender._policy = HASTY
    with pytest.raises(LedgerError):
        chain.wait(sent)


@pytest.mark.parametrize("status", ["0x0", "0x2", "0xff"])
def test_only_status_1_is_a_success(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account, status: str
) -> None:
    sent = chain.send(probe.functions.store(1, 1, b""), alice)
    receipt = node.chain.request("eth_getTransactionReceipt", sent.tx_hash) | {"status": status}
    node.faults["eth_getTransactionReceipt"] = [result(receipt)]
    with pytest.raises(LedgerError, match="failed"):
        chain.wait(sent)


@pytest.mark.parametrize("field", ["transactionHash", "blockHash", "gasUsed", "logs"])
def test_receipt_without_a_field_is_refused(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account, field: str
) -> None:
    sent = chain.send(probe.functions.store(1, 1, b""), alice)
    receipt = node.chain.request("eth_getTransactionReceipt", sent.tx_hash)
    del receipt[field]
    node.faults["eth_getTransactionReceipt"] = [result(receipt)] * 500
    chain._sender._policy = HASTY
    with pytest.raises(LedgerError):
        chain.wait(sent)


def test_transaction_whose_receipt_cannot_be_read_is_the_one_that_a_second_call_waits_for(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account
) -> None:
    def without_gas(exchange: Exchange) -> None:
        answer = exchange.execute()
        del answer["result"]["gasUsed"]
        exchange.send(json.dumps(answer).encode())

    node.faults["eth_getTransactionReceipt"] = [without_gas]
    with pytest.raises(LedgerError, match="malformed receipt"):
        chain.transact(probe.functions.store(1, 1, b""), alice)
    assert chain.transact(probe.functions.store(1, 1, b""), alice).status == 1
    assert stored(node, probe) == 1


@pytest.mark.parametrize("status", ["0x1", "0x0"])
def test_receipt_of_another_transaction_is_not_believed(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account, status: str
) -> None:
    other = chain.transact(probe.functions.store(1, 1, b""), alice)
    sent = chain.send(probe.functions.store(2, 2, b""), alice)
    false = node.chain.request("eth_getTransactionReceipt", other.tx_hash) | {"status": status}
    node.faults["eth_getTransactionReceipt"] = [result(false)] * 2
    assert chain.wait(sent).tx_hash == sent.tx_hash  # a later look tells
    node.faults["eth_getTransactionReceipt"] = [result(false)] * 500
    chain._sender._policy = HASTY
    with pytest.raises(UnsettledError, match="the receipt of another transaction"):
        chain.wait(sent)
    with pytest.raises(LedgerError, match="the receipt of another transaction"):
        chain.receipt(sent.tx_hash)


@pytest.mark.parametrize("change", [{"transactionHash": "0x" + "22" * 32}, {"blockNumber": "0x1"}], ids=str)
def test_receipt_with_a_log_of_another_transaction_is_refused(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account, change: dict[str, str]
) -> None:
    sent = chain.send(probe.functions.store(1, 1, b""), alice)
    receipt = node.chain.request("eth_getTransactionReceipt", sent.tx_hash)
    receipt["logs"] = [log | change for log in receipt["logs"]]
    node.faults["eth_getTransactionReceipt"] = [result(receipt)]
    with pytest.raises(LedgerError, match="logs of another transaction"):
        chain.wait(sent)


def test_event_of_another_contract_is_not_taken_for_that_of_the_called_one(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account
) -> None:
    sent = chain.send(probe.functions.store(1, 1, b""), alice)
    receipt = node.chain.request("eth_getTransactionReceipt", sent.tx_hash)
    strange = receipt["logs"][0] | {"address": alice.address, "logIndex": "0x7"}
    receipt["logs"] = [strange, *receipt["logs"]]
    node.faults["eth_getTransactionReceipt"] = [result(receipt)]
    found = chain.wait(sent)
    assert len(found.events) == 2
    assert found.event("Stored").address == probe.address


def test_logs_of_another_contract_are_refused(node: FlakyNode, chain: Chain, probe: Contract, alice: Account) -> None:
    other = deploy_probe(chain, alice)
    chain.transact(other.functions.store(1, 1, b""), alice)
    logs = node.chain.request("eth_getLogs", {"address": other.address})
    assert len(logs) == 1
    for answer in (logs, "0x", [None], [{}], [logs[0] | {"topics": ["0x00"]}]):
        node.faults["eth_getLogs"] = [result(answer)]
        with pytest.raises(LedgerError):
            chain.events(probe, "Stored")


def test_logs_outside_the_asked_blocks_are_refused(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account
) -> None:
    receipt = chain.transact(probe.functions.store(1, 1, b""), alice)
    chain.mine()
    node.faults["eth_getLogs"] = [result(node.chain.request("eth_getLogs", {"address": probe.address}))]
    with pytest.raises(LedgerError, match="logs that were not asked for"):
        chain.events(probe, "Stored", from_block=receipt.block_number + 1)


def test_log_search_is_cut_where_the_node_limits_it(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account
) -> None:
    numbers = [chain.transact(probe.functions.store(key, key, b""), alice).block_number for key in range(5)]
    widths: list[int] = []

    def limited(exchange: Exchange) -> None:
        query = exchange.body["params"][0]
        widths.append(int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1)
        if widths[-1] > 3:
            refusal(-32005, "eth_getLogs is limited to a 3 block range")(exchange)
        else:
            exchange.answer()

    node.faults["eth_getLogs"] = [limited] * 100
    assert [event.block_number for event in chain.events(probe, "Stored")] == numbers
    assert max(widths) > 3 >= min(widths)
    node.faults["eth_getLogs"] = [refusal(-32000, "unsupported")]
    with pytest.raises(LedgerError, match="unsupported"):
        chain.events(probe, "Stored")


def test_reason_of_a_failure_is_found_without_a_trace(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account
) -> None:
    # A node that neither puts the reason into the receipt nor traces: the call is tried again on its block's state.
    sent = chain.send(probe.functions.refuse(9), alice, gas=100_000)
    receipt = node.chain.request("eth_getTransactionReceipt", sent.tx_hash)
    del receipt["revertReason"]
    node.faults["eth_getTransactionReceipt"] = [result(receipt)]
    with pytest.raises(ContractRejected, match="Refused") as caught:
        chain.wait(sent)
    assert caught.value.arguments == (alice.address, 9)
    assert len(node.asked("debug_traceTransaction")) == 1


SILENT: dict[str, list[Handler]] = {
    "refuses_with_403": [status(403)],
    "hangs": [Exchange.hang] * 4,
    "knows_no_trace": [refusal(-32601, "method not found")],
}


@pytest.mark.parametrize("trace", SILENT)
@pytest.mark.parametrize("again", ["refuses_with_403", "hangs"])
@pytest.mark.parametrize("reason", [None, "0xnonsense"])
def test_a_failure_is_a_failure_however_little_the_node_tells(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account, trace: str, again: str, reason: str | None
) -> None:
    """Who took it for something that passes would send the same bytes for ever."""
    sent = chain.send(probe.functions.refuse(9), alice, gas=100_000)
    receipt = node.chain.request("eth_getTransactionReceipt", sent.tx_hash) | {"revertReason": reason}
    node.faults["eth_getTransactionReceipt"] = [result(receipt)]
    node.faults["debug_traceTransaction"] = list(SILENT[trace])
    node.faults["eth_call"] = list(SILENT[again])
    with pytest.raises(RevertedError, match=f"{sent.tx_hash} failed: the node gives no reason"):
        chain.wait(sent)


def test_gas_can_be_asked_for_beyond_the_margin(chain: Chain, probe: Contract, alice: Account) -> None:
    function = probe.functions.store(1, 2, b"")
    plain, more = (chain.prepare(function, alice, extra_gas=extra).gas for extra in (0, 200_000))
    assert more == plain + 200_000
    assert chain.prepare(function, alice, extra_gas=10**9).gas == TX_GAS_CAP
    assert chain.prepare(function, alice, gas=70_000, extra_gas=200_000).gas == 70_000


def test_export_from_a_node_that_contradicts_itself_is_refused(
    node: FlakyNode, chain: Chain, probe: Contract, alice: Account
) -> None:
    receipt = chain.transact(probe.functions.store(1, 1, b""), alice)
    first = receipt.block_number
    right = node.chain.request("eth_getTransactionReceipt", receipt.tx_hash)
    for answer in (None, right | {"blockHash": "0x" + "00" * 32}):
        node.faults["eth_getTransactionReceipt"] = [result(answer)]
        with pytest.raises(LedgerError, match="gives no receipt of"):
            chain.export(from_block=first)
    node.faults["eth_getBlockByNumber"] = [result(None)]
    with pytest.raises(LedgerError, match=f"block {first} is not there"):
        chain.export(from_block=first, to_block=first)
    for answer in ("0x02c0", None):
        node.faults["eth_getRawTransactionByHash"] = [result(answer)]
        with pytest.raises(LedgerError, match=f"does not give the bytes of transaction {receipt.tx_hash}"):
            chain.export(from_block=first)
    assert len(chain.export(from_block=first)["blocks"]) == 1


# -- a public network --


@pytest.fixture
def public() -> Iterator[FlakyNode]:
    with FlakyNode(is_public=True) as flaky:
        yield flaky


def test_public_network_is_not_for_development(public: FlakyNode) -> None:
    with connect(public) as chain:
        assert not chain.is_development
        for attempt in (lambda: chain.mine(), lambda: chain.dev, lambda: chain.hold_mining().__enter__()):
            with pytest.raises(LedgerError, match="is not a development chain"):
                attempt()
        with pytest.raises(LedgerError, match="gives no money away"):
            chain.new_account("alice")
        fresh = chain.new_account("alice", funded=False)
        assert fresh != chain.new_account("alice", funded=False)  # a key that follows from a name is no secret
        assert chain.balance(fresh.address) == 0


@pytest.mark.parametrize("client", ["anvil/v1.0", "HardhatNetwork/2.22", "fedproof-embedded/1"])
def test_node_that_calls_itself_a_development_node_of_another_chain_is_not_believed(
    node: FlakyNode, client: str
) -> None:
    """Keys that follow from names, and no confirmations, are for chains whose money is worth nothing."""
    for chain_id, is_development in ((1, False), (8453, False), (1337, True), (31337, True)):
        node.faults["eth_chainId"] = [result(hex(chain_id))]
        node.faults["web3_clientVersion"] = [result(client)]
        with connect(node) as chain:
            assert chain.is_development == is_development
            if not is_development:
                with pytest.raises(LedgerError, match="gives no money away"):
                    chain.new_account("hospital")


def test_public_network_is_waited_for(public: FlakyNode) -> None:
    with connect(public) as chain:
        with pytest.raises(LedgerError, match="block 5 did not come within"):
            chain.wait_until_block(5, seconds=0.1)
        miner = threading.Timer(0.1, public.chain.request, ("anvil_mine", "0x5"))
        miner.start()
        chain.wait_until_block(5)
        miner.join()
        assert chain.block_number() == 5


def test_public_network_takes_transactions_of_a_given_key(public: FlakyNode) -> None:
    with connect(public) as chain:
        rich = chain.account_from_key(FAUCET_KEY)
        probe = deploy_probe(chain, rich)
        assert chain.transact(probe.functions.store(1, 2, b""), rich).status == 1
        assert chain.call(probe.functions.values(1)) == 2
