"""Calls through other contracts, which anybody may send: the marketplace takes them, and no audit fails because of one.

Whose calldata an auditor cannot read it names in its notes; all else is checked as ever.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_utils.address import to_checksum_address

from fedproof.app import audit_market
from fedproof.app.audit_market import GrantAuditor
from fedproof.errors import AuditError
from fedproof.ledger import Account, Chain
from fedproof.ledger.vault import Spent
from tests.contracts import toy
from tests.contracts.federation.board import calldata
from tests.contracts.spends import spend
from tests.contracts.support import int_words
from tests.contracts.world import X25519_KEY, World

# calls the address in the first word of its calldata with the rest of it, and reverts where that does
RELAY = bytes.fromhex("60203603806020600037600060009160006000600035" "5af1602057" "60006000fd5b00")  # fmt: skip
NOTE = "through another contract, so that its proof is checked by the chain alone"


def sent(chain: Chain, sender: Account, to: str | None, data: bytes) -> str:
    """A transaction of one's own making, mined; the address that it created, where it created one."""
    nonce = int(chain.rpc.request("eth_getTransactionCount", sender.address, "latest"), 16)
    fields = {"chainId": chain.chain_id, "nonce": nonce, "gas": 3_000_000, "gasPrice": 10**10, "data": data, "value": 0}
    raw = sender.sign(fields | ({} if to is None else {"to": to}))
    tx_hash = chain.rpc.request("eth_sendRawTransaction", "0x" + raw.hex())
    chain.dev.mine(1)
    receipt = chain.rpc.request("eth_getTransactionReceipt", tx_hash)
    assert int(receipt["status"], 16) == 1
    return str(to_checksum_address(receipt["contractAddress"])) if to is None else to


@pytest.fixture
def relay(world: World) -> str:
    size = len(RELAY)
    return sent(world.chain, world.stranger, None, bytes([0x60, size, 0x80, 0x60, 9, 0x3D, 0x39, 0x3D, 0xF3]) + RELAY)


def relayed(world: World, relay: str, to: str, data: bytes) -> None:
    sent(world.chain, world.stranger, relay, bytes(12) + bytes.fromhex(to[2:]) + data)


def auditor(world: World) -> GrantAuditor:
    market = world.market
    spend_key = market.verifying_key(market.chain.call(market.vault.contract.functions.spendKey()))
    return GrantAuditor(market, toy.eligibility_keys().verifying, spend_key)


def test_a_spend_through_another_contract_is_a_note_and_ends_no_audit(world: World, relay: str) -> None:
    world.lock()
    spend(world, 1, withdrawn=10, recipient=world.stranger).send(world)
    assert auditor(world).notes == []
    vault = world.market.vault
    for number in (2, 3):
        relayed(world, relay, vault.address, calldata(spend(world, number).call(vault)))
    found = auditor(world)
    assert found.notes == [f"2 of the vault's spends came {NOTE}"]
    assert found.line.startswith("vault: 7 notes, each paid in or spent to")


def test_a_grant_to_another_contract_is_a_note(world: World, relay: str) -> None:
    dataset = world.mint().dataset_id
    market, root = world.market, world.lock()
    public = world.public_inputs(dataset, 3, 3600, root, grantee=relay)
    call = market.access_dataset_call(dataset, 3, 3600, X25519_KEY, root, public[2], toy.prove_eligibility(public))
    relayed(world, relay, market.registry.address, calldata(call))
    found = auditor(world)
    (line,) = found.check_dataset(dataset)
    (note,) = found.notes
    assert "fresh proof" not in line
    assert note.endswith(NOTE)
    (grant,) = market.grants(datasetId=dataset)
    assert found.held(dataset, grant.grantee, grant.block_number)


LIES: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "another proof": ({"proof": int_words(toy.prove_spend([1] * 8))}, {}, "the proof does not verify"),
    "a root that never was": ({"root_": 1}, {}, "the root was never the vault's"),
    "another recipient": ({}, {"recipient": "0x" + 40 * "1"}, "the proof does not verify"),
    "another amount": ({}, {"withdrawn": 11}, "the proof does not verify"),
    "one note twice": ({}, {"nullifiers": (1002, 1002)}, "a note was spent twice"),
    "a note that was spent": ({}, {"nullifiers": (1001, 2002)}, "a note was spent twice"),
}


@pytest.mark.parametrize("what", LIES)
def test_an_auditor_refuses_a_spend_with(world: World, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The contract took both spends; what it or its node tells of the second is a lie."""
    told, event, match = LIES[what]
    world.lock()
    spend(world, 1).send(world)
    spend(world, 2, withdrawn=10, recipient=world.stranger).send(world)
    auditor(world)
    read, growth = audit_market.direct_call, world.market.vault.growth()
    last = growth[-1]
    assert isinstance(last, Spent)
    lied = [*growth[:-1], replace(last, **event)]  # type: ignore[arg-type]

    def lying(chain: Chain, contract: object, tx_hash: str, *rest: object) -> object:
        found = read(chain, contract, tx_hash, *rest)  # type: ignore[arg-type]
        assert found is not None
        return found | told if tx_hash == last.tx_hash else found

    monkeypatch.setattr(audit_market, "direct_call", lying)
    monkeypatch.setattr(world.market.vault, "growth", lambda: lied)
    with pytest.raises(AuditError, match=f"spend at note 3: {match}"):
        auditor(world)
