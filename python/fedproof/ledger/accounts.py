"""Accounts that sign transactions. The key stays inside: no repr, message or log shows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.crypto import keccak

from fedproof.errors import InputError
from fedproof.storage.folders import open_plain, writable_by_others

MAX_KEY_FILE_BYTES: Final = 1024


class Account:
    """An address with the key that signs for it. Two accounts are equal if their addresses are.

    Not a dataclass: those are taken apart by `asdict`, key and all.
    """

    __slots__ = ("_signer", "address", "name")

    def __init__(self, signer: LocalAccount, name: str = "") -> None:
        self.address: ChecksumAddress = signer.address
        self.name = name
        self._signer = signer

    def sign(self, transaction: Mapping[str, Any]) -> bytes:
        """The raw signed transaction (RFC 6979: the same input gives the same bytes)."""
        return bytes(self._signer.sign_transaction(dict(transaction)).raw_transaction)

    def private_key(self) -> bytes:
        """The 32 bytes of the key, for a keystore and for nothing else."""
        return bytes(self._signer.key)

    def __repr__(self) -> str:
        return f"Account({self.address!r}, name={self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Account) and other.address == self.address

    def __hash__(self) -> int:
        return hash(self.address)

    def __reduce__(self) -> str:
        raise TypeError("an account cannot be pickled or copied: it holds a key")


def account_from_key(key: bytes | str, name: str = "") -> Account:
    """The account of a 32-byte private key, as bytes or hexadecimal.

    Raises:
        InputError: not a private key. The message does not repeat it.
    """
    try:
        raw = bytes.fromhex(key.strip().removeprefix("0x")) if isinstance(key, str) else bytes(key)
        signer = EthAccount.from_key(raw)
    except Exception:  # noqa: BLE001 - whatever the libraries say about a key may quote it
        signer = None
    if signer is None or len(raw) != 32:
        raise InputError("not a private key: give 32 bytes as 64 hexadecimal digits") from None
    return Account(signer, name)


def read_key(path: Path) -> str:
    """The text of a key file.

    Raises:
        InputError: it cannot be read, is open to the writing of others, or longer than a key. The message does not
            repeat it.
    """
    try:
        with open_plain(path) as file:
            if writable_by_others(file):
                raise InputError(
                    f"{path} can be written by other users: check that it holds your key, then chmod 600 it"
                )
            data = file.read(MAX_KEY_FILE_BYTES + 1)
        if len(data) > MAX_KEY_FILE_BYTES:
            raise ValueError
        return data.decode("ascii")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; it should be a file with a private key") from None
    except ValueError:
        raise InputError(f"{path} holds no private key: write it in 64 hexadecimal digits") from None


def development_account(name: str) -> Account:
    """The account that `name` stands for on development chains: anybody can derive its key."""
    return account_from_key(keccak(b"fedproof/development-account/v1" + keccak(text=name)), name)
