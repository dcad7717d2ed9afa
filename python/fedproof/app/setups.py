"""Files of a setup that many make, from the first contribution to a folder of keys (protocol, section 9).

A file of the first phase is what `PhaseOne.to_bytes` writes. One of the second is a key file whose parts are the plan
of the tasks and then the second phase of each statement, in the order of `key_requests`. The folder at the end holds
both, as `first` and `second`: whoever uses the keys verifies them, and has computed them then.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self

from fedproof import _core
from fedproof.app.audit_base import require
from fedproof.app.audit_keys import check_keys
from fedproof.app.keyfile import MAGIC, decode_key_file, encode_key_file
from fedproof.app.keyring import MAX_KEY_FILE_BYTES, Keyring
from fedproof.app.telling import Teller
from fedproof.app.training import model_text
from fedproof.app.world import key_requests
from fedproof.errors import AuditError, FedproofError, InputError, KeyFileError
from fedproof.learning.plans import Plan, decode_plan, statement_text
from fedproof.nodes.params import powers_size
from fedproof.proving.ceremony import (
    BEACON_BYTES,
    Beacon,
    Contribution,
    SecondPhases,
    contribute_first,
    contributions,
    verify_first,
)
from fedproof.proving.circuit import Circuit, compile_statement
from fedproof.proving.keys import Keys, VerifyingKey
from fedproof.storage.folders import disk_errors, give_name, new_folder, open_plain, write_file

FIRST: Final = "first"
SECOND: Final = "second"
MAX_NAME_BYTES: Final = 100
_MAX_PLAN_BYTES: Final = 1 << 16
_SECOND_IDENTITY: Final = _core.keccak256(b"fedproof/setup/second/v1")


@dataclass(frozen=True)
class FirstFile:
    """A first phase as a file holds it."""

    phase: _core.PhaseOne
    number: ClassVar[int] = 1

    @property
    def purpose(self) -> str:
        """What it serves, in words."""
        return f"for circuits of up to {self.phase.size:,} rows"

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """All so far."""
        return contributions(self.phase)

    def contribute(self, name: str, beacon: Beacon | None, teller: Teller, first: FirstFile | None = None) -> FirstFile:
        """Verify what is there, and add to it; see `contribute_first` for the errors.

        Raises:
            InputError: a first phase is given, or the name is none.
        """
        check_addable(self.contributions, name)
        self.verify(teller, first)
        teller.doing(f"multiplying {5 * self.phase.size:,} points")
        return FirstFile(contribute_first(self.phase, name, beacon))

    def verify(self, teller: Teller, first: FirstFile | None = None) -> None:
        """See `verify_first`.

        Raises:
            InputError: a first phase is given, so that a second was meant.
        """
        if first is not None:
            raise InputError(
                "this is a first phase, which takes no --first: name the file of a second, or leave it out"
            )
        teller.doing(f"verifying a first phase for {self.phase.size:,} rows")
        verify_first(self.phase)

    def encode(self) -> bytes:
        """The file."""
        return self.phase.to_bytes()


@dataclass(frozen=True)
class SecondFile:
    """Second phases as a file holds them."""

    plan: Plan
    phases: SecondPhases
    number: ClassVar[int] = 2

    @property
    def purpose(self) -> str:
        """What the keys are for, in words: with another plan they would be those of other circuits."""
        plan = self.plan
        epochs = f"{plan.epochs} epoch{'s' * (plan.epochs > 1)}"
        return (
            f"for tasks on {plan.rows} x {plan.columns} that ask for a {statement_text(plan)}, on a "
            f"{model_text(plan)}, {epochs} a round; plan {_core.keccak256(plan.encode()).hex()}"
        )

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """All so far: each is to all keys, and its digest here is that of all their digests."""
        parts = [contributions(part) for part in self.phases.parts.values()]
        return tuple(
            Contribution(each[0].name, each[0].beacon, _core.keccak256(b"".join(one.digest for one in each)))
            for each in zip(*parts, strict=True)
        )

    def contribute(
        self, name: str, beacon: Beacon | None, teller: Teller, first: FirstFile | None = None
    ) -> SecondFile:
        """Verify what is there, and add to all keys.

        Raises:
            InputError: the first phase is not given: secrets that divide what nobody looked at serve a forger.
            KeyFileError: what is there does not hold, or cannot be added to.
        """
        check_addable(self.contributions, name)
        if beacon is not None and first is not None and beacon.value in _beacons(first.contributions):
            raise InputError("this beacon is that of the first phase: take a value that is drawn later")
        phase, circuits = self._checked(first, teller)
        teller.doing(f"verifying and multiplying the second phases of {', '.join(circuits)}")
        return SecondFile(self.plan, self.phases.contribute(name, circuits, phase, beacon))

    def verify(self, teller: Teller, first: FirstFile | None = None) -> None:
        """Check it against the circuits that this package compiles for its plan, and against the first phase.

        Raises:
            InputError: the first phase is not given. KeyFileError: it does not hold.
        """
        phase, circuits = self._checked(first, teller)
        teller.doing(f"verifying the second phases of {', '.join(circuits)}")
        self.phases.verify(circuits, phase)

    def _checked(self, first: FirstFile | None, teller: Teller) -> tuple[_core.PhaseOne, dict[str, Circuit]]:
        """The verified first phase, and the circuits."""
        if first is None:
            raise InputError("a second phase needs the first that it was made over: give --first FILE")
        check_size(first, self.plan)
        first.verify(teller)
        teller.doing("compiling circuits")
        return first.phase, circuits_of(self.plan)

    def encode(self) -> bytes:
        """The file."""
        parts = [part.to_bytes() for part in self.phases.parts.values()]
        return encode_key_file(_SECOND_IDENTITY, [self.plan.encode(), *parts])


SetupFile = FirstFile | SecondFile


def _beacons(found: Iterable[Contribution]) -> list[bytes]:
    return [one.beacon.value for one in found if one.beacon is not None]


def check_addable(found: Sequence[Contribution], name: str) -> None:
    """Refuse a contribution that the core would refuse, before any work.

    Raises:
        InputError: the name is none. KeyFileError: a beacon was drawn.
    """
    if not 1 <= len(name.encode(errors="replace")) <= MAX_NAME_BYTES or any(map(_is_control, name)):
        raise InputError(f"--name: a contributor's name has 1 to {MAX_NAME_BYTES} bytes on one line")
    if _beacons(found):
        raise KeyFileError("the beacon was the last contribution to this file: nobody can add another")


def check_ended(found: Sequence[Contribution], which: str) -> None:
    """Refuse a phase without a beacon before any work, as the core does after it.

    Raises:
        KeyFileError: it has none.
    """
    if not _beacons(found):
        raise KeyFileError(f"the {which} phase does not end with a beacon yet: end it with fedproof setup beacon")


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"


def read_setup(path: Path) -> SetupFile:
    """Read a file of either phase. Its points are on their curves then; nothing else of it is verified.

    Raises:
        InputError: it cannot be read. KeyFileError: it is damaged, or no such file.
    """
    try:
        with open_plain(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_KEY_FILE_BYTES:
                raise KeyFileError(f"{path} is too large for a setup")
            data = file.read()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return _decode_second(data) if data.startswith(MAGIC) else FirstFile(_core.PhaseOne.from_bytes(data))
    except (ValueError, InputError, KeyFileError) as error:  # the core says ValueError
        raise KeyFileError(f"{path}: {error}; if it is a file of a setup, it is damaged: get it again") from None


def read_first(path: Path) -> FirstFile:
    """Read a file of a first phase; see `read_setup` for the errors."""
    found = read_setup(path)
    if not isinstance(found, FirstFile):
        raise InputError(f"{path} is of the second phase; name the file of the first")
    return found


def read_second(path: Path) -> SecondFile:
    """Read a file of a second phase; see `read_setup` for the errors."""
    found = read_setup(path)
    if not isinstance(found, SecondFile):
        raise InputError(f"{path} is of the first phase; name the file of the second")
    return found


def _decode_second(data: bytes) -> SecondFile:
    head, *parts = decode_key_file(data, _SECOND_IDENTITY)
    plan = decode_plan(head)
    names = list(key_requests(plan))
    if len(parts) != len(names):
        raise KeyFileError(f"it has the keys of {len(parts)} statements, and its plan has {len(names)}")
    phases = {name: _core.PhaseTwo.from_bytes(part) for name, part in zip(names, parts, strict=True)}
    counts = {tuple((one.name, one.beacon) for one in contributions(phase)) for phase in phases.values()}
    if len(counts) != 1:
        raise KeyFileError("not every contribution is to all of its keys")
    return SecondFile(plan, SecondPhases(phases))


def beacon_of(value: str, log: int) -> Beacon:
    """A beacon from what a user types.

    Raises:
        InputError: it is not 64 hexadecimal digits.
    """
    digits = value.removeprefix("0x")
    if len(digits) != 2 * BEACON_BYTES or not set(digits.lower()) <= set("0123456789abcdef"):
        raise InputError(f"a beacon is {2 * BEACON_BYTES} hexadecimal digits, such as the hash of a block")
    return Beacon(bytes.fromhex(digits), log)


def plan_file(first: Path) -> Path:
    """Where the plan of a first phase is: beside it."""
    return first.with_name(first.name + ".plan")


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        InputError: it cannot be read, or is none.
    """
    try:
        with open_plain(path) as file:
            return decode_plan(file.read(_MAX_PLAN_BYTES))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except FedproofError as error:
        raise InputError(f"{path}: {error}") from None


def check_new(path: Path) -> None:
    """Refuse a name that is taken, before any work.

    Raises:
        InputError: it is.
    """
    if os.path.lexists(path):
        raise _taken(path)
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written: {path.parent} is no folder that you may write to")


def write_setup(path: Path, data: bytes) -> None:
    """Write a file that does not exist yet.

    Raises:
        InputError: it does, or the disk refuses.
    """
    part = path.with_name(f".{path.name}.part")
    with disk_errors(path):
        check_new(path)
        write_file(part, data, mode=0o644)  # all of it is public
        try:
            give_name(part, path)
        except FileExistsError:
            raise _taken(path) from None
        finally:
            part.unlink(missing_ok=True)


def _taken(path: Path) -> InputError:
    return InputError(f"{path} exists already; name another file")


def circuits_of(plan: Plan) -> dict[str, Circuit]:
    """The circuits of a plan, by the names that its keys have."""
    return {name: compile_statement(request.statement) for name, request in key_requests(plan).items()}


def start_first(plan: Plan) -> FirstFile:
    """A first phase that is large enough for a plan, before anybody contributed."""
    domains = [circuit.r1cs.domain_size for circuit in circuits_of(plan).values()]
    return FirstFile(_core.PhaseOne.start((max(*domains, _least_rows(plan)) - 1).bit_length()))


def _least_rows(plan: Plan) -> int:
    """What a first phase needs for the vectors of a plan, whatever its circuits are."""
    return max(-(-(powers_size(plan) + 1) // 2), *(position + 1 for position in _mask_positions(plan).values()))


def check_size(first: FirstFile, plan: Plan) -> None:
    """Refuse a plan whose vectors are larger than the first phase, before its circuits are compiled.

    In a file of others a plan of a few bytes may ask for more than this machine has.

    Raises:
        KeyFileError: it is too large.
    """
    if _least_rows(plan) > first.phase.size:
        raise KeyFileError(f"the first phase is {first.purpose}, which is too small for datasets of this plan")


def start_second(first: FirstFile, plan: Plan, teller: Teller) -> SecondFile:
    """Second phases of a plan's statements over a finished first phase, which is verified.

    Raises:
        KeyFileError: the first phase does not hold, is not finished, or too small.
    """
    check_size(first, plan)
    check_ended(first.contributions, "first")
    first.verify(teller)
    teller.doing("compiling circuits")
    circuits = circuits_of(plan)
    sizes = {name: circuit.r1cs.domain_size for name, circuit in circuits.items()}

    def tell(name: str) -> None:
        teller.doing(f"computing the key of {name} over a domain of {sizes[name]:,}, of {sum(sizes.values()):,} in all")

    return SecondFile(plan, SecondPhases.start(circuits, first.phase, tell))


def finish(first: FirstFile, second: SecondFile, folder: Path, teller: Teller) -> dict[str, bytes]:
    """Verify a finished setup, and put both phases into a folder; returns the digests of the verifying keys.

    Raises:
        KeyFileError: a phase does not hold, has fewer than two contributors' names, or no beacon.
        InputError: the folder exists, or the disk refuses.
    """
    with new_folder(folder) as part:
        _, keys = made_keys(first, second, teller)
        write_setup(part / FIRST, first.encode())
        write_setup(part / SECOND, second.encode())
        part.chmod(0o755)  # for all to verify
    return {name: _core.keccak256(key.verifying.encode()) for name, key in keys.items()}


def made_keys(first: FirstFile, second: SecondFile, teller: Teller) -> tuple[_core.Srs, Mapping[str, Keys]]:
    """Powers of tau and keys of a finished setup, after all of it was verified; see `finish` for the errors."""
    plan, positions = second.plan, _mask_positions(second.plan)
    check_size(first, plan)
    for which, found in (("first", first), ("second", second)):
        check_ended(found.contributions, which)
    teller.doing("compiling circuits")
    circuits = circuits_of(plan)
    teller.doing(f"verifying both phases of {', '.join(circuits)}")
    try:
        srs = first.phase.srs(powers_size(plan), sorted(set(positions.values())))
    except ValueError as error:
        raise KeyFileError(f"the first phase: {error}") from None
    keys = second.phases.keys(circuits, first.phase, srs, positions)
    try:
        check_keys(plan, srs, {name: key.verifying for name, key in keys.items()}, circuits)
    except AuditError as error:  # factors that were chosen, for those that are drawn never coincide
        raise KeyFileError(str(error)) from None
    return srs, keys


def read_finished(folder: Path) -> tuple[FirstFile, SecondFile]:
    """Both phases of a folder that `finish` wrote. Nothing of them is verified.

    Raises:
        InputError: it is no such folder. KeyFileError: a file is damaged.
    """
    if not (folder / FIRST).is_file() or not (folder / SECOND).is_file():
        raise InputError(f"{folder} is no folder of a finished setup: make it with fedproof setup finish")
    return read_first(folder / FIRST), read_second(folder / SECOND)


@dataclass(frozen=True)
class VerifiedSetup:
    """A finished setup that was verified: who made which keys."""

    first: tuple[Contribution, ...]
    second: tuple[Contribution, ...]
    keys: Mapping[str, VerifyingKey]

    @classmethod
    def read(cls, folder: Path, teller: Teller) -> Self:
        """Read what `finish` wrote, and verify all of it; see `read_finished` and `made_keys` for the errors."""
        first, second = read_finished(folder)
        _, keys = made_keys(first, second, teller)
        verifying = {name: key.verifying for name, key in keys.items()}
        return cls(first.contributions, second.contributions, verifying)

    def check(self, keys: Mapping[str, VerifyingKey]) -> str:
        """That these are the setup's keys; returns a line for the auditor's report.

        Raises:
            AuditError: one of them is another, or not of this setup.
        """
        for name, key in keys.items():
            require(key == self.keys.get(name), f"the {name} key is not the one of this setup")
        first, second = (_told(phase) for phase in (self.first, self.second))
        return f"the keys are those of a setup whose first phase tells of {first}, and the second of {second}"


def _told(phase: Sequence[Contribution]) -> str:
    """Who says to have contributed, which beacon ended it, and what to compare with what they publish."""
    names = ", ".join(json.dumps(one.name, ensure_ascii=False) for one in phase if one.beacon is None)
    *_, last = phase
    value = last.beacon.value.hex() if last.beacon is not None else "none"
    return f"{names} (beacon {value}, digest {last.digest.hex()})"


def keep_keys(folder: Path, keyring: Keyring, teller: Teller) -> Plan:
    """Verify what `finish` wrote, and keep its keys in a keyring; returns their plan.

    See `read_finished` and `made_keys` for the errors.
    """
    first, second = read_finished(folder)
    srs, keys = made_keys(first, second, teller)
    for which, found in (("first", first), ("second", second)):
        teller.step(f"{which} phase of the setup: {_told(found.contributions)}")
    teller.step(f"its keys are {second.purpose}")
    keyring.keep_srs(powers_size(second.plan), list(_mask_positions(second.plan).values()), srs)
    keyring.keep_keys(list(keys.values()))
    return second.plan


def names_of(found: Iterable[Contribution]) -> list[str]:
    """A line for each contribution. Its kind comes first, and the name in quotes: it is for its maker to choose."""
    lines = []
    for number, one in enumerate(found, 1):
        name = json.dumps(one.name, ensure_ascii=False)
        kind = "contribution of"
        if one.beacon is not None:
            kind = f"beacon {one.beacon.value.hex()}, hashed 2^{one.beacon.log} times, of"
        lines.append(f"{number}. {kind} {name}: {one.digest.hex()}")
    return lines


def _mask_positions(plan: Plan) -> dict[str, int]:
    requests = key_requests(plan)
    return {name: request.mask_position for name, request in requests.items() if request.mask_position is not None}
