"""One switch for the attacks: which check a deliberately weakened build leaves out.

`Check.NONE` is the build as it is. A test shows an attack succeed with its check left out and fail without: so it is
that check which stops it, and a test that would pass anyhow is found out.

Circuits are weakened here: a rule is left out, or wires lie outside the committed segment, and keys are made for what
is left. Contracts are weakened in `weak_contracts.py`. Nothing of this is in the package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any

from fedproof import _core
from fedproof.proving.circuit import Circuit, Statement, compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.lin import Lin, concatenate
from fedproof.proving.linked import LinkedProof, fold
from fedproof.proving.r1cs import ConstraintSystem, FrArray, Values
from fedproof.proving.r1cs import field as elements
from fedproof.proving.transcript import Challenges, tag


class Check(IntEnum):
    """What is left out."""

    NONE = 0

    # circuits
    COUNT_OF_ROWS = auto()
    """A listing's n is the number of its unmasked rows."""
    SUM_OF_NOTES = auto()
    """The notes of an eligibility proof reach the threshold."""
    BLINDING_IN_SEGMENT = auto()
    """The last coefficient of a dataset is fixed before sigma."""
    UPDATE_IN_SEGMENT = auto()
    """The circuit's copy of a vector is fixed before sigma."""
    QUOTIENT_IN_RANGE = auto()
    """The step of an average is in its range."""

    # contracts
    EVERY_ACCEPTED_UPDATE = auto()
    EACH_UPDATE_ONCE = auto()
    OPENED_SEATS = auto()
    ONE_UPDATE_EACH = auto()
    LINK_OF_AGGREGATE = auto()
    SENDER_OF_AGGREGATE = auto()
    ROUND_OF_UPDATE = auto()
    TASK_OF_UPDATE = auto()
    CONTRACT_OF_UPDATE = auto()
    PARTICIPANT_OF_UPDATE = auto()
    MASKING = auto()
    CONTROL_PAIRING = auto()
    FAILED_PRECOMPILE = auto()
    ABSENT_PRECOMPILE = auto()
    CANONICAL_SCALARS = auto()
    MINTER_OF_LISTING = auto()
    NULLIFIER_ONCE = auto()
    GRANTEE_OF_SIGNAL = auto()
    KNOWN_ROOT = auto()
    NOTE_ONCE = auto()
    RECIPIENT_OF_SPEND = auto()
    CHAIN = auto()
    """Each transcript names the chain."""


@dataclass(frozen=True)
class _Loose:
    """A rule that is left out; names of committed wires of which the last `outside` lie in the private segment."""

    without: str | None = None
    name: str | None = None
    outside: int = 0


_CIRCUITS = {
    Check.NONE: _Loose(),
    Check.COUNT_OF_ROWS: _Loose(without="mask/count"),
    Check.SUM_OF_NOTES: _Loose(without="sum"),
    Check.BLINDING_IN_SEGMENT: _Loose(name="blinding of X", outside=1),
    Check.UPDATE_IN_SEGMENT: _Loose(name="U", outside=1),
    Check.QUOTIENT_IN_RANGE: _Loose(without="lookup/sum"),
}

Forgery = Callable[[FrArray], FrArray]
Afterthought = Callable[["Cheat", int, int], None]
"""What a cheat does once it has seen sigma and lambda."""


class Cheat(ConstraintSystem):
    """The constraint system of a cheating prover, in a build with one check left out."""

    def __init__(
        self,
        check: Check,
        *,
        structure: bool = False,
        challenge: Callable[[FrArray], tuple[int, int]] | None = None,
        forgeries: dict[str, Forgery] | None = None,
    ) -> None:
        self._loose = _CIRCUITS[check]
        self._forgeries = forgeries or {}
        self.made: dict[str, Lin] = {}
        super().__init__(structure=structure, challenge=challenge, strict=False)

    def _allocate(self, segment: int, shape: tuple[int, ...], values: Values, name: str) -> Lin:
        wires = super()._allocate(segment, shape, values, name)
        self.made.setdefault(name, wires)
        if self.assigning and name in self._forgeries:
            self._z[wires.wires] = self._forgeries[name](self._z[wires.wires])
        return wires

    def committed(self, shape: tuple[int, ...], values: Values, name: str) -> Lin:
        """Committed wires, but for those that the weakened build has outside."""
        outside = self._loose.outside
        if name != self._loose.name:
            return super().committed(shape, values, name)
        (size,) = shape
        given = None if values is None else elements(values, size)
        parts = []
        if size > outside:
            parts.append(super().committed((size - outside,), None if given is None else given[:-outside], name))
        parts.append(self.private((outside,), None if given is None else given[-outside:], name))
        whole = concatenate(parts)
        self.made[name] = whole
        return whole

    def build(self, without: str | None = None) -> _core.R1cs:
        """The matrices of the weakened build."""
        return super().build(without or self._loose.without)


def weak_keys(check: Check, statement: Statement[Any], srs: _core.Srs, mask_position: int | None = None) -> Keys:
    """Keys of a statement in a build with one check left out; of the statement itself for `Check.NONE`."""
    if check is Check.NONE:
        return setup(compile_statement(statement), srs, mask_position)
    cs = Cheat(check, structure=True)
    statement.synthesize(cs, None)
    r1cs = cs.build()
    name = _core.keccak256(statement.name.encode())
    circuit_id = _core.keccak256(tag("circuit") + name + statement.version.to_bytes(32, "big") + r1cs.digest())
    return setup(Circuit(statement.name, statement.version, r1cs, circuit_id, cs.groups), srs, mask_position)


def cheat_linked(
    check: Check,
    keys: Keys,
    statement: Statement[Any],
    witness: Any,
    srs: _core.Srs,
    externals: Sequence[FrArray],
    challenge: Callable[[bytes], Challenges],
    *,
    forgeries: dict[str, Forgery] | None = None,
    afterthought: Afterthought | None = None,
) -> LinkedProof:
    """A linked proof by somebody who looks at the challenges first, and lies where the build lets it.

    Raises:
        ValueError: the build's circuit is not satisfied.
    """
    drawn: list[Challenges] = []
    points: list[bytes] = []

    def commit(values: FrArray) -> tuple[int, int]:
        points.append(keys.proving.commit(values))
        drawn.append(challenge(points[0]))
        if afterthought is not None:
            afterthought(cs, *drawn[0])
        return drawn[0]

    cs = Cheat(check, challenge=commit, forgeries=forgeries)
    statement.synthesize(cs, witness)
    proof = keys.proving.prove(keys.circuit.r1cs, cs.witness())
    _, q = srs.open(fold(externals, drawn[0].lam), _core.fr_from_ints([drawn[0].sigma]))
    return LinkedProof(proof, points[0], q, cs.public_values()[-1])


def cheat_plain(
    check: Check,
    keys: Keys,
    statement: Statement[Any],
    witness: Any,
    forgeries: dict[str, Forgery] | None = None,
    public: dict[str, int] | None = None,
) -> tuple[bytes, list[int]]:
    """A plain proof by somebody who lies; `public` replaces public inputs by name.

    Raises:
        ValueError: the build's circuit is not satisfied.
    """
    cs = Cheat(check, challenge=lambda _: (0, 0), forgeries=forgeries)
    statement.synthesize(cs, witness)
    for name, value in (public or {}).items():
        cs.assign(cs.made[name], [value])
    return keys.proving.prove(keys.circuit.r1cs, cs.witness()), cs.public_values()


def evaluate(vector: FrArray, at: int) -> int:
    """A polynomial's value."""
    return _core.fr_to_ints(_core.poly_eval(vector, _core.fr_from_ints([at])))[0]
