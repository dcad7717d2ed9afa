"""The aggregation statement: what it accepts, and for every rule a forgery that only this rule notices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedproof import _core
from fedproof.learning.fixed import Int, TrainingSpec
from fedproof.proving.r1cs import FrArray
from fedproof.statements.aggregation import AggregationStatement, AggregationWitness, divide
from tests.statements.test_training import evaluate
from tests.support.soundness import DERIVED, SIGMA, Forger, add, assert_only_rule_notices, broken_rules, forged, put

R = _core.MODULUS
BOUND = TrainingSpec(256, 4).update_bound
Small = tuple[AggregationStatement, AggregationWitness]


def witness(total: Int, count: int) -> AggregationWitness:
    """The honest witness of a sum."""
    quotient, remainder = divide(total, count)
    return AggregationWitness(count, quotient, remainder, _core.fr_random(3))


@pytest.fixture(scope="module")
def small() -> Small:
    """Four weights, N = 455."""
    return AggregationStatement(4, BOUND), witness(np.array([10**12, -(10**12), 7, -8], dtype=np.int64), 455)


@pytest.mark.parametrize("count", [2, 3, 455, 456, 2**20, 2**30 - 1])
def test_accepts_the_rounded_average_and_costs_what_it_says(count: int) -> None:
    rng = np.random.default_rng(count)
    w = witness(rng.integers(-BOUND, BOUND, 4) * min(count, 2**20), count)
    statement = AggregationStatement(4, BOUND)
    cs = forged(statement, w)
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert cs.num_constraints == statement.cost()
    rem = [*w.remainder.tolist(), *_core.fr_to_ints(w.blinding)]
    inner = evaluate(rem, SIGMA) + DERIVED * count
    assert cs.public_values()[-1] == (evaluate(w.quotient.tolist(), SIGMA) + DERIVED * inner) % R


@pytest.mark.parametrize("count", [2, 3, 10, 11])
def test_divides_to_the_one_remainder_in_range(count: int) -> None:
    total = np.arange(-50, 50, dtype=np.int64)
    quotient, remainder = divide(total, count)
    assert np.array_equal(count * quotient + remainder, total)
    assert (remainder >= -(count // 2)).all()
    assert (remainder < count - count // 2).all()


@pytest.mark.parametrize(("by", "edge"), [(1, "rem above"), (-1, "rem below")])
def test_rejects_a_remainder_rounded_the_other_way(small: Small, by: int, edge: str) -> None:
    """`q +- 1` with `rem -+ N` is the same sum: the range of rem alone tells them apart."""
    statement, w = small
    lying = replace(w, quotient=w.quotient + by, remainder=w.remainder - by * w.count)
    assert broken_rules(forged(statement, lying)) == {"rem/below N"}
    lifted = lying.remainder + w.count // 2
    low = lifted if edge == "rem above" else w.count - 1 - lifted
    limbs = np.zeros((4, 3), dtype=object)
    limbs[:, 0] = low  # negative: the sum fits, the limb does not
    assert (low < 0).all()
    assert_only_rule_notices(forged(statement, lying, {edge: put(limbs)}), "lookup/sum")


@pytest.mark.parametrize("count", [10, 11])
def test_remainder_at_its_edges(count: int) -> None:
    statement = AggregationStatement(4, BOUND)
    half = count // 2
    inside = np.array([-half, count - half - 1, 0, 0], dtype=np.int64)
    honest = AggregationWitness(count, np.zeros(4, dtype=np.int64), inside, _core.fr_random(3))
    assert broken_rules(forged(statement, honest)) == set()
    for outside in (-half - 1, count - half):
        remainder = inside.copy()
        remainder[2] = outside
        assert broken_rules(forged(statement, replace(honest, remainder=remainder))) == {"rem/below N"}


def test_rejects_a_quotient_out_of_its_range(small: Small) -> None:
    """Without this range every remainder gives some new model, by division mod r."""
    statement, w = small
    quotient = forged(statement, w).ints("q")
    quotient[3] += 2**10  # the highest limb of the first weight
    assert_only_rule_notices(forged(statement, w, {"q": put(quotient)}), "lookup/sum")
    calls: list[int] = []

    def forget(_: Forger, values: FrArray) -> FrArray:
        calls.append(1)
        if len(calls) == 2:  # h, q, rem above, rem below
            values[3] = 0
        return values

    cs = forged(statement, w, {"q": put(quotient), "lookup/limb/input": forget})
    assert_only_rule_notices(cs, "lookup/limb/input")

    def absorb(cs: Forger, values: FrArray) -> FrArray:
        bad = cs.value(cs.made["lookup/limb/input"][1])[3:4]
        values[0] = _core.fr_add(values[:1], np.ascontiguousarray(bad))[0]
        return values

    assert_only_rule_notices(forged(statement, w, {"q": put(quotient), "lookup/limb/row": absorb}), "lookup/limb/row")


def test_rejects_a_remainder_above_n(small: Small) -> None:
    statement, w = small
    below = forged(statement, w).ints("rem below")
    below[0] = (below[0] + 1) % 1024
    assert_only_rule_notices(forged(statement, w, {"rem below": put(below)}), "rem/below N")


def test_rejects_another_count(small: Small) -> None:
    statement, w = small
    cs = forged(statement, w, {"h": add(1)})
    assert broken_rules(cs) == {"N/halves"}
    assert_only_rule_notices(cs, "N/halves")


def test_rejects_a_parity_that_is_not_a_bit(small: Small) -> None:
    """With e = 3 and h one less the halves still add up, and the rounding shifts by one."""
    statement, w = small
    half = forged(statement, w).ints("h")
    half[0] -= 1
    lying = replace(w, remainder=w.remainder)
    cs = forged(statement, lying, {"h": put(half), "e": put([3])})
    assert_only_rule_notices(cs, "N/parity is boolean")


@pytest.mark.parametrize(
    "rule",
    [
        "commitment blinding",
        "challenge/lambda",
        "evaluation/quotient",
        "evaluation/remainder",
        "evaluation/lambda",
        "powers of sigma",
    ],
)
def test_rejects_a_false_product_of_the_evaluation(small: Small, rule: str) -> None:
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
        "lookup/sum", "lookup/limb/input", "lookup/limb/row", "rem/below N", "N/halves", "N/parity is boolean",
        "powers of sigma", "commitment blinding", "evaluation/quotient", "evaluation/remainder", "evaluation/lambda",
        "evaluation/output", "challenge/lambda",
    }  # fmt: skip
    assert set(forged(*small).groups) == attacked
