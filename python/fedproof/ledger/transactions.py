"""A signed transaction: the bytes that are sent, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import rlp  # type: ignore[import-untyped]  # it ships no types
from eth_account import Account as EthAccount
from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from fedproof.errors import InputError

# Position of nonce in each type's fields; gas, to, value and data follow the fee fields in one order.
_NONCE_AND_GAS = {0: (0, 2), 1: (1, 3), 2: (1, 4)}
_BODY = ("gas", "to", "value", "input")
_TYPED_END = ("accessList", "v", "r", "s")
_SIGNED_FIELDS = {
    "0x0": ("nonce", "gasPrice", *_BODY, "v", "r", "s"),
    "0x1": ("chainId", "nonce", "gasPrice", *_BODY, *_TYPED_END),
    "0x2": ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", *_BODY, *_TYPED_END),
}


@dataclass(frozen=True)
class SignedTransaction:
    """A signed transaction with its nonce fixed. Sent twice it is still one transaction, so save it before sending."""

    raw: bytes = field(repr=False)
    tx_hash: str
    sender: ChecksumAddress
    nonce: int
    to: ChecksumAddress | None
    data: bytes = field(repr=False)
    value: int
    gas: int


def read_signed(raw: bytes) -> SignedTransaction:
    """A signed transaction of type 0, 1 or 2 from its bytes, as after a restart.

    Raises:
        InputError: these are not such bytes.
    """
    try:
        kind = raw[0] if raw[0] < 0x80 else 0
        fields: list[Any] = rlp.decode(raw[1:] if kind else raw)
        nonce_at, gas_at = _NONCE_AND_GAS[kind]
        gas, to, value, data = fields[gas_at : gas_at + 4]
        return SignedTransaction(
            raw=raw,
            tx_hash="0x" + keccak(raw).hex(),
            sender=EthAccount.recover_transaction(raw),
            nonce=int.from_bytes(fields[nonce_at], "big"),
            to=to_checksum_address(to) if to else None,
            data=bytes(data),
            value=int.from_bytes(value, "big"),
            gas=int.from_bytes(gas, "big"),
        )
    except Exception as error:  # rlp, eth-keys and eth-account raise unrelated types on malformed bytes
        raise InputError("not a signed transaction: the bytes are damaged") from error


def fee_limits(transaction: SignedTransaction) -> tuple[int, int] | None:
    """The most wei for each gas that a transaction of type 2 pays, and of it to the block's maker; None of others."""
    if transaction.raw[0] != 2:
        return None
    fields: list[Any] = rlp.decode(transaction.raw[1:])
    return int.from_bytes(fields[3], "big"), int.from_bytes(fields[2], "big")


def intrinsic_gas(data: bytes, is_creation: bool) -> int:
    """Gas that a transaction costs before anything runs (EIP-2028; EIP-3860 for a creation)."""
    zeros = data.count(0)
    gas = 21_000 + 16 * (len(data) - zeros) + 4 * zeros
    return gas + 32_000 + init_code_gas(data) if is_creation else gas


def init_code_gas(code: bytes) -> int:
    """The part that grows with the words of creation code (EIP-3860)."""
    return 2 * ((len(code) + 31) // 32)


def encode_signed(fields: Mapping[str, Any]) -> bytes:
    """Bytes of a mined transaction of type 0, 1 or 2 from its JSON-RPC fields; empty where they do not allow it.

    The caller compares the hash: that alone tells whether the node gave the right fields.
    """
    names = _SIGNED_FIELDS.get(str(fields.get("type", "0x0")))
    if names is None:
        return b""
    kind = int(str(fields.get("type", "0x0")), 16)
    try:
        parts = [_rlp_part(fields, name) for name in names]
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError):  # the last of a negative number
        return b""
    encoded: bytes = rlp.encode(parts)
    return (bytes([kind]) if kind else b"") + encoded


def _rlp_part(fields: Mapping[str, Any], name: str) -> bytes | list[Any]:
    if name == "accessList":
        return [
            [bytes.fromhex(entry["address"][2:]), [bytes.fromhex(key[2:]) for key in entry["storageKeys"]]]
            for entry in fields["accessList"]
        ]
    if name in ("to", "input"):
        return bytes.fromhex((fields[name] or "0x")[2:])
    value = int(fields[name], 16)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
