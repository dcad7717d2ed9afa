"""An exported run is checked whole: what was changed in it is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from fedproof.errors import AuditError, ContractRejected, InputError
from fedproof.ledger import Account, Chain, Genesis, check_export, replay
from fedproof.ledger.replay import replay_file
from fedproof.ledger.transactions import read_signed
from tests.ledger.conftest import deploy_probe

Export = dict[str, Any]


def play(chain: Chain) -> None:
    """A run with deployments, several transactions in a block, failures, idle blocks and set times."""
    alice, bob = chain.new_account("alice"), chain.new_account("bob")
    probe = deploy_probe(chain, alice)
    chain.transact(probe.functions.store(1, 2, b"note"), alice, value=3)
    with chain.hold_mining():
        # To estimate gas, the block being built is tried on: that must leave nothing behind, not even warm slots.
        for key, sender, gas in ((5, alice, 300_000), (6, alice, None), (5, bob, None)):
            chain.send(probe.functions.store(key, key, b""), sender, gas=gas)
    failed = chain.send(probe.functions.refuse(1), bob, gas=100_000)
    with pytest.raises(ContractRejected):
        chain.wait(failed)
    assert chain.receipt(failed.tx_hash).status == 0
    chain.mine(3)
    chain.dev.set_next_timestamp(chain.timestamp() + 5_000)
    chain.mine()
    chain.deploy_data(bytes(64), bob)


@pytest.fixture(scope="module")
def original() -> tuple[Chain, Export]:
    chain = Chain.embedded(timestamp=1_800_000_000, block_interval=2)
    play(chain)
    return chain, json.loads(json.dumps(chain.export()))


@pytest.fixture
def export(original: tuple[Chain, Export]) -> Export:
    return copy.deepcopy(original[1])


def block_with_transactions(export: Export, count: int) -> dict[str, Any]:
    return next(block for block in export["blocks"] if len(block["transactions"]) == count)


def storing_transaction(export: Export) -> dict[str, Any]:
    """The transaction that stores b"note"."""
    note = b"note".hex()
    return next(each for block in export["blocks"] for each in block["transactions"] if note in each["raw"])


def test_equal_inputs_make_equal_chains(original: tuple[Chain, Export]) -> None:
    again = Chain.embedded(timestamp=1_800_000_000, block_interval=2)
    play(again)
    assert again.export() == original[1]
    other = Chain.embedded(timestamp=1_800_000_001, block_interval=2)
    assert other.export()["blocks"][0]["hash"] != original[1]["blocks"][0]["hash"]


def test_untouched_export_replays_to_the_same_chain(original: tuple[Chain, Export], export: Export) -> None:
    chain, _ = original
    again = replay(export)
    assert again.export() == export
    alice = again.new_account("alice")
    assert again.balance(alice.address) == chain.balance(alice.address)
    head = again.block_number()
    assert again.transfer(alice, alice.address, 1).block_number == head + 1  # it mines as ever


def test_export_is_json_with_a_version(export: Export) -> None:
    assert export["format"] == "fedproof/chain/v1"
    assert export["genesis"]["timestamp"] == 1_800_000_000
    assert [block["number"] for block in export["blocks"]] == list(range(len(export["blocks"])))
    assert {each["receipt"]["status"] for block in export["blocks"] for each in block["transactions"]} == {0, 1}


def test_replay_rejects_a_changed_calldata_byte(export: Export) -> None:
    transaction = storing_transaction(export)
    transaction["raw"] = transaction["raw"].replace(b"note".hex(), b"nota".hex())
    with pytest.raises(AuditError, match=f"{transaction['hash']}: its bytes have another hash"):
        replay(export)
    # With the hash put right the signature is no longer this sender's.
    transaction["hash"] = "0x" + keccak(hexstr=transaction["raw"]).hex()
    with pytest.raises(AuditError, match=f"{transaction['hash']} in block [0-9]+ cannot be executed"):
        replay(export)


def test_replay_rejects_a_dropped_transaction(export: Export) -> None:
    block = block_with_transactions(export, 3)
    following = block["transactions"][1]["hash"]
    del block["transactions"][0]
    with pytest.raises(AuditError, match=f"{following} in block {block['number']} cannot be executed: .*nonce"):
        replay(export)


def test_replay_rejects_a_dropped_last_transaction(export: Export) -> None:
    block = block_with_transactions(export, 3)
    del block["transactions"][2]
    with pytest.raises(AuditError, match=f"^block {block['number']} has hash"):
        replay(export)


def test_replay_rejects_swapped_transactions(export: Export) -> None:
    block = block_with_transactions(export, 3)
    transactions = block["transactions"]
    transactions[1], transactions[2] = transactions[2], transactions[1]
    with pytest.raises(AuditError, match=f"block {block['number']}"):
        replay(export)


def test_replay_rejects_a_transaction_of_another_account(export: Export) -> None:
    mallory = Chain.embedded().new_account("mallory", funded=False)
    fields = {"chainId": 31_337, "nonce": 0, "gas": 21_000, "gasPrice": 10**10, "to": mallory.address, "value": 0}
    raw = mallory.sign(fields)
    receipt = {"status": 1, "gasUsed": 21_000, "logs": []}
    inserted = {"hash": "0x" + keccak(raw).hex(), "raw": "0x" + raw.hex(), "receipt": receipt}
    export["blocks"][3]["transactions"].append(inserted)
    with pytest.raises(AuditError, match=f"{inserted['hash']} in block 3 cannot be executed"):
        replay(export)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("status",), 0, "status is 1, the export says 0"),
        (("gasUsed",), 1, "gas is [0-9]+, the export says 1"),
        (("logs",), [], "number of logs is 1, the export says 0"),
        (("logs", 0, "data"), "0x00", "log 0 is not the exported one"),
        (("logs", 0, "address"), "0x" + "11" * 20, "log 0 is not the exported one"),
        (("logs", 0, "topics", 2), "0x" + "00" * 32, "log 0 is not the exported one"),
    ],
)
def test_replay_rejects_a_changed_receipt(export: Export, path: tuple[Any, ...], value: Any, message: str) -> None:
    transaction = storing_transaction(export)
    place = transaction["receipt"]
    for step in path[:-1]:
        place = place[step]
    assert place[path[-1]] != value
    place[path[-1]] = value
    with pytest.raises(AuditError, match=f"transaction {transaction['hash']} in block [0-9]+: {message}"):
        replay(export)


def test_replay_rejects_a_changed_time(export: Export) -> None:
    export["blocks"][5]["timestamp"] += 1
    with pytest.raises(AuditError, match="block 5 has hash"):
        replay(export)
    export["blocks"][5]["timestamp"] = export["blocks"][4]["timestamp"]
    with pytest.raises(AuditError, match="block 5 is not later than the one before it"):
        replay(export)


def test_replay_rejects_a_changed_block_hash(export: Export) -> None:
    export["blocks"][-1]["hash"] = "0x" + "00" * 32
    with pytest.raises(AuditError, match=f"block {export['blocks'][-1]['number']} has hash"):
        replay(export)


def test_replay_rejects_a_missing_block(export: Export) -> None:
    del export["blocks"][4]
    with pytest.raises(AuditError, match="block 3 is followed by block 5"):
        replay(export)


def test_replay_rejects_another_genesis(export: Export) -> None:
    for name, value, message in (
        ("timestamp", 1_800_000_001, "block 0 has hash"),
        ("fork", "cancun", "not one of this version"),
        ("allocation", {"0x" + "11" * 20: "1"}, "not one of this version"),
        ("coinbase", "0x" + "11" * 20, "not one of this version"),
        ("chainId", 5, "not one of this version"),
        ("timestamp", "soon", "genesis is malformed"),
    ):
        changed = copy.deepcopy(export)
        changed["genesis"][name] = value
        with pytest.raises(AuditError, match=message):
            replay(changed)
    del export["blocks"][0]
    with pytest.raises(AuditError, match="does not begin with the genesis block"):
        replay(export)


def test_replay_rejects_another_chain_id(export: Export) -> None:
    export["chainId"] = export["genesis"]["chainId"] = 5
    with pytest.raises(AuditError, match="cannot be executed: invalid chain id"):
        replay(export)


@pytest.mark.parametrize(
    "malformed",
    [
        None,
        [],
        {},
        {"format": "fedproof/chain/v1"},
        "text",
    ],
)
def test_replay_rejects_what_is_no_export(malformed: object) -> None:
    with pytest.raises(AuditError, match="the export must have exactly the fields"):
        replay(malformed)


def test_replay_rejects_malformed_parts(export: Export) -> None:
    def changed(change: Any) -> Export:
        result = copy.deepcopy(export)
        change(result)
        return result

    for change, message in (
        (lambda e: e.update(format="fedproof/chain/v2"), "this version reads"),
        (lambda e: e.update(kind="other"), "unknown kind"),
        (lambda e: e.update(genesis=None), "must have its genesis"),
        (lambda e: e.update(blocks={}), "blocks must be a list"),
        (lambda e: e["blocks"].append(7), "a block must have exactly"),
        (lambda e: e["blocks"][2].update(number=True), "must be a whole number"),
        (lambda e: e["blocks"][2].update(timestamp=-1), "must be a whole number"),
        (lambda e: e["blocks"][2].update(hash="0x12"), "must be hexadecimal bytes"),
        (lambda e: e["blocks"][1]["transactions"][0].update(raw="0xzz"), "must be hexadecimal bytes"),
        (lambda e: e["blocks"][1]["transactions"][0].pop("receipt"), "a transaction must have exactly"),
        (lambda e: storing_transaction(e)["receipt"].update(logs=[3]), "a log is not an object"),
        (lambda e: storing_transaction(e)["receipt"]["logs"][0].update(topics=None), "topics must be a list"),
    ):
        with pytest.raises(AuditError, match=message):
            replay(changed(change))


def test_part_of_an_embedded_chain_is_not_exported(embedded_chain: Chain) -> None:
    with pytest.raises(InputError, match="exported whole"):
        embedded_chain.export(from_block=1)


def test_export_agrees_with_its_chain(chain: Chain) -> None:
    before = chain.block_number() if not chain.rpc.url.startswith("embedded") else 0
    play(chain)
    export = json.loads(json.dumps(chain.export(from_block=before)))
    check_export(export, chain)
    chain.mine()
    check_export(export, chain)  # what came later is not its affair

    stored = storing_transaction(export)
    receipt = copy.deepcopy(stored["receipt"])
    stored["receipt"]["logs"][0]["data"] = "0x"
    with pytest.raises(AuditError, match=f"{stored['hash']} in block [0-9]+: log 0"):
        check_export(export, chain)
    stored["receipt"] = receipt

    block = block_with_transactions(export, 3)
    last = block["transactions"].pop()
    with pytest.raises(AuditError, match=f"{last['hash']} in block {block['number']} is missing from the export"):
        check_export(export, chain)
    block["transactions"] = [last, *block["transactions"]]
    with pytest.raises(AuditError, match=f"{last['hash']} in block {block['number']} is not on the chain at its place"):
        check_export(export, chain)


def test_export_of_a_remote_chain_is_not_run_again(anvil_chain: Chain) -> None:
    with pytest.raises(InputError, match="check this export against its chain"):
        replay(anvil_chain.export())


def test_export_of_a_remote_chain_can_keep_only_some_contracts(anvil_chain: Chain) -> None:
    before = anvil_chain.block_number()
    alice = anvil_chain.new_account("alice")
    wanted, other = deploy_probe(anvil_chain, alice), deploy_probe(anvil_chain, alice)
    for probe in (wanted, other, wanted):
        anvil_chain.transact(probe.functions.store(1, 1, b""), alice)
    export = anvil_chain.export(from_block=before, addresses=[wanted.address])
    kept = [read_signed(bytes.fromhex(each["raw"][2:])) for block in export["blocks"] for each in block["transactions"]]
    assert [transaction.to for transaction in kept] == [None, wanted.address, wanted.address]
    check_export(export, anvil_chain)
    dropped = block_with_transactions(export, 1)
    dropped["transactions"] = []
    with pytest.raises(AuditError, match="is missing from the export"):
        check_export(export, anvil_chain)


def test_export_is_not_of_another_chain(export: Export, embedded_chain: Chain) -> None:
    with pytest.raises(AuditError, match="block 0 has hash"):
        check_export(export, embedded_chain)
    with pytest.raises(AuditError, match="the export is of chain 31337, this is chain 5"):
        check_export(export, Chain.embedded(chain_id=5))
    twin = Chain.embedded(Genesis(timestamp=1_800_000_000, block_interval=2))
    with pytest.raises(AuditError, match="block 1 of the export is not on the chain, which ends at 0"):
        check_export(export, twin)


def test_bytes_are_rebuilt_for_nodes_that_do_not_keep_them(anvil_chain: Chain) -> None:
    alice = anvil_chain.new_account("alice")
    common = {"chainId": anvil_chain.chain_id, "gas": 50_000, "to": alice.address, "value": 1, "data": b"\x01\x02"}
    access = [{"address": alice.address, "storageKeys": ["0x" + "00" * 31 + "07"]}]
    nonce = int(anvil_chain.rpc.request("eth_getTransactionCount", alice.address, "latest"), 16)
    price = 10 * 10**9
    kinds: list[dict[str, Any]] = [
        {"gasPrice": price},
        {"type": 1, "gasPrice": price, "accessList": access},
        {"type": 2, "maxFeePerGas": price, "maxPriorityFeePerGas": 1, "accessList": access},
    ]
    sent = send_all(anvil_chain, alice, [common | kind for kind in kinds], nonce)
    first = anvil_chain.block_number() - len(sent) + 1
    rpc = anvil_chain.rpc

    class Forgetful:
        """A node without eth_getRawTransactionByHash, as most public ones."""

        url = rpc.url

        def request(self, method: str, *params: Any) -> Any:
            if method == "eth_getRawTransactionByHash":
                method = "eth_noSuchMethod"
            return rpc.request(method, *params)

    anvil_chain.rpc = Forgetful()
    export = anvil_chain.export(from_block=first)
    assert [each["raw"] for block in export["blocks"] for each in block["transactions"]] == sent


def send_all(chain: Chain, sender: Account, transactions: list[dict[str, Any]], nonce: int) -> list[str]:
    """Signs and sends each with its nonce, one block each."""
    sent = []
    for offset, transaction in enumerate(transactions):
        raw = sender.sign(transaction | {"nonce": nonce + offset})
        chain.broadcast(read_signed(raw))
        assert chain.wait(read_signed(raw)).status == 1
        sent.append("0x" + raw.hex())
    return sent


def test_embedded_chain_takes_every_old_kind_of_transaction(embedded_chain: Chain) -> None:
    alice = embedded_chain.new_account("alice")
    common = {"chainId": 31_337, "gas": 50_000, "to": alice.address, "value": 1, "data": b"\x01\x02"}
    price = 10 * 10**9
    kinds: list[dict[str, Any]] = [
        {"gasPrice": price},
        {"type": 1, "gasPrice": price, "accessList": [{"address": alice.address, "storageKeys": []}]},
        {"type": 2, "maxFeePerGas": price, "maxPriorityFeePerGas": 1},
    ]
    send_all(embedded_chain, alice, [common | kind for kind in kinds], 0)
    replay(embedded_chain.export())


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"5", b"[" * 100_000, b'{"format":' * 20_000, b"\xff\xfe", b'{"version":1',
     b"9" * 5000, b'{"a":' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_a_file_that_is_no_export_is_wrong_input_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "chain.json").write_bytes(content)
    with pytest.raises(InputError, match=r"chain\.json .*restore it") as error:
        replay_file(tmp_path / "chain.json")
    assert "\n" not in str(error.value)


def test_an_export_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("folder", "none"):
        with pytest.raises(InputError, match=f"{name} cannot be read: .*; restore it"):
            replay_file(tmp_path / name)


JUNK: list[Any] = [None, -1, 0, 2**63, 2**64 - 1, 10**30, "x", "0x", "0x00", [], {}, [[]], {"a": 1}, True, 1.5]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_a_changed_field_of_an_export_file_is_wrong_input(tmp_path: Path, export: Export, junk: Any) -> None:
    block = block_with_transactions(export, 3)
    places = [(export, key) for key in export]
    places += [(export["genesis"], key) for key in export["genesis"]]
    places += [(block, key) for key in block]
    places += [(block["transactions"][1], key) for key in block["transactions"][1]]
    places += [(block["transactions"][1]["receipt"], key) for key in block["transactions"][1]["receipt"]]
    path = tmp_path / "chain.json"
    for holder, key in places:
        kept = holder[key]
        holder[key] = junk
        path.write_text(json.dumps(export))
        holder[key] = kept
        if junk == kept or (key == "addresses" and junk == []):  # of which an embedded chain makes no use
            continue
        with pytest.raises(InputError) as error:
            replay_file(path)
        assert "\n" not in str(error.value), key
    path.write_text(json.dumps(export))
    assert replay_file(path).block_number() == export["blocks"][-1]["number"]
