"""Nodes on an embedded marketplace whose vault has the real spend circuit, for trees of up to 64 notes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedproof import _core
from fedproof.ledger import Chain
from fedproof.ledger.marketplace import Marketplace
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from tests.nodes.bank import EPOCH_LENGTH, STATEMENT, Bank


@pytest.fixture(scope="session")
def bank_keys() -> Keys:
    return setup(compile_statement(STATEMENT), _core.Srs.generate(4, [1]))


@pytest.fixture(scope="session")
def shared_bank(bank_keys: Keys) -> Bank:
    chain = Chain.embedded()
    owner = chain.new_account("owner")
    chain.dev.set_next_timestamp((chain.timestamp() // EPOCH_LENGTH + 1) * EPOCH_LENGTH + 1)
    market = Marketplace.deploy(
        chain, owner, spend_key=bank_keys.verifying, epoch_length=EPOCH_LENGTH, allow_development_keys=True
    )
    return Bank(chain, market, bank_keys, owner, Path())


@pytest.fixture
def bank(shared_bank: Bank, tmp_path: Path) -> Iterator[Bank]:
    """The shared marketplace, put back after the test."""
    snapshot = shared_bank.chain.dev.snapshot()
    shared_bank.folder = tmp_path
    yield shared_bank
    shared_bank.chain.dev.revert(snapshot)
