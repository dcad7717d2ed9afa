"""Chains for tests. What passes on the embedded chain must pass on a real node: use `chain` to get both."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from fedproof.ledger import Chain
from tests.support.anvil import AnvilProcess

_ANVIL_FIXTURES = {"anvil_url", "anvil_chain"}


def _needs_anvil(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    if call is not None and "chain" in call.params:
        return bool(call.params["chain"] == "anvil")
    return bool(_ANVIL_FIXTURES & set(getattr(item, "fixturenames", ())))


def _lane(item: pytest.Item) -> str | None:
    """Which tests of a parallel run stay together, so that what is dear is made once: None for those that need not."""
    if item.get_closest_marker("xdist_group") is not None:
        return None
    if _needs_anvil(item):
        return "anvil"  # it is one process with one chain
    names = getattr(item, "fixturenames", ())
    if "stage" in names:
        return "stage"
    if "arena" in names and not item.nodeid.startswith("tests/contracts/"):
        return "arena"
    return item.nodeid.partition("::")[0] if item.get_closest_marker("slow") is not None else None


# around the others' hooks, because the one of xdist reads the groups
@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, None, None]:
    """Marks what needs anvil, and groups what shares fixtures."""
    for item in items:
        lane = _lane(item)
        if lane is not None:
            item.add_marker(pytest.mark.xdist_group(lane))
        if _needs_anvil(item):
            item.add_marker(pytest.mark.anvil)
    yield
    grouped = [item for item in items if item.get_closest_marker("xdist_group") is not None]
    if getattr(config.option, "loadgroup", False) and not all("@" in item.nodeid for item in grouped):
        raise pytest.UsageError("this pytest-xdist puts no groups together under this pytest: see pyproject.toml")


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
