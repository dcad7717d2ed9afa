"""Setups that many make: who contributed, and the keys that come of it (protocol, section 9).

The first phase is powers of tau, for KZG and for all circuits; the second is delta and eta of each circuit. Each
contributor multiplies the secrets by factors of its own and forgets them, and the keys are as good as the one who
really did. What a contribution leaves behind, and why it holds, is in `src/contributions.rs`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from fedproof import _core
from fedproof.errors import KeyFileError
from fedproof.proving.circuit import Circuit
from fedproof.proving.keys import Keys, with_proving_key

BEACON_BYTES = 32
MAX_BEACON_LOG = 24


@dataclass(frozen=True)
class Beacon:
    """A public value that nobody could know before the last contribution was made.

    Attributes:
        value: 32 bytes, such as the hash of a block that was announced before.
        log: it is hashed 2^log times, so that who can bias it has no time to try many; at most 24.
    """

    value: bytes
    log: int


@dataclass(frozen=True)
class Contribution:
    """One part in a setup. The name is what the contributor says; `digest` is what it can attest elsewhere.

    Attributes:
        digest: of all contributions up to this one, 32 bytes.
    """

    name: str
    beacon: Beacon | None
    digest: bytes


def contributions(phase: _core.PhaseOne | _core.PhaseTwo) -> tuple[Contribution, ...]:
    """All contributions to a phase, in order."""
    return tuple(
        Contribution(name, None if beacon is None else Beacon(*beacon), digest)
        for name, beacon, digest in phase.contributions()
    )


@dataclass(frozen=True)
class SecondPhases:
    """The second phases of several circuits over one first phase, which one contributor takes part in together."""

    parts: Mapping[str, _core.PhaseTwo]

    @classmethod
    def start(
        cls, circuits: Mapping[str, Circuit], first: _core.PhaseOne, tell: Callable[[str], None] = lambda _: None
    ) -> Self:
        """Keys in which delta and eta are 1.

        Args:
            tell: is told the name of each, before it is computed.

        Raises:
            KeyFileError: the first phase is not finished, or too small.
        """
        parts: dict[str, _core.PhaseTwo] = {}
        for name, circuit in circuits.items():
            tell(name)
            with _as_key_error("the first phase"):
                parts[name] = _core.PhaseTwo.start(circuit.r1cs, first)
        return cls(parts)

    def contribute(
        self,
        name: str,
        circuits: Mapping[str, Circuit],
        first: _core.PhaseOne,
        beacon: Beacon | None = None,
        seed: bytes | None = None,
    ) -> Self:
        """One contribution more to each, with factors that have nothing to do with each other, after `verify`.

        Args:
            seed: 32 bytes make it repeatable, in tests only.

        Raises:
            KeyFileError: what is there does not hold, a beacon was drawn already, it is that of the first phase, or the
                name or the beacon is none.
        """
        self._check_names(circuits)
        given = None if beacon is None else (beacon.value, beacon.log)
        parts: dict[str, _core.PhaseTwo] = {}
        for key, part in self.parts.items():
            with _as_key_error(f"the second phase of {key}"):
                parts[key] = part.contribute(name, circuits[key].r1cs, first, given, seed)
        return type(self)(parts)

    def verify(self, circuits: Mapping[str, Circuit], first: _core.PhaseOne) -> None:
        """Check the first phase, and every part against its circuit and that.

        Raises:
            KeyFileError: a part is missing, or something does not hold.
        """
        self._check_names(circuits)
        for name, part in self.parts.items():
            with _as_key_error(f"the second phase of {name}"):
                part.verify(circuits[name].r1cs, first)

    def keys(
        self,
        circuits: Mapping[str, Circuit],
        first: _core.PhaseOne,
        srs: _core.Srs,
        mask_positions: Mapping[str, int],
    ) -> dict[str, Keys]:
        """The keys of a finished setup, after all of it was verified.

        Args:
            srs: of the first phase. mask_positions: of the statements whose key enrolments use.

        Raises:
            KeyFileError: a phase does not hold, has fewer than two contributors' names, or no beacon.
        """
        self._check_names(circuits)
        made: dict[str, Keys] = {}
        for name, part in self.parts.items():
            with _as_key_error(f"the setup of {name}"):
                proving = part.key(circuits[name].r1cs, first)
            made[name] = with_proving_key(circuits[name], proving, srs, mask_positions.get(name))
        return made

    def _check_names(self, circuits: Mapping[str, Circuit]) -> None:
        if set(self.parts) != set(circuits):
            raise KeyFileError(f"the second phase is of {', '.join(self.parts)}, and not of {', '.join(circuits)}")


def verify_first(first: _core.PhaseOne) -> None:
    """Check a first phase.

    Raises:
        KeyFileError: a contribution does not follow from the one before, or the powers not from the last.
    """
    with _as_key_error("the first phase"):
        first.verify()


def contribute_first(first: _core.PhaseOne, name: str, beacon: Beacon | None = None) -> _core.PhaseOne:
    """One contribution more to a first phase, after it was verified.

    Raises:
        KeyFileError: it does not hold, a beacon was drawn already, or the name or the beacon is none.
    """
    with _as_key_error("the first phase"):
        return first.contribute(name, None if beacon is None else (beacon.value, beacon.log))


@contextlib.contextmanager
def _as_key_error(what: str) -> Iterator[None]:
    """The core says ValueError of what a file holds."""
    try:
        yield
    except ValueError as error:
        said = str(error)
        raise KeyFileError(said if said.startswith(what) else f"{what}: {said}") from None
