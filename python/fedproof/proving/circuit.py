"""From a statement to its circuit: the matrices, the name of every constraint group, and the pinned circuit id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from fedproof import _core
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.proving.transcript import tag

Witness = TypeVar("Witness", contravariant=True)


class Statement(Protocol[Witness]):
    """What `statements/` files provide: a name, a version and one function that declares wires and constraints."""

    @property
    def name(self) -> str:
        """Name of the statement, part of the circuit id."""

    @property
    def version(self) -> int:
        """Version of the statement, part of the circuit id."""

    def synthesize(self, cs: ConstraintSystem, witness: Witness | None) -> None:
        """Declare all wires and constraints; with a witness, assign them."""


@dataclass(frozen=True)
class Circuit:
    """The compiled form of a statement.

    Attributes:
        circuit_id: 32 bytes that change with any constraint, coefficient, name or version.
        groups: for each named rule, the ranges of rows that enforce it.
    """

    name: str
    version: int
    r1cs: _core.R1cs
    circuit_id: bytes
    groups: dict[str, list[tuple[int, int]]]

    def group_of(self, row: int) -> str:
        """The rule that a row belongs to."""
        for name, ranges in self.groups.items():
            if any(first <= row < last for first, last in ranges):
                return name
        return "public input"

    def census(self) -> Iterator[tuple[str, int]]:
        """Constraints spent on each rule, the largest first."""
        sizes = {name: sum(last - first for first, last in ranges) for name, ranges in self.groups.items()}
        yield from sorted(sizes.items(), key=lambda item: -item[1])


def compile_statement(statement: Statement[Witness]) -> Circuit:
    """Build the matrices and the circuit id of a statement."""
    cs = ConstraintSystem(structure=True)
    statement.synthesize(cs, None)
    r1cs = cs.build()
    name = _core.keccak256(statement.name.encode())
    circuit_id = _core.keccak256(tag("circuit") + name + statement.version.to_bytes(32, "big") + r1cs.digest())
    return Circuit(statement.name, statement.version, r1cs, circuit_id, cs.groups)
