"""The listing statement: what it accepts, and for every rule a forgery that only this rule notices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedproof import _core
from fedproof.learning.fixed import TrainingSpec
from fedproof.proving.r1cs import FrArray
from fedproof.statements.listing import ListingStatement, ListingWitness
from tests.statements.conftest import make_witness
from tests.statements.test_training import evaluate
from tests.support.soundness import SIGMA, Forger, add, assert_only_rule_notices, broken_rules, forged, put

Small = tuple[ListingStatement, ListingWitness]


@pytest.fixture(scope="module")
def small() -> Small:
    """32 rows of three columns, 29 of them real."""
    w = make_witness(TrainingSpec(32, 3, mask_count=2))
    return ListingStatement(32, 3), ListingWitness(w.features, w.mask, w.labels, _core.fr_random(2))


@pytest.mark.parametrize(("rows", "columns"), [(32, 2), (64, 5), (32, 40)])
@pytest.mark.parametrize("real", [1, 31, 32])
def test_accepts_a_dataset_of_n_rows_and_costs_what_it_says(rows: int, columns: int, real: int) -> None:
    w = make_witness(TrainingSpec(rows, columns), real=real)
    statement = ListingStatement(rows, columns)
    witness = ListingWitness(w.features, w.mask, w.labels, _core.fr_random(2))
    cs = forged(statement, witness)
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert cs.num_constraints == statement.cost()
    records = np.concatenate([w.features, w.mask[:, None]], axis=1).reshape(-1)
    vector = [*records.tolist(), *w.labels.tolist(), *_core.fr_to_ints(witness.blinding)]
    public = cs.public_values()
    assert (public[0], public[3]) == (real, evaluate(vector, SIGMA))


@pytest.mark.parametrize("value", [-2049, 2048, 4096, _core.MODULUS // 2])
def test_rejects_a_feature_out_of_range(small: Small, value: int) -> None:
    statement, w = small
    cells = forged(statement, w).ints("X")
    cells[4] = value
    assert_only_rule_notices(forged(statement, w, {"X": put(cells)}), "lookup/sum")
    at = 3 - 1  # the third feature of the lookup, row 1 column 1

    def forget(_: Forger, values: FrArray) -> FrArray:
        values[at + 1] = 0
        return values

    def absorb(cs: Forger, values: FrArray) -> FrArray:
        bad = cs.value(cs.made["lookup/feature/input"][0])[at + 1 : at + 2]
        values[0] = _core.fr_add(values[:1], np.ascontiguousarray(bad))[0]
        return values

    cs = forged(statement, w, {"X": put(cells), "lookup/feature/input": forget})
    assert_only_rule_notices(cs, "lookup/feature/input")
    assert_only_rule_notices(
        forged(statement, w, {"X": put(cells), "lookup/feature/row": absorb}), "lookup/feature/row"
    )


@pytest.mark.parametrize("value", [-2048, 2047])
def test_accepts_a_feature_at_the_edge_of_its_range(small: Small, value: int) -> None:
    statement, w = small
    features = w.features.copy()
    features[0, 0] = value
    cs = forged(statement, replace(w, features=features))
    assert broken_rules(cs) == set()


def test_rejects_more_rows_than_there_are(small: Small) -> None:
    statement, w = small
    cs = forged(statement, w)
    cs.assign(cs.made["n"][0], [int(w.mask.sum()) + 1])
    assert_only_rule_notices(cs, "mask/count")


@pytest.mark.parametrize("value", [2, -1, _core.MODULUS // 2])
def test_rejects_a_mask_that_counts_a_row_twice(small: Small, value: int) -> None:
    """Two rules notice. A row's value is a polynomial with the mask in it, so `value * mask = value` has no solution
    but 1 and a row of zeros; that the mask is boolean is said once more where a reader looks for it."""
    statement, w = small
    full = replace(w, mask=np.ones(32, dtype=np.int64), labels=np.zeros(32, dtype=np.int64))
    cells = forged(statement, full).ints("X")
    cells[-3:] = [0, 0, value]  # nothing follows the last row
    cs = forged(statement, full, {"X": put(cells)})
    cs.assign(cs.made["n"][0], [31 + value])
    assert broken_rules(cs) == {"mask/boolean", "padding is zero"}
    z = cs.witness()
    assert cs.build(without="mask/boolean").first_unsatisfied(z) is not None
    assert cs.build(without="padding is zero").first_unsatisfied(z) is not None


def test_rejects_a_row_after_padding(small: Small) -> None:
    statement, w = small
    mask = w.mask.copy()
    mask[-1] = 1
    cs = forged(statement, replace(w, mask=mask))
    assert_only_rule_notices(cs, "mask/real rows first")


def test_rejects_a_label_that_is_no_class(small: Small) -> None:
    statement, w = small
    labels = w.labels.copy()
    labels[0] = 2
    assert_only_rule_notices(forged(statement, replace(w, labels=labels)), "labels/boolean")


def test_rejects_a_label_in_padding(small: Small) -> None:
    statement, w = small
    labels = w.labels.copy()
    labels[-1] = 1
    assert_only_rule_notices(forged(statement, replace(w, labels=labels)), "labels/padding")


def test_rejects_a_value_in_padding(small: Small) -> None:
    statement, w = small
    features = w.features.copy()
    features[-1, 1] = 1
    assert_only_rule_notices(forged(statement, replace(w, features=features)), "padding is zero")


@pytest.mark.parametrize(
    "rule",
    ["commitment blinding", "evaluation/rows", "evaluation/labels", "evaluation/blinding", "evaluation/tail"],
)
def test_rejects_a_false_product_of_the_evaluation(small: Small, rule: str) -> None:
    statement, w = small
    assert_only_rule_notices(forged(statement, w, {rule: add(1)}), rule)


@pytest.mark.parametrize("rule", ["evaluation/row", "powers of sigma"])
def test_rejects_false_factors_of_the_evaluation(small: Small, rule: str) -> None:
    statement, w = small
    calls: list[int] = []

    def first_only(cs: Forger, values: FrArray) -> FrArray:
        calls.append(1)
        return add(1)(cs, values) if len(calls) == 1 else values

    assert_only_rule_notices(forged(statement, w, {rule: first_only}), rule)


def test_rejects_another_output(small: Small) -> None:
    statement, w = small
    cs = forged(statement, w)
    cs.assign(cs.made["y"][0], [5])
    assert_only_rule_notices(cs, "evaluation/output")


def test_every_rule_has_been_attacked(small: Small) -> None:
    attacked = {
        "lookup/sum", "lookup/feature/input", "lookup/feature/row", "mask/count",
        "mask/boolean", "mask/real rows first", "labels/boolean", "labels/padding", "padding is zero",
        "powers of sigma",
        "commitment blinding", "evaluation/row", "evaluation/rows", "evaluation/labels", "evaluation/blinding",
        "evaluation/tail", "evaluation/output",
    }  # fmt: skip
    assert set(forged(*small).groups) == attacked
