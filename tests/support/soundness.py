"""Soundness harness: forge an assignment, and ask which rule notices.

A forged assignment is made by a constraint system that lets a test replace the values of named wires as they are
allocated; all that comes later is computed from the forged values, as a cheating prover would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fedproof import _core
from fedproof.proving.lin import Lin
from fedproof.proving.r1cs import ConstraintSystem, FrArray, Values
from fedproof.proving.transcript import derived_lambda

SIGMA, LAMBDA = 0x1234567890ABCDEF1234567890ABCDEF, 0xFEDCBA0987654321FEDCBA0987654321
DERIVED = derived_lambda(SIGMA)
"""The lambda of a statement that computes its own."""
Forgery = Callable[["Forger", FrArray], FrArray]


class Forger(ConstraintSystem):
    """A constraint system whose wires a test can forge by name; lookups of values in no table pass."""

    def __init__(
        self, forgeries: dict[str, Forgery] | None = None, challenges: tuple[int, int] = (SIGMA, LAMBDA)
    ) -> None:
        self.forgeries = forgeries or {}
        self.made: dict[str, list[Lin]] = {}
        super().__init__(structure=True, challenge=lambda _: challenges, strict=False)

    def _allocate(self, segment: int, shape: tuple[int, ...], values: Values, name: str) -> Lin:
        wires = super()._allocate(segment, shape, values, name)
        self.made.setdefault(name, []).append(wires)
        if name in self.forgeries:
            forged = self.forgeries[name](self, np.ascontiguousarray(self._z[wires.wires]))
            self._z[wires.wires] = forged
        return wires

    def ints(self, name: str, occurrence: int = 0) -> list[int]:
        """Values of the wires made under a name."""
        return _core.fr_to_ints(self.value(self.made[name][occurrence]))


def forged(statement: Any, witness: Any, forgeries: dict[str, Forgery] | None = None) -> Forger:
    """Assign a statement with forged wires."""
    cs = Forger(forgeries)
    statement.synthesize(cs, witness)
    return cs


def broken_rules(cs: Forger) -> set[str]:
    """The names of all rules that the assignment breaks, found by leaving out one broken rule after the other."""
    z = cs.witness()
    found: set[str] = set()
    for name in cs.groups:
        ranges = cs.groups[name]
        if not satisfied_rows(cs, z, ranges):
            found.add(name)
    return found


def satisfied_rows(cs: Forger, z: FrArray, ranges: list[tuple[int, int]]) -> bool:
    """Whether the rows of these ranges hold, evaluated on their own."""
    order = np.empty(cs._wires, dtype=np.int64)
    order[cs.order()] = np.arange(cs._wires)
    keep = np.zeros(cs.num_constraints, dtype=bool)
    for first, last in ranges:
        keep[first:last] = True
    pool = _core.fr_from_ints(cs.pool.values)
    a, b, c = (_core.sparse_apply(*cs._matrix(part, order, keep), pool, z) for part in cs._parts)
    return bool(np.array_equal(_core.fr_mul(a, b), c))


def assert_only_rule_notices(cs: Forger, rule: str) -> None:
    """The forged assignment breaks this rule and no other: with the rule removed the circuit accepts it."""
    z = cs.witness()
    assert cs.build().first_unsatisfied(z) is not None, "the forgery was accepted by the whole circuit"
    assert broken_rules(cs) == {rule}
    assert cs.build(without=rule).first_unsatisfied(z) is None


def add(amount: int, at: int = 0) -> Forgery:
    """Add a number to one of the wires made under a name."""

    def forge(_: Forger, values: FrArray) -> FrArray:
        values[at] = _core.fr_add(values[at : at + 1], _core.fr_from_ints([amount]))[0]
        return values

    return forge


def put(numbers: Any) -> Forgery:
    """Replace all wires made under a name."""
    return lambda _, values: _core.fr_from_ints([int(n) for n in np.asarray(numbers, dtype=object).reshape(-1)])
