"""Rules of rows hold in every epoch and batch, and lies about what is tracked are noticed where they are told.

A lie is told in one batch; all later batches are trained from the weights that it leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fedproof.learning import exact
from fedproof.learning.architecture import SQUARED
from fedproof.learning.exact import ModelTrace, batches
from fedproof.learning.fixed import BATCH, Int
from fedproof.statements.models.statement import ModelStatement
from tests.statements.models.forge import Lie, by, joined, product_place, remainders_fit
from tests.statements.models.lies_layers import unit_lies
from tests.statements.models.lies_loss import false_entry, loss_lies
from tests.statements.models.scenes import Scene, copied, witness_of
from tests.statements.models.test_places import EPOCHS, NAMES, notices, twice
from tests.support.occurrences import Change, Occurrence, changed

pytestmark = pytest.mark.slow

Told = tuple[ModelTrace, dict[Occurrence, Change]]
UPPER = ["perceptron of classes", "deep perceptron"]


def one_batch(here: Scene, rows: slice, weights: tuple[Int, ...]) -> Scene:
    """A batch of a run as a run of its own."""
    plan = replace(here.plan, rows=BATCH, epochs=1)
    features, mask, labels = here.features[rows], here.mask[rows], here.labels[rows]
    return Scene(here.name, plan, features, mask, labels, weights, exact.train(plan, features, mask, labels, weights))


@cache
def imposed(name: str) -> dict[str, int]:
    """How often the whole statement of a scene imposes each rule."""
    here = twice(name)
    every = changed(ModelStatement(here.plan), witness_of(here.trace), {}).groups
    return {rule: len(calls) for rule, calls in every.items()}


@cache
def allocated(name: str) -> dict[str, list[int]]:
    """How many wires each call of a name makes in a batch, whatever its weights."""
    here = twice(name)
    batch = one_batch(here, slice(0, BATCH), here.start)
    made = changed(batch.statement, witness_of(batch.trace), {}).made
    return {each: [wires.size for wires in calls] for each, calls in made.items()}


def told(here: Scene, step: int, tell: Callable[[Scene], Lie]) -> Told:
    """A run with a lie in one step, and the changes of its wires where the whole statement has them."""
    weights, runs, changes = here.start, [], {}
    for number, (epoch, rows) in enumerate(batches(here.plan)):
        batch = one_batch(here, rows, weights)
        lie = tell(batch) if number == step else Lie(batch.trace)
        runs.append(lie.trace)
        if lie.changes:
            changes = placed(batch, lie, epoch, rows.start)
        every = slice(0, BATCH)
        weights = tuple(w - lie.trace.gradient(layer, 0, every) for layer, w in enumerate(weights))
    return joined(here, runs), changes


def placed(batch: Scene, lie: Lie, epoch: int, first: int) -> dict[Occurrence, Change]:
    """Changes of a batch at their wires in an epoch of the whole run."""
    made = allocated(batch.name)
    out: dict[Occurrence, Change] = {}
    for (name, call), change in lie.changes.items():
        each = made[name][call] // BATCH
        moved = {at + first * each: amount for at, amount in change([]).items()}
        out[name, call + epoch * len(made[name])] = by(moved)
    return out


def assert_noticed(here: Scene, lie: Told, rule: str, epoch: int) -> None:
    """One place notices, and it is this rule's in this epoch."""
    (place,) = notices(here, *lie)
    assert place[0] == rule
    assert place[1] // (imposed(here.name)[rule] // EPOCHS) == epoch


@pytest.mark.parametrize("name", NAMES)
def test_each_rule_of_a_row_notices_a_lie_in_each_batch(name: str) -> None:
    here = twice(name)
    first = one_batch(here, slice(0, BATCH), here.start)

    def lies(batch: Scene) -> dict[str, Lie]:
        out = dict(loss_lies(batch))
        for layer in range(here.plan.depth - 1):
            out |= dict(unit_lies(batch, layer))
        return out

    for step, (epoch, _) in enumerate(batches(here.plan)):
        for rule in lies(first):
            assert_noticed(here, told(here, step, lambda batch, rule=rule: lies(batch)[rule]), rule, epoch)  # type: ignore[misc]


@pytest.mark.parametrize("name", NAMES)
def test_each_fold_of_a_table_notices_an_output_of_the_provers_choice(name: str) -> None:
    here = twice(name)
    assert here.plan.model.loss != SQUARED
    for step, (epoch, _) in enumerate(batches(here.plan)):

        def tell(batch: Scene) -> Lie:
            table, lie, places = false_entry(batch)
            return replace(lie, changes=lie.changes | {(f"lookup/{table}/fold", 0): by(places)})

        rule = "lookup/exponential/fold" if here.plan.model.outputs > 1 else "lookup/sigmoid/fold"
        assert_noticed(here, told(here, step, tell), rule, epoch)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "perceptron of one output"])
def test_each_sum_of_deltas_notices_a_row_that_moves_more(name: str) -> None:
    """The lie takes `A_i` from the weights of the first output; the way back goes by weights that it leaves alone."""
    here = twice(name)
    for layer, (_, outputs) in enumerate(here.plan.model.layers):
        for k in {1, outputs - 1} if outputs > 1 else ():
            for step, (epoch, rows) in enumerate(batches(here.plan)):
                trace, row = moved_more(here, layer, step)
                call, place = product_place(rows.start + row, k, outputs)
                at = (f"layer {layer + 1}/deltas", epoch * (1 if outputs == 2 else 2) + call)
                assert notices(here, trace, {at: by({place: 1})}) == {at}


def moved_more(here: Scene, layer: int, step: int) -> tuple[ModelTrace, int]:
    """A run in which a row of a batch moves a layer once more, and that row: the first that h can do without."""
    for row in range(BATCH):
        weights, runs, lost = here.start, [], np.zeros(here.plan.model.layers[layer][0], dtype=np.int64)
        for number, (_, rows) in enumerate(batches(here.plan)):
            runs.append(one_batch(here, rows, weights).trace)
            if layer:  # back as by the weights without the lie
                delta = runs[-1].layer_delta(layer, 0, slice(0, BATCH))
                runs[-1] = copied(runs[-1])
                runs[-1].hidden[layer - 1].back_remainder[0] += delta[:, :1] * lost[:-1]
            after = [matrix.copy() for matrix in runs[-1].end]
            if number == step:
                lost = runs[-1].layer_input(layer, 0, slice(0, BATCH))[row]
                after[layer][:, 0] -= lost
            weights = tuple(after)
        trace = joined(here, runs)
        if not layer or remainders_fit(trace, layer):
            return trace, row
    raise AssertionError("no row's inputs fit the remainders")


def absorbed(here: Scene, layer: int, amounts: Int) -> ModelTrace:
    """The run with `back` of the first unit larger by `(epochs, rows)` amounts."""
    trace = copied(here.trace)
    trace.hidden[layer - 1].back_remainder[..., 0] += amounts
    return trace


@pytest.mark.parametrize("name", UPPER)
def test_each_step_of_the_way_back_notices_an_h_moved_by_something_else(name: str) -> None:
    here = twice(name)
    steps = batches(here.plan)
    when = np.arange(len(steps)).repeat(BATCH).reshape(here.plan.epochs, here.plan.rows)
    for layer in range(1, here.plan.depth):
        below, rule = here.plan.model.widths[layer], f"layer {layer + 1}"
        delta = here.trace.layer_delta
        deltas = np.stack([delta(layer, epoch, slice(None)) for epoch in range(here.plan.epochs)])
        for j in {1, below - 1}:
            call, place = product_place(0, j, below)
            at = (f"{rule}/initial way back", call)
            assert notices(here, absorbed(here, layer, deltas[..., 0]), {at: by({place: 1})}) == {at}
        for step, (epoch, rows) in enumerate(steps):
            later = when > step
            for part in (0, 1):
                at = (f"{rule}/back step", 2 * step + part)
                assert notices(here, absorbed(here, layer, -deltas[..., 0] * later), {at: by({0: 1})}) == {at}
            for j in {1, below - 1}:
                for row in range(rows.start, rows.stop):
                    trace = absorbed(here, layer, -(deltas @ deltas[epoch, row]) * later)
                    if remainders_fit(trace, layer):
                        break
                assert remainders_fit(trace, layer)
                call, place = product_place(row, j, below)
                at = (f"{rule}/inputs", epoch * (1 if below == 2 else 2) + call)
                assert notices(here, trace, {at: by({place: 1})}) == {at}
