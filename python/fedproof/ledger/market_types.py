"""What the marketplace contracts say, as typed values. Amounts are base units, times are seconds, ids start at 1."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eth_typing import ChecksumAddress

from fedproof.errors import InputError
from fedproof.ledger.events import Event

TIERS = 6
"""Tiers are 0 (free) to 5 (everything)."""

HPKE_KEY_LENGTHS = (32, 1216)
"""X25519, and the ML-KEM-768 + X25519 hybrid."""

_NONE = bytes(32)


@dataclass(frozen=True)
class Addresses:
    """Where a marketplace is."""

    token: ChecksumAddress
    vault: ChecksumAddress
    registry: ChecksumAddress


@dataclass(frozen=True)
class CapacityClass:
    """A shape of datasets, and the data contracts with the keys of its statements."""

    eligibility_key: ChecksumAddress
    rows: int
    columns: int
    closed: bool
    listing_key: ChecksumAddress


@dataclass(frozen=True)
class Terms:
    """What a provider says about a dataset beside its commitment.

    Attributes:
        class_id: the capacity class.
        schema: content id of the public schema blob, 32 bytes.
        thresholds: base units to have locked for tiers 0 to 5; 0 means not offered. Tier 0 is free: its entry is 0.
        sealed_files: content ids of the sealed files of tiers 0 to 5, 32 bytes each; zeros where there is none.

    Raises:
        InputError: a value does not fit.
    """

    class_id: int
    schema: bytes
    thresholds: tuple[int, ...]
    sealed_files: tuple[bytes, ...] = (_NONE,) * TIERS

    def __post_init__(self) -> None:
        if len(self.thresholds) != TIERS or len(self.sealed_files) != TIERS:
            raise InputError(f"a dataset has {TIERS} thresholds and {TIERS} sealed files, one for each tier")
        if not 0 < self.class_id < 1 << 32:
            raise InputError(f"capacity class {self.class_id} does not exist: ids start at 1")
        if any(len(blob) != 32 for blob in (self.schema, *self.sealed_files)) or self.schema == _NONE:
            raise InputError("a content id has 32 bytes, and a dataset needs the content id of its schema")
        if self.thresholds[0] != 0 or not all(0 <= amount < 1 << 128 for amount in self.thresholds):
            raise InputError("thresholds lie in [0, 2^128) base units, and tier 0 is free: its threshold is 0")

    def metadata(self) -> bytes:
        """The 14 words that the listing's transcript hashes: class, schema, thresholds, sealed files."""
        numbers = (self.class_id, int.from_bytes(self.schema, "big"), *self.thresholds)
        return b"".join(number.to_bytes(32, "big") for number in numbers) + b"".join(self.sealed_files)


@dataclass(frozen=True)
class Dataset:
    """A dataset as the registry keeps it. `commitment` is C_X, 64 bytes; `rows` counts no padding."""

    dataset_id: int
    provider: ChecksumAddress
    class_id: int
    rows: int
    retired: bool
    commitment: bytes
    schema: bytes
    thresholds: tuple[int, ...]


@dataclass(frozen=True)
class EligibilityTerms:
    """The public inputs of an eligibility proof that the registry computes; root and nullifier are the prover's."""

    scope: int
    threshold: int
    signal: int
    epoch: int


@dataclass(frozen=True)
class Grant:
    """The last grant of one tier: its end (0: there was none), and 27 bytes of the keccak256 of the HPKE key."""

    expiry: int
    hpke_key_hash: bytes


@dataclass(frozen=True)
class Deposited:
    """A note was locked. Its nonce is its leaf index."""

    leaf_index: int
    owner: int
    depositor: ChecksumAddress
    amount: int
    unlock_epoch: int
    leaf: int
    root: int
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> Deposited:
        """The event, typed."""
        a = event.args
        return cls(
            leaf_index=a["leafIndex"],
            owner=a["owner"],
            depositor=a["depositor"],
            amount=a["amount"],
            unlock_epoch=a["unlockEpoch"],
            leaf=a["leaf"],
            root=a["root"],
            tx_hash=event.tx_hash,
            block_number=event.block_number,
        )


@dataclass(frozen=True)
class DatasetMinted:
    """A dataset was listed."""

    dataset_id: int
    provider: ChecksumAddress
    rows: int
    commitment: bytes
    terms: Terms
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> DatasetMinted:
        """The event, typed."""
        a = event.args
        return cls(
            dataset_id=a["datasetId"],
            provider=a["provider"],
            rows=a["rows"],
            commitment=point_bytes(a["commitment"]),
            terms=Terms(a["classId"], a["schema"], tuple(a["thresholds"]), tuple(a["sealedFiles"])),
            tx_hash=event.tx_hash,
            block_number=event.block_number,
        )


@dataclass(frozen=True)
class AccessGranted:
    """A grant began, or was extended. The provider answers it with the tier's key, sealed to `hpke_key`."""

    dataset_id: int
    grantee: ChecksumAddress
    tier: int
    expiry: int
    extension: bool
    nullifier: int
    hpke_key: bytes = field(repr=False)
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> AccessGranted:
        """The event, typed."""
        a = event.args
        return cls(
            dataset_id=a["datasetId"],
            grantee=a["grantee"],
            tier=a["tier"],
            expiry=a["expiry"],
            extension=a["extension"],
            nullifier=a["nullifier"],
            hpke_key=a["hpkeKey"],
            tx_hash=event.tx_hash,
            block_number=event.block_number,
        )


@dataclass(frozen=True)
class KeyDelivered:
    """The provider has sealed a tier's key to a grantee."""

    dataset_id: int
    grantee: ChecksumAddress
    tier: int
    sealed_key: bytes = field(repr=False)
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> KeyDelivered:
        """The event, typed."""
        a = event.args
        return cls(
            dataset_id=a["datasetId"],
            grantee=a["grantee"],
            tier=a["tier"],
            sealed_key=a["sealedKey"],
            tx_hash=event.tx_hash,
            block_number=event.block_number,
        )


def words(data: bytes, count: int, what: str) -> tuple[int, ...]:
    """Big-endian 32-byte words as integers.

    Raises:
        InputError: `data` has another length.
    """
    if len(data) != 32 * count:
        raise InputError(f"{what} has {32 * count} bytes, not {len(data)}")
    return tuple(int.from_bytes(data[k : k + 32], "big") for k in range(0, len(data), 32))


def point_bytes(coordinates: Any) -> bytes:
    """A G1 point `(x, y)` from the chain as 64 bytes."""
    x, y = coordinates
    return int(x).to_bytes(32, "big") + int(y).to_bytes(32, "big")
