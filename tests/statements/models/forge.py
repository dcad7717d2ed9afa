"""Forged runs of the training statement: a lie, what follows from it, and what covers it up.

A lie is a run that is false somewhere, with all that follows from it done as the statement wants, and private wires
that cover it up. Lies sit in the last batch of the run, the row `Scene.row`, so that what they move ends in the update.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fedproof import _core
from fedproof.learning import exact
from fedproof.learning.exact import ModelTrace, batches
from fedproof.learning.fixed import BATCH, Int
from fedproof.learning.plan import Rounding
from tests.statements.models.scenes import IN_BATCH, ROWS, Scene, witness_of
from tests.support.occurrences import Change, Changer, Occurrence

R = _core.MODULUS
LAST = ROWS // BATCH - 1
Changes = dict[Occurrence, Change]
INPUT, TABLE_ROW = "input", "row"


@dataclass(frozen=True)
class Lie:
    """A false run, what is added to single wires, and where a value outside of a table is hidden.

    Attributes:
        cover: a table and INPUT, where the value's inverse is said to be zero, or TABLE_ROW, where the inverse is added
            to that of the table's first row; or nothing.
        output: added to y.
    """

    trace: ModelTrace
    changes: Changes = field(default_factory=dict)
    cover: tuple[str, str] | None = None
    output: int = 0


def row_of(trace: ModelTrace) -> int:
    """The row that lies, in the last batch."""
    return trace.plan.rows - BATCH + IN_BATCH


def by(amounts: dict[int, int]) -> Change:
    """Add these amounts to the wires at these places."""
    return lambda _: amounts


def assign(scene: Scene, lie: Lie) -> Changer:
    """The statement assigned with a lie."""
    cs = Changer(lie.changes)
    scene.statement.synthesize(cs, witness_of(lie.trace))
    if lie.output:  # assigned at the end, from all the rest
        shift(cs, int(cs.made["y"][0].wires[0]), lie.output)
    if lie.cover:
        hide(cs, *lie.cover)
    return cs


def hide(cs: Changer, name: str, where: str) -> None:
    """Balance the sum of inverses in spite of looked-up values that are no rows of a table."""
    table = next(each for each in cs.lookups.tables if each.name == name)
    rows = {
        int(row[0]) % R: (place, [int(v) % R for v in row])
        for place, row in enumerate(zip(*table.columns, strict=True))
    }
    first = cs.made[f"lookup/{name}/row"][0]
    assert table.multiplicity is not None
    for number, columns in enumerate(table.lookups):
        inverses = cs.made[f"lookup/{name}/input"][number]
        for at, values in enumerate(zip(*(_core.fr_to_ints(cs.value(column)) for column in columns), strict=True)):
            place, row = rows.get(values[0], (None, None))
            if row == list(values):
                continue
            wire = inverses.wires[at]
            if place is not None:  # its key was counted, so the multiplicity is one too large
                shift(cs, table.multiplicity.wires[place], -1)
                count = _core.fr_to_ints(cs._z[table.multiplicity.wires[place]][None])[0]
                made = _core.fr_to_ints(cs._z[first.wires[place]][None])[0]
                shift(cs, first.wires[place], made * count * pow(count + 1, -1, R) - made)
            inverse = _core.fr_to_ints(cs._z[wire][None])[0]
            shift(cs, wire if where == INPUT else first.wires[0], -inverse if where == INPUT else inverse)


def shift(cs: Changer, wire: int, amount: int) -> None:
    """Add an amount to a wire that nothing was computed from yet."""
    cs._z[wire] = _core.fr_add(cs._z[wire][None], _core.fr_from_ints([amount]))[0]


def backward(trace: ModelTrace, layer: int) -> None:
    """Deltas of the lying row in a hidden layer, as they follow from those above."""
    row = row_of(trace)
    hidden, plan = trace.hidden[layer], trace.plan
    weights = trace.history(layer + 1)[-2]
    back = weights[:-1] @ trace.layer_delta(layer + 1, 0, slice(row, row + 1))[0]
    rounded, rest = plan.backward(layer + 1).divide(back)
    hidden.back[0, row], hidden.rounded[0, row], hidden.back_remainder[0, row] = (
        back,
        rounded,
        rest,
    )
    pass_on(trace, layer, deeper=False)


def pass_on(trace: ModelTrace, layer: int, *, deeper: bool = True) -> None:
    """The masked delta of the lying row, and all deltas below."""
    row = row_of(trace)
    hidden = trace.hidden[layer]
    hidden.delta[0, row] = hidden.positive[0, row] * hidden.rounded[0, row]
    if deeper:
        for lower in range(layer - 1, -1, -1):
            backward(trace, lower)


def settle(trace: ModelTrace) -> ModelTrace:
    """All deltas of the lying row below those of the last layer."""
    for layer in range(trace.plan.depth - 2, -1, -1):
        backward(trace, layer)
    return trace


def product_place(row: int, k: int, terms: int) -> tuple[int, int]:
    """Which call of an inner product of `terms` terms makes the product of row and term k >= 1, and its place."""
    if terms == 2:
        return 0, row
    return (1, row) if k == terms - 1 else (0, row * (terms - 2) + k - 1)


def nudged(rounding: Rounding, remainders: Int, place: tuple[int, ...]) -> int:
    """Move a remainder by one within its range, and so the value that was divided; returns by how much."""
    by_one = 1 if remainders[place] + 1 < rounding.divisor else -1
    remainders[place] += by_one
    return by_one


def lying_run(here: Scene, step: int, layer: int) -> ModelTrace:
    """A run in which a step leaves the bias of a layer's first output one too large; the rest follows from it."""
    plan = replace(here.plan, rows=BATCH, epochs=1)
    weights: tuple[Int, ...] = here.start
    runs: list[ModelTrace] = []
    for number, (_, rows) in enumerate(batches(here.plan)):
        runs.append(exact.train(plan, here.features[rows], here.mask[rows], here.labels[rows], weights))
        weights = tuple(matrix.copy() for matrix in runs[-1].end)
        if number == step:
            weights[layer][-1, 0] += 1

    return joined(here, runs, weights)


def joined(here: Scene, runs: list[ModelTrace], end: tuple[Int, ...] | None = None) -> ModelTrace:
    """Runs of a batch each as one run of a scene."""

    def one(arrays: list[Int]) -> Int:
        flat = np.concatenate(arrays, axis=1)
        return np.ascontiguousarray(flat.reshape(here.plan.epochs, here.plan.rows, *flat.shape[2:]))

    def all_of(parts: list[Any]) -> dict[str, Int]:
        return {name: one([vars(part)[name] for part in parts]) for name in vars(parts[0])}

    hidden = tuple(replace(each, **all_of([run.hidden[k] for run in runs])) for k, each in enumerate(here.trace.hidden))
    head = replace(here.trace.head, **all_of([run.head for run in runs]))
    delta = one([run.delta for run in runs])
    return replace(here.trace, hidden=hidden, head=head, delta=delta, end=end or runs[-1].end)


def remainders_fit(trace: ModelTrace, layer: int) -> bool:
    """Whether the remainders of the way back through a layer are in range."""
    remainder = trace.hidden[layer - 1].back_remainder
    return bool(((remainder >= 0) & (remainder < trace.plan.backward(layer).divisor)).all())
