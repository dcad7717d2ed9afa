"""Nodes that can be stopped at any moment and started again: a bank of notes, and a small federation.

The bank has the real spend circuit, for trees of up to 64 notes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedproof import _core
from fedproof.app.world import World
from fedproof.data import Parts, Schema
from fedproof.ledger import Chain
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.state import StateFile
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from tests.e2e.conftest import Arena, arena, key_cache, make_arena  # noqa: F401
from tests.nodes.bank import EPOCH_LENGTH, STATEMENT, Bank
from tests.nodes.paper import Desk


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


@pytest.fixture(scope="session")
def stage(key_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:  # noqa: F811
    """A federation for casts alone: in the other one their participants would be enrolled in many tasks already."""
    yield from make_arena(tmp_path_factory.mktemp("stage") / "run", key_cache)


@pytest.fixture
def hospital(arena: Arena) -> tuple[World, Parts, Schema]:  # noqa: F811
    """A marketplace and records, for providers and holders of a test's own."""
    return arena.world, arena.parts, arena.schema


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """For roles that see tasks on paper."""
    with StateFile(tmp_path / "node", "node") as state:
        yield Desk(state)
