"""What an embedded chain starts from: equal genesis and equal inputs make chains that are equal block for block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak

from fedproof.errors import InputError

FORK = "prague"
BLOCK_GAS_LIMIT = 60_000_000
COINBASE = bytes.fromhex("fedfedfedfedfedfedfedfedfedfedfedfedfedf")
FAUCET_KEY = keccak(b"fedproof/faucet/v1")  # worthless by design: it owns the balance of embedded chains only
FAUCET_BALANCE = 10**30
BASE_FEE = 10**9


@dataclass(frozen=True)
class Genesis:
    """The parameters of an embedded chain.

    `timestamp` is the genesis block's, in seconds; each further block is `block_interval` seconds later unless the
    caller sets its time.
    """

    chain_id: int = 31_337
    timestamp: int = 1_767_225_600  # 2026-01-01T00:00:00Z
    block_interval: int = 12
    gas_limit: int = BLOCK_GAS_LIMIT

    def __post_init__(self) -> None:
        for name, low, high in (
            ("chain_id", 1, 2**53 - 1),
            ("timestamp", 1, 2**40),
            ("block_interval", 1, 2**24),
            ("gas_limit", 5_000_000, 2**40),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise InputError(f"genesis parameter {name} is {value!r}: give a whole number from {low} to {high}")

    @property
    def allocation(self) -> dict[bytes, int]:
        """Balances at the start: the faucet alone."""
        return {PrivateKey(FAUCET_KEY).public_key.to_canonical_address(): FAUCET_BALANCE}

    def to_json(self) -> dict[str, Any]:
        """The parameters with everything that is fixed, for an export."""
        return {
            "fork": FORK,
            "chainId": self.chain_id,
            "timestamp": self.timestamp,
            "blockInterval": self.block_interval,
            "gasLimit": self.gas_limit,
            "baseFee": BASE_FEE,
            "coinbase": "0x" + COINBASE.hex(),
            "allocation": {"0x" + address.hex(): str(balance) for address, balance in self.allocation.items()},
        }
