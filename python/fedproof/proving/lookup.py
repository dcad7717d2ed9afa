"""Lookups by logarithmic derivative (LogUp, Haboeck 2022, eprint 2022/1530), all tables in one argument.

For a row of a table with tag g and columns e_0, e_1, ... the key is `e_0 + g*sigma + e_1*sigma^2 + ...`; the same for
each lookup. Then

    sum over lookups 1 / (lambda - key)  =  sum over table rows multiplicity / (lambda - key)

holds for a random (sigma, lambda) only if every lookup is a row of its own table. Columns are folded with sigma,
never with lambda itself, and every value that enters (inputs, outputs, multiplicities) lies in the committed segment
(protocol, section 4). The cost: one constraint for each lookup and table row, one more for each further column of a
lookup, and one for the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.proving.lin import Lin

if TYPE_CHECKING:
    from fedproof.proving.r1cs import ConstraintSystem, FrArray


@dataclass
class Table:
    """A table of constants with distinct keys, and what is looked up in it."""

    name: str
    tag: int
    columns: tuple[NDArray[np.int64], ...]
    argument: LookupArgument
    lookups: list[tuple[Lin, ...]] = field(default_factory=list)
    multiplicity: Lin | None = None

    def lookup(self, *columns: Lin) -> None:
        """Require that each element of the columns, together, is a row of this table."""
        if len(columns) != len(self.columns) or self.argument.closed:
            raise ProofError(
                f"table {self.name!r}: a lookup has the wrong number of columns or comes after the challenges"
            )
        self.lookups.append(tuple(column.reshape(-1) for column in columns))


class LookupArgument:
    """The one lookup argument of a constraint system."""

    def __init__(self, cs: ConstraintSystem) -> None:
        self.cs = cs
        self.tables: list[Table] = []
        self.closed = False

    def table(self, name: str, columns: Sequence[NDArray[np.int64]]) -> Table:
        """Declare a table; tags are 1, 2, ... in order of declaration."""
        if len(np.unique(columns[0])) != len(columns[0]):
            raise ProofError(f"table {name!r} has a repeated key")
        made = Table(name, len(self.tables) + 1, tuple(columns), self)
        self.tables.append(made)
        return made

    def commit(self) -> None:
        """Count the multiplicities into the committed segment."""
        for table in self.tables:
            counts = self._count(table) if self.cs.assigning else None
            table.multiplicity = self.cs.committed((len(table.columns[0]),), counts, f"multiplicity of {table.name}")
        self.closed = True

    def _count(self, table: Table) -> NDArray[np.int64]:
        keys = table.columns[0]
        order = np.argsort(keys)
        counts = np.zeros(len(keys), dtype=np.int64)
        for columns in table.lookups:
            values = self._integers(self.cs.value(columns[0]), table.name)
            place = order[np.clip(np.searchsorted(keys, values, sorter=order), 0, len(keys) - 1)]
            hit = keys[place] == values
            if self.cs.strict and not hit.all():
                raise ProofError(f"value {values[~hit][0]} looked up in table {table.name!r} is not in it")
            counts += np.bincount(place[hit], minlength=len(keys))
        return counts

    def _integers(self, values: FrArray, name: str) -> NDArray[np.int64]:
        try:
            return _core.fr_to_i64(values)
        except ValueError:
            if self.cs.strict:
                raise ProofError(f"a value looked up in table {name!r} is not in it") from None
        nowhere = int(np.iinfo(np.int64).min)
        half = _core.MODULUS // 2
        signed = [v if v < half else v - _core.MODULUS for v in _core.fr_to_ints(values)]
        return np.array([v if abs(v) < 2**62 else nowhere for v in signed], dtype=np.int64)

    @property
    def degree(self) -> int:
        """No larger power of sigma is in the argument, once its denominators are cleared."""
        width = max((len(table.columns) for table in self.tables), default=0)
        rows = sum(len(table.columns[0]) for table in self.tables)
        return width * (rows + sum(each[0].size for table in self.tables for each in table.lookups))

    def prove(self, sigma: Lin, lam: Lin) -> None:
        """Emit the argument, after the challenges."""
        if not any(table.lookups for table in self.tables):
            return
        cs = self.cs
        width = max(len(table.columns) for table in self.tables)
        fold = cs.powers(sigma, width + 1, "lookup/powers of sigma")
        total = cs.constant(0)
        for table in self.tables:
            assert table.multiplicity is not None
            for columns in table.lookups:
                key = columns[0] + fold[1] * table.tag
                for power, column in enumerate(columns[1:], start=2):
                    key = key + cs.product(column, fold[power], f"lookup/{table.name}/fold")
                total = total + self._inverse(key, lam, cs.constant(1), f"lookup/{table.name}/input").sum()
            row = fold[1] * table.tag
            row = cs.constant(table.columns[0]) + row
            for power, entries in enumerate(table.columns[1:], start=2):
                row = row + fold[power].broadcast_to((len(entries),)) * entries
            total = total - self._inverse(row, lam, table.multiplicity, f"lookup/{table.name}/row").sum()
        cs.equal(total, 0, "lookup/sum")

    def _inverse(self, key: Lin, lam: Lin, numerator: Lin, group: str) -> Lin:
        """Wires `numerator / (lambda - key)`."""
        cs = self.cs
        values = None
        if cs.assigning:
            try:
                inverse = _core.fr_inverse(cs.value(lam - key))
            except ValueError:
                raise ProofError("a challenge hit a table key (probability below 2^-200); prove again") from None
            values = _core.fr_mul(inverse, cs.value(numerator))
        out = cs.private(key.shape, values, group)
        cs.constrain(out, lam - key, numerator, group)
        return out
