"""Circuit ids of reference shapes: whoever changes a constraint sees it in `pins.json`, and raises the version.

A changed id is another statement: keys made before do not fit it. Print the new table with

    python -m tests.statements.test_pinned
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fedproof.learning.architecture import SQUARED, Model
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.plan import LayerScales, TrainingPlan
from fedproof.proving.circuit import compile_statement
from fedproof.statements.aggregation import AggregationStatement
from fedproof.statements.bounded import BoundedStatement
from fedproof.statements.eligibility import EligibilityStatement
from fedproof.statements.labels import TARGET, LabelKind
from fedproof.statements.listing import ListingStatement
from fedproof.statements.models.statement import ModelStatement
from fedproof.statements.training import TrainingStatement

FILE = Path(__file__).with_name("pins.json")
REFERENCE = TrainingSpec(256, 31)
FIRST, UPPER = LayerScales(8, 12), LayerScales(8, 14)
BOUNDED = BoundedPlan(
    rows=32, columns=3, mask_count=5, parameters=5, fraction_bits=10, norm_squared=10**7, limb_bits=6, entry_limbs=2
)
# written out: a pin is of a plan, not of how scales are chosen
MODELS = {
    "linear 4, 64 rows": TrainingPlan(Model.linear(4), 64, 1, 5, (LayerScales(8, 14),), logit_bits=14, logit_limbs=2),
    "logistic 4, 64 rows, 2 epochs": TrainingPlan.of(TrainingSpec(64, 5, 2, 5)),
    "softmax 5-3, 32 rows, groups of one": TrainingPlan(
        Model.softmax(5, 3), 32, 1, 5, (LayerScales(8, 14),), limb_bits=9, group=1, exponential_bits=15, logit_limbs=2
    ),
    "perceptron 4-5-3, 64 rows, groups of 8": TrainingPlan(
        Model.perceptron(4, [5], 3), 64, 1, 5, (FIRST, UPPER), limb_bits=10, group=8
    ),
    "perceptron 4-3-1 of a target, 32 rows, 3 epochs": TrainingPlan(
        Model.perceptron(4, [3], 1, SQUARED), 32, 3, 5, (FIRST, UPPER), logit_bits=14
    ),
    "perceptron 3-5-4-1, 64 rows, 2 epochs": TrainingPlan(
        Model.perceptron(3, [5, 4], 1), 64, 2, 5, (FIRST, FIRST, UPPER), limb_bits=11, group=16
    ),
}
STATEMENTS: dict[str, Callable[[], Any]] = {
    "eligibility, depth 20, 4 notes": EligibilityStatement,
    "listing, 256 x 31": lambda: ListingStatement(256, 31),
    "listing of 3 classes, 64 x 5": lambda: ListingStatement(64, 5, LabelKind.of_classes(3)),
    "listing of 10 classes, 64 x 5": lambda: ListingStatement(64, 5, LabelKind.of_classes(10)),
    "listing of a target, 64 x 5": lambda: ListingStatement(64, 5, TARGET),
    "training, 256 x 31, 1 epoch, 17 masks": lambda: TrainingStatement(REFERENCE),
    "training, 64 x 5, 3 epochs, 80 masks": lambda: TrainingStatement(TrainingSpec(64, 5, 3, 80)),
    "aggregation, 31 columns, updates of 256 x 31": lambda: AggregationStatement(31, REFERENCE.update_bound),
    "bounded update, 32 x 3, 5 parameters": lambda: BoundedStatement(BOUNDED),
    "bounded update, 64 x 5, 100 parameters of 3 limbs": lambda: BoundedStatement(
        replace(BOUNDED, rows=64, columns=5, parameters=100, limb_bits=9, entry_limbs=3)
    ),
    **{f"training, {name}": partial(ModelStatement, plan) for name, plan in MODELS.items()},
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
