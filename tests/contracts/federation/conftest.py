"""An arena on each kind of chain; every test starts from the same state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedproof.ledger import Chain
from tests.contracts import world
from tests.contracts.federation import board as boards
from tests.contracts.federation.arena import Arena, build
from tests.contracts.federation.board import Board
from tests.contracts.federation.quarrel import Quarrel, start


@pytest.fixture(scope="session")
def shared_arena(shared_chain: Chain) -> Arena:
    """On a marketplace of its own, so that no other test finds its grants."""
    return build(world.build(shared_chain))


@pytest.fixture(scope="session")
def board(shared_arena: Arena) -> Board:
    """A task at each stage, made before the first test that asks for it and put back with the arena."""
    return boards.build(shared_arena)


@pytest.fixture
def arena(shared_arena: Arena) -> Iterator[Arena]:
    """The shared arena, put back after the test."""
    snapshot = shared_arena.chain.dev.snapshot()
    yield shared_arena
    shared_arena.chain.dev.revert(snapshot)
    shared_arena.federation.forget()


@pytest.fixture(scope="module")
def _closed(shared_arena: Arena) -> Iterator[Quarrel]:
    """Made once for a module, which must not use the board: that would be put back with it."""
    snapshot = shared_arena.chain.dev.snapshot()
    yield start(shared_arena)
    shared_arena.chain.dev.revert(snapshot)
    shared_arena.federation.forget()


@pytest.fixture
def quarrel(_closed: Quarrel, arena: Arena) -> Quarrel:
    """A full round that takes complaints, put back with the arena."""
    return _closed
