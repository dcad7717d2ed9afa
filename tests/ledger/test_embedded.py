"""What the embedded node refuses, and how its blocks are made."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from eth_account import Account as EthAccount

from fedproof.errors import InputError, LedgerError
from fedproof.ledger import Account, Chain, Genesis
from fedproof.ledger.embedded import call, node
from fedproof.ledger.rpc import RpcError
from tests.ledger.conftest import deploy_probe

PRICE = 10 * 10**9


def sign(sender: Account, **changes: Any) -> str:
    fields = {"chainId": 31_337, "nonce": 0, "gas": 21_000, "gasPrice": PRICE, "to": sender.address, "value": 0}
    return "0x" + sender.sign(fields | changes).hex()


@pytest.fixture
def alice(embedded_chain: Chain) -> Account:
    return embedded_chain.new_account("alice")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another_chain": ({"chainId": 1}, "invalid chain id"),
    "nonce_ahead": ({"nonce": 1}, "nonce"),
    "gas_below_intrinsic": ({"gas": 20_999}, "(?i)in[a-z]+ gas"),
    "gas_below_access_list": (
        {"gas": 22_000, "accessList": [{"address": "0x" + "11" * 20, "storageKeys": []}]},
        "(?i)in[a-z]+ gas",
    ),
    "gas_over_cap": ({"gas": 16_777_217}, "over the cap"),
    "unaffordable": ({"value": 10**30}, "balance"),
    "fee_below_base_fee": ({"gasPrice": 1}, "base fee"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_transaction_is_refused_and_leaves_no_trace(embedded_chain: Chain, alice: Account, case: str) -> None:
    changes, message = REFUSED[case]
    before = embedded_chain.export()
    with pytest.raises(RpcError, match=message) as caught:
        embedded_chain.rpc.request("eth_sendRawTransaction", sign(alice, **changes))
    assert "\n" not in str(caught.value)
    assert embedded_chain.export() == before
    embedded_chain.rpc.request("eth_sendRawTransaction", sign(alice))
    assert embedded_chain.block_number() == len(before["blocks"])


def test_priority_fee_over_the_fee_is_refused(embedded_chain: Chain, alice: Account) -> None:
    fields = {"chainId": 31_337, "nonce": 0, "gas": 21_000, "to": alice.address, "value": 0, "type": 2}
    raw = alice.sign(fields | {"maxFeePerGas": PRICE, "maxPriorityFeePerGas": PRICE + 1})
    with pytest.raises(RpcError, match="max priority fee per gas higher than max fee per gas"):
        embedded_chain.rpc.request("eth_sendRawTransaction", "0x" + raw.hex())


def test_spent_nonce_is_refused(embedded_chain: Chain, alice: Account) -> None:
    embedded_chain.rpc.request("eth_sendRawTransaction", sign(alice))
    with pytest.raises(RpcError, match="nonce too low: next nonce 1, tx nonce 0"):
        embedded_chain.rpc.request("eth_sendRawTransaction", sign(alice))


def test_unprotected_transaction_is_refused(embedded_chain: Chain, alice: Account) -> None:
    # Without a chain id (EIP-155) it could be replayed from any chain.
    fields = {"nonce": 0, "gas": 21_000, "gasPrice": PRICE, "to": alice.address, "value": 0}
    with pytest.raises(RpcError, match="invalid chain id"):
        embedded_chain.rpc.request("eth_sendRawTransaction", "0x" + alice.sign(fields).hex())


def test_transaction_of_a_newer_type_is_refused(embedded_chain: Chain, alice: Account) -> None:
    signer = EthAccount.create()
    code = signer.sign_authorization({"chainId": 31_337, "address": alice.address, "nonce": 0})
    fields = {"type": 4, "chainId": 31_337, "nonce": 0, "gas": 100_000, "to": alice.address, "value": 0, "data": b""}
    raw = alice.sign(
        fields | {"maxFeePerGas": PRICE, "maxPriorityFeePerGas": 1, "authorizationList": [code], "accessList": []}
    )
    with pytest.raises(RpcError, match="transaction type 4 is not supported"):
        embedded_chain.rpc.request("eth_sendRawTransaction", "0x" + raw.hex())


@pytest.mark.parametrize("raw", ["0x", "0x00", "0xc0", "0x02c0", "0x03" + "c0", "0x04c0", "0x7f", "0x" + "ff" * 300])
def test_malformed_transaction_is_refused(embedded_chain: Chain, raw: str) -> None:
    with pytest.raises(RpcError, match="cannot be decoded"):
        embedded_chain.rpc.request("eth_sendRawTransaction", raw)


def test_every_changed_byte_of_a_transaction_is_refused_cleanly(embedded_chain: Chain, alice: Account) -> None:
    raw = bytes.fromhex(sign(alice)[2:])
    before = embedded_chain.export()
    for position in range(0, len(raw), 3):
        damaged = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        with pytest.raises(RpcError):
            embedded_chain.rpc.request("eth_sendRawTransaction", "0x" + damaged.hex())
    assert embedded_chain.export() == before


def test_refused_transaction_leaves_the_block_being_built_alone(embedded_chain: Chain, alice: Account) -> None:
    probe = deploy_probe(embedded_chain, alice)
    with embedded_chain.hold_mining():
        first = embedded_chain.send(probe.functions.store(1, 1, b""), alice, gas=200_000)
        for changes in ({"nonce": 7}, {"nonce": 3, "value": 10**30}, {"nonce": 3, "gas": 1}):
            with pytest.raises(RpcError):
                embedded_chain.rpc.request("eth_sendRawTransaction", sign(alice, **changes))
        second = embedded_chain.send(probe.functions.store(2, 2, b""), alice, gas=200_000)
        # What is asked of the block to come sees what it holds, and a trial leaves nothing behind.
        for _ in range(2):
            assert embedded_chain.prepare(probe.functions.store(3, 3, b""), alice).nonce == second.nonce + 1
    assert embedded_chain.wait(first).block_number == embedded_chain.wait(second).block_number


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBalance", ("0x12",)),
        ("eth_getBalance", (None,)),
        ("eth_getBalance", ("0x" + "11" * 20, "tomorrow")),
        ("eth_getCode", ("0x" + "11" * 20, "0x5")),
        ("eth_call", ({"to": "0x" + "11" * 20, "data": "0xabc"},)),
        ("eth_getTransactionReceipt", ("0x00",)),
        ("eth_getLogs", ({"fromBlock": "soon"},)),
        ("eth_sendRawTransaction", ("hello",)),
        ("evm_setNextBlockTimestamp", ("0x1",)),
        ("eth_noSuchMethod", ()),
        ("_find", ("0x",)),
        ("__init__", ()),
    ],
)
def test_malformed_request_is_refused(embedded_chain: Chain, method: str, params: tuple[Any, ...]) -> None:
    with pytest.raises(LedgerError):
        embedded_chain.rpc.request(method, *params)


def test_call_with_too_little_gas_is_refused(embedded_chain: Chain, alice: Account) -> None:
    request = {"to": alice.address, "data": "0x" + "01" * 100, "gas": hex(22_599)}
    with pytest.raises(RpcError, match="intrinsic gas too low: have 22599"):
        embedded_chain.rpc.request("eth_call", request)
    assert embedded_chain.rpc.request("eth_call", request | {"gas": hex(22_600)}) == "0x"


def test_answers_of_calls_are_those_of_their_block_and_no_more_are_kept_than_said(
    embedded_chain: Chain, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_ANSWERS_KEPT", 3)
    monkeypatch.setattr(node, "_LONGEST_KEPT", 100)
    run, times = call.run, []

    def counted(vm: Any, message: call.Message) -> Any:
        times.append(message.data)
        return run(vm, message)

    monkeypatch.setattr(call, "run", counted)

    def ask(slot: int, more: bytes = b"") -> int:
        before = len(times)
        embedded_chain.rpc.request("eth_call", {"to": alice.address, "data": "0x" + (bytes([slot]) + more).hex()})
        return len(times) - before

    assert [ask(1), ask(1), ask(2), ask(1)] == [1, 0, 1, 0]
    assert [ask(3), ask(4), ask(1), ask(4)] == [1, 1, 1, 0]  # the oldest of four made way
    assert [ask(9, bytes(100)), ask(9, bytes(100))] == [1, 1]  # too long to be kept
    deploy_probe(embedded_chain, alice)
    assert [ask(4), ask(4)] == [1, 0]  # another block


def test_only_the_faucet_signs_inside(embedded_chain: Chain, alice: Account) -> None:
    request = {"from": alice.address, "to": alice.address, "value": "0x1"}
    with pytest.raises(RpcError, match="only the faucet's key is held here"):
        embedded_chain.rpc.request("eth_sendTransaction", request)


def test_estimate_is_enough_and_not_much_more(embedded_chain: Chain, alice: Account) -> None:
    probe = deploy_probe(embedded_chain, alice)
    bound_by_calldata = probe.functions.store(9, 1, b"\x01" * 4_000)
    for function in (probe.functions.store(1, 1, b""), bound_by_calldata, probe.functions.nested(3, 400_000)):
        data = embedded_chain.prepare(function, alice, gas=1_000_000).data
        request = {"from": alice.address, "to": probe.address, "data": "0x" + data.hex()}
        estimate = int(embedded_chain.rpc.request("eth_estimateGas", request), 16)
        with pytest.raises(LedgerError):
            embedded_chain.transact(function, alice, gas=estimate * 15 // 16)
        assert embedded_chain.transact(function, alice, gas=estimate).status == 1


def test_snapshot_takes_the_block_being_built_back(embedded_chain: Chain, alice: Account) -> None:
    snapshot = embedded_chain.dev.snapshot()
    time = embedded_chain.timestamp()
    embedded_chain.rpc.request("evm_setAutomine", False)
    embedded_chain.dev.set_next_timestamp(time + 1_000)
    embedded_chain.rpc.request("eth_sendRawTransaction", sign(alice))
    embedded_chain.dev.revert(snapshot)
    embedded_chain.rpc.request("evm_setAutomine", True)
    embedded_chain.mine()
    assert embedded_chain.rpc.request("eth_getTransactionCount", alice.address) == "0x0"
    assert embedded_chain.timestamp() == time + 12


def test_unknown_snapshot_is_refused(embedded_chain: Chain) -> None:
    first, second = embedded_chain.dev.snapshot(), embedded_chain.dev.snapshot()
    embedded_chain.dev.revert(first)
    for gone in (first, second, 99):
        with pytest.raises(LedgerError, match=f"no snapshot {gone}"):
            embedded_chain.dev.revert(gone)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chain_id", 0),
        ("chain_id", 2**53),
        ("timestamp", 0),
        ("timestamp", -5),
        ("block_interval", 0),
        ("timestamp", 1.5),
    ],
)
def test_genesis_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"genesis parameter {name} is"):
        Chain.embedded(**{name: value})


def test_genesis_and_its_parameters_are_not_mixed() -> None:
    with pytest.raises(InputError, match="not both"):
        Chain.embedded(Genesis(), chain_id=5)


def test_blocks_follow_the_interval(embedded_chain: Chain) -> None:
    start = embedded_chain.timestamp()
    embedded_chain.mine(3)
    assert embedded_chain.timestamp() == start + 36
    embedded_chain.dev.set_next_timestamp(start + 1_000)
    embedded_chain.mine(2)
    assert embedded_chain.timestamp() == start + 1_012


def test_time_of_a_begun_block_is_fixed(embedded_chain: Chain, alice: Account) -> None:
    with embedded_chain.hold_mining():
        embedded_chain.rpc.request("eth_sendRawTransaction", sign(alice))
        with pytest.raises(InputError, match="already holds transactions"):
            embedded_chain.dev.set_next_timestamp(embedded_chain.timestamp() + 1_000)


def test_environment_of_a_call(embedded_chain: Chain, alice: Account) -> None:
    probe = deploy_probe(embedded_chain, alice)
    time, limit, coinbase, chain_id, _ = embedded_chain.call(probe.functions.environment())
    assert (time, limit, chain_id) == (embedded_chain.timestamp(), 60_000_000, 31_337)
    assert coinbase.lower() == "0x" + "fed" * 13 + "f"


def test_threads_share_a_chain(embedded_chain: Chain) -> None:
    accounts = [embedded_chain.new_account(f"worker {index}") for index in range(4)]
    probe = deploy_probe(embedded_chain, accounts[0])
    errors: list[BaseException] = []

    def work(account: Account, key: int) -> None:
        try:
            for value in range(3):
                embedded_chain.transact(probe.functions.store(key, value, b""), account)
                embedded_chain.call(probe.functions.values(key))
        except BaseException as error:  # noqa: BLE001 - reported below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(account, key)) for key, account in enumerate(accounts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(embedded_chain.events(probe, "Stored")) == 12


def test_deeply_nested_text_does_not_kill_the_process() -> None:
    # py-evm's libraries lift Python's recursion limit so far that this would overflow the C stack.
    program = """
import json, threading
import fedproof.ledger
def read():
    for text in ("[" * 10**6, '{"a":' * 10**6):
        try:
            json.loads(text)
        except RecursionError:
            print("refused")
read()
thread = threading.Thread(target=read); thread.start(); thread.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, ["refused"] * 4), done.stderr
