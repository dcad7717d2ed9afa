"""The bounded update statement: what it accepts, and for every rule a forgery that only this rule notices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.learning.clipping import BoundedPlan, squares
from fedproof.learning.fixed import Int
from fedproof.proving.circuit import compile_statement
from fedproof.proving.lin import concatenate
from fedproof.proving.r1cs import ConstraintSystem, FrArray, field
from fedproof.statements.aggregation import AggregationStatement
from fedproof.statements.bounded import BoundedStatement, BoundedWitness
from fedproof.statements.layout import UPDATE_BLINDING
from fedproof.statements.vectors import dataset_vector, update_vector, weight_vector
from tests.learning.bounded import PLAN, at_norm, honest_update
from tests.statements.test_aggregation import witness as average
from tests.statements.test_training import evaluate
from tests.support.determined import free_after_the_challenges
from tests.support.mutation import unnoticed_wires
from tests.support.occurrences import attacked_by_one_wire, occurrences
from tests.support.soundness import (
    LAMBDA,
    SIGMA,
    Forger,
    Forgery,
    add,
    assert_only_rule_notices,
    broken_rules,
    forged,
    put,
)

R = _core.MODULUS
LIMIT, BOUND = PLAN.entry_limit, PLAN.norm_squared
STATEMENT = BoundedStatement(PLAN)
ENTRIES, SLACK = 0, 1
"""Places among the lookups of the limb table."""


def witness(update: Sequence[int] | Int | None = None, plan: BoundedPlan = PLAN) -> BoundedWitness:
    """A witness of an update, by default an honest one."""
    rng = np.random.default_rng(3)
    n, a = plan.rows, plan.columns
    mask = (np.arange(n) < n - 2).astype(np.int64)
    features = rng.integers(-2048, 2048, (n, a - 1)) * mask[:, None]
    dataset = dataset_vector(features, mask, rng.integers(0, 2, n) * mask, _core.fr_random(2 + plan.mask_count))
    weights = rng.integers(-(2**61), 2**61, plan.parameters)
    made = honest_update(plan) if update is None else np.array(update, dtype=np.int64)
    return BoundedWitness(dataset, weights, made, _core.fr_random(UPDATE_BLINDING))


def vectors(w: BoundedWitness) -> list[FrArray]:
    """What the external commitments hold."""
    return [w.dataset, weight_vector(w.weights), update_vector(w.update, w.update_blinding)]


def opened(w: BoundedWitness) -> int:
    """What they open to, by Horner's rule."""
    x, start, update = (evaluate(_core.fr_to_ints(vector), SIGMA) for vector in vectors(w))
    return (x + LAMBDA * start + LAMBDA**2 * update) % R


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, parameters=1, norm_squared=LIMIT),
        replace(PLAN, parameters=16),
        replace(PLAN, parameters=17),
        replace(PLAN, rows=64, columns=2, mask_count=90),
        replace(PLAN, parameters=1000, limb_bits=8, entry_limbs=1, norm_squared=999),
        replace(PLAN, parameters=250, limb_bits=12, entry_limbs=4, norm_squared=2**93 + 1),
        replace(PLAN, parameters=3, limb_bits=9, entry_limbs=3, norm_squared=1),
        BoundedPlan.choose(32, 40, 700, 3.5),
    ],
    ids=lambda plan: f"{plan.rows} x {plan.columns}, {plan.parameters} of {plan.entry_limbs} limbs",
)
def test_accepts_an_update_within_its_bounds_and_costs_what_it_says(plan: BoundedPlan) -> None:
    statement, w = BoundedStatement(plan), witness(plan=plan)
    cs = forged(statement, w)
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert cs.num_constraints == statement.cost()
    assert cs.public_values() == [SIGMA, LAMBDA, opened(w)]
    assert max(len(vector) for vector in vectors(w)) == statement.powers


def test_the_law_of_the_docstring() -> None:
    for plan in (PLAN, BoundedPlan.choose(256, 31, 100_000, 1.0), BoundedPlan.choose(512, 100, 1000, 8.0, 20)):
        statement, p = BoundedStatement(plan), plan.parameters
        size = plan.rows * (plan.columns + 1) + 2 + plan.mask_count
        groups = -(-max(size, p + 3) // statement.width)
        law = p * (plan.entry_limbs + 3) + size + 2**plan.limb_bits + plan.slack_limbs + statement.width + groups
        assert statement.cost() == law + 3


@pytest.mark.parametrize(
    "update",
    [
        [0, 0, 0, 0, 0],
        [-LIMIT, LIMIT - 1, 0, 0, 1],
        at_norm(BOUND),
        at_norm(BOUND - 1),
        [-v for v in at_norm(BOUND)],
    ],
)  # fmt: skip
def test_accepts_an_update_at_the_edge_of_its_bounds(update: list[int]) -> None:
    PLAN.check(np.array(update))
    assert broken_rules(forged(STATEMENT, witness(update))) == set()


# the range of entries and slack


def hidden(cs: ConstraintSystem, place: int, at: int, where: str) -> dict[str, Forgery]:
    """What balances the sum of inverses in spite of the limb `at` of a lookup, whose value is in no table."""
    calls: list[int] = []

    def forget(_: Forger, values: FrArray) -> FrArray:
        if len(calls) == place:
            values[at] = 0
        calls.append(1)
        return values

    def absorb(cs: Forger, values: FrArray) -> FrArray:
        inverse = np.ascontiguousarray(cs.value(cs.made["lookup/limb/input"][place])[at : at + 1])
        values[0] = _core.fr_add(values[:1], inverse)[0]
        return values

    return {f"lookup/limb/{where}": forget if where == "input" else absorb}


def assert_only_the_lookup_notices(w: BoundedWitness, lie: dict[str, Forgery], place: int, at: int) -> None:
    """The sum notices; and where the sum is balanced, the rule that was broken to balance it."""
    cs = forged(STATEMENT, w, lie)
    assert_only_rule_notices(cs, "lookup/sum")
    for where in ("input", "row"):
        covered = forged(STATEMENT, w, {**lie, **hidden(cs, place, at, where)})
        assert_only_rule_notices(covered, f"lookup/limb/{where}")


@pytest.mark.parametrize("value", [LIMIT, -LIMIT - 1])
def test_rejects_an_entry_out_of_range(value: int) -> None:
    w = witness([0, 0, value, 0, 0])
    assert squares(w.update.tolist()) < BOUND
    assert_only_the_lookup_notices(w, {}, ENTRIES, 2 * 2 + 1)


@pytest.mark.parametrize("value", [-1, 1 << PLAN.limb_bits, R - 1, R // 2])
def test_rejects_a_limb_out_of_range(value: int) -> None:
    """The entry stays what it is: its other limb makes the false one good."""
    w = witness()
    limbs = forged(STATEMENT, w).ints("U")
    at = 4
    limbs[at] = (limbs[at] + (limbs[at + 1] << PLAN.limb_bits) - value) * pow(1 << PLAN.limb_bits, -1, R)
    limbs[at], limbs[at + 1] = value, limbs[at]
    assert broken_rules(forged(STATEMENT, w, {"U": put(limbs)})) == {"lookup/sum"}


def test_rejects_entries_whose_squares_cancel_mod_r() -> None:
    """-1 is a square mod r: without ranges an update of any length has norm 0."""
    root = pow(5, (R - 1) // 4, R)
    assert root * root % R == R - 1
    w = witness([0, 0, 0, 0, 0])
    limbs = forged(STATEMENT, w).ints("U")
    for entry, value in ((0, 10**15), (1, root * 10**15)):
        limbs[2 * entry : 2 * entry + 2] = [(LIMIT + value) % R, 0]
    assert broken_rules(forged(STATEMENT, w, {"U": put(limbs)})) == {"lookup/sum"}


# the norm


def test_rejects_a_norm_that_is_one_too_large() -> None:
    """Whether the slack is below zero, or one too large, or a square is told one too small."""
    update = at_norm(BOUND + 1)
    assert all(-LIMIT <= v < LIMIT for v in update)
    w = witness(update)
    assert_only_the_lookup_notices(w, {}, SLACK, PLAN.slack_limbs - 1)
    none = {"slack": put([0] * PLAN.slack_limbs)}
    assert_only_rule_notices(forged(STATEMENT, w, none), "norm/bound")
    assert_only_rule_notices(forged(STATEMENT, w, {**none, "norm/square": add(-1)}), "norm/square")


def test_rejects_a_slack_of_another_update() -> None:
    w = witness()
    limbs = forged(STATEMENT, w).ints("slack")
    for at, by in ((0, 1), (0, -1), (PLAN.slack_limbs - 1, 1)):
        lie = [*limbs[:at], (limbs[at] + by) % (1 << PLAN.limb_bits), *limbs[at + 1 :]]
        assert_only_rule_notices(forged(STATEMENT, w, {"slack": put(lie)}), "norm/bound")


def test_no_blinding_enters_the_norm() -> None:
    w = replace(witness(at_norm(BOUND)), update_blinding=_core.fr_from_ints([R - 1, R // 2, 1]))
    assert broken_rules(forged(STATEMENT, w)) == set()


# the link


@pytest.mark.parametrize("part", ["dataset", "weights", "update"])
@pytest.mark.parametrize("level", ["", " of a group"])
def test_rejects_a_false_product_of_the_evaluation(part: str, level: str) -> None:
    plan = replace(PLAN, parameters=40)  # more than one group of each vector
    statement, w = BoundedStatement(plan), witness(plan=plan)
    calls: list[int] = []

    def first_only(cs: Forger, values: FrArray) -> FrArray:
        calls.append(1)
        return add(1)(cs, values) if len(calls) == 1 else values

    rule = f"evaluation/{part}{level}"
    assert_only_rule_notices(forged(statement, w, {rule: first_only}), rule)


@pytest.mark.parametrize("rule", ["commitment blinding", "evaluation/lambda", "powers of sigma"])
def test_rejects_false_factors_of_the_evaluation(rule: str) -> None:
    calls: list[int] = []

    def first_only(cs: Forger, values: FrArray) -> FrArray:
        calls.append(1)
        return add(1)(cs, values) if len(calls) == 1 else values

    assert_only_rule_notices(forged(STATEMENT, witness(), {rule: first_only}), rule)


def test_rejects_another_output() -> None:
    cs = forged(STATEMENT, witness())
    cs.assign(cs.made["y"][0], [opened(witness()) + 1])
    assert_only_rule_notices(cs, "evaluation/output")


def test_every_rule_has_been_attacked() -> None:
    attacked = {
        "lookup/sum", "lookup/limb/input", "lookup/limb/row", "norm/square", "norm/bound", "commitment blinding",
        "powers of sigma", "evaluation/lambda", "evaluation/output",
        *(f"evaluation/{part}{level}" for part in ("dataset", "weights", "update") for level in ("", " of a group")),
    }  # fmt: skip
    plan = replace(PLAN, parameters=40)
    assert set(forged(BoundedStatement(plan), witness(plan=plan)).groups) == attacked


@pytest.mark.slow
def test_every_place_of_a_rule_is_needed() -> None:
    plan = replace(PLAN, parameters=40)
    statement, w = BoundedStatement(plan), witness(plan=plan)
    every = set(occurrences(forged(statement, w)))
    assert {("lookup/limb/input", ENTRIES), ("lookup/limb/input", SLACK)} <= every
    assert every - attacked_by_one_wire(statement, w) <= {("evaluation/output", 0)}


@pytest.mark.parametrize("parameters", [5, 40])
def test_every_wire_that_changes_is_noticed(parameters: int) -> None:
    plan = replace(PLAN, parameters=parameters)
    cs = forged(BoundedStatement(plan), witness(plan=plan))
    assert unnoticed_wires(cs, 1) == set()
    assert unnoticed_wires(cs, -1) == set()


@pytest.mark.parametrize("parameters", [5, 40, 10_000])
def test_nothing_is_left_to_choose_after_the_challenges(parameters: int) -> None:
    plan = replace(PLAN, parameters=parameters)
    assert free_after_the_challenges(forged(BoundedStatement(plan), witness(plan=plan))) == set()


class Careless(Forger):
    """Leaves the first wire of one name outside the committed segment."""

    def __init__(self, name: str, forgeries: dict[str, Forgery] | None = None) -> None:
        self.careless = name
        super().__init__(forgeries)

    def committed(self, shape: tuple[int, ...], values: Any, name: str) -> Any:
        if name != self.careless:
            return super().committed(shape, values, name)
        size = int(np.prod(shape))
        held = field(values, size)
        rest = super().committed((size - 1,), np.ascontiguousarray(held[1:]), f"rest of {name}")
        return concatenate([self.private((1,), np.ascontiguousarray(held[:1]), name), rest]).reshape(*shape)


NAMES = ("X", "W", "U", "blinding of U", "slack", "multiplicity of limb")


@pytest.mark.parametrize("name", NAMES)
def test_it_would_be_seen_if_a_value_lay_outside_the_committed_segment(name: str) -> None:
    cs = Careless(name)
    STATEMENT.synthesize(cs, witness())
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert name in free_after_the_challenges(cs)


@pytest.mark.parametrize(("name", "weight"), [("X", 1), ("W", LAMBDA)])
def test_one_copied_value_outside_the_segment_would_let_any_update_pass(name: str, weight: int) -> None:
    """Chosen after the challenges, it absorbs what the committed update has beyond the one that was bounded."""
    w = witness()
    huge = replace(w, update=w.update + np.array([0, 10**12, 0, -(10**15), 0]))
    excess = (opened(huge) - opened(w)) * pow(weight, -1, R)
    cs = Careless(name, {name: add(excess)})
    STATEMENT.synthesize(cs, w)
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert cs.public_values()[-1] == opened(huge)


# what surrounds it


def test_an_honest_assignment_refuses_an_update_beyond_its_bounds() -> None:
    for update in (at_norm(BOUND + 1), [LIMIT, 0, 0, 0, 0], [0, -LIMIT - 1, 0, 0, 0]):
        cs = ConstraintSystem(structure=False, challenge=lambda _: (3, 4))
        with pytest.raises(ProofError, match="looked up in table 'limb'"):
            STATEMENT.synthesize(cs, witness(update))


def test_refuses_vectors_of_another_length() -> None:
    w = witness()
    for wrong in (
        replace(w, update=w.update[:-1]),
        replace(w, weights=w.weights[:-1]),
        replace(w, dataset=w.dataset[:-1]),
        replace(w, update_blinding=_core.fr_random(2)),
    ):
        with pytest.raises(ProofError, match="an assignment has"):
            forged(STATEMENT, wrong)


def test_the_bounds_are_part_of_the_circuit_id() -> None:
    plans = [
        PLAN,
        replace(PLAN, norm_squared=BOUND + 1),
        replace(PLAN, limb_bits=4 * PLAN.limb_bits // 3, norm_squared=BOUND),
        replace(PLAN, entry_limbs=3),
        replace(PLAN, parameters=6),
        replace(PLAN, mask_count=6),
    ]
    assert len({compile_statement(BoundedStatement(plan)).circuit_id for plan in plans}) == len(plans)
    assert "training" not in STATEMENT.name


def test_bounded_updates_are_averaged_like_any_others() -> None:
    plan = replace(PLAN, parameters=40)
    rows, updates = [30, 17], [honest_update(plan, seed) for seed in (1, 2)]
    statement = AggregationStatement.of(plan)
    total = rows[0] * updates[0] + rows[1] * updates[1]
    cs = forged(statement, average(total, sum(rows)))
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert statement.quotient_offset >= plan.entry_limit
    assert cs.num_constraints == statement.cost()
