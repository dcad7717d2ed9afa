"""Checks and steps are imposed batch by batch: each place of each layer and epoch notices a lie that no other does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fedproof.learning import exact
from fedproof.learning.exact import ModelTrace, batches
from fedproof.statements.models.statement import ModelStatement
from tests.statements.models.forge import R, by, lying_run, nudged, product_place
from tests.statements.models.scenes import Scene, copied, scene, witness_of
from tests.support.occurrences import Change, Occurrence, broken_occurrences, changed
from tests.support.soundness import SIGMA

pytestmark = pytest.mark.slow

NAMES = ["softmax", "perceptron of one output", "perceptron of classes", "deep perceptron"]
EPOCHS = 2
IN_BATCH = 5
"""The row of its batch that lies."""


@cache
def twice(name: str) -> Scene:
    """The scene with a second epoch."""
    here = scene(name)
    plan = replace(here.plan, epochs=EPOCHS)
    trace = exact.train(plan, here.features, here.mask, here.labels, here.start)
    return replace(here, plan=plan, trace=trace)


def notices(here: Scene, trace: ModelTrace, changes: dict[Occurrence, Change] | None = None) -> set[Occurrence]:
    """Where the statement breaks."""
    return broken_occurrences(changed(ModelStatement(here.plan), witness_of(trace), changes or {}))


def places(here: Scene) -> list[tuple[int, int, int]]:
    """Number, epoch and lying row of each step."""
    return [(number, epoch, rows.start + IN_BATCH) for number, (epoch, rows) in enumerate(batches(here.plan))]


def false_sum(here: Scene, layer: int, epoch: int, row: int, k: int) -> tuple[ModelTrace, int]:
    """A run in which one forward sum is off by one, with the same quotient; and by how much."""
    trace = copied(here.trace)
    part = trace.hidden[layer] if layer < here.plan.depth - 1 else trace.head
    return trace, nudged(here.plan.forward(layer), part.remainder, (epoch, row, k))


@pytest.mark.parametrize("name", NAMES)
def test_each_forward_check_notices_a_false_sum_of_its_batch(name: str) -> None:
    here = twice(name)
    for layer, (_, outputs) in enumerate(here.plan.model.layers):
        rule = f"layer {layer + 1}"
        for step, epoch, row in places(here):
            trace, _ = false_sum(here, layer, epoch, row, 0)
            assert notices(here, trace) == {(f"{rule}/forward", 2 * step + 1)}
            if outputs > 1:
                trace, moved = false_sum(here, layer, epoch, row, 1)
                call, place = product_place(row, 1, outputs)
                at = (f"{rule}/logits", epoch * (1 if outputs == 2 else 2) + call)
                back = -moved * pow(SIGMA, here.plan.stride(layer), R)
                assert notices(here, trace, {at: by({place: back})}) == {at}


@pytest.mark.parametrize("name", NAMES)
def test_each_sum_of_a_group_notices_a_row_that_it_leaves_out(name: str) -> None:
    here = twice(name)
    g, a = here.plan.group, here.plan.columns
    assert g > 1
    for step, epoch, row in places(here):
        trace, moved = false_sum(here, 0, epoch, row, 0)
        call, place = product_place(IN_BATCH // g, IN_BATCH % g, g)
        at = ("layer 1/groups", step * (1 if g == 2 else 2) + call)
        assert notices(here, trace, {at: by({place: -moved * pow(SIGMA, a * (IN_BATCH % g), R)})}) == {at}


@pytest.mark.parametrize("name", [name for name in NAMES if "perceptron" in name])
def test_each_check_of_the_way_back_notices_a_false_delta_of_its_batch(name: str) -> None:
    here = twice(name)
    for layer in range(1, here.plan.depth):
        below, outputs = here.plan.model.widths[layer], here.plan.model.layers[layer][1]
        for step, epoch, row in places(here):
            trace = copied(here.trace)
            moved = nudged(here.plan.backward(layer), trace.hidden[layer - 1].back_remainder, (epoch, row, 1))
            rule = f"layer {layer + 1}/back"
            assert notices(here, trace) == {(rule, step if outputs == 1 else 2 * step + 1)}
            if outputs > 1:
                call, place = product_place(row, 1, below)
                at = (f"{rule} sums", epoch * (1 if below == 2 else 2) + call)
                assert notices(here, trace, {at: by({place: -moved * SIGMA})}) == {at}


def test_the_lying_run_is_an_honest_one_when_it_does_not_lie() -> None:
    here = twice("deep perceptron")
    trace = lying_run(here, -1, 0)
    assert all(np.array_equal(a, b) for a, b in zip(trace.end, here.trace.end, strict=True))
    assert np.array_equal(trace.hidden[1].delta, here.trace.hidden[1].delta)


@pytest.mark.parametrize("name", NAMES)
def test_each_step_of_each_layer_notices_weights_moved_by_something_else(name: str) -> None:
    here = twice(name)
    for layer, (inputs, _) in enumerate(here.plan.model.layers):
        rule = f"layer {layer + 1}/step"
        for step, _, _ in places(here):
            trace = lying_run(here, step, layer)
            # the product of one row; the last product, which is the new vector with its sign turned
            for part in (0, 1):
                at = (rule, 2 * step + part)
                assert notices(here, trace, {at: by({inputs - 1: -1})}) == {at}
