"""An arena on each kind of chain; every test starts from the same state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedproof.ledger import Chain
from tests.contracts import world
from tests.contracts.federation.arena import Arena, build


@pytest.fixture(scope="session")
def shared_arena(shared_chain: Chain) -> Arena:
    """On a marketplace of its own, so that no other test finds its grants."""
    return build(world.build(shared_chain))


@pytest.fixture
def arena(shared_arena: Arena) -> Iterator[Arena]:
    """The shared arena, put back after the test."""
    snapshot = shared_arena.chain.dev.snapshot()
    yield shared_arena
    shared_arena.chain.dev.revert(snapshot)
    shared_arena.federation.forget()
