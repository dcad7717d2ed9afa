"""A small contract that has one of everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from web3.contract import Contract

from fedproof.ledger import Account, Artifact, Chain

FIXTURES = Path(__file__).parent / "fixtures"


def fixture_artifact(name: str) -> Artifact:
    """An artifact that compile.mjs wrote beside its source."""
    return Artifact.from_json((FIXTURES / f"{name}.json").read_bytes(), name)


PROBE = fixture_artifact("Probe")
DOUBLER = fixture_artifact("Doubler")


def deploy_probe(chain: Chain, sender: Account, start: int = 5) -> Contract:
    """The probe with its library."""
    library = chain.deploy(DOUBLER, sender=sender)
    return chain.deploy(PROBE, start, sender=sender, libraries={"Doubler": library.address})


@pytest.fixture
def alice(chain: Chain) -> Account:
    """A funded account on the chain under test."""
    return chain.new_account("alice")


@pytest.fixture
def probe(chain: Chain, alice: Account) -> Contract:
    """The probe on the chain under test."""
    return deploy_probe(chain, alice)
