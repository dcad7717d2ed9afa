"""The training statement of every model: what it accepts, what it costs, and what it leaves to a prover."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.learning import exact
from fedproof.learning.architecture import SQUARED, Model
from fedproof.learning.cost import cost
from fedproof.learning.exact import ModelTrace
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.plan import TrainingPlan
from fedproof.proving.lin import concatenate
from fedproof.proving.r1cs import field
from fedproof.statements.models.statement import ModelStatement
from fedproof.statements.models.vectors import model_update_vector, model_vector
from fedproof.statements.vectors import dataset_vector
from tests.learning.scenes import make_plan, records
from tests.statements.models.scenes import SCENES, scene, witness_of
from tests.support.determined import free_after_the_challenges
from tests.support.mutation import unnoticed_wires
from tests.support.soundness import LAMBDA, SIGMA, Forger, forged

R = _core.MODULUS
Shape = tuple[Model, int, int, int, dict[str, int]]
VARIETY: list[Shape] = [  # model, rows, epochs, real rows
    (Model.linear(1), 32, 1, 32, {}),
    (Model.linear(6), 96, 2, 70, {"group": 8}),
    (Model.linear(40), 32, 3, 20, {"group": 1}),
    (Model.logistic(3), 64, 2, 64, {"group": 4, "mask_count": 90}),
    (Model.logistic(5), 96, 3, 65, {"group": 32}),
    (Model.softmax(2, 2), 32, 2, 31, {"group": 16}),
    (Model.softmax(5, 6), 64, 3, 50, {"group": 2}),
    (Model.softmax(1, 33), 32, 1, 32, {"group": 32}),
    (Model.softmax(4, 3), 32, 1, 0, {"group": 1}),
    (Model.perceptron(2, [1], 1), 32, 1, 32, {"group": 1}),
    (Model.perceptron(2, [1], 2), 64, 2, 40, {"group": 32}),
    (Model.perceptron(3, [4], 1), 32, 3, 32, {"group": 2}),
    (Model.perceptron(3, [40], 1, SQUARED), 32, 1, 25, {"group": 4}),
    (Model.perceptron(4, [3], 5), 96, 1, 96, {"group": 1}),
    (Model.perceptron(3, [4, 1], 3), 32, 2, 30, {"group": 8}),
    (Model.perceptron(2, [3, 2, 4], 1), 64, 1, 64, {"group": 32}),
    (Model.perceptron(2, [2, 3, 2], 2), 32, 3, 17, {"group": 1, "mask_count": 40}),
]


def run(model: Model, rows: int, epochs: int, real: int, changes: dict[str, int]) -> ModelTrace:
    """A run of so many real rows."""
    plan = make_plan(model, rows, epochs, **changes)
    return exact.train(plan, *records(plan, real, rows + real), plan.start(real))


def evaluate(vector: Any, at: int) -> int:
    """A polynomial by Horner's rule, independent of the circuit."""
    out = 0
    for coefficient in reversed(_core.fr_to_ints(vector)):
        out = (out * at + coefficient) % R
    return out


@pytest.mark.parametrize("shape", VARIETY, ids=lambda shape: f"{shape[0].widths} {shape[1:4]} {shape[4]}")
def test_accepts_exact_sgd_and_costs_what_the_law_says(shape: Shape) -> None:
    trace = run(*shape)
    plan, w = trace.plan, witness_of(trace)
    statement = ModelStatement(plan)
    cs = forged(statement, w)
    r1cs = cs.build()
    assert r1cs.first_unsatisfied(cs.witness()) is None
    law = cost(plan)
    assert (cs.num_constraints, r1cs.num_committed) == (law.constraints, law.committed)
    assert statement.cost() == law.constraints
    vectors = [
        dataset_vector(trace.inputs[:, :-1], trace.mask, trace.labels, w.dataset_blinding),
        model_vector(plan, trace.start),
        model_update_vector(plan, trace.update, w.update_blinding),
    ]
    assert max(len(vector) for vector in vectors) == law.powers
    x, start, update = (evaluate(vector, SIGMA) for vector in vectors)
    assert cs.public_values() == [SIGMA, LAMBDA, (x + LAMBDA * start + LAMBDA**2 * update) % R]


@pytest.mark.parametrize("name", SCENES)
def test_spends_on_each_part_what_the_law_says(name: str) -> None:
    """The law's parts by the names that the rules have here."""
    plan = scene(name).plan
    cs = forged(scene(name).statement, witness_of(scene(name).trace))
    spent: Counter[str] = Counter()
    for rule, ranges in cs.groups.items():
        spent[part_of(rule, plan.depth)] += sum(last - first for first, last in ranges)
    law: Counter[str] = Counter()
    for part, count in cost(plan).parts.items():
        law[merged(part)] += count
    # one constraint for each value looked up: the law has them with what they are ranges of
    lookups = spent.pop("lookups")
    assert {part: count for part, count in spent.items() if part not in RANGED} == {
        part: count for part, count in law.items() if count and part not in RANGED
    }
    assert lookups == sum(law[part] - spent[part] for part in RANGED)


RANGED = ("units", "loss", "tables")


def merged(part: str) -> str:
    """The law's parts, with ranges apart."""
    for end in ("relu", "delta"):
        if part.endswith(end):
            return "units"
    return "loss" if part.startswith("loss") else part


def part_of(rule: str, depth: int) -> str:
    """The part of the cost law that a rule belongs to."""
    room, _, name = rule.partition("/")
    if room == "lookup":
        return "lookups"
    if name in ("sign", "activation", "delta"):
        return "units"
    if name == "step" or name == "last step":
        return f"{room}: steps"
    if name in ("logits", "groups", "deltas"):
        return f"{room}: sums by challenge"
    if name in ("back", "back sums", "inputs", "back step"):
        return f"{room}: back"
    if name in ("initial weights", "initial way back"):
        return f"{room}: initial weights"
    if room == "data":
        return "data: fold" if name == "fold" else "data: evaluation"
    fixed = {"evaluation": "evaluation of W and U", "commitment blinding": "blinding of D", "loss": "loss"}
    return fixed.get(room, f"{room}: {name}" if name else room)


def test_accepts_saturated_logits() -> None:
    """Beyond the sigmoid's table at both ends, and beyond the exponential's last entry."""
    for model in (Model.logistic(3), Model.softmax(3, 4)):
        plan = make_plan(model, 64, 1, logit_limbs=2)
        start = [matrix * 30_000 for matrix in plan.start(3)]
        trace = exact.train(plan, *records(plan, 64, 9, 900), start)
        assert np.count_nonzero(trace.head.overflow)  # type: ignore[union-attr]
        cs = forged(ModelStatement(plan), witness_of(trace))
        assert cs.build().first_unsatisfied(cs.witness()) is None


def test_a_plan_of_logistic_regression_costs_what_its_own_statement_costs() -> None:
    from fedproof.statements.training import TrainingStatement

    for spec in (TrainingSpec(64, 5, 2, 9), TrainingSpec(256, 31)):
        assert ModelStatement(TrainingPlan.of(spec)).cost() == TrainingStatement(spec).cost()


def test_refuses_a_run_of_another_plan() -> None:
    with pytest.raises(ProofError, match="another plan"):
        forged(scene("linear").statement, witness_of(scene("linear, groups of one").trace))


@pytest.mark.parametrize("name", SCENES)
def test_every_wire_that_changes_is_noticed(name: str) -> None:
    here = scene(name)
    cs = forged(here.statement, witness_of(here.trace))
    assert unnoticed_wires(cs, 1) == set()
    assert unnoticed_wires(cs, -1) == set()


@pytest.mark.parametrize("name", SCENES)
def test_nothing_is_left_to_choose_after_the_challenges(name: str) -> None:
    """So whatever a check reads was fixed before sigma and lambda."""
    trace = run(*SCENES[name][:1], 32, 2, 32, SCENES[name][1])
    assert free_after_the_challenges(forged(ModelStatement(trace.plan), witness_of(trace))) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "rows"), [(Model.logistic(30), 512), (Model.softmax(784, 10), 32), (Model.perceptron(31, [16], 1), 512)]
)
def test_nothing_is_left_to_choose_in_circuits_of_full_size(model: Model, rows: int) -> None:
    trace = run(model, rows, 1, rows - 2, {})
    assert free_after_the_challenges(forged(ModelStatement(trace.plan), witness_of(trace))) == set()


@pytest.mark.parametrize("name", ["softmax", "perceptron of classes"])
@pytest.mark.parametrize("wires", ["blinding of", "multiplicity of"])
def test_it_would_be_seen_if_a_value_lay_outside_the_committed_segment(name: str, wires: str) -> None:
    class Careless(Forger):
        def committed(self, shape: tuple[int, ...], values: Any, name: str) -> Any:
            if name.startswith(wires) and name != "blinding of D":
                values = field(values, shape[0])
                rest = super().committed((shape[0] - 1,), np.ascontiguousarray(values[1:]), name)
                return concatenate([self.private((1,), np.ascontiguousarray(values[:1]), name), rest])
            return super().committed(shape, values, name)

    cs = Careless()
    scene(name).statement.synthesize(cs, witness_of(scene(name).trace))
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert any(free.startswith(wires) for free in free_after_the_challenges(cs))
