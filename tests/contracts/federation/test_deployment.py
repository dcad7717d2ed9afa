"""Where a federation can stand at all."""

from __future__ import annotations

import pytest

from fedproof.errors import InputError
from fedproof.ledger import Chain, load_artifact
from fedproof.ledger.embedded import Genesis
from fedproof.ledger.federation import Federation
from tests.contracts.federation.arena import Arena
from tests.contracts.support import rejects
from tests.contracts.test_bn254 import NativeComputation, _absent, _answer

TRUE, FALSE = (1).to_bytes(32, "big"), bytes(32)


@pytest.mark.parametrize("number", [6, 7, 8])
def test_no_federation_stands_where_a_precompile_is_missing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Embedded only: no anvil lacks a precompile."""
    monkeypatch.setitem(NativeComputation._precompiles, number.to_bytes(20, "big"), _absent)
    chain = Chain.embedded()
    sender = chain.new_account("deployer")
    token = chain.deploy("AccessToken", 1, sender=sender).address
    with rejects("PrecompileFailed", number):
        Federation.deploy(chain, sender, registry=token, token=token)


@pytest.mark.parametrize("answer", [TRUE, FALSE], ids=["always true", "always false"])
def test_no_federation_stands_where_pairings_lie(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setitem(NativeComputation._precompiles, (8).to_bytes(20, "big"), _answer(answer))
    chain = Chain.embedded()
    sender = chain.new_account("deployer")
    token = chain.deploy("AccessToken", 1, sender=sender).address
    with rejects("PairingIsWrong"):
        Federation.deploy(chain, sender, registry=token, token=token)


@pytest.mark.parametrize("which", ["registry", "token"])
def test_rejects_an_address_without_a_contract(arena: Arena, which: str) -> None:
    market = arena.world.market
    places = {"registry": market.registry.address, "token": market.token.address} | {which: arena.outsider.address}
    with rejects("BadParameter", "address"):
        Federation.deploy(arena.chain, arena.sponsor, **places)


def test_only_a_development_chain_takes_development_keys_without_force() -> None:
    chain = Chain.embedded(Genesis(chain_id=7))
    chain._dev = None  # as a public chain looks
    sender = chain.account_from_key(b"\x01" * 32)
    with pytest.raises(InputError, match="not a development chain"):
        Federation.deploy(chain, sender, registry="0x", token="0x", allow_development_keys=True)


def test_it_says_what_it_stands_on(arena: Arena) -> None:
    functions = arena.federation.contract.functions
    market = arena.world.market
    assert arena.chain.call(functions.registry()) == market.registry.address
    assert arena.chain.call(functions.token()) == market.token.address == arena.federation.token.address
    committee = arena.committee.contract.functions
    assert arena.chain.call(functions.committee()) == arena.committee.address
    assert arena.chain.call(committee.federation()) == arena.federation.address
    assert arena.chain.call(committee.token()) == market.token.address
    assert arena.chain.call(functions.allowDevelopmentKeys()) is True
    assert Federation.at(arena.chain, arena.federation.address).tasks() == arena.federation.tasks()


def test_a_federation_fits_the_limits_of_creation(arena: Arena) -> None:
    """EIP-3860 bounds the creation code, with the arguments; EIP-7825 the gas of one transaction."""
    receipt = arena.chain.deployment_receipt(arena.federation.address)
    assert len(load_artifact("Federation").bytecode) // 2 + 3 * 32 <= 49_152
    assert receipt.gas_used <= 2**24
