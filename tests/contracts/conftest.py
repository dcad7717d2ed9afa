"""A marketplace with toy keys on each kind of chain; every test starts from the same state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedproof.ledger import Chain
from fedproof.ledger.marketplace import Marketplace
from tests.contracts import toy
from tests.contracts.support import load_test_artifact
from tests.contracts.world import COLUMNS, EPOCH_LENGTH, MAX_DURATION, ROWS, World
from tests.support.anvil import AnvilProcess

_ANVIL = pytest.param("anvil", marks=[pytest.mark.anvil, pytest.mark.xdist_group("anvil")])


@pytest.fixture(scope="session", params=["embedded", _ANVIL])
def shared_chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    """One chain of each kind for all tests of this folder: deploying for each test would take most of the time."""
    if request.param == "embedded":
        yield Chain.embedded()
        return
    with AnvilProcess() as anvil, Chain.connect(anvil.url) as chain:
        yield chain


@pytest.fixture(scope="session")
def shared_world(shared_chain: Chain) -> World:
    chain = shared_chain
    owner, provider, grantee, stranger = (chain.new_account(n) for n in ("owner", "provider", "grantee", "stranger"))
    # Early in an epoch, so that none ends by itself while the tests run.
    chain.dev.set_next_timestamp((chain.timestamp() // EPOCH_LENGTH + 1) * EPOCH_LENGTH + 1)
    market = Marketplace.deploy(
        chain, owner, epoch_length=EPOCH_LENGTH, max_duration=MAX_DURATION, allow_development_keys=True
    )
    harness = chain.deploy(load_test_artifact("ProofHarness"), sender=owner)
    class_id = market.register_class(
        owner, ROWS, COLUMNS, toy.listing_keys().verifying, toy.eligibility_keys().verifying
    )
    return World(chain, market, harness, owner, provider, grantee, stranger, class_id)


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The shared world, put back after the test."""
    snapshot = shared_world.chain.dev.snapshot()
    yield shared_world
    shared_world.chain.dev.revert(snapshot)
