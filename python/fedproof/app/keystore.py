"""A node's own keys at rest: `chain.json` signs its transactions, `hpke.json` opens what is sealed to it.

Both are encrypted in the version 3 keystore format of Ethereum clients (scrypt, AES-128-CTR and a MAC), by eth-account.
`chain.json` is that document itself, so that other tools read it. The private part of both kinds of HPKE key is
32 bytes, and the format takes any 32 bytes; `hpke.json` holds suite, public key, and the document's `crypto` part. The
`address` that the format would put beside it is left out: it is a function of the secret, and nobody's address.

The folder is made whole or not at all, is readable by its owner alone, and is never written again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eth_account import Account as EthAccount
from eth_utils.address import to_checksum_address

from fedproof.app.passphrase import check_new, read_private
from fedproof.app.secret import Secret, remember
from fedproof.errors import FedproofError, InputError, KeyFileError
from fedproof.ledger.accounts import Account, account_from_key
from fedproof.nodes.locks import take_lock
from fedproof.sealing import KeyPair
from fedproof.sealing.hpke import PRIVATE_BYTES, Suite, SuiteName
from fedproof.sealing.hpke import VERSION as HPKE_VERSION

CHAIN, HPKE = "chain.json", "hpke.json"
WORK: Final = 1 << 18  # of scrypt: 256 MiB and most of a second for each guess
_V3: Final = 3
_HPKE_FORMAT: Final = 1
_LIMIT: Final = 1 << 16
_MOST_WORK: Final = 1 << 20
_SUITES: Final[dict[str, Suite]] = {"x25519": Suite.X25519, "mlkem768x25519": Suite.MLKEM768_X25519}
_HEX: Final = re.compile(r"[0-9a-f]*")


@dataclass(frozen=True)
class PublicKeys:
    """What others may know of a keystore."""

    address: str
    suite: str
    hpke_public: bytes

    def to_json(self) -> dict[str, str]:
        """For scripts."""
        return {"address": self.address, "hpke_suite": self.suite, "hpke_public_key": self.hpke_public.hex()}


@dataclass(frozen=True)
class NodeKeys:
    """Opened keys; neither part shows its secret."""

    account: Account
    hpke: KeyPair


def create(
    folder: Path,
    passphrase: Secret,
    *,
    suite: SuiteName = "x25519",
    key: Secret | None = None,
    name: str = "",
    work: int | None = None,
) -> PublicKeys:
    """Make a keystore with a fresh HPKE key, and a fresh chain key unless one is given.

    Args:
        work: of scrypt; less than the default is for keys that protect nothing, as on a chain of one machine.

    Raises:
        InputError: the folder exists already, or cannot be made; `key` is no private key.
        KeyFileError: the passphrase is too short.
    """
    check_new(passphrase)
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} exists already, and keys are never overwritten: name a new folder")
    chain_key = Secret(os.urandom(32)) if key is None else key
    account = account_from_key(chain_key.reveal(), name)
    pair = KeyPair.generate(suite)
    remember(pair.private[2:])
    hpke = {
        "version": _HPKE_FORMAT,
        "suite": suite,
        "public_key": pair.public.hex(),
        "crypto": _encrypt(pair.private[2:], passphrase, work or WORK)["crypto"],
    }
    _write(folder, {CHAIN: _encrypt(chain_key.reveal(), passphrase, work or WORK), HPKE: hpke})
    return PublicKeys(account.address, suite, pair.public)


def show(folder: Path) -> PublicKeys:
    """What the files say of themselves; only `unlock` shows whether it is so.

    Raises:
        KeyFileError: a file is missing, damaged or open to others.
    """
    chain, hpke = _read(folder / CHAIN, _CHAIN_FIELDS), _read(folder / HPKE, _HPKE_FIELDS)
    address, suite, public = chain["address"], hpke["suite"], hpke["public_key"]
    digits = address.removeprefix("0x").lower()
    if chain["version"] != _V3 or len(digits) != 40 or not _HEX.fullmatch(digits):
        raise _damaged(folder / CHAIN)
    if hpke["version"] != _HPKE_FORMAT or suite not in _SUITES or not _HEX.fullmatch(public):
        raise _damaged(folder / HPKE)
    if len(public) != 2 * _SUITES[suite].public_key_bytes:
        raise _damaged(folder / HPKE)
    return PublicKeys(to_checksum_address("0x" + digits), suite, bytes.fromhex(public))


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """No other node of this machine runs with these keys meanwhile: two with one account undo each other's work.

    Raises:
        KeyFileError: one does, or the files cannot be read.
    """
    path = folder / CHAIN
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    try:
        try:
            take_lock(handle)
        except BlockingIOError:
            raise KeyFileError(f"another node runs with the keys in {folder}: make keys for each node") from None
        except OSError:
            pass  # a file system without locks: the state folder's own lock has to do
        yield
    finally:
        os.close(handle)


def unlock(folder: Path, passphrase: Secret, name: str = "") -> NodeKeys:
    """Open the keys of a node.

    Raises:
        KeyFileError: a file is missing, damaged or open to others, or the passphrase is wrong.
    """
    public = show(folder)
    chain_key = _decrypt(folder / CHAIN, _read(folder / CHAIN, _CHAIN_FIELDS), passphrase)
    seed = _decrypt(folder / HPKE, _read(folder / HPKE, _HPKE_FIELDS), passphrase)
    try:
        account = account_from_key(chain_key, name)
        pair = KeyPair.from_private_bytes(bytes((HPKE_VERSION, _SUITES[public.suite])) + seed)
    except FedproofError:
        raise KeyFileError(f"{folder} holds no usable keys: restore it") from None
    if account.address != public.address:
        raise KeyFileError(f"{folder / CHAIN} holds another key than the address that it names: restore it")
    if pair.public != public.hpke_public:
        raise KeyFileError(f"{folder / HPKE} holds another key than the public one that it names: restore it")
    return NodeKeys(account, pair)


def read_chain_key(path: Path, passphrase: Secret) -> Secret:
    """A chain key to import: 64 hexadecimal digits, or a version 3 keystore that the same passphrase opens.

    Raises:
        KeyFileError: the file is missing, open to others, or neither; or the passphrase is wrong.
    """
    data = read_private(path, _LIMIT)
    if data.lstrip().startswith(b"{"):
        document = _parse(path, data, {"crypto": dict, "version": int}, exact=False)
        if document["version"] != _V3:
            raise _damaged(path)
        return Secret(_decrypt(path, document, passphrase))
    text = data.decode("ascii", "replace").strip().removeprefix("0x").lower()
    if len(text) != 64 or not _HEX.fullmatch(text):
        raise KeyFileError(f"{path} holds no chain key: give 64 hexadecimal digits, or a version 3 keystore")
    return Secret(bytes.fromhex(text))


_CHAIN_FIELDS: Final[dict[str, type]] = {"address": str, "crypto": dict, "id": str, "version": int}
_HPKE_FIELDS: Final[dict[str, type]] = {"version": int, "suite": str, "public_key": str, "crypto": dict}


def _encrypt(secret: bytes, passphrase: Secret, work: int) -> dict[str, Any]:
    return dict(EthAccount.encrypt(secret, passphrase.reveal(), kdf="scrypt", iterations=work))  # type: ignore[arg-type]


def _decrypt(path: Path, document: dict[str, Any], passphrase: Secret) -> bytes:
    crypto = document["crypto"]
    _check_crypto(path, crypto)
    try:
        secret = bytes(EthAccount.decrypt({"version": _V3, "crypto": crypto}, passphrase.reveal()))  # type: ignore[arg-type]
    except ValueError as error:
        if "MAC" in str(error):
            raise KeyFileError(f"{path} does not open: the passphrase is wrong, or the file is damaged") from None
        raise _damaged(path) from None
    except Exception:  # noqa: BLE001 - whatever the libraries say of a damaged file may quote it
        raise _damaged(path) from None
    if len(secret) != PRIVATE_BYTES:
        raise _damaged(path)
    remember(secret)
    return secret


def _check_crypto(path: Path, crypto: dict[str, Any]) -> None:
    """Only what this program writes, or other clients with the same format; work without bound would hang a node."""
    work = crypto.get("kdfparams")
    if crypto.get("kdf") != "scrypt" or crypto.get("cipher") != "aes-128-ctr" or not isinstance(work, dict):
        raise KeyFileError(f"{path} is not encrypted with scrypt and AES-128-CTR: import it with another tool first")
    n, r, p, length = (work.get(part) for part in ("n", "r", "p", "dklen"))
    if not all(type(each) is int and each > 0 for each in (n, r, p)) or length != 32 or n * r * p > 8 * _MOST_WORK:  # type: ignore[operator]
        raise _damaged(path)


def _read(path: Path, fields: dict[str, type]) -> dict[str, Any]:
    return _parse(path, read_private(path, _LIMIT), fields)


def _parse(path: Path, data: bytes, fields: dict[str, type], exact: bool = True) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise _damaged(path) from None
    if not isinstance(document, dict) or (exact and set(document) != set(fields)):
        raise _damaged(path)
    if not all(type(document.get(field)) is kind for field, kind in fields.items()):
        raise _damaged(path)
    return document


def _damaged(path: Path) -> KeyFileError:
    return KeyFileError(f"{path} is damaged, or no keystore of this program: restore it")


def _write(folder: Path, documents: dict[str, dict[str, Any]]) -> None:
    """A folder next to it, renamed at the end: a crash leaves all files or none, and a rename replaces no keys."""
    part: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # mode 0700
        for name, document in documents.items():
            descriptor = os.open(part / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
        _sync(part)
        part.rename(folder)
        _sync(folder.parent)
    except OSError as error:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        raise InputError(f"keys cannot be written to {folder}: {error.strerror}") from None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
