"""Simulated federations: the integers are those of a proven task, and nothing calls them proven."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import InputError
from fedproof.interop import Federation, Outcome, Part, Runner, SimulatedRunner
from fedproof.interop.runner import check_outcome, choose_runner, next_model
from fedproof.learning import exact, sgd
from fedproof.learning.architecture import SQUARED
from fedproof.learning.fixed import Int
from fedproof.learning.plan import TrainingPlan
from fedproof.sharing import reconstruct, split, weighted_sum
from fedproof.statements.aggregation import divide
from fedproof.statements.layout import UPDATE_BLINDING, WeightLayout
from fedproof.statements.vectors import update_vector
from tests.learning.scenes import KINDS, make_plan


def make_federation(name: str, rounds: int = 2, counts: tuple[int, ...] = (40, 64, 33)) -> Federation:
    plan = make_plan(KINDS[name], epochs=2)
    rng = np.random.default_rng(9)
    parts = []
    for count in counts:
        features = rng.integers(-600, 600, (count, plan.columns - 1))
        labels = rng.integers(0, max(plan.model.outputs, 2), count)
        parts.append(Part(features, rng.integers(-500, 500, count) if plan.model.loss == SQUARED else labels))
    return Federation(plan, plan.start(3), tuple(parts), rounds)


def by_hand(plan: TrainingPlan, weights: tuple[Int, ...], parts: tuple[Part, ...]) -> list[list[int]]:
    """The next model in Python integers: the nearest to the exact average, halves up."""
    updates = []
    for part in parts:
        records = sgd.pad_to(plan.rows, plan.columns, part.features, part.labels)
        updates.append(exact.train(plan, *records, weights).update)
    counts = [len(part.labels) for part in parts]
    out = []
    for layer, matrix in enumerate(weights):
        flat = [update[layer].ravel().tolist() for update in updates]
        sums = [sum(n * row[place] for n, row in zip(counts, flat, strict=True)) for place in range(matrix.size)]
        nearest = [(Fraction(total, sum(counts)) + Fraction(sum(counts) // 2, sum(counts))) // 1 for total in sums]
        out.append([w + int(q) for w, q in zip(matrix.ravel().tolist(), nearest, strict=True)])
    return out


@pytest.mark.parametrize("name", KINDS)
def test_a_round_is_the_rounded_average_of_exact_updates(name: str) -> None:
    federation = make_federation(name)
    outcome = SimulatedRunner().run(federation)
    before = federation.start
    for model in outcome.models:
        expected = by_hand(federation.plan, before, federation.parts)
        assert [matrix.ravel().tolist() for matrix in model] == expected
        before = model
    assert outcome.evidence is None
    assert {peak.name for peak in outcome.peaks} >= {"exact sums of the last layer"}


def test_the_integers_are_those_that_shares_and_workers_give() -> None:
    """The way of a proven round but for the proofs: shared over the field, summed on shares, combined, divided."""
    federation = make_federation("logistic", rounds=3)
    plan = federation.plan
    powers = _core.Srs.generate(WeightLayout(plan.columns).update_size, [1])
    weights, counts = federation.start[0][:, 0], [part.rows for part in federation.parts]
    for model in SimulatedRunner().run(federation).models:
        sharings = []
        for part in federation.parts:
            records = sgd.pad(plan.spec(), part.features, part.labels)
            update = sgd.train(plan.spec(), *records, weights).update
            sharings.append(split(update_vector(update, _core.fr_random(UPDATE_BLINDING)), 1, 3, powers))
        outputs = [weighted_sum([s.shares[place] for s in sharings], counts) for place in (0, 2)]
        total = _core.fr_to_i64(np.ascontiguousarray(reconstruct(outputs, 1)[: plan.columns]))
        weights = weights + divide(total, sum(counts))[0]
        assert np.array_equal(model[0][:, 0], weights)


def test_equal_federations_give_equal_integers() -> None:
    one, other = (SimulatedRunner().run(make_federation("deep perceptron")) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one.models[-1], other.models[-1], strict=True))


def test_sums_beyond_62_bits_are_refused() -> None:
    zero, huge = (np.zeros((2, 1), dtype=np.int64),), (np.full((2, 1), 2**61),)
    with pytest.raises(InputError, match="the sum of layer 1's updates"):
        next_model(zero, [huge, huge], [40, 40])
    with pytest.raises(InputError, match="a weight of layer 1"):
        next_model((np.full((2, 1), 2**61),), [huge, zero], [1, 0])


def test_a_federation_that_cannot_be_is_refused() -> None:
    good = make_federation("linear")
    with pytest.raises(InputError, match="fewer than two"):
        replace(good, parts=good.parts[:1])
    with pytest.raises(InputError, match="rounds: 0"):
        replace(good, rounds=0)
    with pytest.raises(InputError, match="participant 2 has 0 rows"):
        replace(good, parts=(good.parts[0], Part(np.zeros((0, 4), dtype=np.int64), np.zeros(0, dtype=np.int64))))
    with pytest.raises(InputError, match="participant 1 has 65 rows"):
        make_federation("linear", counts=(65, 40))
    with pytest.raises(InputError, match="weights of shapes"):
        replace(good, start=good.start * 2)
    assert make_federation("linear", counts=(31, 32, 5)).small == (1, 3)


class Prover:
    """Stands for the application layer's runner."""

    training = "proven"

    def __init__(self, evidence: str | None = "fedproof-run-1") -> None:
        self.evidence = evidence

    def run(self, federation: Federation) -> Outcome:
        return replace(SimulatedRunner().run(federation), evidence=self.evidence)


def test_what_is_simulated_is_never_taken_for_proven() -> None:
    prover: Runner = Prover()
    assert isinstance(choose_runner("simulate", None), SimulatedRunner)
    assert choose_runner("prove", prover) is prover
    with pytest.raises(InputError, match=r"needs folder.*nothing was trained.*simulated, not proven"):
        choose_runner("prove", None)
    with pytest.raises(InputError, match=r"folder: .*run='simulate' leaves none"):
        choose_runner("simulate", None, "run")
    with pytest.raises(InputError, match=r"folder: .*the runner that was given has its own"):
        choose_runner("prove", prover, "run")
    assert choose_runner("prove", None, "run").training == "proven"
    with pytest.raises(InputError, match="SimulatedRunner is simulated"):
        choose_runner("prove", SimulatedRunner())
    with pytest.raises(InputError, match="Prover is proven"):
        choose_runner("simulate", prover)
    with pytest.raises(InputError, match=r"'simulate' .exact integers, nothing proven. or 'prove'"):
        choose_runner("proven", None)
    with pytest.raises(InputError, match="of no known kind"):
        choose_runner("prove", object())  # type: ignore[arg-type]


def test_an_outcome_shows_evidence_exactly_where_it_is_proven() -> None:
    federation = make_federation("linear")
    plain = SimulatedRunner().run(federation)
    check_outcome(federation, SimulatedRunner(), plain)
    check_outcome(federation, Prover(), Prover().run(federation))
    with pytest.raises(InputError, match="a proven run without evidence"):
        check_outcome(federation, Prover(None), plain)
    with pytest.raises(InputError, match="a simulated run with evidence"):
        check_outcome(federation, SimulatedRunner(), replace(plain, evidence="x"))
    with pytest.raises(InputError, match="gave 1 models for 2 rounds"):
        check_outcome(federation, SimulatedRunner(), replace(plain, models=plain.models[:1]))
