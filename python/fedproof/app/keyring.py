"""Powers of tau and proving keys, made once and cached on disk by circuit id.

A cached file is never trusted by its name: the circuits are compiled anew, their ids compared with the file's, and the
file's own digest checked. A damaged or foreign file is set aside and made again; it never proves anything, for the
verifying key on chain would refuse it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fedproof import _core
from fedproof.errors import KeyFileError
from fedproof.proving.circuit import Circuit, Statement, compile_statement
from fedproof.proving.keys import Keys, with_proving_key
from fedproof.storage.public import read_public

MAGIC = b"fedproof-key\x02"
_HEAD = len(MAGIC) + 32 + 32
_LENGTH_BYTES = 8
MAX_KEY_FILE_BYTES = 8 << 30

T = TypeVar("T")


def default_cache() -> Path:
    """`$FEDPROOF_CACHE`, or fedproof's folder in the user's cache directory."""
    chosen = os.environ.get("FEDPROOF_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fedproof"


def encode_key_file(identity: bytes, parts: list[bytes]) -> bytes:
    """A key file: magic, 32 bytes of identity, SHA-256 of the rest, then each part behind its length in 8 bytes."""
    payload = b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in parts)
    return MAGIC + identity + hashlib.sha256(identity + payload).digest() + payload


def decode_key_file(blob: bytes, identity: bytes) -> list[bytes]:
    """The parts of a key file that is whole and belongs to `identity`.

    Raises:
        KeyFileError: it is damaged, of another version, or of another circuit.
    """
    if len(blob) < _HEAD or not blob.startswith(MAGIC):
        raise KeyFileError("not a fedproof key file of this version")
    payload = blob[_HEAD:]
    if blob[len(MAGIC) : len(MAGIC) + 32] != identity:
        raise KeyFileError("the key file belongs to another circuit")
    if blob[len(MAGIC) + 32 : _HEAD] != hashlib.sha256(identity + payload).digest():
        raise KeyFileError("the key file is damaged")
    parts = []
    while payload:
        end = _LENGTH_BYTES + int.from_bytes(payload[:_LENGTH_BYTES], "big")
        if len(payload) < end:
            raise KeyFileError("the key file is damaged")
        parts.append(payload[_LENGTH_BYTES:end])
        payload = payload[end:]
    return parts


def _srs_file(size: int, powers: list[int]) -> tuple[str, bytes]:
    identity = _core.keccak256(f"fedproof/srs/v1/{size}/{powers}".encode())
    return f"tau-{size}-{identity[:4].hex()}", identity


def _keys_file(circuits: Iterable[Circuit]) -> tuple[str, bytes]:
    identity = _core.keccak256(b"".join(circuit.circuit_id for circuit in circuits))
    return f"keys-{identity.hex()}", identity


def _parts(blob: bytes, identity: bytes, count: int) -> list[bytes]:
    parts = decode_key_file(blob, identity)
    if len(parts) != count:
        raise KeyFileError(f"it has {len(parts)} parts, not {count}")
    return parts


def _decoded(decode: Callable[[bytes], T], blob: bytes, name: str) -> T:
    try:
        return decode(blob)
    except ValueError as error:
        raise KeyFileError(f"key file {name} holds no key: {error}") from None


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
        cached = self._load(name, identity, 1)
        if cached is not None:
            return _decoded(_core.Srs.from_bytes, cached[0], name)
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
        cached = self._load(file, identity, len(circuits))
        seconds: dict[str, float] = {}
        proving: dict[str, _core.ProvingKey] = {}
        dealer = _core.Dealer()
        for place, (name, circuit) in enumerate(circuits.items()):
            started = time.perf_counter()
            if cached is not None:
                proving[name] = _decoded(_core.ProvingKey.from_bytes, cached[place], file)
            else:
                proving[name] = self._make(circuit, dealer)
            seconds[name] = time.perf_counter() - started
        if cached is None and self.folder is not None:
            self._save(file, identity, [key.to_bytes() for key in proving.values()])
        made = {
            name: with_proving_key(circuit, proving[name], srs, requests[name].mask_position)
            for name, circuit in circuits.items()
        }
        return KeySet(made, seconds)

    def _make(self, circuit: Circuit, dealer: _core.Dealer) -> _core.ProvingKey:
        self.notice(
            f"making keys for {circuit.name}: {circuit.r1cs.num_constraints:,} constraints, "
            f"domain {circuit.r1cs.domain_size:,} (development)"
        )
        return _core.ProvingKey.setup(circuit.r1cs, dealer=dealer)

    def _load(self, name: str, identity: bytes, count: int) -> list[bytes] | None:
        if self.folder is None:
            return None
        path = self.folder / name
        try:
            return _parts(path.read_bytes(), identity, count)
        except FileNotFoundError:
            if self.source is not None:
                return self._fetch(self.source, name, identity, count)
            if not self.make:
                raise KeyFileError(f"key file {path} is missing: restore it, for new keys fit nothing here") from None
            return None
        except (KeyFileError, OSError) as error:
            if self.strict:
                raise KeyFileError(f"key file {path} is damaged: {error}; restore it, nothing else fits") from None
            self.notice(f"key file {path} is not used: {error}")
            return None

    def _fetch(self, source: str, name: str, identity: bytes, count: int) -> list[bytes]:
        self.notice(f"fetching {name}")
        data = read_public(source, name, MAX_KEY_FILE_BYTES)
        if data is None:
            raise KeyFileError(
                f"{name} is not among the keys of this marketplace; if its shape is a new one, who runs the "
                "marketplace adds it with: fedproof market add-class ROWS COLUMNS"
            )
        parts = _parts(data, identity, count)
        self._save(name, identity, parts)
        return parts

    def _save(self, name: str, identity: bytes, parts: list[bytes]) -> None:
        folder = self.folder
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                file.write(encode_key_file(identity, parts))
            Path(file.name).replace(folder / name)
        except OSError as error:
            self.notice(f"keys are not cached in {folder}: {error.strerror}")
