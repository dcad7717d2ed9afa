"""Powers of tau and proving keys, made once and cached on disk by circuit id.

A cached file is never trusted by its name: the circuits are compiled anew, their ids compared with the file's, and the
file's own digest checked. A damaged or foreign file is set aside and made again; it never proves anything, for the
verifying key on chain would refuse it.
"""

from __future__ import annotations

import io
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fedproof import _core
from fedproof.app.keyfile import encode_key_file, read_key_file
from fedproof.errors import KeyFileError
from fedproof.proving.circuit import Circuit, Statement, compile_statement
from fedproof.proving.keys import Keys, with_proving_key
from fedproof.storage.folders import PART_PREFIX, write_file
from fedproof.storage.public import read_public

MAX_KEY_FILE_BYTES = 8 << 30
_WIRE_BYTES, _ROW_BYTES, _HEAD_BYTES = 448, 64, 1 << 16
"""Of a key at most: five points in G1 and one in G2 for each wire, one in G1 for each row, and what stands before."""

T = TypeVar("T")
_Decode = Callable[[Iterable[bytes], int, bool], T]
"""Makes a part of its pieces and their length, and tests every point where it is told to."""


def default_cache() -> Path:
    """`$FEDPROOF_CACHE`, or fedproof's folder in the user's cache directory."""
    chosen = os.environ.get("FEDPROOF_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fedproof"


def _srs_file(size: int, powers: list[int]) -> tuple[str, bytes]:
    identity = _core.keccak256(f"fedproof/srs/v1/{size}/{powers}".encode())
    return f"tau-{size}-{identity[:4].hex()}", identity


def _keys_file(circuits: Iterable[Circuit]) -> tuple[str, bytes]:
    identity = _core.keccak256(b"".join(circuit.circuit_id for circuit in circuits))
    return f"keys-{identity.hex()}", identity


def _most_bytes(circuits: Iterable[Circuit]) -> int:
    sizes = ((circuit.r1cs.num_wires, circuit.r1cs.domain_size) for circuit in circuits)
    return sum(_HEAD_BYTES + wires * _WIRE_BYTES + rows * _ROW_BYTES for wires, rows in sizes)


def _powers(pieces: Iterable[bytes], _size: int, _check: bool) -> _core.Srs:
    return _core.Srs.from_bytes(b"".join(pieces))  # always checked: they are few


@dataclass(frozen=True)
class KeyRequest:
    """A statement to make keys for; `mask_position` where enrolments in a task use its verifying key."""

    statement: Statement[Any]
    mask_position: int | None = None


@dataclass(frozen=True)
class KeySet:
    """Keys by statement, and the seconds that making or loading each took."""

    keys: dict[str, Keys]
    seconds: dict[str, float]


@dataclass
class Keyring:
    """Keys of one machine.

    Attributes:
        folder: where they are kept; None keeps nothing.
        notice: is told, in one line, what is being made.
        source: folder or URL of a deployment's keys. What is missing here is fetched from there and never made: keys
            of one's own fit no contract of theirs.
        strict: these are a deployment's keys and no cache, so a damaged file is an error; by default it is made anew.
        make: whether missing keys are made; without it they are an error.
    """

    folder: Path | None
    notice: Callable[[str], None] = lambda _: None
    source: str | None = None
    strict: bool = False
    make: bool = True

    def srs(self, size: int, g2_powers: list[int]) -> _core.Srs:
        """Powers of tau, `size` in G1 and the named powers in G2, by a single dealer: for development."""
        powers = sorted({1, *g2_powers})
        name, identity = _srs_file(size, powers)
        cached = self._load(name, identity, 1, _powers)
        if cached is not None:
            return cached[0]
        self.notice(f"making {size} powers of tau (development)")
        made = _core.Srs.generate(size, powers)
        if self.folder is not None:
            self._save(name, identity, [made.to_bytes()])
        return made

    def keep_srs(self, size: int, g2_powers: list[int], srs: _core.Srs) -> None:
        """Keep powers where `srs` looks for so many; there may be more of them."""
        name, identity = _srs_file(size, sorted({1, *g2_powers}))
        self._save(name, identity, [srs.to_bytes()])

    def keep_keys(self, keys: Sequence[Keys]) -> None:
        """Keep keys where `keys` looks for those of these circuits."""
        file, identity = _keys_file([key.circuit for key in keys])
        self._save(file, identity, [key.proving.to_bytes() for key in keys])

    def keys(self, requests: Mapping[str, KeyRequest], srs: _core.Srs) -> KeySet:
        """Keys of several statements by one dealer, from the cache when all circuits are the same, else made.

        They are one file: keys of one dealer share alpha and beta, and a round costs a pairing less for it.
        """
        circuits = {name: compile_statement(request.statement) for name, request in requests.items()}
        file, identity = _keys_file(circuits.values())
        seconds: list[float] = []

        def read(pieces: Iterable[bytes], size: int, check: bool) -> _core.ProvingKey:
            started = time.perf_counter()
            key = _core.ProvingKey.from_chunks(pieces, size, check)
            seconds.append(time.perf_counter() - started)
            return key

        proving = self._load(file, identity, len(circuits), read, _most_bytes(circuits.values()))
        if proving is None:
            dealer, proving, seconds = _core.Dealer(), [], []
            for circuit in circuits.values():
                started = time.perf_counter()
                proving.append(self._make(circuit, dealer))
                seconds.append(time.perf_counter() - started)
            if self.folder is not None:
                self._save(file, identity, [key.to_bytes() for key in proving])
        made = {
            name: with_proving_key(circuit, key, srs, requests[name].mask_position)
            for (name, circuit), key in zip(circuits.items(), proving, strict=True)
        }
        return KeySet(made, dict(zip(circuits, seconds, strict=True)))

    def _make(self, circuit: Circuit, dealer: _core.Dealer) -> _core.ProvingKey:
        self.notice(
            f"making keys for {circuit.name}: {circuit.r1cs.num_constraints:,} constraints, "
            f"domain {circuit.r1cs.domain_size:,} (development)"
        )
        return _core.ProvingKey.setup(circuit.r1cs, dealer=dealer)

    def _load(
        self, name: str, identity: bytes, count: int, decode: _Decode[T], most: int = MAX_KEY_FILE_BYTES
    ) -> list[T] | None:
        """The parts of a file of ours, whose points its digest vouches for; else of one that is fetched; else None.

        A file that is fetched has at most `most` bytes.
        """
        if self.folder is None:
            return None
        path = self.folder / name
        try:
            with path.open("rb") as file:
                return read_key_file(file, identity, lambda pieces, size: decode(pieces, size, False), count)
        except FileNotFoundError:
            if self.source is not None:
                return self._fetch(self.source, name, identity, count, decode, most)
            if not self.make:
                raise KeyFileError(f"key file {path} is missing: restore it, for new keys fit nothing here") from None
            return None
        except (KeyFileError, OSError) as error:
            if self.strict:
                raise KeyFileError(f"key file {path} is damaged: {error}; restore it, nothing else fits") from None
            self.notice(f"key file {path} is not used: {error}")
            return None

    def _fetch(self, source: str, name: str, identity: bytes, count: int, decode: _Decode[T], most: int) -> list[T]:
        """A file that others made: its digest vouches for nothing, so every point is tested, and then it is kept."""
        self.notice(f"fetching {name}")
        data = read_public(source, name, most)
        if data is None:
            raise KeyFileError(
                f"{name} is not among the keys of this marketplace; if its shape is a new one, who runs the "
                "marketplace adds it with: fedproof market add-class ROWS COLUMNS"
            )
        parts = read_key_file(io.BytesIO(data), identity, lambda pieces, size: decode(pieces, size, True), count)
        self._keep(name, data)
        return parts

    def _save(self, name: str, identity: bytes, parts: list[bytes]) -> None:
        self._keep(name, encode_key_file(identity, parts))

    def _keep(self, name: str, data: bytes) -> None:
        folder = self.folder
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # under a name of its own: two processes may make the same keys, and each renames a whole file
            write_file(folder / name, data, part=folder / f"{PART_PREFIX}{secrets.token_hex(8)}")
        except OSError as error:
            self.notice(f"keys are not cached in {folder}: {error.strerror}")
