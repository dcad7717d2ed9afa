"""Setups of circuits that are small enough for tests: those of a real plan take minutes to begin."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from fedproof.app import setups
from fedproof.app.keyring import KeyRequest
from fedproof.app.telling import Silent
from fedproof.learning.plans import Plan
from fedproof.proving.ceremony import Beacon
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.statements.layout import DatasetLayout
from tests.contracts.toy import ToyListing, ToyListingWitness

SHAPE: Final = ["32", "3"]
BEACON: Final = "ab" * 32
LATER: Final = "cd" * 32


class _Another(ToyListing):
    """Other constraints, so that its circuit is another."""

    def synthesize(self, cs: ConstraintSystem, witness: ToyListingWitness | None) -> None:
        super().synthesize(cs, witness)
        cs.constrain(cs.one, cs.one, cs.one, "says nothing")


def requests(plan: Plan) -> dict[str, KeyRequest]:
    """In place of `world.key_requests`."""
    return {
        "training": KeyRequest(ToyListing("toy training"), DatasetLayout(plan.rows, plan.columns).masks),
        "aggregation": KeyRequest(_Another()),
    }


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans have two small statements, in setups alone."""
    monkeypatch.setattr(setups, "key_requests", requests)


def finished(plan: Plan, folder: Path) -> tuple[setups.FirstFile, setups.SecondFile]:
    """A setup by two, in a folder."""
    end = Beacon(bytes.fromhex(BEACON), 4)
    first = setups.start_first(plan)
    for name, beacon in (("north", None), ("south", None), ("a block", end)):
        first = first.contribute(name, beacon, Silent())
    second = setups.start_second(first, plan, Silent())
    for name, beacon in (("north", None), ("east", None), ("a block", Beacon(bytes.fromhex(LATER), 4))):
        second = second.contribute(name, beacon, Silent(), first)
    setups.finish(first, second, folder, Silent())
    return first, second
