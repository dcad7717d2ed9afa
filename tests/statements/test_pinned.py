"""Circuit ids of reference shapes: whoever changes a constraint sees it in `pins.json`, and raises the version.

A changed id is another statement: keys made before do not fit it. Print the new table with

    python -m tests.statements.test_pinned
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedproof.learning.fixed import TrainingSpec
from fedproof.proving.circuit import compile_statement
from fedproof.statements.aggregation import AggregationStatement
from fedproof.statements.eligibility import EligibilityStatement
from fedproof.statements.listing import ListingStatement
from fedproof.statements.training import TrainingStatement

FILE = Path(__file__).with_name("pins.json")
REFERENCE = TrainingSpec(256, 31)
STATEMENTS: dict[str, Callable[[], Any]] = {
    "eligibility, depth 20, 4 notes": EligibilityStatement,
    "listing, 256 x 31": lambda: ListingStatement(256, 31),
    "training, 256 x 31, 1 epoch, 17 masks": lambda: TrainingStatement(REFERENCE),
    "training, 64 x 5, 3 epochs, 80 masks": lambda: TrainingStatement(TrainingSpec(64, 5, 3, 80)),
    "aggregation, 31 columns, updates of 256 x 31": lambda: AggregationStatement(31, REFERENCE.update_bound),
}


def pin(name: str) -> dict[str, object]:
    circuit = compile_statement(STATEMENTS[name]())
    return {
        "version": circuit.version,
        "circuit_id": circuit.circuit_id.hex(),
        "constraints": circuit.r1cs.num_constraints,
        "domain": circuit.r1cs.domain_size,
        "wires": circuit.r1cs.num_wires,
        "committed": circuit.r1cs.num_committed,
    }


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_circuit_is_the_pinned_one(name: str) -> None:
    assert pin(name) == json.loads(FILE.read_text())[name]


def test_every_pin_is_of_a_statement_here() -> None:
    assert set(json.loads(FILE.read_text())) == set(STATEMENTS)


def test_the_reference_class_trains_in_a_domain_of_2_to_the_15() -> None:
    pinned = json.loads(FILE.read_text())["training, 256 x 31, 1 epoch, 17 masks"]
    assert pinned["domain"] == 1 << 15
    assert pinned["constraints"] <= 32_000


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: pin(name) for name in STATEMENTS}, indent=2) + "\n")
