"""A marketplace with toy keys on each kind of chain; every test starts from the same state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedproof.ledger import Chain
from tests.contracts.world import World, build
from tests.support.anvil import AnvilProcess

ON_EMBEDDED = pytest.param("embedded", marks=pytest.mark.xdist_group("contracts on the embedded chain"))
ON_ANVIL = pytest.param("anvil", marks=[pytest.mark.anvil, pytest.mark.xdist_group("contracts on anvil")])


@pytest.fixture(scope="session", params=[ON_EMBEDDED, ON_ANVIL])
def shared_chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    """One chain of each kind for all tests of this folder: deploying for each test would take most of the time."""
    if request.param == "embedded":
        yield Chain.embedded()
        return
    with AnvilProcess() as anvil, Chain.connect(anvil.url) as chain:
        yield chain


@pytest.fixture(scope="session")
def shared_world(shared_chain: Chain) -> World:
    return build(shared_chain)


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The shared world, put back after the test."""
    snapshot = shared_world.chain.dev.snapshot()
    yield shared_world
    shared_world.chain.dev.revert(snapshot)
