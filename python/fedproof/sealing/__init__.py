"""Sealing: HPKE to one recipient, tier keys, and record files under AES-256-GCM (protocol, section 6).

Pure: nothing here knows of the chain, a disk, the network or a clock. Every failure is a `SealingError`.
"""

from fedproof.sealing.aead import Aes256Gcm
from fedproof.sealing.hpke import (
    KeyPair,
    Suite,
    check_public_key,
    open_sealed,
    seal,
    sealed_length,
    suite_of_public_key,
)
from fedproof.sealing.records import open_records, read_header, seal_records
from fedproof.sealing.tiers import TOP_TIER, Grant, TierKey, open_tier_key, seal_tier_key_to

__all__ = [
    "TOP_TIER",
    "Aes256Gcm",
    "Grant",
    "KeyPair",
    "Suite",
    "TierKey",
    "check_public_key",
    "open_records",
    "open_sealed",
    "open_tier_key",
    "read_header",
    "seal",
    "seal_records",
    "seal_tier_key_to",
    "sealed_length",
    "suite_of_public_key",
]
