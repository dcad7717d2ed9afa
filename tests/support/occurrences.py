"""Attacks finer than a rule: a rule is often imposed at several places, and each place must be needed.

An occurrence is one call of `ConstraintSystem.constrain`, named by its rule and its number among the rule's calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fedproof import _core
from fedproof.proving.lin import Lin
from fedproof.proving.r1cs import Values
from tests.support.soundness import Forger

Occurrence = tuple[str, int]
Change = Callable[[list[int]], dict[int, int]]
"""Given the values of some wires, what to add to which of them."""


class Changer(Forger):
    """A system in which one allocation of a name, by its number, has its wires changed as it is made."""

    def __init__(self, changes: Mapping[Occurrence, Change]) -> None:
        self._changes = changes
        self._made: Counter[str] = Counter()
        super().__init__()

    def _allocate(self, segment: int, shape: tuple[int, ...], values: Values, name: str) -> Lin:
        wires = super()._allocate(segment, shape, values, name)
        change = self._changes.get((name, self._made[name]))
        self._made[name] += 1
        if change is not None:
            held = _core.fr_to_ints(np.ascontiguousarray(self._z[wires.wires]))
            for at, amount in change(held).items():
                self._z[wires.wires[at]] = _core.fr_from_ints([held[at] + amount])[0]
        return wires


def changed(statement: Any, witness: Any, changes: Mapping[Occurrence, Change]) -> Changer:
    """Assign a statement with some wires changed; all that is computed later follows from the changed values."""
    cs = Changer(changes)
    statement.synthesize(cs, witness)
    return cs


def occurrences(cs: Forger) -> dict[Occurrence, tuple[int, int]]:
    """The rows of every occurrence of every rule."""
    return {(rule, number): rows for rule, ranges in cs.groups.items() for number, rows in enumerate(ranges)}


def broken_occurrences(cs: Forger) -> set[Occurrence]:
    """Where an assignment breaks a rule."""
    z, place = cs.witness(), np.empty(cs._wires, dtype=np.int64)
    place[cs.order()] = np.arange(cs._wires)
    pool, every = _core.fr_from_ints(cs.pool.values), np.ones(cs.num_constraints, dtype=bool)
    a, b, c = (_core.sparse_apply(*cs._matrix(part, place, every), pool, z) for part in cs._parts)
    broken = (_core.fr_mul(a, b) != c).any(axis=1)
    return {name for name, (first, last) in occurrences(cs).items() if broken[first:last].any()}


def attacked_by_one_wire(statement: Any, witness: Any) -> set[Occurrence]:
    """Occurrences that alone notice when a wire is one too large, or when one is and another one too small."""
    honest = changed(statement, witness, {})
    assert broken_occurrences(honest) == set()
    found: set[Occurrence] = set()
    for name, made in honest.made.items():
        for number, wires in enumerate(made):
            for change in _small_changes(wires.size):
                cs = changed(statement, witness, {(name, number): lambda _, change=change: change})  # type: ignore[misc]
                broken = broken_occurrences(cs)
                if len(broken) == 1:
                    found |= broken
    return found


def _small_changes(size: int) -> Iterator[dict[int, int]]:
    yield {0: 1}
    if size > 1:
        yield {size - 1: 1}
        yield {0: 1, size - 1: -1}
