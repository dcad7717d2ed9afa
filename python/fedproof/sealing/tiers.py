"""Tier keys: a dataset's tiers form a chain, so that a tier opens itself and every tier below it (protocol, section 6).

    K_5 = 32 random bytes,    K_(t-1) = HKDF-SHA256(K_t, info = "fedproof/tier-key/v1" || t-1)

HKDF is one-way, so a grant of tier t says nothing of t+1. The derived tier is part of `info`: the five keys are outputs
of one function at different labels, and a key file cannot be taken for that of another tier.

A grant is the tier key sealed with HPKE to the grantee's registered key. Its `info` has a fixed width, so it cannot be
read in two ways:

    "fedproof/tier-grant/v2" || chain id (32) || registry (20) || dataset (32) || version (2)
        || tier (1) || grantee (20)
"""

import hmac
import os
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedproof.errors import SealingError
from fedproof.sealing.hpke import KeyPair, open_sealed, seal

TOP_TIER: Final = 5
KEY_BYTES: Final = 32
_VERSION: Final = 1
_DERIVE_LABEL: Final = b"fedproof/tier-key/v1"
_GRANT_LABEL: Final = b"fedproof/tier-grant/v2"


class TierKey:
    """The secret of one tier, 1 .. 5. `repr` hides it; `encode` is for the owner's key file alone."""

    __slots__ = ("_secret", "tier")

    def __init__(self, tier: int, secret: bytes) -> None:
        check_tier(tier)
        if len(secret) != KEY_BYTES:
            raise SealingError(f"a tier key has {KEY_BYTES} bytes, this one has {len(secret)}")
        self.tier = tier
        self._secret = bytes(secret)

    @classmethod
    def generate(cls) -> "TierKey":
        """A fresh top-tier key, from which a dataset's other four follow."""
        return cls(TOP_TIER, os.urandom(KEY_BYTES))

    @classmethod
    def decode(cls, data: bytes) -> "TierKey":
        """Read `version (1) || tier (1) || key (32)`; SealingError when it is anything else."""
        if len(data) != 2 + KEY_BYTES or data[0] != _VERSION:
            raise SealingError("this is not a version 1 tier key: expected version, tier and 32 bytes")
        return cls(data[1], data[2:])

    def encode(self) -> bytes:
        """The key itself, `version (1) || tier (1) || key (32)`: whoever reads it opens the tier."""
        return bytes((_VERSION, self.tier)) + self._secret

    def down_to(self, tier: int) -> "TierKey":
        """The key of this or a lower tier; SealingError for a higher one, which cannot be derived."""
        check_tier(tier)
        if tier > self.tier:
            raise SealingError(f"a key of tier {self.tier} does not open tier {tier}")
        secret = self._secret
        for lower in range(self.tier - 1, tier - 1, -1):
            secret = _hkdf(secret, salt=None, info=_DERIVE_LABEL + bytes((lower,)))
        return TierKey(tier, secret)

    def derive(self, salt: bytes, info: bytes) -> bytes:
        """32 bytes bound to `salt` and `info`, for a use other than tiers; callers label `info`."""
        return _hkdf(self._secret, salt=salt, info=info)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TierKey) and self.tier == other.tier and hmac.compare_digest(self._secret, other._secret)
        )

    __hash__ = None  # type: ignore[assignment]  # a secret has no business being a dictionary key

    def __repr__(self) -> str:
        return f"TierKey(tier={self.tier}, <key hidden>)"


@dataclass(frozen=True)
class Grant:
    """Whom a delivered key is for, and of what. `registry` and `grantee` are addresses, `dataset` is the token id.

    Each version of a dataset has keys of its own; `version` counts from 1.
    """

    chain_id: int
    registry: bytes
    dataset: int
    tier: int
    grantee: bytes
    version: int = 1

    def info(self) -> bytes:
        """The HPKE context of the sealed tier key, as on top of this module."""
        check_tier(self.tier)
        return b"".join(
            (
                _GRANT_LABEL,
                _word(self.chain_id, "chain id"),
                _address(self.registry, "registry"),
                _word(self.dataset, "dataset"),
                _version(self.version),
                bytes((self.tier,)),
                _address(self.grantee, "grantee"),
            )
        )


def seal_tier_key_to(grantee_public: bytes, key: TierKey, grant: Grant) -> bytes:
    """Seal the granted tier's key (derived from `key`, which may be a higher one) to the grantee's HPKE key."""
    return seal(grantee_public, key.down_to(grant.tier).encode(), grant.info())


def open_tier_key(private: KeyPair | bytes, sealed: bytes, grant: Grant) -> TierKey:
    """Open a grant; SealingError when it was sealed for another chain, registry, dataset, tier or grantee."""
    key = TierKey.decode(open_sealed(private, sealed, grant.info()))
    if key.tier != grant.tier:
        raise SealingError(f"the grant says tier {grant.tier}, but the key inside is of tier {key.tier}")
    return key


def check_tier(tier: int) -> None:
    """Refuse what is not a tier."""
    if not 1 <= tier <= TOP_TIER:
        raise SealingError(f"tier {tier} does not exist: tiers are 1 to {TOP_TIER}")


def _hkdf(secret: bytes, *, salt: bytes | None, info: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt, info).derive(secret)


def _word(value: int, what: str) -> bytes:
    if not 0 <= value < 1 << 256:
        raise SealingError(f"{what} must fit in 256 bits and not be negative")
    return value.to_bytes(32, "big")


def _version(value: int) -> bytes:
    if not 1 <= value < 1 << 16:
        raise SealingError(f"a dataset has no version {value}: versions are 1 to 65,535")
    return value.to_bytes(2, "big")


def _address(value: bytes, what: str) -> bytes:
    if len(value) != 20:
        raise SealingError(f"{what} must be an address of 20 bytes, not {len(value)}")
    return value
