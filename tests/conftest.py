"""Chains for tests. What passes on the embedded chain must pass on a real node: use `chain` to get both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedproof.ledger import Chain
from tests.support.anvil import AnvilProcess

_ANVIL_FIXTURES = {"anvil_url", "anvil_chain"}


def _needs_anvil(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    if call is not None and "chain" in call.params:
        return bool(call.params["chain"] == "anvil")
    return bool(_ANVIL_FIXTURES & set(getattr(item, "fixturenames", ())))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs anvil, and keeps it on one worker: it is one process with one chain."""
    for item in items:
        if _needs_anvil(item):
            item.add_marker(pytest.mark.anvil)
            item.add_marker(pytest.mark.xdist_group("anvil"))


@pytest.fixture(scope="session")
def anvil_url() -> Iterator[str]:
    """A running anvil node."""
    with AnvilProcess() as anvil:
        yield anvil.url


@pytest.fixture
def anvil_chain(anvil_url: str) -> Iterator[Chain]:
    """Anvil's chain, set back at the end to what it was."""
    with Chain.connect(anvil_url, chain_id=31_337) as chain:
        snapshot = chain.dev.snapshot()
        yield chain
        chain.dev.revert(snapshot)


@pytest.fixture
def embedded_chain() -> Chain:
    """A fresh embedded chain."""
    return Chain.embedded()


@pytest.fixture(params=["embedded", "anvil"])
def chain(request: pytest.FixtureRequest) -> Chain:
    """Each chain in turn."""
    found: Chain = request.getfixturevalue(f"{request.param}_chain")
    return found
