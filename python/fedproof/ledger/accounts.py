"""Accounts that sign transactions. The key stays inside: no repr, message or log shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.crypto import keccak

from fedproof.errors import InputError


@dataclass(frozen=True)
class Account:
    """An address with the key that signs for it."""

    address: ChecksumAddress
    name: str = field(default="", compare=False)
    _signer: LocalAccount = field(repr=False, compare=False, kw_only=True)

    def sign(self, transaction: Mapping[str, Any]) -> bytes:
        """The raw signed transaction (RFC 6979: the same input gives the same bytes)."""
        return bytes(self._signer.sign_transaction(dict(transaction)).raw_transaction)

    def __reduce__(self) -> str:
        # The dataclass would carry its key wherever it is pickled to.
        raise TypeError("an account cannot be pickled: it holds a key")


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
    return Account(signer.address, name, _signer=signer)


def development_account(name: str) -> Account:
    """The account that `name` stands for on development chains: anybody can derive its key."""
    return account_from_key(keccak(b"fedproof/development-account/v1" + keccak(text=name)), name)
