"""Lies about products, sums by challenge, steps, the way back and hidden units; see `lies.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fedproof.learning.exact import ModelTrace
from fedproof.learning.fixed import BATCH, Int
from tests.statements.models.forge import (
    LAST,
    Lie,
    R,
    backward,
    by,
    lying_run,
    nudged,
    pass_on,
    product_place,
    remainders_fit,
)
from tests.statements.models.scenes import ROWS, Scene, copied
from tests.support.soundness import SIGMA

# products that reach y and nothing else, and the challenge's powers


def product_lies(scene: Scene) -> Iterator[tuple[str, Lie]]:
    plan, honest = scene.plan, scene.trace
    names = ["commitment blinding", "data/row", "data/group", "data/labels", "data/blinding", "data/tail"]
    names += ["evaluation/weights", "evaluation/update", "evaluation/blinding", "evaluation/lambda", "powers of sigma"]
    if plan.depth > 1:
        names += ["evaluation/weights of a layer", "evaluation/update of a layer"]
    if plan.group == 1:
        names.append("layer 1/last step")
    for name in names:
        yield name, Lie(honest, {(name, 0): by({0: 1})})
    yield "evaluation/output", Lie(honest, output=1)
    if plan.group > 1:
        # a fold of the first feature, which no weight reads
        yield "data/fold", Lie(honest, {("data/fold", 1 if plan.group > 2 else 0): by({0: 1})})


# sums by challenge, forward checks and steps


def layer_lies(scene: Scene, layer: int) -> Iterator[tuple[str, Lie]]:
    plan, name = scene.plan, f"layer {layer + 1}"
    inputs, outputs = plan.model.layers[layer]
    stride = plan.stride(layer)
    v1 = pow(SIGMA, stride, R)

    def false_sum(k: int) -> tuple[ModelTrace, int]:
        trace = copied(scene.trace)
        part = trace.hidden[layer] if layer < plan.depth - 1 else trace.head
        return trace, nudged(plan.forward(layer), part.remainder, (0, scene.row, k))

    yield f"{name}/forward", Lie(false_sum(0)[0])
    if outputs > 1:
        trace, moved = false_sum(1)
        call, place = product_place(scene.row, 1, outputs)
        yield f"{name}/logits", Lie(trace, {(f"{name}/logits", call): by({place: -moved * v1})})
        # the run starts from another bias than the committed one
        start = [matrix.copy() for matrix in scene.start]
        start[layer][-1, 1] += 1
        trace = replace(scene.run(tuple(start)), start=scene.start)
        call, place = product_place(inputs - 1, 1, outputs)
        yield f"{name}/initial weights", Lie(trace, {(f"{name}/initial weights", call): by({place: v1})})
        call, place = product_place(scene.row, 1, outputs)
        yield f"{name}/deltas", Lie(scene.trace, {(f"{name}/deltas", call): by({place: 1})})
    if layer == 0 and plan.group > 1:
        trace, moved = false_sum(0)
        g, at = plan.group, scene.row % BATCH
        assert at % g
        call, place = product_place(at // g, at % g, g)
        power = pow(SIGMA, plan.columns * (at % g), R)
        calls = 1 if g == 2 else 2
        yield f"{name}/groups", Lie(trace, {(f"{name}/groups", LAST * calls + call): by({place: -moved * power})})
    # the last step, so that only the update is false; with groups of one the first layer's is another rule
    step = 2 * LAST
    if layer == 0 and plan.group == 1:
        trace = lying_run(scene, 0, 0)
        yield f"{name}/step", Lie(trace, {(f"{name}/step", 0): by({inputs - 1: -1})})
    else:
        yield f"{name}/step", Lie(scene.trace, {(f"{name}/step", step): by({0: 1})})


# the way back


def way_back_lies(scene: Scene, layer: int) -> Iterator[tuple[str, Lie]]:
    plan, name, rounding = scene.plan, f"layer {layer + 1}", scene.plan.backward(layer)
    below, outputs = plan.model.widths[layer], plan.model.layers[layer][1]
    trace = copied(scene.trace)
    nudged(rounding, trace.hidden[layer - 1].back_remainder, (0, scene.row, 1))
    yield f"{name}/back", Lie(trace)
    if outputs == 1:
        return
    trace = copied(scene.trace)
    moved = nudged(rounding, trace.hidden[layer - 1].back_remainder, (0, scene.row, 1))
    call, place = product_place(scene.row, 1, below)
    yield f"{name}/back sums", Lie(trace, {(f"{name}/back sums", call): by({place: -moved * SIGMA})})

    every, last = slice(0, ROWS), slice(ROWS - BATCH, ROWS)
    delta = scene.trace.layer_delta(layer, 0, every)
    call, place = product_place(0, 1, below)
    changes = {(f"{name}/initial way back", call): by({place: 1})}
    yield f"{name}/initial way back", Lie(absorbed(scene, layer, every, delta[:, 0]), changes)
    # h of output 0 is one less from the second batch on
    changes = {(f"{name}/back step", 0): by({0: 1})}
    yield f"{name}/back step", Lie(absorbed(scene, layer, last, -delta[last, 0]), changes)
    for row in range(BATCH):
        # and with A_row . p one more, h loses the deltas of that row once more
        lie = absorbed(scene, layer, last, -(delta[last] @ delta[row]))
        if remainders_fit(lie, layer) and delta[row].any():
            call, place = product_place(row, 1, below)
            yield f"{name}/inputs", Lie(lie, {(f"{name}/inputs", call): by({place: 1})})
            return
    raise AssertionError("no row's deltas fit the remainders")


def absorbed(scene: Scene, layer: int, rows: slice, amounts: Int) -> ModelTrace:
    """A run in which `back` of the first unit is larger by these amounts, and nothing else: its remainders take it."""
    trace = copied(scene.trace)
    trace.hidden[layer - 1].back_remainder[0, rows, 0] += amounts
    return trace


# units of hidden layers


def half_on(scene: Scene, layer: int, unit: int) -> ModelTrace:
    """A unit that is off with t = q + 1 and u = 0: the same q and activation, and a derivative that is no bit."""
    trace = copied(scene.trace)
    hidden = trace.hidden[layer]
    hidden.positive[0, scene.row, unit] = hidden.index[0, scene.row, unit] + 1
    hidden.index[0, scene.row, unit] = 0
    pass_on(trace, layer)
    return trace


def fits(trace: ModelTrace) -> bool:
    """Whether the rounded deltas are in their range."""
    limit = trace.plan.delta_range
    return all(((each.rounded >= -limit) & (each.rounded < limit)).all() for each in trace.hidden)


def unit_lies(scene: Scene, layer: int) -> Iterator[tuple[str, Lie]]:
    plan, name = scene.plan, f"layer {layer + 1}"
    width = plan.model.widths[layer + 1]
    # unit 0 gets no delta, so that its lie has no effect; it is the last resort
    units = np.flatnonzero(scene.trace.hidden[layer].index[0, scene.row] < -1)[::-1]
    trace = next(lie for unit in units if fits(lie := half_on(scene, layer, int(unit))))
    yield f"{name}/sign", Lie(trace)

    trace = copied(scene.trace)
    # unit 0 is off, and its activation counts twice in q: 3 more there, 6 more in u
    trace.hidden[layer].index[0, scene.row, 0] -= 6
    trace.hidden[layer].output[0, scene.row, 0] = 3
    yield f"{name}/activation", Lie(trace, {(f"{name}/activation", 0): by({scene.row * width: 3})})

    trace = copied(scene.trace)
    trace.hidden[layer].delta[0, scene.row, 1] += 1
    for lower in range(layer - 1, -1, -1):
        backward(trace, lower)
    yield f"{name}/delta", Lie(trace, {(f"{name}/delta", 0): by({scene.row * width + 1: 1})})
