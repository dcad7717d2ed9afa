"""The same behaviour on the embedded chain and on a real node."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from web3.contract import Contract

from fedproof.errors import ContractRejected, InputError, LedgerError, RevertedError
from fedproof.ledger import Account, Chain
from fedproof.ledger.knowledge import NO_REASON
from fedproof.ledger.sending import ReplacedError
from tests.ledger.conftest import DOUBLER, PROBE, deploy_probe

ETHER = 10**18


def test_new_account_has_money(chain: Chain) -> None:
    assert chain.balance(chain.new_account("rich").address) == 100 * ETHER
    assert chain.balance(chain.new_account("poor", funded=False).address) == 0


def test_same_name_is_same_account(chain: Chain) -> None:
    assert chain.new_account("bob") == chain.new_account("bob") != chain.new_account("carol")


def test_transfer_moves_money(chain: Chain, alice: Account) -> None:
    bob = chain.new_account("bob", funded=False)
    receipt = chain.transfer(alice, bob.address, 3 * ETHER)
    assert (receipt.gas_used, receipt.calldata_size, receipt.status) == (21_000, 0, 1)
    assert chain.balance(bob.address) == 3 * ETHER


def test_transfer_beyond_the_balance_is_refused(chain: Chain, alice: Account) -> None:
    with pytest.raises(LedgerError, match=r"(?i)insufficient funds"):
        chain.transfer(alice, alice.address, 10**30)


def test_result_of_a_call_is_decoded(chain: Chain, probe: Contract, alice: Account) -> None:
    where, numbers, pair = chain.call(probe.functions.several(), sender=alice)
    assert where == probe.address
    assert numbers == (5, chain.block_number())
    assert pair == (alice.address, 7)
    assert chain.call(probe.functions.double(21)) == 42  # through the linked library
    assert chain.call(probe.functions.start()) == 5


def test_call_sees_an_earlier_block(chain: Chain, probe: Contract, alice: Account) -> None:
    before = chain.block_number()
    chain.transact(probe.functions.store(1, 10, b""), alice)
    assert chain.call(probe.functions.values(1)) == 10
    assert chain.call(probe.functions.values(1), block=before) == 0


def test_receipt_carries_events_and_sizes(chain: Chain, probe: Contract, alice: Account) -> None:
    receipt = chain.transact(probe.functions.store(7, 8, b"note"), alice, value=9)
    event = receipt.event("Stored")
    assert dict(event.args) == {
        "who": alice.address,
        "key": 7,
        "note": b"note",
        "pairs": ((alice.address, 1), (probe.address, 2)),
    }
    assert (event.address, event.block_number, event.tx_hash) == (probe.address, chain.block_number(), receipt.tx_hash)
    assert receipt.calldata_size == len(chain.transaction_input(receipt.tx_hash)) == 4 + 5 * 32
    assert chain.balance(probe.address) == 9


def test_receipt_without_the_event_says_so(chain: Chain, probe: Contract, alice: Account) -> None:
    receipt = chain.transact(probe.functions.store(7, 8, b""), alice)
    with pytest.raises(LedgerError, match="0 events named Plain"):
        receipt.event("Plain")


def test_events_are_found_by_block_and_indexed_argument(chain: Chain, probe: Contract, alice: Account) -> None:
    other = deploy_probe(chain, alice)
    chain.transact(other.functions.store(1, 0, b"other contract"), alice)
    numbers = [chain.transact(probe.functions.store(key, 0, b""), alice).block_number for key in (1, 2, 1)]
    found = chain.events(probe, "Stored")
    assert [event.args["key"] for event in found] == [1, 2, 1]
    assert [event.block_number for event in found] == numbers
    by_key = chain.events(probe, "Stored", argument_filters={"key": 1})
    assert [event.block_number for event in by_key] == [numbers[0], numbers[2]]
    assert chain.events(probe, "Stored", argument_filters={"who": probe.address}) == []
    middle = chain.events(probe, "Stored", from_block=numbers[1], to_block=numbers[1])
    assert [event.args["key"] for event in middle] == [2]
    assert chain.events(probe, "Stored", from_block=numbers[2] + 1) == []
    with pytest.raises(InputError, match="cannot be searched by note"):
        chain.events(probe, "Stored", argument_filters={"note": b""})
    with pytest.raises(InputError, match="no event Missing"):
        chain.events(probe, "Missing")
    with pytest.raises(InputError, match="filter key"):
        chain.events(probe, "Stored", argument_filters={"key": -1})


REJECTIONS = [
    (0, "Refused", 0),
    (1, "Closed", None),
    (2, "Error", "in words"),
    (3, "Panic", 1),
    (4, NO_REASON, None),
    (5, "unknown error 0xdeadbeef", "0x" + "00" * 32),
]


@pytest.mark.parametrize(("code", "name", "last"), REJECTIONS)
@pytest.mark.parametrize("stage", ["call", "estimate", "mined"])
def test_revert_is_named(
    chain: Chain, probe: Contract, alice: Account, stage: str, code: int, name: str, last: object
) -> None:
    before = chain.block_number()
    function = probe.functions.refuse(code)
    run: dict[str, Callable[[], object]] = {
        "call": lambda: chain.call(function, sender=alice),
        "estimate": lambda: chain.transact(function, alice),
        "mined": lambda: chain.transact(function, alice, gas=200_000),
    }
    with pytest.raises(ContractRejected) as caught:
        run[stage]()
    assert caught.value.name == name
    assert caught.value.arguments[-1:] == (() if last is None else (last,))
    if name == "Refused":
        assert caught.value.arguments[0] == alice.address
    assert chain.block_number() - before == (1 if stage == "mined" else 0)


def test_revert_in_a_constructor_is_named(chain: Chain, probe: Contract, alice: Account) -> None:
    library = chain.deploy(DOUBLER, sender=alice).address
    for gas in (None, 2_000_000):
        with pytest.raises(ContractRejected, match="Refused") as caught:
            chain.deploy(PROBE, 666, sender=alice, libraries={"Doubler": library}, gas=gas)
        assert caught.value.arguments == (alice.address, 666)


def test_want_of_gas_is_no_rejection(chain: Chain, probe: Contract, alice: Account) -> None:
    for gas in (None, 100_000):
        with pytest.raises(LedgerError) as caught:
            chain.transact(probe.functions.burn(), alice, gas=gas)
        assert isinstance(caught.value, RevertedError) or not isinstance(caught.value, ContractRejected)
        assert "\n" not in str(caught.value)


def test_estimate_covers_gas_that_must_be_given(chain: Chain, probe: Contract, alice: Account) -> None:
    receipt = chain.transact(probe.functions.nested(4, 800_000), alice)
    assert receipt.event("Plain").args["text"] == "deep"
    assert receipt.gas_used < 200_000


def test_estimate_is_made_for_the_block_to_come(chain: Chain, probe: Contract, alice: Account) -> None:
    head = chain.block_number()
    with pytest.raises(ContractRejected):
        chain.transact(probe.functions.onlyIn(head), alice)
    with pytest.raises(ContractRejected):
        chain.transact(probe.functions.onlyIn(head + 2), alice)
    assert chain.transact(probe.functions.onlyIn(head + 1), alice).block_number == head + 1


def test_rejection_at_a_block_boundary_is_named(chain: Chain, probe: Contract, alice: Account) -> None:
    # The state before the block would accept it, so that the reason can only come from the block itself.
    head = chain.block_number()
    with pytest.raises(ContractRejected, match="Refused") as caught:
        chain.transact(probe.functions.onlyIn(head), alice, gas=200_000)
    assert caught.value.arguments == (alice.address, head + 1)


def test_mining_is_counted_and_waited_for(chain: Chain) -> None:
    head = chain.block_number()
    chain.mine(3)
    assert chain.block_number() == head + 3
    chain.wait_until_block(head + 10)
    chain.wait_until_block(head + 5)
    assert chain.block_number() == head + 10


def test_time_can_be_set_forward_only(chain: Chain) -> None:
    now = chain.timestamp()
    chain.dev.set_next_timestamp(now + 86_400)
    chain.mine()
    assert chain.timestamp() == now + 86_400
    assert chain.timestamp(chain.block_number() - 1) == now
    with pytest.raises(InputError, match="cannot be the next"):
        chain.dev.set_next_timestamp(now)


def test_snapshot_takes_everything_back(chain: Chain, probe: Contract, alice: Account) -> None:
    head, balance = chain.block_number(), chain.balance(alice.address)
    snapshot = chain.dev.snapshot()
    receipt = chain.transact(probe.functions.store(1, 2, b""), alice)
    chain.dev.revert(snapshot)
    assert (chain.block_number(), chain.balance(alice.address)) == (head, balance)
    assert chain.call(probe.functions.values(1)) == 0
    assert chain.events(probe, "Stored") == []
    with pytest.raises(LedgerError, match="no transaction"):
        chain.transaction_input(receipt.tx_hash)
    chain.transact(probe.functions.store(1, 3, b""), alice)
    assert chain.call(probe.functions.values(1)) == 3


def test_held_transactions_share_a_block(chain: Chain, probe: Contract, alice: Account) -> None:
    bob = chain.new_account("bob")
    head = chain.block_number()
    with chain.hold_mining():
        sent = [
            chain.send(probe.functions.store(1, 1, b""), alice, gas=200_000),
            chain.send(probe.functions.store(2, 2, b""), alice, gas=200_000),
            chain.send(probe.functions.store(3, 3, b""), bob, gas=200_000),
        ]
        assert chain.block_number() == head
    receipts = [chain.wait(transaction) for transaction in sent]
    assert {receipt.block_number for receipt in receipts} == {head + 1}
    assert len({receipt.tx_hash for receipt in receipts}) == 3
    assert sorted(receipt.logs[0].log_index for receipt in receipts) == [0, 1, 2]
    assert chain.transact(probe.functions.store(4, 4, b""), alice).block_number == head + 2


def test_code_of_an_address(chain: Chain, probe: Contract, alice: Account) -> None:
    assert len(chain.code_at(probe.address)) == len(PROBE.deployed_bytecode) // 2
    assert chain.code_at(alice.address) == b""


def test_call_where_no_contract_is(chain: Chain, alice: Account) -> None:
    nowhere = chain.contract_at(PROBE, alice.address)
    with pytest.raises(LedgerError, match="no such contract"):
        chain.call(nowhere.functions.start())


def test_call_where_another_contract_is(chain: Chain, probe: Contract, alice: Account) -> None:
    data = chain.deploy_data(b"\x11" * 32, alice)
    with pytest.raises(LedgerError):
        chain.call(chain.contract_at(PROBE, data).functions.start())


def test_raw_calldata_goes_as_it_is(chain: Chain, probe: Contract, alice: Account) -> None:
    data = chain.prepare(probe.functions.store(1, 2, b"note"), alice).data
    assert chain.call_raw(probe.address, data, sender=alice) == (3).to_bytes(32, "big")
    receipt = chain.transact_raw(probe.address, data + b"trailing", alice, value=1)
    assert chain.transaction_input(receipt.tx_hash) == data + b"trailing"
    assert receipt.event("Stored").args["note"] == b"note"
    with pytest.raises(ContractRejected, match=NO_REASON):  # no such function, and no fallback
        chain.call_raw(probe.address, b"\x12\x34\x56\x78")
    with pytest.raises(ContractRejected, match=NO_REASON):
        chain.transact_raw(probe.address, data[:-33], alice)


def test_receipt_of_a_failure_can_be_read(chain: Chain, probe: Contract, alice: Account) -> None:
    sent = chain.send(probe.functions.refuse(1), alice, gas=100_000)
    with pytest.raises(ContractRejected, match="Closed"):
        chain.wait(sent)
    receipt = chain.receipt(sent.tx_hash)
    assert (receipt.status, receipt.logs, receipt.calldata_size) == (0, (), 36)
    assert 21_000 < receipt.gas_used < 100_000
    with pytest.raises(LedgerError, match="no mined transaction"):
        chain.receipt("0x" + "00" * 32)


def test_broadcasting_twice_changes_nothing(chain: Chain, probe: Contract, alice: Account) -> None:
    prepared = chain.prepare(probe.functions.store(1, 1, b""), alice)
    chain.broadcast(prepared)
    receipt = chain.wait(prepared)
    chain.broadcast(prepared)
    assert chain.wait(prepared) == receipt
    assert len(chain.events(probe, "Stored")) == 1


def test_another_transaction_with_the_nonce_is_noticed(chain: Chain, probe: Contract, alice: Account) -> None:
    first = chain.prepare(probe.functions.store(1, 1, b""), alice)
    second = chain.prepare(probe.functions.store(2, 2, b""), alice)
    assert first.nonce == second.nonce
    chain.broadcast(first)
    assert chain.wait(first).status == 1
    chain.broadcast(second)
    with pytest.raises(ReplacedError, match="will never be mined: another one took nonce"):
        chain.wait(second)
