"""The limits of a real chain hold on the embedded one too, and gas is the same on both."""

from __future__ import annotations

import pytest
from web3.contract import Contract
from web3.contract.contract import ContractFunction

from fedproof.errors import InputError, LedgerError
from fedproof.ledger import Account, Artifact, Chain
from fedproof.ledger.data_contract import data_contract_words
from tests.ledger.conftest import DOUBLER, PROBE, deploy_probe

CODE_LIMIT = 24_576
TX_GAS_CAP = 16_777_216


def of_runtime(runtime: bytes) -> Artifact:
    """A contract without ABI whose creation code returns `runtime`."""
    creation = b"\x61" + len(runtime).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + runtime
    return Artifact("Raw", (), creation.hex(), runtime.hex(), {}, "")


def test_contract_of_24576_bytes_is_deployed(chain: Chain, alice: Account) -> None:
    runtime = b"\x00" + b"\x5b" * (CODE_LIMIT - 1)
    contract = chain.deploy(of_runtime(runtime), sender=alice)
    assert chain.code_at(contract.address) == runtime


def test_contract_of_24577_bytes_is_refused(chain: Chain, alice: Account) -> None:
    artifact = of_runtime(b"\x00" + b"\x5b" * CODE_LIMIT)
    for gas in (None, 8_000_000):
        with pytest.raises(LedgerError):
            chain.deploy(artifact, sender=alice, gas=gas)


def test_init_code_over_49152_bytes_is_refused(chain: Chain, alice: Account) -> None:
    at_limit = bytes.fromhex("5f5ff3").ljust(2 * CODE_LIMIT, b"\0")
    assert chain.deploy(Artifact("Raw", (), at_limit.hex(), "", {}, ""), sender=alice, gas=3_000_000).address
    for gas in (None, 3_000_000):
        with pytest.raises(LedgerError):
            chain.deploy(Artifact("Raw", (), (at_limit + b"\0").hex(), "", {}, ""), sender=alice, gas=gas)


def test_runtime_that_begins_with_ef_is_refused(chain: Chain, alice: Account) -> None:
    with pytest.raises(LedgerError):
        chain.deploy(of_runtime(b"\xef\x00"), sender=alice, gas=200_000)


def test_transaction_over_the_gas_cap_is_refused(chain: Chain, probe: Contract, alice: Account) -> None:
    function = probe.functions.store(1, 1, b"")
    assert chain.transact(function, alice, gas=TX_GAS_CAP).status == 1
    head = chain.block_number()
    with pytest.raises(LedgerError):
        chain.transact(function, alice, gas=TX_GAS_CAP + 1)
    assert chain.block_number() == head


def test_transaction_pays_the_calldata_floor(chain: Chain, probe: Contract, alice: Account) -> None:
    # 21,000 and 40 for each non-zero byte (EIP-7623): more than the 16 that the data costs at first.
    function = probe.functions.store(1, 1, b"\x01" * 3_200)
    assert chain.transact(function, alice).gas_used == _floor(chain, function, alice)


def test_transaction_below_the_calldata_floor_is_refused(embedded_chain: Chain) -> None:
    # Only here: anvil takes it into its pool and then never mines it.
    alice = embedded_chain.new_account("alice")
    function = deploy_probe(embedded_chain, alice).functions.store(1, 1, b"\x01" * 3_200)
    floor = _floor(embedded_chain, function, alice)
    with pytest.raises(LedgerError, match="intrinsic gas too low"):
        embedded_chain.transact(function, alice, gas=floor - 1)
    assert embedded_chain.transact(function, alice, gas=floor).gas_used == floor


def _floor(chain: Chain, function: ContractFunction, sender: Account) -> int:
    data = chain.prepare(function, sender).data
    return 21_000 + 10 * (4 * len(data) - 3 * data.count(0))


def test_transaction_below_its_intrinsic_gas_is_refused(chain: Chain, probe: Contract, alice: Account) -> None:
    head = chain.block_number()
    with pytest.raises(LedgerError, match="gas 53000 is less than the"):
        chain.deploy(of_runtime(b"\x00"), sender=alice, gas=53_000)
    with pytest.raises(LedgerError, match="gas 21000 is less than the"):
        chain.transact(probe.functions.store(1, 1, b""), alice, gas=21_000)
    assert chain.block_number() == head


def test_block_gas_limit_is_60_million(chain: Chain, probe: Contract) -> None:
    _, gas_limit, _, chain_id, _ = chain.call(probe.functions.environment())
    assert (gas_limit, chain_id) == (60_000_000, chain.chain_id)


def test_data_contract_holds_its_words(chain: Chain, alice: Account) -> None:
    words = bytes(range(32)) * 767
    address = chain.deploy_data(words, alice)
    assert chain.code_at(address) == b"\x00" + words
    assert data_contract_words(chain.code_at(address)) == words
    assert data_contract_words(chain.code_at(chain.deploy_data(b"", alice))) == b""


def test_data_that_is_not_whole_words_is_refused(embedded_chain: Chain) -> None:
    alice = embedded_chain.new_account("alice")
    with pytest.raises(InputError, match="whole 32-byte words: got 33"):
        embedded_chain.deploy_data(bytes(33), alice)
    with pytest.raises(InputError, match="at most 767 words: got 768"):
        embedded_chain.deploy_data(bytes(768 * 32), alice)
    for code in (b"", b"\x00" * 32, b"\x01" + bytes(32), bytes.fromhex(PROBE.deployed_bytecode[:2])):
        with pytest.raises(InputError, match="not a data contract"):
            data_contract_words(code)


def test_gas_of_every_kind_of_transaction_is_the_same_as_on_anvil(embedded_chain: Chain, anvil_chain: Chain) -> None:
    spent = []
    for chain in (embedded_chain, anvil_chain):
        alice = chain.new_account("alice")
        probe = deploy_probe(chain, alice)
        receipts = [
            chain.deployment_receipt(probe.address),
            chain.deployment_receipt(chain.deploy(DOUBLER, sender=alice).address),
            chain.deployment_receipt(chain.deploy_data(bytes(range(32)) * 700, alice)),
            chain.transfer(alice, probe.address.replace("0x", "0x")[:-2] + "00", 1),
            chain.transact(probe.functions.store(1, 5, b""), alice),  # a fresh slot
            chain.transact(probe.functions.store(1, 6, b"\x01" * 700), alice),  # a used slot
            chain.transact(probe.functions.store(1, 0, b""), alice),  # a refund
            chain.transact(probe.functions.store(1, 0, b"\x01" * 20_000), alice),  # the calldata floor
            chain.transact(probe.functions.store(2, 1, bytes(3_000)), alice, value=1),
            chain.transact(probe.functions.nested(7, 100_000), alice, gas=5_000_000),  # calls
        ]
        spent.append([receipt.gas_used for receipt in receipts])
    assert spent[0] == spent[1]


def test_refund_counts_before_the_calldata_floor(embedded_chain: Chain, anvil_chain: Chain) -> None:
    # Clearing a slot refunds 4,800, which must not press the price below the floor.
    spent = []
    for chain in (embedded_chain, anvil_chain):
        alice = chain.new_account("alice")
        probe = deploy_probe(chain, alice)
        used = []
        for size in (0, 300, 700, 1_000, 1_500, 4_000):
            chain.transact(probe.functions.store(size, 1, b""), alice)
            used.append(chain.transact(probe.functions.store(size, 0, b"\x01" * size), alice).gas_used)
            for key in (1, 2, 3):
                chain.transact(probe.functions.store(key, 1, b""), alice)
            # Three refunds are more than the fifth of the gas that may come back (EIP-3529).
            used.append(chain.transact(probe.functions.clear([1, 2, 3], b"\x01" * size), alice).gas_used)
        spent.append(used)
    assert spent[0] == spent[1]
