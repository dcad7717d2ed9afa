"""What the marketplace contracts say, as typed values. Amounts are base units, times are seconds, ids start at 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_typing import ChecksumAddress

from fedproof.errors import InputError
from fedproof.ledger.events import Event

TIERS = 6
"""Tiers are 0 (free) to 5 (everything)."""

HPKE_KEY_LENGTHS = (32, 1216)
"""X25519, and the ML-KEM-768 + X25519 hybrid."""

UNIT = 10**9
"""Thresholds and prices are whole multiples of so many base units: the registry keeps them in 64 bits each."""
MAX_AMOUNT = ((1 << 64) - 1) * UNIT
"""The greatest threshold or price, in base units."""

_NONE = bytes(32)


@dataclass(frozen=True)
class Addresses:
    """Where a marketplace is."""

    token: ChecksumAddress
    vault: ChecksumAddress
    registry: ChecksumAddress
    escrow: ChecksumAddress
    sales: ChecksumAddress


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
        prices: base units that a grant of each tier costs; 0 for tier 0 and for tiers that are not offered.
        card: content id of the public card, 32 bytes; zeros where there is none.
        sealed_files: content ids of the sealed files of tiers 0 to 5, 32 bytes each; zeros where there is none.

    Raises:
        InputError: a value does not fit.
    """

    class_id: int
    schema: bytes
    thresholds: tuple[int, ...]
    prices: tuple[int, ...] = (0,) * TIERS
    card: bytes = _NONE
    sealed_files: tuple[bytes, ...] = (_NONE,) * TIERS

    def __post_init__(self) -> None:
        if not len(self.thresholds) == len(self.prices) == len(self.sealed_files) == TIERS:
            raise InputError(f"a dataset has {TIERS} thresholds, prices and sealed files, one for each tier")
        if not 0 < self.class_id < 1 << 32:
            raise InputError(f"capacity class {self.class_id} does not exist: ids start at 1")
        if any(len(blob) != 32 for blob in (self.schema, self.card, *self.sealed_files)) or self.schema == _NONE:
            raise InputError("a content id has 32 bytes, and a dataset needs the content id of its schema")
        if self.thresholds[0] or self.prices[0]:
            raise InputError("tier 0 is free: its threshold and its price are 0")
        for what, amounts in (("threshold", self.thresholds), ("price", self.prices)):
            for tier, amount in enumerate(amounts):
                if not 0 <= amount <= MAX_AMOUNT or amount % UNIT:
                    raise InputError(
                        f"the {what} of tier {tier} must be a multiple of {UNIT} base units in [0, {MAX_AMOUNT}]"
                    )
        for tier, (threshold, price) in enumerate(zip(self.thresholds, self.prices, strict=True)):
            if price and not threshold:
                raise InputError(f"tier {tier} has a price but is not offered: give it a threshold")

    def metadata(self) -> bytes:
        """The 21 words that the listing's transcript hashes: the contract's `Terms` in its order."""
        head = self.class_id.to_bytes(32, "big") + self.schema + self.card
        numbers = b"".join(
            amount.to_bytes(32, "big") for amount in (*in_units(self.thresholds), *in_units(self.prices))
        )
        return head + numbers + b"".join(self.sealed_files)

    def abi(self) -> tuple[Any, ...]:
        """The contract's `Terms`."""
        amounts = (in_units(self.thresholds), in_units(self.prices))
        return (self.class_id, self.schema, self.card, *amounts, self.sealed_files)

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> Terms:
        """The contract's `Terms`, typed."""
        class_id, schema, card, thresholds, prices, files = values
        return cls(class_id, schema, in_base_units(thresholds), in_base_units(prices), card, tuple(files))


@dataclass(frozen=True)
class Dataset:
    """A dataset as the registry keeps it, in its present version.

    Attributes:
        commitment: C_X of the first block, 64 bytes; rows: its rows, no padding counted.
        blocks: 1 unless the dataset is larger than its class. version: from 1.
    """

    dataset_id: int
    provider: ChecksumAddress
    class_id: int
    rows: int
    blocks: int
    version: int
    retired: bool
    commitment: bytes
    schema: bytes
    thresholds: tuple[int, ...]
    prices: tuple[int, ...]


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
class DatasetMinted:
    """A dataset was listed, or updated: `version` is 1 for the first listing."""

    dataset_id: int
    provider: ChecksumAddress
    version: int
    rows: int
    commitment: bytes
    terms: Terms
    tx_hash: str
    block_number: int
    log_index: int

    @classmethod
    def of(cls, event: Event) -> DatasetMinted:
        """The event, typed: `DatasetMinted` or `DatasetUpdated`."""
        a = event.args
        return cls(
            dataset_id=a["datasetId"],
            provider=a["provider"],
            version=a.get("version", 1),
            rows=a["rows"],
            commitment=point_bytes(a["commitment"]),
            terms=Terms.of(a["terms"]),
            tx_hash=event.tx_hash,
            block_number=event.block_number,
            log_index=event.log_index,
        )


@dataclass(frozen=True)
class BlockAdded:
    """A dataset larger than its class got another block; the first is the listing's own."""

    dataset_id: int
    version: int
    number: int
    rows: int
    commitment: bytes
    tx_hash: str

    @classmethod
    def of(cls, event: Event) -> BlockAdded:
        """The event, typed."""
        a = event.args
        return cls(a["datasetId"], a["version"], a["number"], a["rows"], point_bytes(a["commitment"]), event.tx_hash)


@dataclass(frozen=True)
class AccessGranted:
    """A grant began, or was extended. The provider answers it with the tier's key, sealed to `hpke_key`."""

    dataset_id: int
    grantee: ChecksumAddress
    tier: int
    expiry: int
    price: int
    extension: bool
    nullifier: int
    hpke_key: bytes = field(repr=False)
    tx_hash: str
    block_number: int
    log_index: int

    @classmethod
    def of(cls, event: Event) -> AccessGranted:
        """The event, typed: `AccessGranted` or `AccessExtended`."""
        a = event.args
        return cls(
            dataset_id=a["datasetId"],
            grantee=a["grantee"],
            tier=a["tier"],
            expiry=a["expiry"],
            price=a["price"],
            extension=event.name == "AccessExtended",
            nullifier=a["nullifier"],
            hpke_key=a["hpkeKey"],
            tx_hash=event.tx_hash,
            block_number=event.block_number,
            log_index=event.log_index,
        )


@dataclass(frozen=True)
class KeyDelivered:
    """The provider has sealed the key of a tier and version to a grantee."""

    dataset_id: int
    grantee: ChecksumAddress
    tier: int
    version: int
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
            version=a["version"],
            sealed_key=a["sealedKey"],
            tx_hash=event.tx_hash,
            block_number=event.block_number,
        )


@dataclass(frozen=True)
class KeysPlaced:
    """The keys of a version are with a committee; `escrow_id` is the content id of the escrow's blob."""

    dataset_id: int
    version: int
    escrow_id: bytes
    block_number: int
    log_index: int
    tx_hash: str

    @classmethod
    def of(cls, event: Event) -> KeysPlaced:
        """The event, typed."""
        a = event.args
        return cls(a["datasetId"], a["version"], a["escrowId"], event.block_number, event.log_index, event.tx_hash)


@dataclass(frozen=True)
class ShareReleased:
    """Somebody who says it is a worker has sealed its share of a tier's key to a grantee."""

    dataset_id: int
    grantee: ChecksumAddress
    worker: ChecksumAddress
    tier: int
    version: int
    sealed_share: bytes = field(repr=False)
    block_number: int
    log_index: int
    tx_hash: str

    @classmethod
    def of(cls, event: Event) -> ShareReleased:
        """The event, typed."""
        a = event.args
        return cls(
            dataset_id=a["datasetId"],
            grantee=a["grantee"],
            worker=a["worker"],
            tier=a["tier"],
            version=a["version"],
            sealed_share=a["sealedShare"],
            block_number=event.block_number,
            log_index=event.log_index,
            tx_hash=event.tx_hash,
        )


@dataclass(frozen=True)
class Offer:
    """A dataset for sale; `buyer` is None when anybody may buy."""

    dataset_id: int
    seller: ChecksumAddress
    buyer: ChecksumAddress | None
    price: int


def in_units(amounts: Sequence[int]) -> tuple[int, ...]:
    """Base units as the registry keeps them."""
    return tuple(amount // UNIT for amount in amounts)


def in_base_units(amounts: Sequence[int]) -> tuple[int, ...]:
    """Amounts of the registry in base units."""
    return tuple(int(amount) * UNIT for amount in amounts)


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
