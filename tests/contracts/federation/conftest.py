"""An arena on each kind of chain; every test starts from the same state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.federation.arena import Arena, build
from tests.contracts.world import World


@pytest.fixture(scope="session")
def shared_arena(shared_world: World) -> Arena:
    return build(shared_world)


@pytest.fixture
def arena(shared_arena: Arena) -> Iterator[Arena]:
    """The shared arena, put back after the test."""
    snapshot = shared_arena.chain.dev.snapshot()
    yield shared_arena
    shared_arena.chain.dev.revert(snapshot)
    shared_arena.federation.forget()
