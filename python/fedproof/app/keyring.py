"""Powers of tau and proving keys, made once and cached on disk by circuit id.

A cached file is never trusted by its name: the circuit is compiled anew, its id compared with the file's, and the
file's own digest checked. A damaged or foreign file is set aside and made again; it never proves anything, for the
verifying key on chain would refuse it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedproof import _core
from fedproof.errors import KeyFileError
from fedproof.proving.circuit import Statement, Witness, compile_statement
from fedproof.proving.keys import Keys, with_proving_key

MAGIC = b"fedproof-key\x01"
_HEAD = len(MAGIC) + 32 + 32


def default_cache() -> Path:
    """`$FEDPROOF_CACHE`, or fedproof's folder in the user's cache directory."""
    chosen = os.environ.get("FEDPROOF_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fedproof"


def encode_key_file(identity: bytes, payload: bytes) -> bytes:
    """A key file: magic, 32 bytes of identity, SHA-256 of the payload, the payload."""
    return MAGIC + identity + hashlib.sha256(identity + payload).digest() + payload


def decode_key_file(blob: bytes, identity: bytes) -> bytes:
    """The payload of a key file that is whole and belongs to `identity`.

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
    return payload


@dataclass
class Keyring:
    """Keys of one machine. `folder` None keeps nothing. `notice` is told, in one line, what is being made."""

    folder: Path | None
    notice: Callable[[str], None] = lambda _: None

    def srs(self, size: int, g2_powers: list[int]) -> _core.Srs:
        """Powers of tau, `size` in G1 and the named powers in G2, by a single dealer: for development."""
        powers = sorted({1, *g2_powers})
        identity = _core.keccak256(f"fedproof/srs/v1/{size}/{powers}".encode())
        cached = self._load(f"tau-{size}-{identity[:4].hex()}", identity)
        if cached is not None:
            return _core.Srs.from_bytes(cached)
        self.notice(f"making {size} powers of tau (development)")
        made = _core.Srs.generate(size, powers)
        self._save(f"tau-{size}-{identity[:4].hex()}", identity, made.to_bytes())
        return made

    def keys(self, statement: Statement[Witness], srs: _core.Srs, mask_position: int | None = None) -> Keys:
        """Keys of a statement, from the cache when the circuit is the same, else made (development)."""
        circuit = compile_statement(statement)
        name = f"{statement.name.replace('/', '-')}-{circuit.circuit_id.hex()}"
        cached = self._load(name, circuit.circuit_id)
        if cached is not None:
            proving = _core.ProvingKey.from_bytes(cached)
        else:
            self.notice(
                f"making keys for {statement.name}: {circuit.r1cs.num_constraints:,} constraints, "
                f"domain {circuit.r1cs.domain_size:,} (development)"
            )
            proving = _core.ProvingKey.setup(circuit.r1cs)
            self._save(name, circuit.circuit_id, proving.to_bytes())
        return with_proving_key(circuit, proving, srs, mask_position)

    def _load(self, name: str, identity: bytes) -> bytes | None:
        if self.folder is None:
            return None
        path = self.folder / name
        try:
            return decode_key_file(path.read_bytes(), identity)
        except FileNotFoundError:
            return None
        except (KeyFileError, OSError) as error:
            self.notice(f"key file {path} is not used: {error}")
            return None

    def _save(self, name: str, identity: bytes, payload: bytes) -> None:
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(encode_key_file(identity, payload))
            Path(file.name).replace(self.folder / name)
        except OSError as error:
            self.notice(f"keys are not cached in {self.folder}: {error.strerror}")
