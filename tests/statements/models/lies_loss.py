"""Lies about the last layer and about values outside of tables; see `lies.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import numpy as np

from fedproof.learning.architecture import CROSS_ENTROPY, LOG, SQUARED
from fedproof.learning.exact import ModelTrace, SigmoidTrace, SoftmaxTrace, SquaredTrace
from fedproof.learning.exponential import exponential_table
from fedproof.learning.fixed import Int
from fedproof.statements.models.gadgets import sigmoid_columns
from tests.statements.models.forge import INPUT, TABLE_ROW, Lie, by, row_of, settle
from tests.statements.models.scenes import Scene, copied
from tests.support.soundness import SIGMA

# the last layer


def loss_lies(scene: Scene) -> Iterator[tuple[str, Lie]]:
    if scene.plan.model.loss == LOG:
        trace = copied(scene.trace)
        sigmoid_at(trace, int(cast(SigmoidTrace, trace.head).index[0, scene.row, 0]) - 2)
        yield "loss/saturation", Lie(settle(trace), {("loss/saturation", 0): by({scene.row: 2})})
    if scene.plan.model.loss == CROSS_ENTROPY:
        yield from softmax_lies(scene)


def sigmoid_at(trace: ModelTrace, index: int) -> None:
    """Another index of the lying row, with its sigmoid and delta."""
    row = row_of(trace)
    plan, head = trace.plan, cast(SigmoidTrace, trace.head)
    _, outputs, _ = sigmoid_columns(plan)
    trace.delta[0, row, 0] += outputs[index + plan.table_half] - head.output[0, row, 0]
    head.index[0, row, 0], head.output[0, row, 0] = index, outputs[index + plan.table_half]


def divided(trace: ModelTrace) -> ModelTrace:
    """Probabilities and deltas of the lying row as they follow from its exponentials, whatever they are."""
    row = row_of(trace)
    head, unit = cast(SoftmaxTrace, trace.head), 1 << trace.plan.scales[-1].delta_bits
    total = int(head.exponential[0, row].sum())
    probability, left = np.divmod(2 * unit * head.exponential[0, row] + total, 2 * total)
    trace.delta[0, row] += probability - head.probability[0, row]
    head.total[0, row], head.probability[0, row], head.division[0, row] = (
        total,
        probability,
        left,
    )
    return settle(trace)


def distant(trace: ModelTrace) -> int:
    """A class of the lying row that is not the largest."""
    return int(np.argmax(cast(SoftmaxTrace, trace.head).distance[0, row_of(trace)]))


def moved_away(scene: Scene, steps: Int, overflow: int = 0) -> ModelTrace:
    """The distances of the lying row larger by `steps`, with exponentials and all that follows."""
    trace = copied(scene.trace)
    head, plan = cast(SoftmaxTrace, trace.head), scene.plan
    table = exponential_table(plan.logit_bits, plan.exponential_bits)
    head.overflow[0, scene.row, distant(trace)] += overflow
    head.distance[0, scene.row] += steps
    assert head.distance[0, scene.row].max() < len(table) - 1
    head.exponential[0, scene.row] = table[head.distance[0, scene.row]]
    return divided(trace)


def at_class(trace: ModelTrace, k: int, amount: int) -> Int:
    """An amount at one class, zero at the others."""
    return np.eye(trace.plan.model.outputs, dtype=np.int64)[k] * amount


def softmax_lies(scene: Scene) -> Iterator[tuple[str, Lie]]:
    plan, classes = scene.plan, scene.plan.model.outputs
    unit, label = 1 << plan.scales[-1].delta_bits, int(scene.labels[scene.row])
    k = distant(scene.trace)
    yield "loss/saturation", Lie(moved_away(scene, at_class(scene.trace, k, -1), 1))

    trace = moved_away(scene, np.full(classes, 40))
    cast(SoftmaxTrace, trace.head).largest[0, scene.row] += 40
    yield "loss/maximum", Lie(trace)

    trace = copied(scene.trace)
    cast(SoftmaxTrace, trace.head).probability[0, scene.row, k] += 1
    trace.delta[0, scene.row, k] += 1
    yield "loss/division", Lie(settle(trace))

    def hot(change: Int) -> Lie:
        trace = copied(scene.trace)
        trace.delta[0, scene.row] -= unit * change
        places = {scene.row * (classes - 1) + place: int(amount) for place, amount in enumerate(change[1:])}
        return Lie(settle(trace), {("loss/hot", 0): by(places)})

    other = (label + 1) % classes
    yield "loss/label", hot(at_class(trace, other, 1) - at_class(trace, label, 1))
    if classes > 2:
        # sums to nothing, and so does its sum with the classes' numbers
        change = at_class(trace, 0, 1) - 2 * at_class(trace, 1, 1) + at_class(trace, 2, 1)
        yield "loss/one class", hot(change)
    else:
        # the label of two classes is the bit itself: only the bit's rule keeps a listing's label from being 5
        lie = hot(at_class(trace, 1, 5 - label) - at_class(trace, 0, 5 - label))
        yield "loss/one class", Lie(lie.trace, {**lie.changes, ("labels", 0): by({scene.row: 5 - label})})


# tables


def lookup_lies(scene: Scene) -> Iterator[tuple[str, Lie]]:
    plan = scene.plan
    for table, lie in outside_lies(scene):
        yield f"lookup/{table}/input", replace(lie, cover=(table, INPUT))
        yield f"lookup/{table}/row", replace(lie, cover=(table, TABLE_ROW))
        if table == "limb":
            yield "lookup/sum", lie
    if plan.model.loss == SQUARED:
        return
    table, lie, places = false_entry(scene)
    yield f"lookup/{table}/fold", replace(lie, changes=lie.changes | {(f"lookup/{table}/fold", 0): by(places)})
    unread = {("lookup/powers of sigma", 0): by({0: -(SIGMA**2)})}  # a column that does not count
    yield "lookup/powers of sigma", replace(lie, changes=lie.changes | unread)


def false_entry(scene: Scene) -> tuple[str, Lie, dict[int, int]]:
    """An output of the prover's choice: the table, the lie, and what hides it in the folded column."""
    trace = copied(scene.trace)
    if scene.plan.model.loss == LOG:
        trace.delta[0, scene.row, 0] += 77
        return "sigmoid", Lie(settle(trace), {("loss/sigmoid", 0): by({scene.row: 77})}), {scene.row: -77 * SIGMA**2}
    k = distant(trace)
    cast(SoftmaxTrace, trace.head).exponential[0, scene.row, k] -= 1
    return "exponential", Lie(divided(trace)), {scene.row * scene.plan.model.outputs + k: SIGMA**2}


def outside_lies(scene: Scene) -> Iterator[tuple[str, Lie]]:
    """For each table a lie that is a value outside of it, and nothing else."""
    plan = scene.plan
    last = plan.forward(plan.depth - 1)
    width = last.limbs + 1
    assert last.limbs

    def carried(values: list[int]) -> dict[int, int]:
        # the same remainder with its lowest limb too large and the next too small
        row = next(i for i in range(plan.rows) if values[i * plan.model.outputs * width + 1] > 0)
        at = row * plan.model.outputs * width
        return {at: 1 << plan.limb_bits, at + 1: -1}

    yield "limb", Lie(scene.trace, {("loss/remainder", 0): carried})
    places: dict[int, Callable[[], ModelTrace]] = {last.top_size: lambda: beyond_at_last(scene)}
    for layer in range(plan.depth - 1):
        places.setdefault(plan.forward(layer).top_size, lambda layer=layer: beyond_at_unit(scene, layer))  # type: ignore[misc]
        places.setdefault(plan.backward(layer + 1).top_size, lambda layer=layer: beyond_at_delta(scene, layer))  # type: ignore[misc]
    for size, make in places.items():
        yield f"top limb below {size}", Lie(make())
    if plan.model.loss != SQUARED:
        table, lie, _ = false_entry(scene)
        yield table, lie


def beyond_at_unit(scene: Scene, layer: int) -> ModelTrace:
    """`q - 1` with `rem + s` is the same sum."""
    trace = copied(scene.trace)
    hidden = trace.hidden[layer]
    hidden.index[0, scene.row, 0] -= 1
    hidden.remainder[0, scene.row, 0] += scene.plan.forward(layer).divisor
    return trace


def beyond_at_delta(scene: Scene, layer: int) -> ModelTrace:
    """The same on the way back, at a unit that is off."""
    trace = copied(scene.trace)
    hidden = trace.hidden[layer]
    hidden.rounded[0, scene.row, 0] -= 1
    hidden.back_remainder[0, scene.row, 0] += scene.plan.backward(layer + 1).divisor
    return trace


def beyond_at_last(scene: Scene) -> ModelTrace:
    """The same in the last layer, with the delta that follows."""
    plan = scene.plan
    divisor = plan.forward(plan.depth - 1).divisor
    if plan.model.loss == CROSS_ENTROPY:
        k = distant(scene.trace)
        trace = moved_away(scene, at_class(scene.trace, k, 1))
        trace.head.remainder[0, scene.row, k] += divisor
        return trace
    trace = copied(scene.trace)
    trace.head.remainder[0, scene.row, 0] += divisor
    if plan.model.loss == LOG:
        sigmoid_at(trace, int(cast(SigmoidTrace, trace.head).index[0, scene.row, 0]) - 1)
    else:
        cast(SquaredTrace, trace.head).index[0, scene.row, 0] -= 1
        trace.delta[0, scene.row, 0] -= 1
    return settle(trace)
