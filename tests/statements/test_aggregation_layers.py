"""Aggregation of models of several layers and outputs: where every coefficient counts, and in which range."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import InputError, ProofError
from fedproof.learning.architecture import SQUARED, Model
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.plan import LayerScales, TrainingPlan
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.linked import check_linked, prove_linked
from fedproof.proving.r1cs import FrArray
from fedproof.statements.aggregation import AggregationStatement, AggregationWitness, divide, quotient_offset
from fedproof.statements.models.vectors import model_update_vector, model_vector
from tests.statements.models.test_proofs import drawn_after
from tests.support.determined import free_after_the_challenges
from tests.support.mutation import unnoticed_wires
from tests.support.occurrences import broken_occurrences, changed
from tests.support.soundness import DERIVED, SIGMA, broken_rules, forged

R = _core.MODULUS
FIRST, UPPER = LayerScales(8, 12), LayerScales(8, 14)
PLANS = {
    "softmax": TrainingPlan(Model.softmax(3, 4), 32, 1, 5, (UPPER,), group=4),
    "softmax, groups of one": TrainingPlan(Model.softmax(4, 2), 32, 1, 5, (UPPER,), group=1),
    "perceptron of classes": TrainingPlan(Model.perceptron(4, [5], 3), 64, 1, 5, (FIRST, UPPER), group=8),
    "perceptron of a target": TrainingPlan(
        Model.perceptron(2, [7], 1, SQUARED), 32, 2, 5, (FIRST, UPPER), group=2, logit_bits=14, activation_limbs=3
    ),
    "deep perceptron": TrainingPlan(Model.perceptron(3, [1, 4], 2), 64, 1, 5, (FIRST, FIRST, UPPER), group=32),
}
COUNT = 455


@dataclass(frozen=True)
class Average:
    """A sum, its witness, and the two vectors of the external commitments."""

    plan: TrainingPlan
    witness: AggregationWitness
    step: FrArray
    rest: FrArray


def average(name: str, count: int = COUNT) -> Average:
    """Random updates within their bounds, summed and divided."""
    plan, rng = PLANS[name], np.random.default_rng(len(name))
    bounds = [min(plan.update_bound(layer), 2**50) for layer in range(plan.depth)]
    sums = [
        rng.integers(-bound, bound, shape) * min(count, 2**10)
        for bound, shape in zip(bounds, plan.model.layers, strict=True)
    ]
    quotient, remainder = divide(plan.model.flatten(sums), count)
    w = AggregationWitness(count, quotient, remainder, _core.fr_random(3))
    rest = model_update_vector(plan, plan.model.unflatten(remainder), w.blinding)
    return Average(plan, w, model_vector(plan, plan.model.unflatten(quotient)), rest)


def evaluate(vector: FrArray) -> int:
    """A polynomial at SIGMA, independent of the circuit."""
    return sum(value * pow(SIGMA, place, R) for place, value in enumerate(_core.fr_to_ints(vector))) % R


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("count", [2, 455, 2**30 - 1])
def test_accepts_the_rounded_average_and_costs_what_it_says(name: str, count: int) -> None:
    a = average(name, count)
    statement = AggregationStatement.of(a.plan)
    cs = forged(statement, a.witness)
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert cs.num_constraints == statement.cost()
    assert cs.public_values()[-1] == (evaluate(a.step) + DERIVED * (evaluate(a.rest) + DERIVED * count)) % R


@pytest.mark.parametrize("name", PLANS)
def test_each_coefficient_counts_at_its_own_position_alone(name: str) -> None:
    """So polynomials with anything in a gap, or with layers or outputs exchanged, are other ones than the circuit's."""
    plan, statement = PLANS[name], AggregationStatement.of(PLANS[name])
    zeros, size = np.zeros(plan.model.parameters, dtype=np.int64), plan.model.parameters
    nothing = AggregationWitness(COUNT, zeros, zeros, _core.fr_from_ints([0, 0, 0]))

    def opened(w: AggregationWitness) -> int:
        return (forged(statement, w).public_values()[-1] - DERIVED**2 * COUNT) % R

    assert opened(nothing) == 0
    units = np.eye(size, dtype=np.int64)
    places = plan.positions().tolist()
    for unit, place in zip(units, places, strict=True):
        assert opened(replace(nothing, quotient=unit)) == pow(SIGMA, place, R)
        assert opened(replace(nothing, remainder=unit)) == DERIVED * pow(SIGMA, place, R) % R
    for k in range(3):
        blinding = _core.fr_from_ints([int(k == j) for j in range(3)])
        place = plan.offset(plan.depth) + k
        assert opened(replace(nothing, blinding=blinding)) == DERIVED * pow(SIGMA, place, R) % R


def test_a_logistic_plan_has_the_circuit_of_its_specification() -> None:
    spec = TrainingSpec(64, 5)
    mine, other = AggregationStatement.of(TrainingPlan.of(spec)), AggregationStatement(spec.columns, spec.update_bound)
    assert compile_statement(mine).circuit_id == compile_statement(other).circuit_id


@pytest.mark.parametrize("name", ["softmax", "perceptron of a target", "deep perceptron"])
def test_each_layer_has_its_own_range(name: str) -> None:
    """A quotient that is in range of another layer only is refused, and so is one that fits modulo r alone."""
    a, statement = average(name), AggregationStatement.of(PLANS[name])
    for layer, limbs in enumerate(statement.limbs):
        assert quotient_offset(limbs) > a.plan.update_bound(layer)
        for q, fits in (
            (-quotient_offset(limbs), True),
            (quotient_offset(limbs) - 1, True),
            (quotient_offset(limbs), False),
            (-quotient_offset(limbs) - 1, False),
        ):
            high = [(q + quotient_offset(limbs)) >> (10 * place) for place in range(limbs)]
            wires = [value & 1023 for value in high[:-1]] + [high[-1]]  # what does not fit is in the last limb

            def put(held: list[int], wires: list[int] = wires) -> dict[int, int]:
                return {place: value - held[place] for place, value in enumerate(wires)}

            cs = changed(statement, a.witness, {("q", layer): put})
            assert broken_rules(cs) == (set() if fits else {"lookup/sum"})


def test_layers_of_other_bounds_have_other_ranges() -> None:
    limbs = AggregationStatement.of(PLANS["perceptron of a target"]).limbs
    assert limbs[0] != limbs[1]


@pytest.mark.parametrize("name", PLANS)
def test_every_rule_of_the_evaluation_is_needed(name: str) -> None:
    """A false product reaches y alone; the other rules are those of one layer, attacked in test_aggregation.py."""
    a, statement = average(name), AggregationStatement.of(PLANS[name])
    rules = {rule for rule in forged(statement, a.witness).groups if rule.startswith(("evaluation", "powers"))}
    expected = {"evaluation/quotient", "evaluation/remainder", "evaluation/lambda", "evaluation/output"}
    ends = [" of a layer"] * (a.plan.depth > 1) + [" of an output"] * any(b > 1 for _, b in a.plan.model.layers)
    expected |= {f"evaluation/{vector}{end}" for vector in ("quotient", "remainder") for end in ends}
    assert rules == expected | {"powers of sigma"}
    for rule in rules - {"evaluation/output"}:
        cs = changed(statement, a.witness, {(rule, 0): lambda _: {0: 1}})
        assert {broken for broken, _ in broken_occurrences(cs)} == {rule}


@pytest.mark.parametrize("name", ["softmax", "perceptron of a target", "deep perceptron"])
def test_nothing_is_free(name: str) -> None:
    a = average(name)
    cs = forged(AggregationStatement.of(a.plan), a.witness)
    assert unnoticed_wires(cs, 1) == unnoticed_wires(cs, -1) == set()
    assert free_after_the_challenges(cs) == set()


def test_takes_sums_that_exceed_64_bits() -> None:
    """A proven update may be as large as its bound, and a sum many times that."""
    plan = PLANS["perceptron of classes"]
    bound, count = plan.update_bound(0), 2**30 - 1
    assert bound * count > 2**63
    quotient, remainder = divide(np.full(plan.model.parameters, bound * count - 5, dtype=object), count)
    zeros = np.zeros(plan.model.parameters, dtype=np.int64)
    first = plan.model.layers[0][0] * plan.model.layers[0][1]
    small = AggregationWitness(
        count, np.where(np.arange(len(quotient)) < first, quotient, zeros).astype(np.int64),
        remainder.astype(np.int64), _core.fr_random(3),
    )  # fmt: skip
    assert broken_rules(forged(AggregationStatement.of(plan), small)) == set()


def test_refuses_bounds_that_could_wrap() -> None:
    with pytest.raises(InputError, match="too large"):
        AggregationStatement(4, 2**225)


# real proofs: what a leader could commit to in the place of the average


@cache
def dealt() -> tuple[AggregationStatement, Keys, _core.Srs]:
    plan = PLANS["perceptron of classes"]
    statement = AggregationStatement.of(plan)
    srs = _core.Srs.generate(plan.offset(plan.depth) + 4, [1])
    return statement, setup(compile_statement(statement), srs), srs


def shifted(vector: FrArray, place: int) -> FrArray:
    """A vector with 1 more at a place."""
    out = np.zeros((max(len(vector), place + 1), 4), dtype=np.uint64)
    out[: len(vector)] = vector
    out[place] = _core.fr_add(np.ascontiguousarray(out[place : place + 1]), _core.fr_from_ints([1]))[0]
    return out


@pytest.mark.slow
def test_a_leader_cannot_commit_to_anything_in_a_gap_or_to_exchanged_layers() -> None:
    a = average("perceptron of classes")
    plan, (statement, keys, srs) = a.plan, dealt()
    a_0, g = plan.columns, plan.group

    def prove(step: FrArray, rest: FrArray) -> tuple[Any, Any, list[bytes]]:
        points = [srs.commit(step), srs.commit(rest)]
        proof = prove_linked(keys, statement, a.witness, srs, [step, rest], lambda d: drawn_after(d, points), [COUNT])
        return proof, drawn_after(proof.d, points), points

    proof, drawn, points = prove(a.step, a.rest)
    check_linked(keys.verifying, [], drawn, proof, points, [COUNT])
    with pytest.raises(ProofError):
        check_linked(keys.verifying, [], drawn, proof, points, [COUNT + 1])

    assert g > 1
    gaps = sorted(set(range(plan.offset(plan.depth))) - set(plan.positions().tolist()))
    assert a_0 in gaps
    blinding = plan.offset(plan.depth)
    swapped = [plan.model.unflatten(a.witness.quotient)[0] + 0, plan.model.unflatten(a.witness.quotient)[1]]
    swapped[0][0, 0], swapped[1][0, 0] = swapped[1][0, 0], swapped[0][0, 0]
    turned = [matrix[:, ::-1] for matrix in plan.model.unflatten(a.witness.quotient)]
    lies = [
        (shifted(a.step, gaps[0]), a.rest),
        (shifted(a.step, gaps[-1]), a.rest),
        (a.step, shifted(a.rest, gaps[0])),
        (shifted(a.step, blinding), a.rest),  # a public model has no blinding
        (shifted(a.step, blinding + 2), a.rest),
        (a.step, shifted(a.rest, blinding + 3)),
        (model_vector(plan, swapped), a.rest),
        (model_vector(plan, turned), a.rest),
        (model_vector(replace(plan, group=4), plan.model.unflatten(a.witness.quotient)), a.rest),
    ]
    for step, rest in lies:
        with pytest.raises(ProofError, match="not what the commitments hold"):
            prove(step, rest)
        with pytest.raises(ProofError, match="link"):
            check_linked(keys.verifying, [], drawn, proof, [srs.commit(step), srs.commit(rest)], [COUNT])
